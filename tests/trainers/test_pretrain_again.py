"""Pre-trainings that are broken off, and folders in which one was begun: what stays, what goes on, what is refused."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from babyeval.trainers import milestones
from babyeval.trainers.engine import LanguageTrainer
from babyeval.trainers.interrupt import Stop
from babyeval.trainers.recipe import Recipe
from babyeval.trainers.saving import choose_state
from babyeval.trainers.stages import StageResult, run_stage
from training import Listener, killed_until_done, log, same_weights, small_recipe, weights, without_speed, write_corpus

from babyeval.errors import MissingError, ModelError, UsageError
from babyeval.lock import LOCK_FILE, taken
from babyeval.progress import Quiet


def test_a_finished_training_is_not_repeated(unbroken: tuple[StageResult, Listener], corpus: Path, out: Path) -> None:
    result, _ = unbroken
    before = {path: path.stat().st_mtime_ns for path in result.folder.rglob("*")}
    listener = Listener()
    again = run_stage("pretrain", small_recipe(corpus), out, False, listener)
    assert again.finished_before
    assert listener.heard("is finished")
    assert (again.words, again.steps, again.checkpoints) == (result.words, result.steps, result.checkpoints)
    assert again.parameters == result.parameters
    assert again.validation == result.validation
    assert before == {path: path.stat().st_mtime_ns for path in result.folder.rglob("*")}


def test_another_recipe_is_refused(unbroken: tuple[StageResult, Listener], corpus: Path, out: Path) -> None:
    with pytest.raises(UsageError, match=r"pretrain.learning_rate: 0.01 there, 0.02 here"):
        run_stage("pretrain", small_recipe(corpus, pretrain={"learning_rate": 0.02}), out, True, Quiet())


class Interrupted(BaseException):
    """Stands for the end of the process."""


def interrupted_at(
    step: int, recipe: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch, *, resume: bool = False, reporter: Any = None
) -> None:
    """Trains until so many updates are done."""
    plain = LanguageTrainer.training_step

    def training_step(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == step:
            raise Interrupted
        return plain(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(LanguageTrainer, "training_step", training_step)
        with pytest.raises(Interrupted):
            run_stage("pretrain", recipe, out, resume, reporter or Quiet())


@pytest.mark.parametrize("damaged", [False, True])
def test_an_interrupted_training_goes_on_to_the_same_weights(
    damaged: bool, unbroken: tuple[StageResult, Listener], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, listener = small_recipe(corpus), Listener()
    interrupted_at(10, recipe, tmp_path, monkeypatch)
    folder = tmp_path / "small" / "seed_7"
    assert not (folder / "final").exists()
    assert not list(folder.rglob("*.draft"))
    with pytest.raises(UsageError, match="unfinished") as refused:
        run_stage("pretrain", recipe, tmp_path, False, Quiet())
    assert "--resume" in str(refused.value)
    state, _ = choose_state(folder / "state")
    assert state is not None
    assert state.name == "checkpoint-8"
    if damaged:
        path = state / "optimizer.pt"
        path.write_bytes(path.read_bytes()[:-10])
    random.seed(3)
    torch.manual_seed(3)  # whatever the new process has drawn before
    result = run_stage("pretrain", recipe, tmp_path, True, listener)
    assert listener.heard("goes on from " + str(folder / "state" / ("checkpoint-4" if damaged else "checkpoint-8")))
    assert listener.heard("passed over") == damaged
    other = unbroken[0]
    assert result.checkpoints == other.checkpoints
    for name in other.checkpoints:
        assert same_weights(result.folder / name, other.folder / name)
        assert (result.folder / name / "babyeval.json").read_text() == (other.folder / name / "babyeval.json").read_text()
    assert without_speed(log(result.folder)) == without_speed(log(other.folder))


def test_without_a_state_the_training_starts_anew(
    unbroken: tuple[StageResult, Listener], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, listener = small_recipe(corpus, checkpoints={"resume_steps": 0}), Listener()
    interrupted_at(10, recipe, tmp_path, monkeypatch, resume=True, reporter=listener)
    assert listener.heard("nothing to go on with")
    result = run_stage("pretrain", recipe, tmp_path, True, listener)
    assert listener.heard("starts anew")
    assert same_weights(result.folder / "final", unbroken[0].folder / "final")


WRONG = {"batch_size": 4096, "max_steps": None}  # found out when all data are prepared


@pytest.mark.parametrize("resume", [False, True])
def test_a_recipe_that_is_found_wrong_late_may_be_mended(
    resume: bool, unbroken: tuple[StageResult, Listener], corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="fill no batch"):
        run_stage("pretrain", small_recipe(corpus, pretrain=WRONG), tmp_path, False, Quiet())
    assert (tmp_path / "small" / "seed_7" / "recipe.json").is_file()
    result = run_stage("pretrain", small_recipe(corpus), tmp_path, resume, Quiet())
    assert json.loads((result.folder / "recipe.json").read_text()) == small_recipe(corpus).as_json()
    assert same_weights(result.folder / "final", unbroken[0].folder / "final")
    with pytest.raises(UsageError, match="Another recipe was trained"):
        run_stage("pretrain", small_recipe(corpus, pretrain=WRONG), tmp_path, resume, Quiet())


def test_updates_of_which_nothing_is_kept_hold_no_folder(
    unbroken: tuple[StageResult, Listener], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = small_recipe(corpus, pretrain={"learning_rate": 0.02}, checkpoints={"words": []})
    interrupted_at(3, other, tmp_path, monkeypatch)
    assert log(tmp_path / "small" / "seed_7")
    result = run_stage("pretrain", small_recipe(corpus), tmp_path, False, Quiet())
    assert same_weights(result.folder / "final", unbroken[0].folder / "final")
    assert without_speed(log(result.folder)) == without_speed(log(unbroken[0].folder))


@pytest.mark.parametrize("left", ["chck_310/model.safetensors", "chck_310/babyeval.json", "state/checkpoint-4/optimizer.pt"])
def test_what_is_kept_of_another_recipe_holds_the_folder(
    left: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint or a state, whole or in part, with nothing else beside it."""
    kept = {"resume_steps": 0, "words": [310]} if left.startswith("chck") else {"resume_steps": 4, "words": []}
    interrupted_at(6, small_recipe(corpus, checkpoints=kept), tmp_path, monkeypatch)
    file = tmp_path / "small" / "seed_7" / left
    other = small_recipe(corpus, checkpoints=kept, pretrain={"learning_rate": 0.02})
    for there in ("whole", "part"):
        for path in file.parent.iterdir() if there == "part" else ():
            if path != file:
                path.unlink()
        for resume in (False, True):
            with pytest.raises(UsageError, match=r"learning_rate: 0.01 there, 0.02 here"):
                run_stage("pretrain", other, tmp_path, resume, Quiet())
        assert file.is_file()


