"""One fit that memory, numbers or the process give out on: what is halved, told, kept and gone on with."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fitting import OFFICIAL_2025, OFFICIAL_2026, REPORTED, ROBUST, TRAIN, fitted, opened, without_dropout

from babyeval.errors import DataError, MemoryMissing
from babyeval.fit import engine, trainer
from babyeval.fit.classifier import PooledClassifier
from babyeval.fit.state import STATE_FILE


class Small(PooledClassifier):
    """Cannot take more than three examples at once; fails in the backward pass, when a part of the gradient is there."""

    most = 3
    attempts = 0

    def forward(self, input_ids: Any, *args: Any, **inputs: Any) -> Any:
        logits = super().forward(input_ids, *args, **inputs)
        if len(input_ids) > self.most:
            type(self).attempts += 1
            if not torch.is_grad_enabled():
                raise torch.OutOfMemoryError("CUDA out of memory")
            next(self.body.parameters()).register_hook(lambda _: None)
            logits.register_hook(_fail)
        return logits


def _fail(_: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize(("hyper", "architecture"), [(ROBUST, "llama"), (OFFICIAL_2026, "gpt2")], ids=["robust", "2026"])
def test_out_of_memory_halves_the_batch_and_keeps_the_update(hyper, architecture, tmp_path, monkeypatch):
    """Also where padding shifts positions (GPT-2, 2026), so that the parts of a batch need the width of the whole."""
    model = opened(architecture)
    without_dropout(model[1].model)
    assert model[1].collator(hyper, typed=False).shifts == (architecture == "gpt2")
    whole = fitted(hyper, tmp_path / "a", model=model)
    assert (whole.batch_size, whole.accumulation) == (8, 1)
    monkeypatch.setattr(engine, "PooledClassifier", Small)
    Small.attempts = 0
    parts = fitted(hyper, tmp_path / "b", model=model)
    assert Small.attempts > 0
    assert parts.batch_size <= 3
    assert parts.batch_size * parts.accumulation >= 8
    np.testing.assert_allclose(parts.losses, whole.losses, rtol=0, atol=1e-5)
    np.testing.assert_allclose(parts.logits, whole.logits, rtol=0, atol=1e-4)
    assert parts.updates == whole.updates


class SmallForPrediction(Small):
    """Trains, and cannot predict a single example."""

    def forward(self, *args: Any, **inputs: Any) -> Any:
        self.most = 1000 if torch.is_grad_enabled() else 0
        return super().forward(*args, **inputs)


@pytest.mark.parametrize(("kind", "words"), [(Small, "single example"), (SmallForPrediction, "single input")])
def test_one_example_that_does_not_fit_is_an_error_of_this_task_with_a_way_out(kind, words, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "PooledClassifier", kind)
    monkeypatch.setattr(kind, "most", 0)
    with pytest.raises(MemoryMissing, match=words) as caught:
        fitted(ROBUST, tmp_path)
    assert "--device cpu" in caught.value.hint


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_fit(value, tmp_path, monkeypatch):
    real = trainer.FitTrainer.compute_loss
    calls: list[int] = []

    def compute_loss(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(1)
        return real(self, *args, **options) * (value if len(calls) == 5 else 1.0)

    monkeypatch.setattr(trainer.FitTrainer, "compute_loss", compute_loss)
    outcome = fitted(OFFICIAL_2025, tmp_path)
    assert outcome.diverged is not None
    assert f"{value} at update 5 of 6" in outcome.diverged
    assert np.isnan(outcome.logits).all()
    assert outcome.logits.shape == (len(REPORTED), 2)
    assert len(outcome.losses) == len(outcome.selection) == 1
    assert len(calls) == 5
    assert outcome.updates == 4


def test_weights_that_are_no_numbers_end_the_fit(tmp_path):
    """The last update may be what spoils them, behind a loss that was still a number."""
    one_update = replace(OFFICIAL_2025, epochs=1, learning_rate=math.inf, warmup_share=0.0)
    outcome = fitted(one_update, tmp_path, train=TRAIN[:8])
    assert outcome.diverged == "the predictions are no numbers after epoch 1 of 1"
    assert (len(outcome.losses), math.isfinite(outcome.losses[0]), outcome.updates) == (1, True, 1)
    assert np.isnan(outcome.logits).all()


class Interrupted(BaseException):
    pass


class Stopping:
    """Ends the process, as far as a fit can tell, at an update."""

    def __init__(self, at: int) -> None:
        self.at, self.seen = at, 0

    @contextlib.contextmanager
    def bar(self, label: str, total: int, unit: str = "rows", share: Any = None) -> Any:
        def advance(count: int) -> None:
            self.seen += count
            if self.seen >= self.at:
                raise Interrupted

        yield advance

    def note(self, text: str) -> None:
        return None


@pytest.mark.parametrize("at", [2, 8])
@pytest.mark.parametrize("protocol", [replace(ROBUST, dropout=0.2), replace(OFFICIAL_2025, dropout=0.2)], ids=["robust", "2025"])
def test_a_broken_off_fit_ends_in_the_numbers_of_an_unbroken_one(at, protocol, tmp_path):
    hyper = replace(protocol, epochs=4)
    model = opened("bert")  # with dropout in its body
    whole = fitted(hyper, tmp_path / "whole", model=model)
    with pytest.raises(Interrupted):
        fitted(hyper, tmp_path / "broken", model=model, reporter=Stopping(at))
    torch.manual_seed(999)
    rest = Counting()
    again = fitted(hyper, tmp_path / "broken", model=opened("bert"), reporter=rest)
    assert rest.counts[0] == (at - 1) // 3 * 3  # of 3 updates an epoch, those of whole epochs are not made again
    assert sum(rest.counts) == whole.updates == 12
    assert np.array_equal(again.logits, whole.logits)
    assert (again.losses, again.selection, again.best_epoch) == (whole.losses, whole.selection, whole.best_epoch)
    assert again.updates == whole.updates


class Counting(Stopping):
    """Notes what the progress bar is told."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    @contextlib.contextmanager
    def bar(self, label: str, total: int, unit: str = "rows", share: Any = None) -> Any:
        yield self.counts.append


