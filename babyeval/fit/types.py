"""The values that pass between tasks, the fit engine and the records of fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Pooling = Literal["first", "last", "auto", "mean"]
Padding = Literal["right", "left"]
Cut = Literal["longest", "a", "b"]
Selection = Literal["reported", "inner"]


@dataclass(frozen=True, slots=True)
class Example:
    """One line of a data file, as a classifier sees it.

    Attributes:
        id: ``<task>_<k>``, where k is the 0-based number of its line among those that hold something, as in the
            official predictions.
        text_a: The first text.
        text_b: The second text; None where the task has one only.
        label: Index of the right label among the card's labels.
        cluster: Examples of one cluster are not independent of each other (D33): those of a passage or premise; else the id.
        place: Where it stands in the data, ``file, line n``.
        digest: Hash of the line's content; equal lines have equal digests, wherever they stand.
    """

    id: str
    text_a: str
    text_b: str | None
    label: int
    cluster: str
    place: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Hyper:
    """How one fit is made: what a card and a protocol say together.

    Attributes:
        epochs: Passes over the training examples.
        batch_size: Examples of one update.
        learning_rate: Highest learning rate.
        weight_decay: AdamW's weight decay.
        decay_all: True if biases and norms decay too, as officially.
        warmup_share: The learning rate rises from 0 during the first ``int(warmup_share * updates)`` updates.
        final_share: It then falls along a cosine to this share of the highest one.
        clip: Largest norm of a gradient; None leaves gradients as they are, as officially.
        dropout: Of the head; bodies keep their own.
        drop_last: True if an epoch's last batch is left out where it is not full.
        max_length: Tokens of an input, special ones included.
        pooling: The position that the head reads: the first one, the last one, or by the architecture (``auto``:
            the last real token of causal models, the first of encoders, the decoder's start of
            encoder-decoders); or the mean over real tokens.
        padding: The side on which short inputs are filled up.
        explicit_positions: True if positions are counted from the first real token, wherever padding stands;
            False leaves that to the model, which left padding then shifts (D13).
        cut: Which text loses tokens where both are too long together: the passage, or always the longer one.
        selection: What chooses the epoch: a part of the training file, or, as officially, the reported file (D15).
        select_on: Metric by which the epoch is chosen.
        inner_share: The part of the training file that chooses the epoch, where ``selection`` is ``inner``.
        random_eval_batch: Batch size of evaluation.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    decay_all: bool
    warmup_share: float
    final_share: float
    clip: float | None
    dropout: float
    drop_last: bool
    max_length: int
    pooling: Pooling
    padding: Padding
    explicit_positions: bool
    cut: Cut
    selection: Selection
    select_on: str
    inner_share: float
    random_eval_batch: int = 64

    @property
    def official(self) -> bool:
        """True under the protocols that reproduce the official script, where how a fit selects tells them from ``robust``."""
        return self.selection == "reported"


@dataclass(frozen=True, slots=True, eq=False)
class FitOutcome:
    """What one fit gives.

    Attributes:
        logits: Of the selected epoch's weights, float32, reported examples x labels; NaN where the fit diverged.
        losses: Mean training loss of each epoch, in nats.
        selection: The metric of each epoch on what selects.
        best_epoch: The selected epoch, from 1: of equally good ones the last, officially the first.
        diverged: Why the fit was given up; None if it was not.
        updates: Optimizer steps.
        truncated: Number of reported examples that lost tokens.
        seconds: Wall time.
        batch_size: Examples of one forward pass; less than the card's after memory ran out.
        accumulation: Forward passes of one update.
    """

    logits: NDArray[np.float32]
    losses: tuple[float, ...]
    selection: tuple[float, ...]
    best_epoch: int
    diverged: str | None
    updates: int
    truncated: int
    seconds: float
    batch_size: int
    accumulation: int
