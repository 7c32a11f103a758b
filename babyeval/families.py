"""What a task implements; the kinds of task are in ranking.py, rating.py and reading.py."""

from __future__ import annotations

import abc
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from babyeval.card import TaskCard, load_card
from babyeval.data.jsonl import Record, read_jsonl
from babyeval.data.lookup import DataFile, DataSource
from babyeval.errors import DataError, ModelError
from babyeval.protocols import Protocol
from babyeval.records import Score
from babyeval.stats.aggregate import accuracy_scores
from babyeval.types import Item, Outcome, Row, Snapshot

if TYPE_CHECKING:
    import pandas as pd

    from babyeval.scoring.encode import Encoder
    from babyeval.scoring.tokens import Encoded


class Task:
    """What tasks of all families share.

    Args:
        card: What the task is.
        home: The folder that holds the card and the bundled files.

    Attributes:
        headline_count: How many of the first scores are headlines.
        does: What it does with a model, for ``babyeval check``.
    """

    headline_count = 1
    does = "gives a number"

    def __init__(self, card: TaskCard, home: Path) -> None:
        self.card = card
        self.home = home

    @cached_property
    def code_digest(self) -> str:
        """Digest of the Python files beside the card: decoder and criteria decide a number as much as its version."""
        total = hashlib.sha256()
        for path in sorted(self.home.glob("*.py")):
            total.update(path.name.encode() + b"\0" + path.read_bytes())
        return total.hexdigest()


class SpanTask(Task, abc.ABC):
    """A task that asks a model for log-probabilities of spans and nothing else.

    Attributes:
        decides: True if only the sign of score differences counts, so that a score far from
            the decision boundary may be computed in bfloat16.
        corrects_word_end: True if under ``robust`` it can add scores corrected for the end of words.
        across: True if its number needs several checkpoints of one training run: scores of one
            checkpoint are then only a part of it, and `trajectory` makes the number.
    """

    decides = False
    across = False
    corrects_word_end = False
    does = "makes a score of its log-probabilities"

    @abc.abstractmethod
    def items(self, source: DataSource) -> list[Item]:
        """Reads the items of a split, in file order.

        Raises:
            DataError: A line is malformed; file and line are named.
        """

    def keeps(self, item: Item, protocol: Protocol) -> bool:
        """Whether the item belongs to the task under this protocol."""
        return True

    def encode(self, items: Sequence[Item], encoder: Encoder) -> Iterator[Sequence[Encoded]]:
        """Yields for each item the queries of its spans; a task may ask in another way than span by span.

        Args:
            items: The items.
            encoder: The model's way of being asked, under one protocol's policy.
        """
        encoded = encoder.encode([span for item in items for span in item.spans])
        for item in items:
            yield list(islice(encoded, len(item.spans)))

    @abc.abstractmethod
    def outcomes(self, items: Sequence[Item], rows: Sequence[Sequence[Row]], protocol: Protocol) -> list[Outcome]:
        """What each item contributes; a pure function of the model's answers.

        Args:
            items: The items.
            rows: For each item one row per span, in the spans' order.
            protocol: The decision rules.

        Raises:
            ModelError: The protocol refuses an answer, such as NaN.
        """

    def scores(self, items: Sequence[Item], outcomes: Sequence[Outcome], protocol: Protocol) -> list[Score]:
        """The task's scores, headlines first; here outcomes are credits and the headline their accuracy.

        Args:
            items: The items.
            outcomes: What each contributes, in the same order.
            protocol: Its name may decide how scores are formed.
        """
        return accuracy_scores(self.card, items, outcomes)

    def has_nan(self, item: Item, answers: Sequence[Row], protocol: Protocol) -> bool:
        """Whether a score is not a number.

        Raises:
            ModelError: The protocol refuses such scores (D2), or a candidate has no score at all.
        """
        totals = tuple(row.total for row in answers)
        where = f"{self.card.name}, item {item.id}, candidate scores {totals}"
        if not all(row.logprobs for row in answers):
            raise ModelError(
                "A candidate has no token that can be scored.",
                where=where,
                hint="The tokenizer gives too few tokens, or nothing to condition on: see 'babyeval check'.",
            )
        nan = any(map(math.isnan, totals))
        if nan and protocol.nan == "error":
            raise ModelError(
                "The model gives NaN instead of a log-probability.",
                where=where,
                hint="The weights may be damaged or training may have diverged: 'babyeval check' looks at them.",
            )
        return nan

    def require_finite(self, item: Item, surprisals: Sequence[float], protocol: Protocol) -> None:
        """Refuses infinite surprisals where NaN is refused.

        Raises:
            ModelError: The model gives a word the probability 0.
        """
        if protocol.nan == "error" and not all(map(math.isfinite, surprisals)):
            raise ModelError(
                "The model gives a word the probability 0.",
                where=f"{self.card.name}, item {item.id}",
                hint="Its surprisal is infinite, so that nothing can be fitted to it: 'babyeval check' looks at the model.",
            )

    def margins(self, items: Sequence[Item], rows: Sequence[Sequence[Row]], protocol: Protocol) -> list[tuple[float, ...]]:
        """Distance of each of an item's decisions from its boundary, in nats; needed where ``decides``.

        Every item has as many decisions as the next.
        """
        raise NotImplementedError(f"{type(self).__name__} decides nothing")

    def trajectory(self, snapshots: Sequence[Snapshot], tokenizer: Any, protocol: Protocol) -> tuple[list[Score], pd.DataFrame]:
        """The scores over several checkpoints, headlines first, and a table behind them; needed where ``across``.

        Args:
            snapshots: The checkpoints' records, by words seen.
            tokenizer: The model's tokenizer.
            protocol: How scores are formed.

        Raises:
            UsageError: There are too few checkpoints.
        """
        raise NotImplementedError(f"{type(self).__name__} needs one checkpoint only")


