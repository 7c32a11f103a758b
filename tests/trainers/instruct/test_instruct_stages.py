"""Tunings of several stages and trainings: what they keep and report, what batches hold, what is refused beforehand."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from babyeval.trainers.estimate import estimate
from babyeval.trainers.instruct.trainer import InstructionTrainer
from babyeval.trainers.recipe import load_recipe
from babyeval.trainers.stages import run_stage
from safetensors.torch import load_file
from test_instruct_tuning import Interrupted, prepared, recipe, tuned
from training import Listener, log, same_weights

from babyeval.errors import UsageError
from babyeval.progress import Quiet

PREFERRED = """
base = "tuned.toml"
condition = "preferred"
[sets.pairs]
kind = "file"
file = "wiki.jsonl"
[prefer]
sets = ["pairs"]
max_steps = 1
batch_size = 4
learning_rate = 0.01
"""
WORDS = "checkpoints.words=[100, 900, 1200, 9000]"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = prepared(tmp_path_factory.mktemp("stages"))
    (folder / "preferred.toml").write_text(PREFERRED)
    return folder


@pytest.fixture(scope="module")
def interrupted(place: Path) -> tuple[Any, Listener, Path]:
    """A sequence of two stages of eight updates, ended in its 14th update, which goes on from the 11th."""
    settings = ("checkpoints.steps=4", WORDS, 'logging.report_to=["tensorboard"]')
    listener, done = Listener(), 0
    plain = InstructionTrainer.training_step

    def training_step(self: Any, *args: Any) -> Any:
        nonlocal done
        done += 1
        if done > 13:
            raise Interrupted
        return plain(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InstructionTrainer, "training_step", training_step)
        with pytest.raises(Interrupted):
            tuned(place, *settings, reporter=listener)
    return tuned(place, *settings, resume=True, reporter=listener), listener, place / "runs"


def preferred(place: Path, *settings: str) -> Any:
    given = (f"data.corpus={json.dumps(str(place / 'text'))}", 'data.include=["tales.txt", "talk.txt"]')
    return load_recipe(str(place / "preferred.toml"), (*given, *settings))


def facts_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "babyeval.json").read_text())
    return found


def test_no_stage_takes_the_name_of_another_ones_checkpoint(interrupted: Any, place: Path) -> None:
    result, listener, out = interrupted
    steps = ("step_4", "stage_1", "step_8", "step_12", "step_16", "final")
    assert {*result.checkpoints} == {*steps, "chck_900", "chck_1.2K"}
    for name in result.checkpoints:
        facts = facts_of(result.folder / name)
        kind, _, number = name.partition("_")
        assert kind != "step" or facts["step"] == int(number)
        assert kind != "chck" or facts["words_seen"] >= {"900": 900, "1.2K": 1200}[number]
    said = [text for text in listener.said if "chck_" in text and "words" in text]
    assert [text.split("words ")[1] for text in said] == ["for chck_9K.", "of chck_100."]  # once, over both stages
    planned = estimate(recipe(place, "checkpoints.steps=4"), out).checkpoints
    assert planned is not None
    assert planned == tuple(name for name in result.checkpoints if not name.startswith("chck"))


def test_reports_of_all_stages_stand_on_one_axis(interrupted: Any) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder = interrupted[0].folder
    events = accumulator.EventAccumulator(str(folder / "tensorboard")).Reload()
    shown = [(event.step, event.value) for event in events.Scalars("train/loss")]
    written = [(line["step"], line["loss"]) for line in log(folder) if "loss" in line]
    assert [step for step, _ in shown] == [step for step, _ in written]
    assert [loss for _, loss in shown] == pytest.approx([loss for _, loss in written], rel=1e-6)


def test_a_finished_tuning_is_that_of_other_settings_no_more(interrupted: Any, place: Path) -> None:
    with pytest.raises(UsageError, match=r"'pretrained'\): pretrain.learning_rate: 0.01 there, 0.5 here"):
        tuned(place, "checkpoints.steps=4", WORDS, 'logging.report_to=["tensorboard"]', "pretrain.learning_rate=0.5")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("pretrain.epochs=9", r"'pretrained'\): pretrain.epochs: 1 there, 9 here"),
        ("sets.wiki.rows=5", r"'it_switch_wiki'\): sets.wiki.rows: null there, 5 here"),
        ("instruct.learning_rate=0.1", r"'it_switch_wiki'\): instruct.learning_rate: 0.005 there, 0.1 here"),
    ],
)
def test_all_trainings_that_come_before_are_compared(setting: str, words: str, interrupted: Any, place: Path) -> None:
    with pytest.raises(UsageError, match=words):
        run_stage("prefer", preferred(place, setting), place / "runs", False, Quiet())


def test_a_parent_of_another_parent_is_refused(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "runs" / "pretrained", tmp_path / "pretrained")
    file = tmp_path / "pretrained" / "seed_7" / "final" / "babyeval.json"
    facts = json.loads(file.read_text())
    facts["recipe"]["parent"] = "elsewhere"
    file.write_text(json.dumps(facts))
    with pytest.raises(UsageError, match='parent: "elsewhere" there, null here'):
        tuned(place, out=tmp_path)
    facts["recipe"] |= {"parent": None, "logging": {"steps": 77}, "checkpoints": {}}  # these change no weight
    file.write_text(json.dumps(facts))
    with pytest.raises(UsageError, match="fill no batch"):
        tuned(place, "instruct.batch_size=1000", out=tmp_path)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("instruct.max_length=65", "longer than the model takes"),
        ("instruct.batch_size=1000", "fill no batch"),
        ("model.architecture=bert", "masked model"),
    ],
)
def test_what_can_be_known_is_refused_before_a_parent_is_trained(setting: str, words: str, place: Path, tmp_path: Path) -> None:
    listener = Listener()
    more = ("tokenizer.kind=wordpiece",) if "bert" in setting else ()
    with pytest.raises(UsageError, match=words):
        tuned(place, setting, *more, out=tmp_path, reporter=listener)
    assert not listener.heard("trained first")
    assert not (tmp_path / "pretrained").exists()


def test_sets_without_preferences_are_refused_before_a_parent_is_trained(place: Path, tmp_path: Path) -> None:
    for settings, words in (((), "no rejected replies"), (("prefer.max_length=65",), "longer than the model takes")):
        with pytest.raises(UsageError, match=words):
            run_stage("prefer", preferred(place, *settings), tmp_path, False, Quiet())
    assert {path.name for path in tmp_path.iterdir()} == {"_data"}


def test_a_parent_of_unknown_exposure_has_not_seen_nothing(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "runs" / "pretrained" / "seed_7" / "final", tmp_path / "parent")
    (tmp_path / "parent" / "babyeval.json").unlink()
    listener, parent = Listener(), f"parent={json.dumps(str(tmp_path / 'parent'))}"
    settings = ("instruct.max_steps=1", 'instruct.curriculum={single = "wiki"}', "checkpoints.words=[20]", parent)
    result = tuned(place, *settings, out=tmp_path, reporter=listener)
    facts = facts_of(result.folder / "final")
    assert facts["words_seen"] is result.words is None
    assert facts["words_tuned"] == result.words_tuned > 20
    assert result.checkpoints == ("final",)
    assert listener.heard("Nothing says how many words")
    assert listener.heard("no checkpoints by words: chck_20")


def test_a_recipe_that_is_found_wrong_late_may_be_mended(place: Path) -> None:
    settings = ("condition=mended", "instruct.max_steps=1", 'instruct.curriculum={single = "wiki"}')
    with pytest.raises(UsageError, match="nowhere_known"):
        tuned(place, *settings, 'logging.report_to=["nowhere_known"]')
    assert (place / "runs" / "mended" / "seed_7" / "recipe.json").is_file()
    assert tuned(place, *settings).checkpoints == ("final",)
    with pytest.raises(UsageError, match=r"instruct.learning_rate: 0.005 there, 0.1 here"):
        tuned(place, *settings, "instruct.learning_rate=0.1")


def test_a_divided_batch_leaves_the_same_weights(place: Path) -> None:
    """Rows of one batch differ in length; without a large epsilon Adam would make steps of gradients that are mere rounding."""
    settings = ("instruct.max_steps=3", "instruct.epsilon=0.01", 'instruct.curriculum={single = "wiki"}')
    one, four = (
        tuned(place, f"condition=micro_{size}", f"instruct.micro_batch_size={size}", *settings).folder / "final"
        for size in (1, 4)
    )
    weights = [load_file(folder / "model.safetensors") for folder in (one, four, place / "runs/pretrained/seed_7/final")]
    assert max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0]) < 1e-6
    assert max(float((weights[0][name] - weights[2][name]).abs().max()) for name in weights[0]) > 1e-4


@pytest.mark.parametrize(
    ("curriculum", "boats"), [('{merged = ["switchboard", "wiki"], epochs = 2}', 16), ("{mixture = {switchboard = 1, wiki = 3}, epochs = 2}", 8)]
)  # fmt: skip
def test_proportions_of_batches(curriculum: str, boats: int, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the 32 rows of an epoch, from what the model is given: rows of the first set speak of boats."""
    plain, batches = InstructionTrainer.training_step, []

    def training_step(self: Any, model: Any, inputs: Any, *args: Any) -> Any:
        batches.append(inputs["input_ids"].clone())
        return plain(self, model, inputs, *args)

    monkeypatch.setattr(InstructionTrainer, "training_step", training_step)
    result = tuned(place, f"condition=boats_{boats}", f"instruct.curriculum={curriculum}")
    from babyeval.models.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(result.folder / "final")
    texts = [[tokenizer.decode(row, skip_special_tokens=True) for row in batch] for batch in batches]
    assert len(texts) == 16
    for epoch in (texts[:8], texts[8:]):
        of_boats = [sum("boat" in text for text in batch) for batch in epoch]
        assert sum(of_boats) == boats
        assert sum(0 < count < 4 for count in of_boats) >= 4  # shuffled together
    uses = Counter(text for batch in texts for text in batch)
    assert {uses[text] for text in uses if "boat" in text} == {2 * boats // 16}
    assert {uses[text] for text in uses if "moon" in text} == {2 * (32 - boats) // 16}


def test_dropout_goes_on_where_it_was(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ("model.dropout=0.3", 'instruct.curriculum={single = "wiki", epochs = 2}')
    unbroken = tuned(place, *settings, out=tmp_path).folder
    shutil.move(unbroken, tmp_path / "unbroken")
    plain, done = InstructionTrainer.training_step, 0

    def training_step(self: Any, model: Any, *args: Any) -> Any:
        nonlocal done
        done += 1
        if done > 5:
            raise Interrupted
        loss = plain(self, model, *args)
        assert model.config.attention_dropout == 0.3
        assert model.training
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(InstructionTrainer, "training_step", training_step)
        with pytest.raises(Interrupted):
            tuned(place, *settings, out=tmp_path)
    torch.manual_seed(99)
    resumed = tuned(place, *settings, out=tmp_path, resume=True).folder
    assert same_weights(resumed / "final", tmp_path / "unbroken" / "final")
