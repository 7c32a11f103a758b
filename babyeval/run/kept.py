"""Whether an earlier record says what a run would say now."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from babyeval.families import SpanTask
from babyeval.protocols import Protocol
from babyeval.records import ModelInfo, TaskResult
from babyeval.scoring import SCORING_VERSION
from babyeval.scoring.engine import Dtype
from babyeval.store import ResultStore


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run would make, whatever the model.

    Attributes:
        task: The task.
        protocol: The decision rules.
        data: Digest of the data.
        dtype: Precision of the rows.
    """

    task: SpanTask
    protocol: Protocol
    data: str
    dtype: Dtype

    def made(self, record: TaskResult) -> bool:
        """Whether the record is of this task, rules, data and precision, and by this version; of any model."""
        how = record.provenance
        return (
            record.status == "done"
            and how is not None
            and record.data is not None
            and record.protocol == self.protocol.name
            and record.task.model_dump() == self.task.card.model_dump()  # a card's password stands in no record
            and record.data.digest == self.data
            and how.protocol_version == self.protocol.version
            and how.task_code == self.task.code_digest
            and how.babyeval == version("babyeval")
            and how.scoring_version == SCORING_VERSION
            and how.dtype == self.dtype
        )


def same_model(one: ModelInfo, other: ModelInfo) -> bool:
    """Whether two descriptions say the same; a path may be spelled otherwise, and the digest sees what it leads to."""
    return one.model_copy(update={"source": ""}) == other.model_copy(update={"source": ""})


def sweep_holds(store: ResultStore, record: TaskResult, wanted: Wanted) -> bool:
    """Whether a record over checkpoints is what its checkpoints would give now.

    A name and a glob do not say from what it was made: it is held to its own table, and to the record of each
    checkpoint that it lists, of which it is a function.
    """
    if not record.checkpoints or not wanted.made(record) or not store.items_whole(record):
        return False
    for one in record.checkpoints:
        own = record.model.model_copy(update={"revision": one.revision})
        part = store.find(own, record.task.name, record.split, record.backend, record.protocol)
        if part is None or part.checkpoints or not wanted.made(part):
            return False
        if (part.model.digest, part.model.words_seen) != (one.digest, one.words_seen):
            return False
    return True