def test_the_best_weights_survive_an_interruption(tmp_path, monkeypatch):
    scores = iter([50.0, 90.0, 70.0, 60.0] * 2)
    monkeypatch.setattr(engine, "get_metric", lambda _: lambda *_: next(scores))
    hyper = replace(ROBUST, epochs=4)
    whole = fitted(hyper, tmp_path / "whole")
    with pytest.raises(Interrupted):
        fitted(hyper, tmp_path / "broken", reporter=Stopping(10))
    again = fitted(hyper, tmp_path / "broken")
    assert again.best_epoch == whole.best_epoch == 2
    assert np.array_equal(again.logits, whole.logits)


def test_a_state_that_is_damaged_or_of_another_fit_is_not_gone_on_with(tmp_path):
    folder = tmp_path / "state"
    with pytest.raises(Interrupted):
        fitted(OFFICIAL_2025, folder, reporter=Stopping(5))
    (state,) = folder.iterdir()
    for change in ("seed", "file"):
        if change == "file":
            state.write_bytes(state.read_bytes()[:-200])
        counted = Counting()
        outcome = fitted(OFFICIAL_2025, folder, seed=4 if change == "seed" else 3, reporter=counted)
        assert counted.counts[0] == 0
        assert outcome.updates == 6


def test_a_state_of_a_machine_with_more_gpus_is_gone_on_with(tmp_path):
    whole = fitted(OFFICIAL_2025, tmp_path / "whole")
    with pytest.raises(Interrupted):
        fitted(OFFICIAL_2025, tmp_path / "broken", reporter=Stopping(5))
    path = tmp_path / "broken" / STATE_FILE
    state = torch.load(path, weights_only=True)
    state["random"]["cuda"] = [torch.get_rng_state()] * (torch.cuda.device_count() + 1)
    torch.save(state, path)
    counted = Counting()
    assert np.array_equal(fitted(OFFICIAL_2025, tmp_path / "broken", reporter=counted).logits, whole.logits)
    assert counted.counts[0] == 3


@pytest.mark.parametrize("train", [TRAIN[:1], [replace(one, cluster="one passage") for one in TRAIN]], ids=["one", "one passage"])
def test_what_cannot_be_parted_is_an_error_under_robust(train, tmp_path):
    with pytest.raises(DataError, match=f"too few examples: {len(train)} to learn from") as caught:
        fitted(ROBUST, tmp_path, train=train)
    assert "about one text" in caught.value.hint
    assert "--limit" in caught.value.hint


def test_too_few_examples_are_an_error(tmp_path):
    with pytest.raises(DataError, match="too few examples: 5"):
        fitted(OFFICIAL_2025, tmp_path, train=TRAIN[:5])
