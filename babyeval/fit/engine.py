"""One fit: a classifier trained on a task's examples with one seed, and what it makes of the reported ones."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from babyeval.errors import DataError, MemoryMissing
from babyeval.fit import FIT_VERSION
from babyeval.fit.batches import EpochBatches
from babyeval.fit.classifier import Body, PooledClassifier
from babyeval.fit.encode import EncodedExample, encode
from babyeval.fit.metrics import get_metric
from babyeval.fit.split import split_off
from babyeval.fit.state import FitState, copied_weights, load_state, restore, save_state
from babyeval.fit.trainer import Between, Diverged, FitTrainer, trainer_settings
from babyeval.fit.types import Example, FitOutcome, Hyper
from babyeval.models.checkpoint import Checkpoint
from babyeval.progress import Advance, Reporter
from babyeval.scoring.batching import out_of_memory
from babyeval.scoring.model_view import full_precision

if TYPE_CHECKING:
    from babyeval.card import TaskCard


@full_precision()
def fit(
    checkpoint: Checkpoint,
    examples_train: Sequence[Example],
    examples_reported: Sequence[Example],
    card: TaskCard,
    hyper: Hyper,
    seed: int,
    *,
    dtype: str,
    folder: Path,
    reporter: Reporter,
    body: Body,
) -> FitOutcome:
    """Fine-tunes a copy of a checkpoint's body under a new head.

    Args:
        checkpoint: What is fine-tuned.
        examples_train: The training file; a part of it chooses the epoch under ``robust``.
        examples_reported: The file whose predictions are reported; under the official protocols it chooses the epoch (D15).
        card: Names the labels.
        hyper: How.
        seed: Varies the head's initialisation, dropout and the order of examples.
        dtype: ``float32``, or ``bfloat16`` for mixed precision: the weights stay float32.
        folder: Keeps the state of the unfinished fit, of which at most one epoch is repeated; the caller removes it.
        reporter: Is told about updates.
        body: Of this checkpoint (`open_body`), on the device that trains.

    Returns:
        Predictions and how they came about; a fit whose loss is no number any more has ``diverged``.

    Raises:
        DataError: An example has no token, or there are fewer training examples than the protocol needs.
        MissingError: Memory or disk space is missing.
    """
    assert card.fit is not None
    run = _Fit(checkpoint, hyper, seed, dtype, folder, body, len(card.fit.labels))
    run.prepare(examples_train, examples_reported)
    try:
        with reporter.bar(f"{card.name}, seed {seed}", run.total, "updates") as advance:
            return run.run(advance)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise MemoryMissing(
            "The model does not fit into memory together with its gradients and the optimizer's state.",
            hint="Use --device cpu, or a larger device.",
        ) from error


@dataclass(slots=True)
class _Fit:
    """A fit under way."""

    checkpoint: Checkpoint
    hyper: Hyper
    seed: int
    dtype: str
    folder: Path
    body: Body
    labels: int
    key: str = ""
    train: list[EncodedExample] = field(default_factory=list)
    selecting: list[EncodedExample] = field(default_factory=list)
    reported: list[EncodedExample] = field(default_factory=list)
    batches: EpochBatches = field(init=False)
    trainer: FitTrainer = field(init=False)
    state: FitState = field(init=False)
    start: float = 0.0

    @property
    def total(self) -> int:
        """Updates of the whole fit."""
        return len(self.batches) * self.hyper.epochs

    def prepare(self, examples_train: Sequence[Example], examples_reported: Sequence[Example]) -> None:
        """Encodes the examples, sets those aside that choose the epoch, and orders the rest."""
        self.start = time.monotonic()
        hyper = self.hyper
        if self.checkpoint.window is not None:  # beyond it the official script crashes (D40)
            hyper = replace(hyper, max_length=min(hyper.max_length, self.checkpoint.window))
        learnt, aside = (examples_train, examples_reported) if hyper.official else split_off(examples_train, hyper.inner_share)
        self.train = self._encoded(learnt, hyper)
        self.selecting = self._encoded(aside, hyper)
        self.reported = self.selecting if hyper.official else self._encoded(examples_reported, hyper)
        self.batches = EpochBatches(
            self.train, hyper.batch_size, seed=self.seed, by_length=not hyper.official, drop_last=hyper.drop_last
        )
        if not len(self.batches) or not self.selecting or not self.reported:
            needs = (
                f"an update takes {hyper.batch_size}"
                if hyper.official
                else "a part of them chooses the epoch, and those about one text stay together"
            )
            raise DataError(
                f"There are too few examples: {len(examples_train)} to learn from, {len(examples_reported)} to report on.",
                hint=f"Under this protocol {needs}; use a larger --limit, or none.",
            )
        self.key = self._key()

    def _encoded(self, examples: Sequence[Example], hyper: Hyper) -> list[EncodedExample]:
        """What the tokenizer makes of a file, once for all seeds."""
        key, texts = (hyper.max_length, hyper.cut, hyper.official), tuple(examples)
        known = self.body.encoded.get((key, texts))
        if known is None:
            known = encode(self.checkpoint.tokenizer, examples, hyper)
            self.body.remember(key, texts, known)
        return known

    def _key(self) -> str:
        """Names this fit, so that no other one's state is gone on with."""
        facts = (FIT_VERSION, self.checkpoint.digest, self.hyper, self.seed, self.dtype, self.body.device.type, self.labels)
        return hashlib.sha256(repr((facts, self.train, self.selecting, self.reported)).encode()).hexdigest()

    def run(self, advance: Advance) -> FitOutcome:
        """Trains what is left to train, and predicts."""
        saved = load_state(self.folder, self.key)
        self.state = FitState(**saved["state"]) if saved else FitState(rows=self.hyper.batch_size)
        finished = len(self.state.losses)
        self.start -= self.state.seconds
        advance(finished * len(self.batches))
        model = PooledClassifier(self.body, self.labels, self.hyper.dropout, self.seed)
        epochs = self.hyper.epochs - finished
        self.trainer = FitTrainer(
            model,
            self.body.collator(self.hyper, typed=self.train[0].token_types is not None),
            self.batches,
            self.train,
            self.hyper,
            total=self.total,
            most=self.state.rows,
            settings=trainer_settings(
                self.folder, self.hyper, self.seed, epochs=epochs, dtype=self.dtype, device=self.body.device
            ),
            callbacks=[
                Between(
                    begin=lambda: restore(saved, self.trainer) if saved else None,
                    before=self._before_epoch,
                    after=self._after_epoch,
                    update=lambda: advance(1),
                )
            ],
        )
        try:
            self.trainer.train()
            return self._outcome(self._selected_logits(), None)
        except Diverged as reason:
            return self._outcome(np.full((len(self.reported), self.labels), np.nan, np.float32), str(reason))

    def _before_epoch(self) -> None:
        finished = len(self.state.losses)
        self.batches.epoch = finished
        self.trainer.epoch_loss.zero_()
        if finished and self.state.best_epoch == finished and not self.hyper.official:
            self.state.best_weights = copied_weights(self.trainer.model)  # the next update changes them

    def _after_epoch(self) -> None:
        state = self.state
        state.losses.append(float(self.trainer.epoch_loss) / len(self.batches))
        logits = self._finite(self.trainer.logits(self.selecting))
        score = get_metric(self.hyper.select_on)([row.label for row in self.selecting], logits.argmax(1).tolist())
        best = state.scores[state.best_epoch - 1] if state.best_epoch else -math.inf
        state.scores.append(score)
        later = score == best and not self.hyper.official  # small inner splits tie at their ceiling, early on
        if state.best_epoch == 0 or score > best or later or math.isnan(best) > math.isnan(score):
            state.best_epoch, state.best_weights = len(state.losses), None
            state.best_logits = torch.from_numpy(logits) if self.hyper.official else None
        state.rows = self.trainer.most
        state.seconds = time.monotonic() - self.start
        if len(state.losses) < self.hyper.epochs:
            save_state(self.folder, self.key, state, self.trainer)

    def _selected_logits(self) -> NDArray[np.float32]:
        """What the selected epoch's weights make of the reported examples."""
        if self.state.best_logits is not None:
            found: NDArray[np.float32] = self.state.best_logits.numpy()
            return found
        if self.state.best_weights is not None:
            self.trainer.model.load_state_dict(self.state.best_weights)
        return self._finite(self.trainer.logits(self.reported))

    def _finite(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        if not np.isfinite(logits).all():
            raise Diverged(f"the predictions are no numbers after epoch {len(self.state.losses)} of {self.hyper.epochs}")
        return logits

    def _outcome(self, logits: NDArray[np.float32], diverged: str | None) -> FitOutcome:
        size, most = self.hyper.batch_size, self.trainer.most
        trained: Any = self.trainer.state.global_step
        return FitOutcome(
            logits=logits,
            losses=tuple(self.state.losses),
            selection=tuple(self.state.scores),
            best_epoch=self.state.best_epoch,
            diverged=diverged,
            updates=self.total - self.trainer.state.max_steps + trained,
            truncated=sum(row.cut for row in self.reported),
            seconds=time.monotonic() - self.start,
            batch_size=min(size, most),
            accumulation=math.ceil(size / most),
        )
