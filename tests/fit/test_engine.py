"""One fit: its updates, its choice of an epoch, and what it predicts."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fitting import OFFICIAL_2025, OFFICIAL_2026, REPORTED, ROBUST, TRAIN, example, fitted, opened, without_dropout
from tiny import make_tokenizer

from babyeval.fit import engine, trainer
from babyeval.fit.batches import EpochBatches
from babyeval.fit.classifier import PooledClassifier
from babyeval.fit.encode import encode
from babyeval.fit.split import split_off


@pytest.fixture
def trained(monkeypatch) -> list[Any]:
    """The trainers that fits make, to look at their weights."""
    made: list[Any] = []

    class Noted(trainer.FitTrainer):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(engine, "FitTrainer", Noted)
    return made


class Double(PooledClassifier):
    """In double precision: some gradients are zero but for rounding, which AdamW would make updates of."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.double()


def by_hand(hyper, seed, train, body, tokenizer, batches) -> tuple[PooledClassifier, list[float]]:
    """A plain loop over given batches, padded to the longest, with the schedule written out."""
    classifier = Double(body, 2, hyper.dropout, seed)
    rows = encode(tokenizer, train, hyper)
    collate = body.collator(hyper, typed=False)
    total, losses = sum(map(len, batches)), []
    warm = int(hyper.warmup_share * total)
    groups = {True: [], False: []}
    for name, weight in classifier.named_parameters():
        bias_or_norm = name.endswith("bias") or "norm" in name.lower() or "ln_" in name
        groups[hyper.decay_all or not bias_or_norm].append(weight)
    optimizer = torch.optim.AdamW(
        [{"params": groups[True], "weight_decay": hyper.weight_decay}, {"params": groups[False], "weight_decay": 0.0}],
        lr=0.0, betas=(0.9, 0.999), eps=1e-8,
    )  # fmt: skip
    step = 0
    for epoch in batches:
        epoch_losses = []
        for batch in epoch:
            classifier.train()
            low = hyper.final_share * hyper.learning_rate
            share = (step - warm) / (total - warm)
            down = low + (hyper.learning_rate - low) * 0.5 * (1 + math.cos(math.pi * share))
            for group in optimizer.param_groups:
                group["lr"] = hyper.learning_rate * step / warm if step < warm else down
            inputs = collate([rows[i] for i in batch])
            labels = inputs.pop("labels")
            loss = torch.nn.functional.cross_entropy(classifier(**inputs), labels)
            loss.backward()
            if hyper.clip is not None:
                torch.nn.utils.clip_grad_norm_(classifier.parameters(), hyper.clip)
            optimizer.step()
            optimizer.zero_grad()
            epoch_losses.append(loss.item())
            step += 1
        losses.append(sum(epoch_losses) / len(epoch_losses))
    return classifier, losses


def order_of(rows, hyper, seed):
    batches = EpochBatches(rows, hyper.batch_size, seed=seed, by_length=not hyper.official, drop_last=hyper.drop_last)
    found = []
    for epoch in range(hyper.epochs):
        batches.epoch = epoch
        found.append(list(batches))
    return found


@pytest.mark.parametrize("protocol", [OFFICIAL_2025, OFFICIAL_2026], ids=["2025", "2026"])
def test_clusters_change_nothing_officially(protocol, tmp_path):
    train, reported = ([replace(one, cluster=one.text_b) for one in part] for part in (TRAIN, REPORTED))
    whole, clustered = fitted(protocol, tmp_path / "a"), fitted(protocol, tmp_path / "b", train=train, reported=reported)
    assert np.array_equal(whole.logits, clustered.logits)
    assert (whole.losses, whole.selection, whole.best_epoch) == (clustered.losses, clustered.selection, clustered.best_epoch)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bert", "t5"])