def test_changed_text_stops_a_training_from_going_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = small_recipe(write_corpus(tmp_path / "text"))
    interrupted_at(6, recipe, tmp_path / "runs", monkeypatch)
    path = tmp_path / "text" / "talk.txt"
    path.write_text(path.read_text() + "\nand then one more line was added to the talk .\n")
    with pytest.raises(UsageError, match="corpus"):
        run_stage("pretrain", recipe, tmp_path / "runs", True, Quiet())


def test_two_processes_do_not_train_in_one_folder(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small" / "seed_7"
    held = taken(folder)
    assert held is not None
    with pytest.raises(UsageError, match="Another process"):
        run_stage("pretrain", small_recipe(corpus), tmp_path, True, Quiet())
    held.close()
    run_stage("pretrain", small_recipe(corpus, pretrain={"max_steps": 1}), tmp_path, False, Quiet())
    assert not (folder / LOCK_FILE).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [5, 8])
def test_a_signal_loses_nothing(
    number: signal.Signals,
    step: int,
    unbroken: tuple[StageResult, Listener],
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The update in which it comes is finished and saved, at whatever update states are due."""
    train = LanguageTrainer.training_step

    def signalled(self: Any, *given: Any, **more: Any) -> Any:
        if self.state.global_step == step - 1:
            os.kill(os.getpid(), number)
        return train(self, *given, **more)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(LanguageTrainer, "training_step", signalled)
        with pytest.raises(KeyboardInterrupt):
            run_stage("pretrain", small_recipe(corpus), tmp_path, False, Quiet())
    assert signal.getsignal(number) is before
    state, _ = choose_state(tmp_path / "small" / "seed_7" / "state")
    assert state is not None
    assert state.name == f"checkpoint-{step}"
    assert not list(tmp_path.rglob("*.draft"))
    result = run_stage("pretrain", small_recipe(corpus), tmp_path, True, Quiet())
    assert same_weights(result.folder / "final", unbroken[0].folder / "final")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's own answer to Ctrl-C, which a process started in the background of a shell does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_second_signal_stops_at_once() -> None:
    stop = Stop()
    with stop.listening(processes=1):
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    several = Stop()
    with several.listening(processes=2), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert not several.asked


def test_a_training_that_diverges_stops_and_keeps_what_was_good(corpus: Path, tmp_path: Path) -> None:
    recipe = small_recipe(
        corpus, pretrain={"learning_rate": 1e30, "clip": 0.0}, checkpoints={"words": [], "steps": 1, "resume_steps": 1}
    )
    with pytest.raises(ModelError, match="finite"):
        run_stage("pretrain", recipe, tmp_path, False, Quiet())
    folder = tmp_path / "small" / "seed_7"
    kept = list(folder.glob("step_*"))
    assert folder / "step_1" in kept
    for path in kept:
        assert all(torch.isfinite(tensor).all() for tensor in weights(path).values())
    state, said = choose_state(folder / "state")
    assert state is not None
    assert said == []
    assert all(torch.isfinite(tensor).all() for tensor in weights(state).values())
    assert "NaN" not in (folder / "log.jsonl").read_text()


def test_a_disk_that_fills_up_leaves_the_last_state(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = torch.save

    def save(content: Any, path: Any, *args: Any, **kwargs: Any) -> None:
        if "checkpoint-8" in str(path) and "optimizer" in str(path):
            raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed")
        plain(content, path, *args, **kwargs)

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(MissingError, match="Could not write"):
        run_stage("pretrain", small_recipe(corpus), tmp_path, False, Quiet())
    states = tmp_path / "small" / "seed_7" / "state"
    assert [path.name for path in states.iterdir()] == ["checkpoint-4"]
    assert choose_state(states)[0] == states / "checkpoint-4"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_killed_process_goes_on_to_the_same_weights(
    seed: int, unbroken: tuple[StageResult, Listener], corpus: Path, tmp_path: Path
) -> None:
    """Kill -9 at a random moment, several times, then to the end: the same weights, bit for bit."""
    draw = random.Random(seed)  # noqa: S311
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from babyeval.progress import Quiet\n"
        "from babyeval.trainers.engine import LanguageTrainer\n"
        "from babyeval.trainers.stages import run_stage\n"
        "from training import small_recipe\n"
        "plain = LanguageTrainer.training_step\n"
        "def slow(*args, **kwargs):\n"
        "    print('step', flush=True); time.sleep(0.05)\n"
        "    return plain(*args, **kwargs)\n"
        "LanguageTrainer.training_step = slow\n"
        "run_stage('pretrain', small_recipe(Path(sys.argv[2])), Path(sys.argv[3]), True, Quiet())\n"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent), str(corpus), str(tmp_path)]
    killed_until_done(command, tmp_path / "small" / "seed_7" / "final", draw, 3, (1, 7))
    other = unbroken[0]
    for name in other.checkpoints:
        assert same_weights(tmp_path / "small" / "seed_7" / name, other.folder / name)
    assert without_speed(log(tmp_path / "small" / "seed_7")) == without_speed(log(other.folder))
    assert milestones.FINAL in other.checkpoints
