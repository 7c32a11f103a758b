"""A preference tuning of seconds: what it learns, counts, writes and refuses, and that it goes on where it was."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from babyeval.trainers.instruct.sets import InstructionSet
from babyeval.trainers.recipe import load_recipe
from babyeval.trainers.stages import run_stage
from safetensors.numpy import load_file
from training import Listener, write_corpus

from babyeval.errors import DataError, UsageError

BASE = """
condition = "small"
seed = 7
[data]
section_words = 60
forms = {tales = "lines", talk = "lines"}
[tokenizer]
vocab_size = 420
[model]
architecture = "llama"
hidden_size = 16
layers = 2
heads = 2
max_length = 64
dropout = 0.1
[pretrain]
max_steps = 4
batch_size = 8
sequence_length = 32
learning_rate = 0.01
[checkpoints]
resume_steps = 0
[logging]
steps = 3
report_to = []
"""
DPO = """
base = "small.toml"
condition = "dpo"
[sets.pairs]
kind = "file"
file = "pairs.jsonl"
[prefer]
sets = ["pairs"]
max_steps = 10
beta = 0.5
batch_size = 4
learning_rate = 0.02
warmup_steps = 2
max_length = 48
[checkpoints]
steps = 5
resume_steps = 4
"""
THINGS = ("boat", "moon", "letter", "bread", "stone", "cat", "dog", "farmer", "teacher", "sister")
COLOURS = ("red", "blue", "old", "new", "cold", "warm")


def pairs() -> list[dict[str, str]]:
    """A preference that can be learned; no row is longer than 48 bytes."""
    return [
        {"prompt": f"A {colour} {thing}?", "chosen": "At night.", "rejected": "At noon."}
        for thing in THINGS
        for colour in COLOURS
    ]


def write_pairs(folder: Path, rows: list[dict[str, str]], name: str = "pairs.jsonl") -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("prefer")
    write_corpus(folder / "text")
    write_pairs(folder / "text", pairs())
    (folder / "small.toml").write_text(BASE)
    (folder / "dpo.toml").write_text(DPO)
    return folder


def tuned(place: Path, out: str, *settings: str, resume: bool = False):
    listener = Listener()
    recipe = load_recipe(str(place / "dpo.toml"), (f'data.corpus="{place / "text"}"', *settings))
    return run_stage("prefer", recipe, place / out, resume, listener), listener


@pytest.fixture(scope="module")
def done(place):
    return tuned(place, "runs")


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_preference_is_learned_and_logged(place, done):
    result, _ = done
    logged = lines(result.folder)
    valid = [line["validation"]["pairs"] for line in logged if "validation" in line]
    assert valid[0]["loss"] == pytest.approx(math.log(2), rel=1e-4)  # before the first update
    assert valid[-1]["loss"] < 0.9 * math.log(2)
    assert valid[-1]["accuracy"] > 0.9
    assert valid[-1]["margin"] > 0
    training = [line for line in logged if "loss" in line]
    assert [line["step"] for line in training] == sorted({line["step"] for line in training})
    for line in training:
        assert line["margin"] == pytest.approx(line["chosen_reward"] - line["rejected_reward"], abs=1e-5)
        assert 0 <= line["accuracy"] <= 1
    assert training[-1]["margin"] > 0
    assert result.validation["pairs"].accuracy == valid[-1]["accuracy"]
    assert (result.folder / "training.svg").is_file()


def test_words_condition_and_parent_are_stored(place, done):
    result, _ = done
    parent = json.loads((place / "runs" / "small" / "seed_7" / "final" / "babyeval.json").read_text())
    facts = json.loads((result.folder / "final" / "babyeval.json").read_text())
    assert (facts["condition"], facts["seed"], facts["step"]) == ("dpo", 7, 10)
    # Each pair has 3 words of prompt and 2 of each reply, and the model is shown 10 batches of 4.
    assert facts["words_seen"] - parent["words_seen"] == facts["words_tuned"] == 10 * 4 * 7
    from babyeval.models.checkpoint import open_checkpoint
    from babyeval.models.naming import parse_model

    before = open_checkpoint(parse_model(str(place / "runs" / "small" / "seed_7" / "final")))
    assert facts["parent_digest"] == before.digest
    after = open_checkpoint(parse_model(str(result.folder / "final")))
    assert (after.name, after.words_seen) == ("dpo-seed_7", facts["words_seen"])
    assert {"step_5", "step_10", "final"} <= set(result.checkpoints)


def test_finished_says_so(place, done):
    again, listener = tuned(place, "runs")
    assert again.finished_before
    assert listener.heard("finished")
    assert again.validation == done[0].validation


def test_a_recipe_that_is_found_wrong_late_may_be_mended(place):
    settings = ("condition=mended", "prefer.max_steps=1")
    with pytest.raises(UsageError, match="nowhere_known"):
        tuned(place, "runs", *settings, 'logging.report_to=["nowhere_known"]')
    assert (place / "runs" / "mended" / "seed_7" / "recipe.json").is_file()
    assert tuned(place, "runs", *settings)[0].checkpoints == ("final",)
    with pytest.raises(UsageError, match=r"prefer.beta: 0.5 there, 0.1 here"):
        tuned(place, "runs", *settings, "prefer.beta=0.1")


@pytest.mark.parametrize("stop", [3, 4, 7])
def test_a_stopped_tuning_goes_on_to_the_same_weights(place, done, monkeypatch, stop):
    from babyeval.trainers.prefer.engine import PreferenceTrainer

    step = PreferenceTrainer.training_step

    def stopping(self, *given, **more):
        if self.state.global_step == stop:
            raise KeyboardInterrupt
        return step(self, *given, **more)

    out = f"stopped-{stop}"
    with monkeypatch.context() as patched:
        patched.setattr(PreferenceTrainer, "training_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            tuned(place, out)
    if stop >= 4:  # with a state
        for settings, words in (((), "unfinished"), (("prefer.beta=0.1",), r"prefer.beta: 0.5 there, 0.1 here")):
            with pytest.raises(UsageError, match=words):
                tuned(place, out, *settings)
    result, _ = tuned(place, out, resume=True)
    expected = load_file(done[0].folder / "final" / "model.safetensors")
    for name, weight in load_file(result.folder / "final" / "model.safetensors").items():
        np.testing.assert_array_equal(weight, expected[name])
    timeless = [
        [{key: value for key, value in line.items() if "per_second" not in key} for line in lines(folder)]
        for folder in (done[0].folder, result.folder)
    ]
    assert timeless[0] == timeless[1]


def test_rows_without_two_different_sides(place):
    good, bad = pairs(), [{"prompt": "Why?", "chosen": "So."}, {"prompt": "Why?", "chosen": "So.", "rejected": "So. "}]
    write_pairs(place / "text", good + bad, "some.jsonl")
    write_pairs(place / "text", bad, "none.jsonl")
    write_pairs(place / "text", [{"prompt": row["prompt"], "completion": row["chosen"]} for row in good], "other.jsonl")
    with pytest.raises((DataError, UsageError), match="equal sides"):
        tuned(place, "bad", "sets.pairs.file=none.jsonl", "sets.pairs.format=preference")
    with pytest.raises(UsageError, match="no rejected replies"):
        tuned(place, "bad", "sets.pairs.file=other.jsonl")
    result, listener = tuned(place, "some", "sets.pairs.file=some.jsonl", "prefer.max_steps=1")
    assert listener.heard("equal sides 1")
    assert listener.heard("one side missing 1")
    assert result.steps == 1


def test_a_set_whose_validation_rows_are_too_long_is_trained_on(place, monkeypatch):
    plain = InstructionSet.rows

    def rows(self, part):
        return (replace(row, prompt="word " * 60) if part == "valid" else row for row in plain(self, part))

    monkeypatch.setattr(InstructionSet, "rows", rows)
    result, listener = tuned(place, "runs", "condition=long_validation", "prefer.max_steps=1")
    assert listener.heard("(replies cut away). There is no validation of this set.")
    assert (result.steps, result.validation) == (1, {})
    assert result.checkpoints == ("final",)


def test_a_divided_batch_leaves_the_same_weights(place):
    """Without a large epsilon Adam would make steps of gradients that are mere rounding."""
    settings = ("prefer.max_steps=3", "prefer.epsilon=0.01")
    one, four = (
        load_file(tuned(place, "runs", f"condition=micro_{size}", f"prefer.micro_batch_size={size}", *settings)[0].folder
                  / "final" / "model.safetensors") for size in (1, 4)
    )  # fmt: skip
    before = load_file(place / "runs" / "small" / "seed_7" / "final" / "model.safetensors")
    assert max(np.abs(one[name] - four[name]).max() for name in one) < 1e-6
    assert max(np.abs(one[name] - before[name]).max() for name in one) > 1e-4


def test_a_parent_of_unknown_exposure_has_not_seen_nothing(place, done, tmp_path):
    shutil.copytree(place / "runs" / "small" / "seed_7" / "final", tmp_path / "parent")
    (tmp_path / "parent" / "babyeval.json").unlink()
    result, listener = tuned(place, "unknown", f'parent="{tmp_path / "parent"}"', "prefer.max_steps=1")
    facts = json.loads((result.folder / "final" / "babyeval.json").read_text())
    assert facts["words_seen"] is result.words is None
    assert facts["words_tuned"] == result.words_tuned == 4 * 7
    assert listener.heard("Nothing says how many words")


def test_pairs_that_fill_no_batch_are_refused_before_a_parent_is_trained(place):
    (place / "few.toml").write_text(DPO.replace("max_steps = 10\n", ""))
    recipe = load_recipe(str(place / "few.toml"), (f'data.corpus="{place / "text"}"', "prefer.batch_size=64"))
    with pytest.raises(UsageError, match=r"1 epoch of \d+ pairs fill no batch of 64"):
        run_stage("prefer", recipe, place / "fresh", False, Listener())
    assert not (place / "fresh" / "small").exists()


def test_bad_recipes(place):
    with pytest.raises(UsageError, match="nowhere"):
        tuned(place, "bad", 'prefer.sets=["nowhere"]')
    with pytest.raises(UsageError, match="At least"):
        tuned(place, "bad", "prefer.max_length=8")
    with pytest.raises(UsageError, match="than the model takes"):
        tuned(place, "bad", "prefer.max_length=65")
    with pytest.raises(UsageError, match=r"prefer\.loss"):
        tuned(place, "bad", "prefer.loss=ipo")
