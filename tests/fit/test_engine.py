"""One fit: its updates, its choice of an epoch, and what it does when memory, numbers or the process give out."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fitting import CARD, OFFICIAL_2025, OFFICIAL_2026, ROBUST, example, examples
from tiny import make_model, make_tokenizer

from babyeval.errors import DataError, MemoryMissing
from babyeval.fit import engine, trainer
from babyeval.fit.batches import EpochBatches
from babyeval.fit.classifier import PooledClassifier, open_body
from babyeval.fit.encode import encode
from babyeval.fit.split import split_off
from babyeval.fit.state import STATE_FILE
from babyeval.fit.types import FitOutcome
from babyeval.models.checkpoint import from_memory
from babyeval.progress import Quiet

CPU = torch.device("cpu")
TRAIN, REPORTED = examples(30), examples(11, start=200)
KIND_OF = {"llama": "bos", "gpt2": "eos", "bert": "cls_sep", "t5": "t5"}


def opened(architecture: str = "llama") -> tuple[Any, Any]:
    tokenizer = make_tokenizer(KIND_OF[architecture])
    checkpoint = from_memory(make_model(architecture, tokenizer, positions=160), tokenizer)
    return checkpoint, open_body(checkpoint, CPU)


def run(hyper, folder, *, seed=3, dtype="float32", model=None, train=TRAIN, reported=REPORTED, reporter=None) -> FitOutcome:
    checkpoint, body = model or opened()
    return engine.fit(
        checkpoint, train, reported, CARD, hyper, seed, dtype=dtype, folder=folder, reporter=reporter or Quiet(), body=body
    )


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


def without_dropout(model: Any) -> None:
    """Which draws differently if a batch is divided differently."""
    for module in model.modules():
        for name in ("p", "dropout_prob", "attention_dropout", "dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


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


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bert", "t5"])
@pytest.mark.parametrize("protocol", [OFFICIAL_2025, OFFICIAL_2026, ROBUST], ids=["2025", "2026", "robust"])
def test_updates_are_those_of_a_plain_loop(architecture, protocol, tmp_path, trained, monkeypatch):
    monkeypatch.setattr("babyeval.fit.batches._POSITIONS_CPU", 100)  # several passes per update
    monkeypatch.setattr(engine, "PooledClassifier", Double)
    checkpoint, body = opened(architecture)
    without_dropout(body.model)
    outcome = run(protocol, tmp_path, model=(checkpoint, body))
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
    outcome = run(replace(ROBUST, epochs=4), tmp_path)
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
    outcome = run(replace(OFFICIAL_2025, epochs=3), tmp_path)
    assert outcome.best_epoch == 2
    assert len(seen) == 3  # never predicted again
    assert np.array_equal(outcome.logits, seen[1])
    assert not np.array_equal(outcome.logits, seen[2])


def test_evaluation_by_length_predicts_what_single_examples_do(tmp_path, trained, monkeypatch):
    monkeypatch.setattr(trainer, "position_budget", lambda _: 120)
    for hyper in (OFFICIAL_2025, ROBUST):
        outcome = run(replace(hyper, epochs=1), tmp_path)
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
    outcome = run(replace(OFFICIAL_2026, epochs=1, random_eval_batch=4), tmp_path, model=model)
    own = trained[-1]
    own.model.eval()
    rows = encode(model[0].tokenizer, REPORTED, OFFICIAL_2026)
    batches = [own.collator(rows[i : i + 4]) for i in range(0, len(rows), 4)]
    with torch.no_grad():
        expected = torch.cat([own.model(**{k: v for k, v in batch.items() if k != "labels"}) for batch in batches])
    np.testing.assert_allclose(outcome.logits, expected, rtol=0, atol=1e-6)


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
    whole = run(hyper, tmp_path / "a", model=model)
    assert (whole.batch_size, whole.accumulation) == (8, 1)
    monkeypatch.setattr(engine, "PooledClassifier", Small)
    Small.attempts = 0
    parts = run(hyper, tmp_path / "b", model=model)
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
        run(ROBUST, tmp_path)
    assert "--device cpu" in caught.value.hint


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_fit(value, tmp_path, monkeypatch):
    real = trainer.FitTrainer.compute_loss
    calls: list[int] = []

    def compute_loss(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(1)
        return real(self, *args, **options) * (value if len(calls) == 5 else 1.0)

    monkeypatch.setattr(trainer.FitTrainer, "compute_loss", compute_loss)
    outcome = run(OFFICIAL_2025, tmp_path)
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
    outcome = run(one_update, tmp_path, train=TRAIN[:8])
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
    whole = run(hyper, tmp_path / "whole", model=model)
    with pytest.raises(Interrupted):
        run(hyper, tmp_path / "broken", model=model, reporter=Stopping(at))
    torch.manual_seed(999)
    rest = Counting()
    again = run(hyper, tmp_path / "broken", model=opened("bert"), reporter=rest)
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
    whole = run(hyper, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(hyper, tmp_path / "broken", reporter=Stopping(10))
    again = run(hyper, tmp_path / "broken")
    assert again.best_epoch == whole.best_epoch == 2
    assert np.array_equal(again.logits, whole.logits)


def test_a_state_that_is_damaged_or_of_another_fit_is_not_gone_on_with(tmp_path):
    folder = tmp_path / "state"
    with pytest.raises(Interrupted):
        run(OFFICIAL_2025, folder, reporter=Stopping(5))
    (state,) = folder.iterdir()
    for change in ("seed", "file"):
        if change == "file":
            state.write_bytes(state.read_bytes()[:-200])
        counted = Counting()
        outcome = run(OFFICIAL_2025, folder, seed=4 if change == "seed" else 3, reporter=counted)
        assert counted.counts[0] == 0
        assert outcome.updates == 6


def test_a_state_of_a_machine_with_more_gpus_is_gone_on_with(tmp_path):
    whole = run(OFFICIAL_2025, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(OFFICIAL_2025, tmp_path / "broken", reporter=Stopping(5))
    path = tmp_path / "broken" / STATE_FILE
    state = torch.load(path, weights_only=True)
    state["random"]["cuda"] = [torch.get_rng_state()] * (torch.cuda.device_count() + 1)
    torch.save(state, path)
    counted = Counting()
    assert np.array_equal(run(OFFICIAL_2025, tmp_path / "broken", reporter=counted).logits, whole.logits)
    assert counted.counts[0] == 3


def test_seeds_differ_and_a_seed_repeats(tmp_path):
    model = opened()
    first, again, other = (run(ROBUST, tmp_path / str(i), seed=seed, model=model) for i, seed in enumerate((1, 1, 2)))
    assert np.array_equal(first.logits, again.logits)
    assert not np.allclose(first.logits, other.logits)
    assert len(model[1].encoded) == 3  # learnt, set aside, reported: tokenised once for all seeds


def test_bfloat16_is_mixed_precision_and_the_next_fit_is_float32_again(tmp_path, trained):
    exact = run(ROBUST, tmp_path / "a")
    rounded = run(ROBUST, tmp_path / "b", dtype="bfloat16")
    after = run(ROBUST, tmp_path / "c")
    assert all(weight.dtype == torch.float32 for weight in trained[1].model.parameters())
    assert np.array_equal(exact.logits, after.logits)
    assert 1e-5 < np.abs(exact.logits - rounded.logits).max() < 0.5


def test_too_few_examples_are_an_error(tmp_path):
    with pytest.raises(DataError, match="too few examples: 5"):
        run(OFFICIAL_2025, tmp_path, train=TRAIN[:5])


def test_reported_examples_that_lost_tokens_are_counted(tmp_path):
    long = example(900, "The dog barks.", " ".join(["She put the cup on the table."] * 30))
    outcome = run(replace(ROBUST, epochs=1), tmp_path, reported=[*REPORTED, long], train=[*TRAIN, long])
    assert outcome.truncated == 1  # the window has 160 positions


def test_no_file_of_the_library_is_left(tmp_path):
    folder = Path(tmp_path / "fit")
    run(OFFICIAL_2025, folder)
    assert {path.name for path in folder.iterdir()} <= {"state.pt"}
