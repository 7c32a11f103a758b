"""Which records are compared: names and revisions, protocol, split, backend; and what a damaged folder does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stored import ranking, trajectory

import babyeval
from babyeval.errors import MissingError, UsageError


def credits_of(seed: int, subsets: int = 12, items: int = 10) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {f"s{g}": [float(rng.random() < 0.6) for _ in range(items)] for g in range(subsets)}


def models(root: Path, *names: str, **changes) -> None:
    for seed, name in enumerate(names):
        ranking(root, name, credits_of(seed), **changes)


def test_a_wrong_name_lists_the_models_there_are(tmp_path) -> None:
    models(tmp_path, "tiny-llama", "tiny-bert")
    ranking(tmp_path, "tiny-bert", credits_of(3), of={"revision": "chck_1M"})
    with pytest.raises(UsageError, match="no model 'tiny-lama'") as refused:
        babyeval.compare(tmp_path, "tiny-lama", "tiny-bert")
    assert refused.value.where == "there is tiny-bert (2 revisions), tiny-llama"


def test_without_names_few_models_are_all_compared_and_many_are_listed(tmp_path) -> None:
    models(tmp_path, *"abcdef")
    assert len(babyeval.compare(tmp_path).rows) == 15
    models(tmp_path, "g")
    with pytest.raises(UsageError, match="7 models, too many") as refused:
        babyeval.compare(tmp_path)
    assert refused.value.where == "a, b, c, d, e, f, g"


@pytest.mark.parametrize("names", [["a"], ["a", "a"], []])
def test_one_model_is_no_comparison(tmp_path, names) -> None:
    models(tmp_path, "a")
    with pytest.raises(UsageError, match="takes two"):
        babyeval.compare(tmp_path, *names)


def test_an_empty_folder_and_one_that_is_not_there(tmp_path) -> None:
    for folder, said in ((tmp_path, "holds no record"), (tmp_path / "none", "no results folder")):
        with pytest.raises(MissingError, match=said):
            babyeval.compare(folder)


def test_checkpoints_of_one_model_are_named_by_their_revision(tmp_path) -> None:
    for seed, revision in enumerate(("chck_1M", "chck_10M", "chck_2M")):
        ranking(tmp_path, "m", credits_of(seed), of={"revision": revision})
    models(tmp_path, "other")
    (row,) = babyeval.compare(tmp_path, "m@chck_10M", "m@chck_1M").rows
    assert (row.a, row.b) == ("m@chck_10M", "m@chck_1M")
    with pytest.raises(UsageError, match="'m' has 3 revisions"):
        babyeval.compare(tmp_path, "m", "other")
    with pytest.raises(UsageError, match="no revision 'chck_5M'"):
        babyeval.compare(tmp_path, "m@chck_5M", "other")
    report = babyeval.compare(tmp_path, "m@chck_2M", "other")
    assert report.rows[0].a == "m"  # one revision of it: the name says enough
    assert any("m: chck_2M" in line for line in report.choices)


def test_main_is_meant_where_no_revision_is_named(tmp_path) -> None:
    for seed, revision in enumerate(("chck_1M", "main")):
        ranking(tmp_path, "m", credits_of(seed), of={"revision": revision})
    models(tmp_path, "other")
    plain, named = (babyeval.compare(tmp_path, name, "other").rows[0] for name in ("m", "m@main"))
    assert plain == named
    assert babyeval.compare(tmp_path, "m", "other@main", revision="chck_1M").rows[0].difference != plain.difference


def test_a_name_may_hold_an_at_sign_and_a_slash(tmp_path) -> None:
    models(tmp_path, "size: 10M/a@b", "other")
    assert babyeval.compare(tmp_path, "size: 10M/a@b", "other").rows[0].a == "size: 10M/a@b"
    assert babyeval.compare(tmp_path, "size: 10M/a@b@main", "other").rows[0].a == "size: 10M/a@b"


def test_a_record_over_checkpoints_counts_for_main_and_for_the_last_of_them(tmp_path) -> None:
    gold = [i / 20 for i in range(20)]
    for seed, name in enumerate("ab"):
        ages = [g + np.random.default_rng(seed).random() for g in gold]
        trajectory(tmp_path, name, ages, gold, ["chck_1M", "chck_9M"])
        for revision in ("main", "chck_1M", "chck_9M"):
            ranking(tmp_path, name, credits_of(seed), of={"revision": revision})
    tasks = {
        revision: [row.task for row in babyeval.compare(tmp_path, "a", "b", revision=revision).rows]
        for revision in ("main", "chck_1M", "chck_9M")
    }
    assert tasks == {"main": ["aoa", "blimp"], "chck_1M": ["blimp"], "chck_9M": ["aoa", "blimp"]}


def test_a_record_over_checkpoints_counts_for_the_final_model_where_that_is_there(tmp_path) -> None:
    gold = [i / 20 for i in range(20)]
    for seed, name in enumerate("ab"):
        trajectory(tmp_path, name, [g + np.random.default_rng(seed).random() for g in gold], gold, ["chck_1M", "chck_9M"])
        for revision in ("final", "chck_1M") if name == "a" else ("main", "chck_1M"):
            ranking(tmp_path, name, credits_of(seed), of={"revision": revision})
    assert [row.task for row in babyeval.compare(tmp_path, "a", "b").rows] == ["aoa", "blimp"]
    with pytest.raises(UsageError, match="'b' has no revision 'final'"):
        babyeval.compare(tmp_path, "a", "b@final")


def test_robust_is_compared_else_the_only_protocol_that_all_share(tmp_path) -> None:
    models(tmp_path, "a", "b", protocol="babylm-2026")
    assert babyeval.compare(tmp_path).rows[0].protocol == "babylm-2026"
    models(tmp_path, "a", "b", protocol="babylm-2025")
    with pytest.raises(UsageError, match="several protocols"):
        babyeval.compare(tmp_path)
    assert babyeval.compare(tmp_path, protocol="babylm-2025").rows[0].protocol == "babylm-2025"
    models(tmp_path, "a", "b")
    assert babyeval.compare(tmp_path).rows[0].protocol == "robust"
    models(tmp_path, "c", protocol="babylm-2024")
    with pytest.raises(UsageError, match="No protocol is common") as refused:
        babyeval.compare(tmp_path, "a", "c")
    assert refused.value.where == "a: babylm-2025, babylm-2026, robust; c: babylm-2024"


def test_the_largest_split_that_all_have_and_limited_ones_only_if_asked(tmp_path) -> None:
    models(tmp_path, "a", "b", split="mini")
    models(tmp_path, "a", "b", split="full@50")
    report = babyeval.compare(tmp_path)
    assert report.rows[0].split == "mini"
    assert any("measure nothing" in line for line in report.choices)
    assert report.paragraphs[0].endswith("all of it on mini splits, which measure nothing.")
    models(tmp_path, "a", "b", split="fast")
    ranking(tmp_path, "a", credits_of(0))
    assert babyeval.compare(tmp_path).rows[0].split == "fast"
    ranking(tmp_path, "b", credits_of(1))
    assert babyeval.compare(tmp_path).rows[0].split == "full"
    for split in ("mini", "fast", "full@50"):
        assert babyeval.compare(tmp_path, split=split).rows[0].split == split


def test_the_mini_split_is_not_mixed_with_benchmarks(tmp_path) -> None:
    models(tmp_path, "a", "b")
    models(tmp_path, "a", "b", task="comps", split="mini")
    report = babyeval.compare(tmp_path)
    assert [row.task for row in report.rows] == ["blimp"]
    assert "comps: only the mini split is common (--split mini compares that)" in report.warnings


def test_tasks_that_one_lacks_are_told(tmp_path) -> None:
    models(tmp_path, "a", "b")
    ranking(tmp_path, "a", credits_of(0), task="comps")
    ranking(tmp_path, "a", credits_of(0), task="ewok")
    ranking(tmp_path, "b", credits_of(0), task="ewok", split="fast")
    report = babyeval.compare(tmp_path)
    assert [row.task for row in report.rows] == ["blimp"]
    assert set(report.warnings) == {"comps: only a has it", "ewok: no split in common (a full; b fast)"}
    with pytest.raises(MissingError, match="no task in common"):
        babyeval.compare(tmp_path, tasks="comps")
    with pytest.raises(UsageError, match="no results of 'blmp'"):
        babyeval.compare(tmp_path, tasks="blmp")
    assert len(babyeval.compare(tmp_path, tasks=["blimp", "zero-shot"]).rows) == 1


def test_a_model_scored_in_two_ways_asks_for_one(tmp_path) -> None:
    models(tmp_path, "a", "b")
    ranking(tmp_path, "a", credits_of(7), backend="causal-corrected")
    assert babyeval.compare(tmp_path).rows[0].backend == "causal"  # the plain record has the same headlines
    ranking(tmp_path, "a", credits_of(8), backend="mntp")
    with pytest.raises(UsageError, match="scored in several ways") as refused:
        babyeval.compare(tmp_path)
    assert "--backend" in refused.value.hint
    assert babyeval.compare(tmp_path, backend="mntp").rows[0].backend == "mntp, causal"


def test_damaged_records_are_named_and_stop_nothing(tmp_path) -> None:
    models(tmp_path, "a", "b")
    models(tmp_path, "a", task="comps")
    (path,) = tmp_path.glob("a/**/comps/**/result.json")
    path.write_text("{", encoding="utf-8")
    report = babyeval.compare(tmp_path)
    assert len(report.rows) == 1
    assert any(str(path) in line for line in report.warnings)


def test_failed_records_are_not_compared(tmp_path) -> None:
    models(tmp_path, "a", "b")
    models(tmp_path, "a", "b", task="comps", status="failed")
    assert [row.task for row in babyeval.compare(tmp_path).rows] == ["blimp"]