Reader = Callable[[DataFile], Iterable[Record]]


class LineTask(SpanTask):
    """A task whose items are the lines of JSONL files.

    Args:
        card: What the task is.
        home: The folder that holds the card and the bundled files.
        decode: Turns one line of a data file into an item.
        read: Turns a data file into records, for files in another format than JSONL.
    """

    def __init__(self, card: TaskCard, home: Path, decode: Callable[[Record], Item], read: Reader = read_jsonl) -> None:
        super().__init__(card, home)
        self.decode = decode
        self.read = read

    @classmethod
    def beside(cls, module_file: str, decode: Callable[[Record], Item], card: str = "card.toml", **options: Any) -> Self:
        """Makes the task from the card that lies in the same folder as the calling module.

        Args:
            module_file: The caller's ``__file__``.
            decode: Turns one line of a data file into an item.
            card: Name of the card's file.
            options: Further arguments of the class.

        Raises:
            UsageError: The card is absent or wrong.
        """
        home = Path(module_file).resolve().parent
        return cls(load_card(home / card), home, decode, **options)

    def items(self, source: DataSource) -> list[Item]:
        return number_equals(self._decoded(source))

    def _decoded(self, source: DataSource) -> Iterator[Item]:
        """Decodes all lines and holds them to what the card promises."""
        declared: dict[tuple[str, str], str] = {}
        for file in source.files:
            for record in self.read(file):
                item = self.decode(record)
                if self.card.candidates is not None and len(item.spans) != self.card.candidates:
                    raise DataError(
                        f"The item has {len(item.spans)} candidates; every item of '{self.card.name}' has {self.card.candidates}.",
                        where=record.where,
                        hint="Chance and the official score hold for that number: is this the task's official file?",
                    )
                if self.card.id_field:
                    name = (record.stem, str(record[self.card.id_field]))
                    if name in declared:
                        raise DataError(
                            f"The {self.card.id_field} {name[1]!r} is declared twice.",
                            where=f"{record.where}; first in {declared[name]}",
                            hint="Get the file again from its source.",
                        )
                    declared[name] = record.where
                yield replace(item, place=f"{record.stem}, {record.where.rpartition(', ')[2]}")


def number_equals(items: Iterable[Item]) -> list[Item]:
    """Adds an ordinal to each id, so that exact duplicates in official files stay apart."""
    seen: Counter[str] = Counter()
    numbered = []
    for item in items:
        numbered.append(replace(item, id=f"{item.id}-{seen[item.id]}"))
        seen[item.id] += 1
    return numbered
