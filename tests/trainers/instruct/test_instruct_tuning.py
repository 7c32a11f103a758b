"""Whole tunings of seconds: what they leave, how they go on, what they refuse."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from babyeval.trainers.instruct import trainer as trainer_module
from babyeval.trainers.instruct.encode import IGNORED
from babyeval.trainers.instruct.sets import InstructionSet
from babyeval.trainers.instruct.trainer import InstructionTrainer
from babyeval.trainers.recipe import TuningRecipe, load_recipe
from babyeval.trainers.stages import run_stage
from training import Listener, killed_until_done, log, same_weights, without_speed, write_corpus

from babyeval.errors import UsageError
from babyeval.models.checkpoint import open_checkpoint
from babyeval.models.naming import parse_model
from babyeval.progress import Quiet

BASE = """
condition = "pretrained"
seed = 7
[data]
section_words = 60
forms = {tales = "lines", talk = "lines"}
[tokenizer]
vocab_size = 420
[model]
hidden_size = 16
layers = 2
heads = 2
max_length = 64
[pretrain]
max_steps = 4
batch_size = 8
sequence_length = 32
learning_rate = 0.01
[checkpoints]
resume_steps = 2
[logging]
steps = 2
report_to = []
"""
TUNED = """
base = "base.toml"
condition = "it_switch_wiki"
[sets.switchboard]
kind = "file"
file = "switchboard.jsonl"
[sets.wiki]
kind = "file"
file = "wiki.jsonl"
[instruct]
batch_size = 4
learning_rate = 0.005
schedule = "cosine_with_restarts"
warmup_steps = 2
[instruct.curriculum]
sequential = ["switchboard", "wiki"]
epochs = 2
[checkpoints]
resume_steps = 3
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("tuning"))


def prepared(folder: Path) -> Path:
    """A corpus, two sets, two recipes, and a parent under ``runs``."""
    text = write_corpus(folder / "text")
    for name, word in (("switchboard", "boat"), ("wiki", "moon")):
        rows = [
            {"prompt": f"Who sees {word} {n}?", "reply": f"The old cat sees {word} {n}" + " again" * (n % 3)} for n in range(18)
        ]
        (text / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "base.toml").write_text(BASE)
    (folder / "tuned.toml").write_text(TUNED)
    run_stage("pretrain", recipe(folder), folder / "runs", False, Quiet())
    return folder


def recipe(place: Path, *settings: str) -> Any:
    corpus = f"data.corpus={json.dumps(str(place / 'text'))}"
    include = 'data.include=["tales.txt", "talk.txt"]'
    return load_recipe(str(place / "tuned.toml"), (corpus, include, *settings))


def tuned(place: Path, *settings: str, resume: bool = False, reporter: Any = None, out: Path | None = None) -> Any:
    return run_stage("instruct", recipe(place, *settings), out or place / "runs", resume, reporter or Quiet())


@pytest.fixture(scope="module")
def unbroken(place: Path) -> Any:
    listener = Listener()
    return tuned(place, reporter=listener), listener


def test_pre_training_by_a_tunings_recipe_says_that_it_tunes_nothing(place: Path) -> None:
    listener = Listener()
    result = run_stage("pretrain", recipe(place), place / "runs", False, listener)
    assert result.finished_before
    assert result.folder.parent.name == "pretrained"
    (said,) = (text for text in listener.said if "is a tuning" in text)
    assert "'babyeval train instruct' runs all of it" in said


def test_a_tuned_model_says_where_it_comes_from(unbroken: Any, place: Path) -> None:
    result, listener = unbroken
    parent = open_checkpoint(parse_model(str(place / "runs" / "pretrained" / "seed_7" / "final")))
    made = open_checkpoint(parse_model(str(result.folder / "final")))
    facts = made.training
    assert result.folder == place / "runs" / "it_switch_wiki" / "seed_7"
    assert (facts["condition"], facts["seed"], facts["parent_digest"]) == ("it_switch_wiki", 7, parent.digest)
    assert facts["words_seen"] == parent.words_seen + facts["words_tuned"] == result.words
    assert set(facts["set_digests"]) == {"switchboard", "wiki"}
    assert result.checkpoints == ("stage_1", "final")
    assert made.tokenizer.chat_template == parent.tokenizer.chat_template
    assert not same_weights(result.folder / "final", parent.folder)
    assert not (result.folder / "state").exists()
    assert listener.heard("switchboard: ")
    again = Listener()
    assert tuned(place, reporter=again).finished_before
    assert again.heard("is finished")


