"""Whole pre-trainings of seconds: what they leave, what they measure, and which settings change nothing."""

from __future__ import annotations

import json
import math
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from babyeval.trainers.recipe import Recipe
from babyeval.trainers.shards import Blocks, TokenFacts
from babyeval.trainers.stages import StageResult, run_stage
from babyeval.trainers.stream import TrainStream
from training import Listener, log, same_weights, small_recipe, weights

from babyeval.errors import UsageError
from babyeval.models.checkpoint import open_checkpoint
from babyeval.models.naming import parse_model
from babyeval.progress import Quiet


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
