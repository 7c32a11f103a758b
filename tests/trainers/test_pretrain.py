"""Whole trainings of seconds: what they leave, how they go on, how they stop."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from babyeval.trainers import milestones
from babyeval.trainers.engine import LanguageTrainer
from babyeval.trainers.interrupt import Stop
from babyeval.trainers.recipe import Recipe
from babyeval.trainers.saving import choose_state
from babyeval.trainers.shards import Blocks, TokenFacts
from babyeval.trainers.stages import StageResult, run_stage
from babyeval.trainers.stream import TrainStream
from safetensors.torch import load_file
from training import Listener, small_recipe, write_corpus

from babyeval.errors import MissingError, ModelError, UsageError
from babyeval.lock import LOCK_FILE, taken
from babyeval.models.checkpoint import open_checkpoint
from babyeval.models.naming import parse_model
from babyeval.progress import Quiet


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def unbroken(corpus: Path, out: Path) -> tuple[StageResult, Listener]:
    """A training that nothing interrupts."""
    listener = Listener()
    return run_stage("pretrain", small_recipe(corpus), out, False, listener), listener


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "model.safetensors"))


def same_weights(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def without_speed(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if not key.endswith("_per_second")} for line in lines]


def blocks_of(out: Path, part: str, recipe: Recipe) -> Blocks:
    (folder,) = (out / "_data").glob("shards-*")
    facts = TokenFacts.model_validate(json.loads((folder / "manifest.json").read_text())["facts"])
    return Blocks(folder, part, recipe.sequence_length, facts)


def test_checkpoints_say_what_they_have_seen(unbroken: tuple[StageResult, Listener], corpus: Path, out: Path) -> None:
    result, listener = unbroken
    recipe = small_recipe(corpus)
    assert result.folder == out / "small" / "seed_7"
    assert result.checkpoints == ("chck_310", "chck_900", "final")
    assert listener.heard("chck_300")  # falls on the update of chck_310
    assert listener.heard("too few words for chck_10M")
    stream = TrainStream(blocks_of(out, "train", recipe), 12 * 8, recipe.seed)
    blocks = blocks_of(out, "train", recipe)
    words = [sum(int(blocks.words[stream.place(i)[1]]) for i in range(8 * step)) for step in range(13)]
    tokens = [sum(len(blocks.tokens(stream.place(i)[1])) for i in range(8 * step)) for step in range(13)]
    for name, least in (("chck_310", 310), ("chck_900", 900), ("final", words[12])):
        checkpoint = open_checkpoint(parse_model(str(result.folder / name)))
        step = checkpoint.training["step"]
        assert checkpoint.words_seen == words[step] >= least
        assert name == "final" or words[step - 1] < least
        assert checkpoint.training["tokens_seen"] == tokens[step]
        assert checkpoint.name == "small-seed_7"
        assert checkpoint.training["recipe"] == recipe.as_json()
        assert checkpoint.training["validation"]["tales"]["tokens"] > 0
        assert checkpoint.config.use_cache
        assert not list((result.folder / name).glob("*.bin"))
    assert (result.words, result.tokens, result.steps) == (words[12], tokens[12], 12)
    assert listener.advanced == words[12]
    assert not (result.folder / "state").exists()
    assert (result.folder / "training.svg").stat().st_size > 0
    assert json.loads((result.folder / "recipe.json").read_text()) == recipe.as_json()


def test_the_log_has_loss_and_validation(unbroken: tuple[StageResult, Listener]) -> None:
    result, _ = unbroken
    lines = log(result.folder)
    training = [line for line in lines if "loss" in line]
    checkpoints = {json.loads((result.folder / name / "babyeval.json").read_text())["step"] for name in result.checkpoints}
    assert {line["step"] for line in training} == {3, 6, 9, 12} | {4, 8} | checkpoints
    assert [line["step"] for line in lines if "validation" in line] == sorted(checkpoints)
    assert training[-1]["loss"] < training[0]["loss"]
    assert training[-1]["words"] == result.words
    # Two updates of warm-up from 0, then down to 0 behind the twelfth; an update's number counts from 0 here.
    rates = {line["step"]: 0.01 * min((line["step"] - 1) / 2, (12 - (line["step"] - 1)) / 10) for line in training}
    assert {line["step"]: line["learning_rate"] for line in training} == pytest.approx(rates)
    assert all(line["flops"] > 0 and line["words_per_second"] > 0 for line in training)


def test_validation_is_the_mean_over_all_tokens(unbroken: tuple[StageResult, Listener], corpus: Path, out: Path) -> None:
    from transformers import AutoModelForCausalLM

    result, _ = unbroken
    model = AutoModelForCausalLM.from_pretrained(result.folder / "final").eval()
    recipe, sums, counts = small_recipe(corpus), 0.0, 0
    for domain in ("tales", "talk"):
        blocks = blocks_of(out, f"{domain}.valid", recipe)
        total, count = 0.0, 0
        for i in range(len(blocks)):
            ids, starts = torch.from_numpy(blocks.tokens(i)), [*blocks.starts(i), len(blocks.tokens(i))]
            for begin, end in pairwise(starts):
                piece = ids[begin:end][None]
                with torch.no_grad():
                    log_probabilities = model(piece).logits[0, :-1].double().log_softmax(-1)
                total -= log_probabilities.gather(1, piece[0, 1:, None]).sum().item()
                count += piece.shape[1] - 1
        loss = result.validation[domain]
        assert (loss.tokens, loss.words) == (count, int(blocks.words.sum()))
        assert loss.loss == pytest.approx(total / count, abs=1e-5)
        assert loss.perplexity == pytest.approx(math.exp(total / count), rel=1e-4)
        assert loss.bits_per_word == pytest.approx(total / math.log(2) / loss.words, rel=1e-4)
        sums, counts = sums + total, counts + count
    assert result.validation["all"].loss == pytest.approx(sums / counts, abs=1e-5)


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
    recipe, listener = small_recipe(corpus), Listener()
    interrupted_at(2, recipe, tmp_path, monkeypatch, resume=True, reporter=listener)
    assert listener.heard("nothing to go on with")
    result = run_stage("pretrain", recipe, tmp_path, True, listener)
    assert listener.heard("starts anew")
    assert same_weights(result.folder / "final", unbroken[0].folder / "final")


def test_changed_text_stops_a_training_from_going_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = small_recipe(write_corpus(tmp_path / "text"))
    interrupted_at(6, recipe, tmp_path / "runs", monkeypatch)
    path = tmp_path / "text" / "talk.txt"
    path.write_text(path.read_text() + "\nand then one more line was added to the talk .\n")
    with pytest.raises(UsageError, match="corpus"):
        run_stage("pretrain", recipe, tmp_path / "runs", True, Quiet())


def test_passes_of_a_batch_change_nothing(unbroken: tuple[StageResult, Listener], corpus: Path, tmp_path: Path) -> None:
    """Without dropout: how a batch is divided decides which numbers it draws."""
    results = [
        run_stage(
            "pretrain", small_recipe(corpus, model={"dropout": 0.0}, pretrain={"micro_batch_size": micro}), out, False, Quiet()
        )
        for micro, out in ((8, tmp_path / "whole"), (2, tmp_path / "divided"))
    ]
    whole, divided = ([line["loss"] for line in log(result.folder) if "loss" in line] for result in results)
    assert divided == pytest.approx(whole, abs=1e-4)
    assert results[0].words == results[1].words


def test_activations_computed_twice_change_nothing(unbroken: tuple[StageResult, Listener], corpus: Path, tmp_path: Path) -> None:
    result = run_stage("pretrain", small_recipe(corpus, pretrain={"gradient_checkpointing": True}), tmp_path, False, Quiet())
    assert same_weights(result.folder / "final", unbroken[0].folder / "final")


def test_bfloat16_trains_float32_weights(unbroken: tuple[StageResult, Listener], corpus: Path, tmp_path: Path) -> None:
    result = run_stage("pretrain", small_recipe(corpus, pretrain={"dtype": "bfloat16"}), tmp_path, False, Quiet())
    assert {tensor.dtype for tensor in weights(result.folder / "final").values()} == {torch.float32}
    exact, rounded = ([line["loss"] for line in log(one.folder) if "loss" in line] for one in (unbroken[0], result))
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.05)


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


@pytest.mark.parametrize("architecture", ["gpt2", "bert", "roberta"])
def test_every_architecture_learns(architecture: str, corpus: Path, tmp_path: Path) -> None:
    recipe = small_recipe(
        corpus, architecture, pretrain={"max_steps": 20}, checkpoints={"resume_steps": 0, "steps": 10, "words": []}
    )
    result = run_stage("pretrain", recipe, tmp_path, False, Quiet())
    assert result.checkpoints == ("step_10", "step_20", "final")
    validation = [line["validation"]["all"] for line in log(result.folder) if "validation" in line]
    assert validation[-1]["loss"] < validation[0]["loss"] < math.log(recipe.tokenizer.vocab_size) + 0.5
    assert (validation[0]["bits_per_word"] is None) == (architecture != "gpt2")
    assert open_checkpoint(parse_model(str(result.folder / "final"))).backend == ("causal" if architecture == "gpt2" else "mlm")


def test_a_child_goes_on_from_its_parent(unbroken: tuple[StageResult, Listener], corpus: Path, tmp_path: Path) -> None:
    parent, _ = unbroken
    listener = Listener()
    recipe = small_recipe(
        corpus, condition="child", parent=str(parent.folder / "final"), pretrain={"max_steps": 3},
        checkpoints={"words": [900, parent.words + 1], "resume_steps": 0},
    )  # fmt: skip
    result = run_stage("pretrain", recipe, tmp_path, False, listener)
    assert listener.heard("already seen the words of chck_900")
    facts = json.loads((result.folder / "final" / "babyeval.json").read_text())
    assert facts["parent_digest"] == open_checkpoint(parse_model(str(parent.folder / "final"))).digest
    assert parent.words < facts["words_seen"] == result.words
    first = log(result.folder)[0]
    assert first["words"] > parent.words
    before, after = parent.validation["all"].loss, result.validation["all"].loss
    assert abs(after - before) < 0.3  # fresh weights would be a nat away
    assert (result.folder / "tokenizer" / "tokenizer.json").is_file()
    with pytest.raises(UsageError, match="num_hidden_layers 2 there, 1 here"):
        run_stage("pretrain", recipe.model_copy(update={"model": recipe.model.model_copy(update={"layers": 1}), "seed": 8}),
                  tmp_path, False, Quiet())  # fmt: skip


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


def test_tasks_are_run_on_checkpoints_and_change_no_weights(
    unbroken: tuple[StageResult, Listener], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener()
    with pytest.raises(UsageError, match="wug_ajd"):
        run_stage("pretrain", small_recipe(corpus, evaluate={"tasks": ["wug_ajd"]}), tmp_path, False, Quiet())
    result = run_stage(
        "pretrain", small_recipe(corpus, evaluate={"tasks": ["wug_adj"], "split": "mini"}), tmp_path, False, listener
    )
    found = {line["checkpoint"]: line["results"] for line in log(result.folder) if "results" in line}
    assert list(found) == ["chck_310", "chck_900", "final"]
    assert all(results for results in found.values()), listener.said
    from babyeval.api import load_results

    assert set(load_results(result.folder / "results")["revision"]) == set(found)
    assert same_weights(result.folder / "final", unbroken[0].folder / "final")

    def fails(*_: Any, **__: Any) -> None:
        random.random()  # noqa: S311
        torch.rand(3)
        raise ValueError("a task of somebody's")

    monkeypatch.setattr("babyeval.api.evaluate", fails)
    recipe = small_recipe(corpus, evaluate={"tasks": ["wug_adj"], "split": "mini"})
    other = run_stage("pretrain", recipe, tmp_path / "other", False, listener)
    assert listener.heard("a task of somebody's")
    assert same_weights(other.folder / "final", unbroken[0].folder / "final")


def test_too_little_text_for_a_batch_is_said(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fill no batch of 4096"):
        run_stage("pretrain", small_recipe(corpus, pretrain={"batch_size": 4096, "max_steps": None}), tmp_path, False, Quiet())


def test_where_to_report_must_be_known(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere_known"):
        run_stage("pretrain", small_recipe(corpus, logging={"report_to": ["nowhere_known"]}), tmp_path, False, Quiet())


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
    killed = 0
    while not (tmp_path / "small" / "seed_7" / "final").exists():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        steps = draw.randint(1, 7) if killed < 3 else 99
        for _ in range(steps):
            if not process.stdout.readline():
                break
        time.sleep(draw.random() * 0.2)  # in the middle of an update, or of a save
        if killed < 3:
            process.send_signal(signal.SIGKILL)
        code = process.wait()
        process.stdout.close()
        killed += code == -signal.SIGKILL
        assert code in (0, -signal.SIGKILL)
    assert killed
    other = unbroken[0]
    for name in other.checkpoints:
        assert same_weights(tmp_path / "small" / "seed_7" / name, other.folder / name)
    assert without_speed(log(tmp_path / "small" / "seed_7")) == without_speed(log(other.folder))
    assert milestones.FINAL in other.checkpoints


@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_dividing_a_batch_changes_nothing(architecture: str, corpus: Path, tmp_path: Path) -> None:
    """A masked model's passes hold unequal numbers of masked tokens; each must count the same."""
    losses, validation = [], []
    for micro in (8, 2):
        recipe = small_recipe(
            corpus,
            architecture,
            model={"dropout": 0.0},
            pretrain={"micro_batch_size": micro, "max_steps": 4},
            logging={"steps": 1},
        )
        result = run_stage("pretrain", recipe, tmp_path / str(micro), False, Listener())
        losses.append([line["loss"] for line in log(result.folder) if "loss" in line])
        validation.append({name: (part.loss, part.tokens) for name, part in result.validation.items()})
    assert losses[0] == pytest.approx(losses[1], abs=2e-4)
    assert all(
        one == pytest.approx(other, abs=2e-4) for one, other in zip(validation[0].values(), validation[1].values(), strict=True)
    )
    assert validation[0]["all"][0] < math.log(420) + 0.5