def test_the_log_has_stages_and_validation_from_the_start(unbroken: Any) -> None:
    result, _ = unbroken
    lines = log(result.folder)
    assert [line["step"] for line in lines] == sorted(line["step"] for line in lines)
    first, last = lines[0], lines[-1]
    assert (first["step"], first["stage"]) == (0, "switchboard")
    assert {"switchboard", "wiki"} <= first["validation"].keys()
    assert all(last["validation"][name]["loss"] < first["validation"][name]["loss"] for name in ("switchboard", "wiki"))
    stages = [line["stage"] for line in lines]
    assert stages == sorted(stages)  # switchboard, then wiki
    assert "wiki" in (result.folder / "training.svg").read_text()


def test_batches_hold_what_the_curriculum_says(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words of each update's rows, and their sets, from what the model is really given."""
    plain, batches = InstructionTrainer.training_step, []

    def training_step(self: Any, model: Any, inputs: Any, *args: Any) -> Any:
        batches.append((inputs["input_ids"].clone(), inputs["labels"].clone()))
        return plain(self, model, inputs, *args)

    monkeypatch.setattr(trainer_module.InstructionTrainer, "training_step", training_step)
    result = tuned(place, "condition=looked_at")
    tokenizer = open_checkpoint(parse_model(str(result.folder / "final"))).tokenizer
    words, seen = 0, {"boat": [], "moon": []}
    for number, (ids, labels) in enumerate(batches):
        for row, label in zip(ids, labels, strict=True):
            text = tokenizer.decode(row, skip_special_tokens=True)
            reply = tokenizer.decode(label[label != IGNORED])
            assert reply.strip().startswith("The old cat sees")
            word = "boat" if "boat" in text else "moon"
            seen[word].append((number, text))
            words += len(text.split()) - 2  # without the two names of roles
    assert max(number for number, _ in seen["boat"]) < min(number for number, _ in seen["moon"])
    assert len(batches) == result.steps
    assert words == result.words_tuned
    assert all(1 <= sum(text == other for _, other in rows) <= 2 for rows in seen.values() for _, text in rows)


class Interrupted(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("updates", [1, 5, 9, 13])
def test_an_interrupted_tuning_goes_on_to_the_same_weights(
    updates: int, unbroken: Any, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    done = 0
    plain = InstructionTrainer.training_step

    def training_step(self: Any, *args: Any) -> Any:
        nonlocal done
        done += 1
        if done > updates:
            raise Interrupted
        return plain(self, *args)

    shutil.copytree(place / "runs" / "pretrained", tmp_path / "pretrained")
    with monkeypatch.context() as patch:
        patch.setattr(InstructionTrainer, "training_step", training_step)
        with pytest.raises(Interrupted):
            tuned(place, out=tmp_path)
    if updates >= 3:  # with a state
        for settings, words in (((), "--resume"), (("instruct.learning_rate=0.1",), r"0.005 there, 0.1 here")):
            with pytest.raises(UsageError, match=words):
                tuned(place, *settings, out=tmp_path)
    result, other = tuned(place, out=tmp_path, resume=True), unbroken[0]
    for name in ("stage_1", "final"):
        assert same_weights(result.folder / name, other.folder / name)
    assert without_speed(log(result.folder)) == without_speed(log(other.folder))


@pytest.mark.parametrize("restart", ["schedule", "nothing"])
def test_what_begins_anew_with_a_stage(restart: str, place: Path) -> None:
    setting = (f"instruct.curriculum.restart={restart}", f"condition=restart_{restart}", "logging.steps=1")
    result = tuned(place, *setting)
    rates = {line["step"]: line["learning_rate"] for line in log(result.folder) if "loss" in line}
    half = max(line["step"] for line in log(result.folder) if "loss" in line and line["stage"] == "switchboard")
    assert result.checkpoints == ("final",)
    assert (rates[half + 1] == rates[1]) == (restart == "schedule")
    assert rates[half + 2] != rates[half]


def test_a_missing_parent_is_trained_first(place: Path, tmp_path: Path) -> None:
    listener = Listener()
    result = tuned(place, "instruct.max_steps=1", out=tmp_path, reporter=listener)
    assert listener.heard("it is trained first")
    assert (tmp_path / "pretrained" / "seed_7" / "final").is_dir()
    assert result.steps == 2
    with pytest.raises(UsageError, match=r"pretrain.learning_rate: 0.01 there, 0.5 here"):
        tuned(place, "pretrain.learning_rate=0.5", "condition=other", out=tmp_path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (('instruct.curriculum.sequential=["switchbord", "wiki"]',), "Did you mean 'switchboard'"),
        (("instruct.max_length=8",), "nothing to learn"),
        (("instruct.max_length=65",), "longer than the model takes"),
        (("instruct.batch_size=1000",), "fill no batch"),
        (("instruct.micro_batch_size=3",), "passes of 3"),
        (("instruct.schedule=cosin",), "cosine"),
        (("prefer.beta=0.1",), "prefer"),
    ],
)
def test_bad_input_is_refused(place: Path, settings: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        tuned(place, "condition=refused", *settings)
    assert not (place / "runs" / "refused").exists()


def test_a_set_whose_validation_rows_are_too_long_is_trained_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = InstructionSet.rows

    def rows(self: InstructionSet, part: Any) -> Any:
        long = part == "valid" and self.manifest.name == "wiki"
        return (replace(row, prompt="word " * 60) if long else row for row in plain(self, part))

    monkeypatch.setattr(InstructionSet, "rows", rows)
    listener = Listener()
    result = tuned(place, "condition=long_validation", "instruct.max_steps=1", reporter=listener)
    assert listener.heard("Set wiki, validation: no row is left, so there is no validation of this set.")
    assert result.validation.keys() == {"switchboard"}
    assert result.checkpoints == ("stage_1", "final")


def test_a_parent_with_another_tokenizer_is_refused(place: Path, tmp_path: Path) -> None:
    import shutil

    other = tmp_path / "other"
    shutil.copytree(place / "runs" / "pretrained" / "seed_7" / "final", other)
    path = other / "tokenizer.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(UsageError, match="tokenizer differs"):
        tuned(place, "condition=swapped", f"parent={json.dumps(str(other))}")


def test_the_rest_is_inherited_from_the_base(place: Path) -> None:
    made = recipe(place, "pretrain.epochs=3", "seed=9", "instruct.curriculum.epochs=5")
    assert isinstance(made, TuningRecipe)
    assert (made.seed, made.root.seed, made.root.pretrain.epochs, made.tuning.curriculum.epochs) == (9, 9, 3, 5)
    assert made.data == made.root.data
    assert made.checkpoints != made.root.checkpoints
    with pytest.raises(UsageError, match=r"unknown key 'instruct.curriculum.epoch'.*'epochs'"):
        recipe(place, "instruct.curriculum.epoch=5")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_process_goes_on_to_the_same_weights(seed: int, unbroken: Any, place: Path, tmp_path: Path) -> None:
    """Kill -9 within and between stages, then to the end: the same weights, bit for bit."""
    draw = random.Random(seed)  # noqa: S311
    program = (
        "import sys, time; sys.path[:0] = sys.argv[1:3]\n"
        "from pathlib import Path\n"
        "from babyeval.trainers.instruct.trainer import InstructionTrainer\n"
        "from test_instruct_tuning import tuned\n"
        "plain = InstructionTrainer.training_step\n"
        "def slow(*args, **kwargs):\n"
        "    print('step', flush=True); time.sleep(0.05)\n"
        "    return plain(*args, **kwargs)\n"
        "InstructionTrainer.training_step = slow\n"
        "tuned(Path(sys.argv[3]), resume=True, out=Path(sys.argv[4]))\n"
    )
    here = Path(__file__).parent
    command = [sys.executable, "-c", program, str(here), str(here.parent), str(place), str(tmp_path)]
    folder = tmp_path / "it_switch_wiki" / "seed_7"
    killed_until_done(command, folder / "final", draw, 4, (2, 8))
    for name in ("stage_1", "final"):
        assert same_weights(folder / name, unbroken[0].folder / name)
    assert without_speed(log(folder)) == without_speed(log(unbroken[0].folder))


@pytest.mark.slow
def test_two_processes_under_zero_1_tune_what_one_tunes(unbroken: Any, place: Path, tmp_path: Path) -> None:
    from cli.support import environment

    settings = ["instruct.devices=2", "instruct.zero=1", "logging.steps=1", "condition=zero"]
    corpus, include = f"data.corpus={json.dumps(str(place / 'text'))}", 'data.include=["tales.txt", "talk.txt"]'
    chosen = [part for setting in (*settings, corpus, include) for part in ("--set", setting)]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    line = [sys.executable, *launcher, "-m", "babyeval", "train", "instruct", "tuned.toml", "--out", "runs", "--json", *chosen]
    done = subprocess.run(line, cwd=place, env=environment(tmp_path), capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    one = tuned(place, "logging.steps=1", "condition=plain")
    losses = [{x["step"]: x["loss"] for x in log(folder) if "loss" in x} for folder in (one.folder, place / "runs/zero/seed_7")]
    assert losses[0].keys() == losses[1].keys()
    assert max(abs(losses[0][step] - losses[1][step]) for step in losses[0]) < 1e-3
