"""Every built-in task's bundled split can be asked of every kind of model."""

from __future__ import annotations

import shutil

import pytest

import babyeval
from babyeval.families import SpanTask
from babyeval.protocols import PROTOCOLS
from babyeval.registry import get_task, list_tasks

KINDS = [
    ("gpt2", "bos_eos", "causal"),
    ("t5", "t5", "enc-dec-prefix"),
    ("bart", "bart", "enc-dec-prefix"),
    *(
        pytest.param(*kind, marks=pytest.mark.slow)  # one input for each token
        for kind in [
            ("bert", "cls_sep", "mlm"),
            ("roberta", "bos_eos", "mntp"),
            ("t5", "t5", "enc-dec-mask"),
            ("bart", "bart", "enc-dec-mask"),
        ]
    ),
]


@pytest.mark.parametrize(("architecture", "kind", "backend"), KINDS)
def test_every_mini_split_is_done(architecture, kind, backend, tiny_folder, tmp_path):
    folder = tiny_folder(architecture, kind, positions=192)
    built_in = [one for one in list_tasks() if one.origin == "babyeval"]
    tasks = [one.name for one in built_in if isinstance(one.task, SpanTask) and not one.task.across]
    results = babyeval.evaluate(folder, tasks, split="mini", protocol="all", backend=backend, out=tmp_path)
    assert len(results) == len(tasks) * len(PROTOCOLS)
    for result in results:
        defined = result.protocol in get_task(result.task.name).card.protocols
        assert result.status == ("done" if defined else "not_applicable"), result.error
        if defined:
            assert result.headline.value is not None
            assert result.counts.items >= result.headline.n > 0  # a regression leaves out incomplete rows


@pytest.mark.parametrize(("architecture", "kind", "backend"), KINDS)
def test_age_of_acquisition_is_asked_of_every_kind(architecture, kind, backend, tiny_folder, tmp_path):
    for seed, name in enumerate(("chck_1M", "chck_2M", "chck_3M", "chck_4M")):
        shutil.copytree(tiny_folder(architecture, kind, positions=192, seed=seed), tmp_path / "run" / name)
    results = babyeval.evaluate(
        tmp_path / "run", ["aoa"], split="mini", backend=backend, revisions="chck_*", limit=24, out=tmp_path / "out"
    )
    assert [result.status for result in results] == ["done"] * 5, results[-1].error
    assert {result.headline.metric for result in results[:4]} == {"surprisal"}
    words = {score.metric: score.value for score in results[4].scores if score.metric == "words"}
    dropped = [score.value for score in results[4].scores if score.metric == "words_dropped"]
    assert words["words"] + sum(dropped) == 24
