"""The Python API: evaluate a path or a loaded model, and load results as a frame."""

from __future__ import annotations

import pandas as pd
import pytest

import babyeval
from babyeval.errors import MissingError, UsageError
from babyeval.records import Score, load_result
from cli.support import another, damaged, data_folder, files_in, inside, records_in, refuse_weights

COLUMNS = ["model", "revision", "task", "protocol", "split", "backend", "status", *Score.model_fields, "headline"]
ABOUT_MODEL = ["condition", "train_seed", "words_seen", "digest"]


@pytest.fixture(scope="module")
def loaded(tiny):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(tiny), AutoTokenizer.from_pretrained(tiny)


def test_loaded_model_gives_what_its_folder_gives(loaded, tiny, tmp_path):
    model, tokenizer = loaded
    (by_path,) = babyeval.evaluate(tiny, ["blimp"], split="mini", out=tmp_path / "a")
    (by_model,) = babyeval.evaluate(model, ["blimp"], tokenizer=tokenizer, name="loaded", split="mini", out=tmp_path / "b")
    assert by_model.scores == by_path.scores
    assert (by_model.model.name, by_model.model.source, by_model.model.parameters) == (
        "loaded",
        "memory",
        by_path.model.parameters,
    )
    (record,) = records_in(tmp_path / "b")
    assert load_result(record.read_text(encoding="utf-8")) == by_model
    assert model.training is False


def test_loaded_model_is_known_again(loaded, tmp_path):
    model, tokenizer = loaded
    first, second = (
        babyeval.evaluate(model, "blimp", tokenizer=tokenizer, split="mini", out=tmp_path / out)[0] for out in ("a", "b")
    )
    assert first.model.name == "LlamaForCausalLM"
    assert (second.timing.rows_computed, second.model.digest) == (0, first.model.digest)


def test_changed_model_in_memory_is_another_one(loaded, tmp_path):
    import copy

    import torch

    model, tokenizer = loaded
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.model.norm.weight *= 1.5
    out = tmp_path / "out"
    babyeval.evaluate(model, "blimp", tokenizer=tokenizer, name="same", split="mini", out=out)
    with pytest.raises(UsageError, match="'same' is taken by another model"):
        babyeval.evaluate(changed, "blimp", tokenizer=tokenizer, name="same", split="mini", out=out)


def test_results_come_in_the_tasks_order_one_per_protocol(tiny, tmp_path):
    results = babyeval.evaluate(
        str(tiny), ["blimp_supplement", "blimp"], split="mini", protocol="all", limit=4, out=tmp_path / "out"
    )
    assert [(result.task.name, result.protocol) for result in results] == [
        (task, protocol) for task in ("blimp_supplement", "blimp") for protocol in ("robust", "babylm-2025", "babylm-2026")
    ]


def test_evaluate_prints_nothing_unless_told_where(tiny, tmp_path, capfd):
    class Told:
        def __init__(self):
            self.seen = []

        def bar(self, label, total, unit="rows", share=None):
            import contextlib

            self.seen.append((label, total))
            return contextlib.nullcontext(lambda count: self.seen.append(count))

        def note(self, text):
            self.seen.append(text)

    told = Told()
    babyeval.evaluate(tiny, "blimp", split="mini", out=tmp_path / "a", reporter=told)
    about, (label, total), *counts = told.seen
    assert about == "tiny: 1 task under 1 protocol"
    assert label == "tiny"
    assert sum(counts) == total > 0
    babyeval.evaluate(tiny, "blimp_supplement", split="mini", out=tmp_path / "b")
    assert capfd.readouterr().out == ""


def test_evaluate_refuses_with_the_same_errors(tiny, loaded, tmp_path):
    with pytest.raises(UsageError, match="needs its tokenizer"):
        babyeval.evaluate(loaded[0], "blimp")
    with pytest.raises(UsageError, match="did you mean 'split'"):
        babyeval.evaluate(tiny, "blimp", splt="mini")
    with pytest.raises(UsageError, match="Unknown task 'blmp'"):
        babyeval.evaluate(tiny, "blmp", split="mini")
    with pytest.raises(MissingError, match="does not exist"):
        babyeval.evaluate(tmp_path / "nowhere", "blimp", split="mini")
    with pytest.raises(UsageError, match="'mlm' needs a mask token"):
        babyeval.evaluate(loaded[0], "blimp", tokenizer=loaded[1], backend="mlm", split="mini")
    assert files_in(tmp_path) == []


def test_dry_run_evaluates_nothing(tiny, tmp_path, monkeypatch):
    refuse_weights(monkeypatch)
    assert babyeval.evaluate(tiny, "blimp", split="mini", out=tmp_path / "out", dry_run=True) == []


@pytest.fixture(scope="module")
def results(tiny, tmp_path_factory):
    """A results folder with two models, a failed task and a limited split."""
    place = tmp_path_factory.mktemp("results")
    broken = damaged(tiny, place / "models" / "broken")
    other = another(tiny, place / "models" / "chck_2M")
    data = data_folder(place / "data", 4)
    for model, *more in (
        (tiny, "--condition", "plain", "--train-seed", "3"),
        (other, "--data-dir", data),
        (broken, "--limit", "8"),
    ):
        split = "full" if "--data-dir" in more else "mini"
        inside("run", "--model", model, "--tasks", "blimp", "--split", split, "--out", "out", *more, cwd=place)
    assert len(records_in(place / "out")) == 3
    return place / "out"


def test_frame_has_one_row_per_score_and_the_columns_it_promises(results):
    frame = babyeval.load_results(results)
    assert list(frame.columns) == [*COLUMNS, *ABOUT_MODEL]
    records = [load_result(path.read_text()) for path in records_in(results)]
    assert len(frame) == sum(len(record.scores) for record in records)
    assert not frame.duplicated(["model", "task", "protocol", "split", "metric", "group", "subset"]).any()
    whole = frame[frame.headline].set_index("model")
    assert sorted(whole.index) == sorted(record.model.name for record in records if record.headline)
    assert (whole.group == "").all()
    for record in records:
        if record.headline:
            assert whole.loc[record.model.name, "value"] == record.headline.value
            assert whole.loc[record.model.name, "digest"] == record.model.digest
    plain = frame[frame.model == "tiny"].iloc[0]
    assert (plain.condition, plain.train_seed, plain.split) == ("plain", 3, "mini")
    assert set(frame[frame.words_seen == 2_000_000].split) == {"full"}


def test_frame_of_an_empty_folder_has_its_columns(tmp_path):
    (tmp_path / "empty").mkdir()
    frame = babyeval.load_results(tmp_path / "empty")
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == 0
    assert list(frame.columns) == [*COLUMNS, *ABOUT_MODEL]


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(MissingError, match="no results folder"):
        babyeval.load_results(tmp_path / "nowhere")
