"""The questions of a run: each distinct query of all tasks and protocols, once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from babyeval.scoring.tokens import Encoded
from babyeval.types import Query, Row


@dataclass(frozen=True, slots=True)
class AskedSpan:
    """How one span's row is put together from answers.

    Attributes:
        keys: Keys of its queries, in the order of its tokens.
        truncated: True if context was cut.
        unscored: Tokens that cannot be scored.
    """

    keys: tuple[bytes, ...]
    truncated: bool
    unscored: int

    def row(self, answers: Mapping[bytes, tuple[float, ...]]) -> Row:
        """The span's row, once its queries are answered."""
        return Row(tuple(value for key in self.keys for value in answers[key]), self.truncated, self.unscored)


@dataclass(slots=True)
class Questions:
    """Collects queries.

    Attributes:
        salt: The engine's part of each key.
        queries: All distinct queries by key.
    """

    salt: bytes
    queries: dict[bytes, Query] = field(default_factory=dict)

    def ask(self, encoded: Iterable[Sequence[Encoded]]) -> list[list[AskedSpan]]:
        """Adds the queries of items, span by span, and returns, for each item, how to read its spans' answers."""
        asked: list[list[AskedSpan]] = []
        for parts in encoded:
            spans = []
            for part in parts:
                keys = tuple(query.key(self.salt) for query in part.queries)
                for key, query in zip(keys, part.queries, strict=True):
                    self.queries.setdefault(key, query)
                spans.append(AskedSpan(keys, part.truncated, part.unscored))
            asked.append(spans)
        return asked

    def of(self, asked: Sequence[Sequence[AskedSpan]]) -> dict[bytes, Query]:
        """The queries behind some items."""
        return {key: self.queries[key] for spans in asked for span in spans for key in span.keys}


class Waiting:
    """Which of several tasks still lack answers.

    Args:
        tasks: For each task its items' spans.

    Example:
        >>> one, two = (AskedSpan((key,), False, 0) for key in (b"1", b"2"))
        >>> waiting = Waiting([[[one]], [[one], [two]]])
        >>> waiting.answered([b"1"]), waiting.answered([b"2"])
        ([0], [1])
    """

    def __init__(self, tasks: Sequence[Sequence[Sequence[AskedSpan]]]) -> None:
        self._of: dict[bytes, int] = {}  # a bit for each task that asks it
        self._lacking: list[int] = []
        for i, items in enumerate(tasks):
            keys = {key for spans in items for span in spans for key in span.keys}
            for key in keys:
                self._of[key] = self._of.get(key, 0) | 1 << i
            self._lacking.append(len(keys))

    def answered(self, keys: Iterable[bytes]) -> list[int]:
        """The tasks that lack nothing any more now that these questions are answered."""
        ready = []
        for key in keys:
            tasks = self._of.pop(key, 0)
            while tasks:
                i = tasks.bit_length() - 1
                tasks ^= 1 << i
                self._lacking[i] -= 1
                if not self._lacking[i]:
                    ready.append(i)
        return sorted(ready)
