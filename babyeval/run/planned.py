"""One task under one protocol, as a plan holds it: of spans, or to be fine-tuned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from babyeval.data.lookup import DataSource
from babyeval.errors import BabyevalError
from babyeval.families import SpanTask, Task
from babyeval.protocols import Protocol
from babyeval.records import TaskResult
from babyeval.run.questions import AskedSpan
from babyeval.types import Item

if TYPE_CHECKING:
    from babyeval.fit.task import FitTask
    from babyeval.fit.types import Example, Hyper

State = Literal["run", "kept", "failed", "skipped", "not_applicable"]


@dataclass(slots=True)
class Planned:
    """One task under one protocol.

    Attributes:
        task: The task.
        protocol: The decision rules.
        state: What will happen to it.
        split: The split's label, ``full@200`` if limited.
        source: Its files, if they were found.
        error: Why it is failed, skipped or not applicable.
        result: The record that is kept.
    """

    task: Task
    protocol: Protocol
    state: State
    split: str
    source: DataSource | None = None
    error: BabyevalError | None = None
    result: TaskResult | None = None


@dataclass(slots=True)
class PlannedTask(Planned):
    """A task that asks about spans.

    Attributes:
        items: Its items, if it has to be run.
        asked: For each item, how to read its spans' answers.
    """

    task: SpanTask
    items: list[Item] = field(default_factory=list)
    asked: list[list[AskedSpan]] = field(default_factory=list)


@dataclass(slots=True)
class PlannedFit(Planned):
    """A task that a copy of the checkpoint is fine-tuned on, once for each seed.

    Attributes:
        hyper: How it is fitted.
        train: The examples to learn from, if it has to be run.
        reported: The examples whose predictions are scored, likewise.
        split_valid: Both are parts of the reported file, for want of a training file.
        seeds: The seeds of the summary: those asked for, and others that are there already.
        kept: The seeds' records that are there already.
    """

    task: FitTask
    hyper: Hyper | None = None
    train: list[Example] = field(default_factory=list)
    reported: list[Example] = field(default_factory=list)
    split_valid: bool = False
    seeds: tuple[int, ...] = ()
    kept: dict[int, TaskResult] = field(default_factory=dict)

    @property
    def todo(self) -> list[int]:
        """The seeds whose fit is still to be made."""
        return [seed for seed in self.seeds if seed not in self.kept]