@pytest.mark.parametrize("protocol", [OFFICIAL_2025, OFFICIAL_2026, ROBUST], ids=["2025", "2026", "robust"])
def test_updates_are_those_of_a_plain_loop(architecture, protocol, tmp_path, trained, monkeypatch):
    monkeypatch.setattr("babyeval.fit.batches._POSITIONS_CPU", 100)  # several passes per update
    monkeypatch.setattr(engine, "PooledClassifier", Double)
    checkpoint, body = opened(architecture)
    without_dropout(body.model)
    outcome = fitted(protocol, tmp_path, model=(checkpoint, body))
    train = TRAIN if protocol.official else split_off(TRAIN, protocol.inner_share)[0]
    order = order_of(encode(checkpoint.tokenizer, train, protocol), protocol, 3)
    expected, losses = by_hand(protocol, 3, train, body, checkpoint.tokenizer, order)
    weights = trained[0].model.state_dict()
    moved = 0.0
    for name, weight in expected.state_dict().items():
        if outcome.best_epoch == protocol.epochs or protocol.official:  # else the selected epoch's were put back
            torch.testing.assert_close(weights[name], weight, rtol=0, atol=1e-6)
        if name.startswith("body."):
            moved = max(moved, (weight - body.model.state_dict()[name.removeprefix("body.")]).abs().max().item())
    assert moved > 1e-3
    np.testing.assert_allclose(outcome.losses, losses, rtol=0, atol=1e-5)
    assert outcome.updates == sum(map(len, order))
    assert outcome.updates == protocol.epochs * (len(train) // 8 if protocol.drop_last else math.ceil(len(train) / 8))


def test_the_schedule_of_the_official_script():
    hyper = replace(OFFICIAL_2025, warmup_share=0.06, final_share=0.1)
    factors = [trainer.learning_rate_factor(step, 50, hyper) for step in range(51)]
    assert factors[:4] == [0, 1 / 3, 2 / 3, 1]
    assert factors[50] == pytest.approx(0.1)
    assert factors[3 + 47 // 2 + 1] == pytest.approx(0.1 + 0.45 * (1 + math.cos(math.pi * 24 / 47)))
    assert all(a > b for a, b in pairwise(factors[3:]))


def test_of_equally_good_epochs_the_last_is_selected_and_its_predictions_reported(tmp_path, trained, monkeypatch):
    scores = iter([50.0, 70.0, 70.0, 60.0])
    monkeypatch.setattr(engine, "get_metric", lambda _: lambda *_: next(scores))
    seen: list[Any] = []
    real = trainer.FitTrainer.logits

    def noted(self: Any, rows: Any) -> Any:
        seen.append((len(rows), {k: v.clone() for k, v in self.model.state_dict().items()}, real(self, rows)))
        return seen[-1][2]

    monkeypatch.setattr(trainer.FitTrainer, "logits", noted)
    outcome = fitted(replace(ROBUST, epochs=4), tmp_path)
    assert outcome.best_epoch == 3
    assert outcome.selection == (50.0, 70.0, 70.0, 60.0)
    sizes = [size for size, _, _ in seen]
    assert sizes[:4] == [sizes[0]] * 4  # the part set aside
    assert sizes[4:] == [len(REPORTED)]  # the reported file once
    assert all(torch.equal(seen[2][1][name], weight) for name, weight in seen[4][1].items())
    assert np.array_equal(outcome.logits, seen[4][2])


def test_officially_the_reported_file_selects(tmp_path, monkeypatch):
    scores = iter([50.0, 70.0, 70.0])
    monkeypatch.setattr(engine, "get_metric", lambda _: lambda *_: next(scores))
    seen: list[Any] = []
    real = trainer.FitTrainer.logits
    monkeypatch.setattr(trainer.FitTrainer, "logits", lambda self, rows: seen.append(real(self, rows)) or seen[-1])
    outcome = fitted(replace(OFFICIAL_2025, epochs=3), tmp_path)
    assert outcome.best_epoch == 2
    assert len(seen) == 3  # never predicted again
    assert np.array_equal(outcome.logits, seen[1])
    assert not np.array_equal(outcome.logits, seen[2])


def test_evaluation_by_length_predicts_what_single_examples_do(tmp_path, trained, monkeypatch):
    monkeypatch.setattr(trainer, "position_budget", lambda _: 120)
    for hyper in (OFFICIAL_2025, ROBUST):
        outcome = fitted(replace(hyper, epochs=1), tmp_path)
        own = trained[-1]
        rows = encode(make_tokenizer("bos"), REPORTED, hyper)
        own.model.eval()
        with torch.no_grad():
            alone = [own.model(**{k: v for k, v in own.collator([row]).items() if k != "labels"})[0].numpy() for row in rows]
        np.testing.assert_allclose(outcome.logits, alone, rtol=0, atol=1e-5)
        assert np.array_equal(outcome.logits.argmax(1), np.argmax(alone, 1))


def test_officially_2026_evaluation_takes_the_file_s_order(tmp_path, trained):
    """Where padding shifts positions, the company in a batch is part of the protocol."""
    model = opened("gpt2")
    outcome = fitted(replace(OFFICIAL_2026, epochs=1, random_eval_batch=4), tmp_path, model=model)
    own = trained[-1]
    own.model.eval()
    rows = encode(model[0].tokenizer, REPORTED, OFFICIAL_2026)
    batches = [own.collator(rows[i : i + 4]) for i in range(0, len(rows), 4)]
    with torch.no_grad():
        expected = torch.cat([own.model(**{k: v for k, v in batch.items() if k != "labels"}) for batch in batches])
    np.testing.assert_allclose(outcome.logits, expected, rtol=0, atol=1e-6)


def test_seeds_differ_and_a_seed_repeats(tmp_path):
    model = opened()
    first, again, other = (fitted(ROBUST, tmp_path / str(i), seed=seed, model=model) for i, seed in enumerate((1, 1, 2)))
    assert np.array_equal(first.logits, again.logits)
    assert not np.allclose(first.logits, other.logits)
    assert len(model[1].encoded) == 3  # learnt, set aside, reported: tokenised once for all seeds


def test_bfloat16_is_mixed_precision_and_the_next_fit_is_float32_again(tmp_path, trained):
    exact = fitted(ROBUST, tmp_path / "a")
    rounded = fitted(ROBUST, tmp_path / "b", dtype="bfloat16")
    after = fitted(ROBUST, tmp_path / "c")
    assert all(weight.dtype == torch.float32 for weight in trained[1].model.parameters())
    assert np.array_equal(exact.logits, after.logits)
    assert 1e-5 < np.abs(exact.logits - rounded.logits).max() < 0.5


def test_reported_examples_that_lost_tokens_are_counted(tmp_path):
    long = example(900, "The dog barks.", " ".join(["She put the cup on the table."] * 30))
    outcome = fitted(replace(ROBUST, epochs=1), tmp_path, reported=[*REPORTED, long], train=[*TRAIN, long])
    assert outcome.truncated == 1  # the window has 160 positions


def test_no_file_of_the_library_is_left(tmp_path):
    folder = Path(tmp_path / "fit")
    fitted(OFFICIAL_2025, folder)
    assert {path.name for path in folder.iterdir()} <= {"state.pt"}
