"""Which examples share an update, which of them share a forward pass, and how they are padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from babyeval.fit.encode import EncodedExample
from babyeval.fit.types import Padding
from babyeval.scoring.batching import group_by_budget

Read = Literal["first", "last", "mean"]

# Updates whose examples are sorted by length together: enough to save padding, few enough to stay random.
_BUCKET = 8
# With the gradients of a pass its activations should still stay in a CPU's cache (benchmarks/README.md).
_POSITIONS_CPU = 1536
_POSITIONS_GPU = 65536
UNLIMITED = 1 << 62


def training_positions(device: torch.device) -> int:
    """How many positions a forward pass of training may hold on this device."""
    return _POSITIONS_CPU if device.type == "cpu" else _POSITIONS_GPU


class EpochBatches:
    """Batches of indices in the order of one epoch; a function of seed and epoch alone, so that a fit can be resumed.

    Args:
        rows: The examples.
        size: Examples of one update.
        seed: Of the order.
        by_length: Whether examples of like length share an update, as far as a seeded shuffle brings them near each
            other; False shuffles plainly. Lengths are compared within a label: where one label's texts are longer, updates
            would otherwise see one label each, and learn little.
        drop_last: Whether the last batch is left out where it is not full.

    Attributes:
        epoch: Which epoch's order comes next, from 0.

    Example:
        >>> rows = [EncodedExample((7,) * length, None, label, False) for length in (5, 9) for label in (0, 0, 1, 1)]
        >>> sorted(sorted(batch) for batch in EpochBatches(rows, 4, seed=0, by_length=True, drop_last=False))
        [[0, 1, 2, 3], [4, 5, 6, 7]]
    """

    def __init__(self, rows: Sequence[EncodedExample], size: int, *, seed: int, by_length: bool, drop_last: bool) -> None:
        self.lengths = np.array([len(row.input_ids) for row in rows])
        self.labels = np.array([row.label for row in rows])
        self.size, self.seed, self.by_length, self.drop_last = size, seed, by_length, drop_last
        self.epoch = 0

    def __len__(self) -> int:
        whole, rest = divmod(len(self.lengths), self.size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng((self.seed, self.epoch))
        order = random.permutation(len(self.lengths))
        if self.by_length:
            buckets = range(0, len(order), _BUCKET * self.size)
            order = np.concatenate([self._sorted(order[start : start + _BUCKET * self.size]) for start in buckets])
        batches = [order[start : start + self.size].tolist() for start in range(0, len(order), self.size)][: len(self)]
        if self.by_length:
            random.shuffle(batches)
        yield from batches

    def _sorted(self, bucket: np.ndarray) -> np.ndarray:
        """A bucket in the order of each example's rank among those of its label, as a share of them."""
        rank = np.empty(len(bucket))
        for label in np.unique(self.labels[bucket]):
            (members,) = np.nonzero(self.labels[bucket] == label)
            members = members[np.argsort(self.lengths[bucket[members]], kind="stable")]
            rank[members] = (np.arange(len(members)) + 0.5) / len(members)
        return bucket[np.argsort(rank, kind="stable")]


def passes(rows: Sequence[EncodedExample], budget: int, most: int) -> list[list[EncodedExample]]:
    """Divides a batch into forward passes of like lengths, the longest first, so that memory runs out soon or never.

    Args:
        rows: The examples of one update.
        budget: Positions per pass, padding included; a longer example makes a pass of its own.
        most: Examples per pass.
    """
    ordered = sorted(rows, key=lambda row: len(row.input_ids))
    found: list[list[EncodedExample]] = []
    for start, end in group_by_budget([len(row.input_ids) for row in ordered], budget):
        found.extend(ordered[i : min(i + most, end)] for i in range(start, end, most))
    return found[::-1]


def prediction_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Batches of indices for evaluation: sorted by length, each within a budget of positions."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    return [order[start:end] for start, end in group_by_budget([lengths[i] for i in order], budget)]


@dataclass(frozen=True, slots=True)
class Collator:
    """Makes the tensors of a forward pass.

    Attributes:
        pad: Id that fills up; it is always masked.
        padding: The side that is filled up.
        first_position: Position of the first real token, given explicitly; None leaves positions to the model.
        read: Which hidden states are pooled.
        decoder_start: What the decoder begins with, of encoder-decoders; its state is then what is read.
        typed: Whether the model reads segments.
        shifts: Whether padding shifts positions, so that a row's logits depend on its company (D13).
    """

    pad: int
    padding: Padding
    first_position: int | None
    read: Read
    decoder_start: int | None
    typed: bool
    shifts: bool = False

    def __call__(self, rows: Sequence[EncodedExample], width: int | None = None) -> dict[str, Tensor]:
        """Inputs of the classifier, and labels.

        Args:
            rows: The examples, one row each.
            width: To how many positions they are filled up; None: to the longest.

        Returns:
            Of shape (rows, width): ``input_ids``, ``attention_mask``, and as the model takes them ``position_ids`` and
            ``token_type_ids``; ``reads``, which positions (or, of shape (rows, 1), the decoder's one) are pooled;
            ``labels`` of shape (rows,).
        """
        width = width or max(len(row.input_ids) for row in rows)
        lengths = torch.tensor([len(row.input_ids) for row in rows])[:, None]
        places = torch.arange(width)[None] - (width - lengths if self.padding == "left" else 0)
        mask = (places >= 0) & (places < lengths)
        inputs = {"input_ids": self._filled([row.input_ids for row in rows], mask, self.pad), "attention_mask": mask.long()}
        if self.first_position is not None:
            inputs["position_ids"] = places.clamp(min=0).minimum(lengths - 1) + self.first_position
        if self.typed:
            inputs["token_type_ids"] = self._filled([row.token_types or () for row in rows], mask, 0)
        if self.decoder_start is not None:
            inputs["decoder_input_ids"] = torch.full((len(rows), 1), self.decoder_start)
            inputs["reads"] = torch.ones(len(rows), 1, dtype=torch.bool)
        else:
            inputs["reads"] = {"mean": mask, "first": places == 0, "last": places == lengths - 1}[self.read]
        inputs["labels"] = torch.tensor([row.label for row in rows])
        return inputs

    @staticmethod
    def _filled(rows: Sequence[Sequence[int]], mask: Tensor, value: int) -> Tensor:
        filled = torch.full(mask.shape, value)
        filled[mask] = torch.tensor(list(chain.from_iterable(rows)))
        return filled
