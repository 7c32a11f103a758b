"""What the checkpoints of one run share: items are read once, and what a tokenizer makes of them is made once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from babyeval.config import RunConfig
from babyeval.data.lookup import DataSource, find_data
from babyeval.errors import DataError
from babyeval.families import SpanTask, Task
from babyeval.fit.task import Examples, FitTask
from babyeval.models.checkpoint import Checkpoint
from babyeval.models.digest import tokenizer_digest
from babyeval.progress import Reporter
from babyeval.protocols import EncodingPolicy
from babyeval.run.questions import AskedSpan, Questions
from babyeval.scoring.tries import Tries
from babyeval.types import Item

T = TypeVar("T")
Asked = dict[EncodingPolicy, dict[str, list[AskedSpan]]]


@dataclass(frozen=True, slots=True)
class Shared:
    """What checkpoints share that turn texts into the same questions.

    Attributes:
        questions: All that were asked so far.
        asked: By task, policy and item, how to read the answers.
        tries: The questions as prefix tries.
    """

    questions: Questions
    asked: dict[str, Asked] = field(default_factory=dict)
    tries: Tries = field(default_factory=Tries)


class Prepared:
    """Keeps what was prepared for one checkpoint for those that follow.

    Args:
        config: The run's configuration, the same for all.
    """

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._sources: dict[str, DataSource] = {}
        self._items: dict[str, list[Item]] = {}
        self._examples: dict[str, Examples] = {}
        self._shared: tuple[object, Shared] | None = None
        self._said: set[str] = set()

    def note_once(self, reporter: Reporter, text: str) -> None:
        """Says one sentence about the whole run, whatever the number of checkpoints."""
        if text not in self._said:
            self._said.add(text)
            reporter.note(text)

    def source(self, task: Task) -> DataSource:
        """The task's files, looked up and digested once.

        Raises:
            DataMissing: They are not there.
            DataError: An archive is damaged.
        """
        name = task.card.name
        if name not in self._sources:
            config = self._config
            self._sources[name] = find_data(task.card, task.home, config.split, config.data_dir, config.passwords)
        return self._sources[name]

    def items(self, task: SpanTask) -> list[Item]:
        """The task's items, read once.

        Raises:
            DataError: A line is malformed, or ids do not tell items apart.
        """
        name = task.card.name
        if name not in self._items:
            items = task.items(self.source(task))
            _require_ids(items)
            self._items[name] = items
        return self._items[name]

    def examples(self, task: FitTask) -> Examples:
        """What a classifier is fitted to and judged by, read once; the same objects for all protocols and seeds.

        Raises:
            DataError: A line is malformed.
            DataMissing: One of the two files is not there.
        """
        name, limit = task.card.name, self._config.limit
        if name not in self._examples:
            read = task.read(self.source(task), self._config.allow_split_valid)
            self._examples[name] = Examples(limited(read.train, limit), limited(read.reported, limit), read.split_valid)
        return self._examples[name]

    def shared_by(self, checkpoint: Checkpoint, salt: bytes) -> Shared:
        """What this checkpoint shares with the one before it; empty if texts become other questions for it.

        Only the last one's is kept: revisions of one model follow each other, and another
        tokenizer's questions would take as much memory again.
        """
        facts = (checkpoint.facts, checkpoint.backend, checkpoint.window, salt)
        name = (tokenizer_digest(checkpoint.tokenizer), *facts)
        if self._shared is None or self._shared[0] != name:
            self._shared = name, Shared(Questions(salt))
        return self._shared[1]


def _require_ids(items: list[Item]) -> None:
    """Refuses a task whose ids do not tell its items apart: protocols share answers by them."""
    for name, count in Counter(item.id for item in items).most_common(1):
        if count == 1:
            return
        raise DataError(
            f"The id '{name}' is given to {count} items.",
            hint="A task's items need ids of their own: babyeval.families.number_equals adds an ordinal to equal ones.",
        )


def limited(items: Sequence[T], limit: int | None) -> list[T]:
    """Items spread evenly over the files, so that a limited run sees every subset."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[i * len(items) // limit] for i in range(limit)]
