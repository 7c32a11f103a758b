"""The values that pass between tasks, encoders, executors and decision rules."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text whose log-probability is asked for, given what stands before it.

    Attributes:
        text: The whole string, context and span joined.
        start: Character at which the scored part begins; 0 scores everything.
    """

    text: str
    start: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.start < max(1, len(self.text)):
            raise ValueError(f"span start {self.start} lies outside a text of {len(self.text)} characters")


class Read(NamedTuple):
    """One question about one output position.

    Attributes:
        position: Index of the output position that is read (0-based).
        target: Vocabulary id, or several ids whose probabilities are summed.
    """

    position: int
    target: int | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """What an executor answers: one model input and the log-probabilities read from it.

    Attributes:
        input_ids: Token ids given to the model (to the encoder, where there are two).
        reads: The questions, in the order in which their answers are returned.
        decoder_ids: Token ids given to the decoder of an encoder-decoder model.
    """

    input_ids: tuple[int, ...]
    reads: tuple[Read, ...]
    decoder_ids: tuple[int, ...] | None = None

    def key(self, salt: bytes = b"") -> bytes:
        """A 16-byte digest of the question; equal questions have equal keys.

        Args:
            salt: Whatever else the answer depends on (head, dtype, scoring version).
        """
        decoder = (-1,) if self.decoder_ids is None else (len(self.decoder_ids), *self.decoder_ids)
        digest = hashlib.blake2b(digest_size=16, key=salt)
        numbers = [len(self.input_ids), *self.input_ids, *decoder]
        for number in chain.from_iterable(self.reads):
            if isinstance(number, int):
                numbers.append(number)
            else:  # a set of targets: its size, told apart from an id by its sign
                digest.update(_packed((*numbers, -len(number) - 1)) + _packed_set(number))
                numbers = []
        digest.update(_packed(numbers))
        return digest.digest()


def _packed(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}i", *numbers)


@lru_cache(maxsize=8)
def _packed_set(targets: tuple[int, ...]) -> bytes:
    """Half a vocabulary may be asked for at every word: it is packed once."""
    return _packed(targets)


@dataclass(frozen=True, slots=True)
class Row:
    """The answer for one span.

    Attributes:
        logprobs: Log-probability in nats of each scored token, in text order.
        truncated: True if context had to be cut to fit the model's window.
        unscored: Number of tokens of the span that could not be scored because nothing
            stands before them (no BOS to condition on, D9).
    """

    logprobs: tuple[float, ...]
    truncated: bool = False
    unscored: int = 0

    @property
    def total(self) -> float:
        """Sum of the log-probabilities in nats, accumulated in float64."""
        return float(sum(self.logprobs))


@dataclass(frozen=True, slots=True)
class Item:
    """One unit of a benchmark: the spans it asks about and what is right.

    Attributes:
        id: Subset, content hash and ordinal among equals.
        subset: The official UID, verbatim.
        cluster: Items with one cluster are not independent of each other (D33).
        spans: What the model is asked, in the order that the task's rules expect.
        gold: Index of the right candidate, or a value to be predicted.
        meta: Further keys by which scores are grouped, for example ``field``.
        place: Where it stands in the data, ``file, line n``.
    """

    id: str
    subset: str
    cluster: str
    spans: tuple[Span, ...]
    gold: float
    meta: Mapping[str, str] = field(default_factory=dict)
    place: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one item contributes under one protocol.

    Attributes:
        item_id: The item's id.
        value: The contribution, for accuracies a credit between 0 and 1.
        raw: The numbers that were compared, one per candidate, in nats.
        prediction: Index of the chosen candidate among the item's spans.
        tied: Number of candidates that share the highest score (1: no tie).
        nan: True if a candidate's score is not a number.
        variants: The contribution by other criteria, by metric; None where one does not apply.
    """

    item_id: str
    value: float
    raw: tuple[float, ...]
    prediction: int
    tied: int = 1
    nan: bool = False
    variants: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A checkpoint's part of a number that needs several of one training run.

    Attributes:
        words_seen: Words of training.
        table: Its record's items.
        revision: Its name, for messages.
        weights: Digest of its weights, None where unknown: equal ones are one model (D36).
    """

    words_seen: int
    table: pd.DataFrame
    revision: str = ""
    weights: str | None = None
