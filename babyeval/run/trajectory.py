"""What several checkpoints of one training run give together: one record over all of them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from babyeval.config import RunConfig
from babyeval.errors import BabyevalError, MissingError, UsageError
from babyeval.families import SpanTask
from babyeval.models.checkpoint import Checkpoint
from babyeval.models.naming import counted
from babyeval.models.revisions import by_words, equal_weights
from babyeval.progress import Reporter
from babyeval.protocols import PROTOCOLS
from babyeval.records import CheckpointRef, Counts, TaskResult, Timing
from babyeval.registry import resolve_tasks
from babyeval.run.kept import Wanted, same_model, sweep_holds
from babyeval.run.plan import unexpected
from babyeval.run.provenance import now
from babyeval.scoring.engine import Dtype
from babyeval.store import ITEMS_FILE, ResultStore
from babyeval.types import Snapshot

if TYPE_CHECKING:
    import pandas as pd

_WITHOUT = "without "


def add_trajectories(
    config: RunConfig, checkpoints: Iterable[Checkpoint], results: Sequence[TaskResult], reporter: Reporter
) -> list[TaskResult]:
    """Makes the records over all checkpoints, for tasks whose number needs several.

    Args:
        config: What was run, with the glob that chose the revisions.
        checkpoints: The models that could be opened.
        results: The records of each of them.
        reporter: Shows progress.

    Returns:
        One further result per such task, model, protocol and backend; empty without a glob.
    """
    tokenizers = {(one.name, one.source, one.revision): one.tokenizer for one in checkpoints}
    further = []
    for task in resolve_tasks(list(config.tasks)):
        if not isinstance(task, SpanTask) or not task.across or config.revisions is None:
            continue
        mine = [result for result in results if result.task.name == task.card.name]
        lines: dict[tuple[str, str, str, str, str], list[TaskResult]] = {}
        for result in mine:
            if result.status == "done":
                key = (result.model.name, result.model.source, result.protocol, result.split, result.backend)
                lines.setdefault(key, []).append(result)
        for (name, source, protocol, *_), parts in lines.items():
            reporter.note(f"{name}: {task.card.name} over {counted(len(parts), 'checkpoint')} ({protocol})")
            parts.sort(key=lambda part: by_words(part.model.words_seen, part.model.revision))
            known = [part for part in parts if part.model.words_seen is not None] or parts
            left_out = [f"{part.model.revision} (words seen unknown)" for part in parts if part not in known]
            left_out += [
                f"{result.model.revision} ({result.status})"
                for result in mine
                if (result.model.name, result.model.source, result.protocol) == (name, source, protocol)
                and result.status != "done"
            ]
            tokenizer = tokenizers[name, source, known[-1].model.revision]
            further.append(_over_all(_Line(config, task, known, left_out), tokenizer, reporter))
    return further


@dataclass(frozen=True, slots=True)
class _Line:
    """The checkpoints of one model under one protocol.

    Attributes:
        config: What was run.
        task: The task.
        parts: Their records, by words seen.
        left_out: Which others there are, and why they are not among them.
    """

    config: RunConfig
    task: SpanTask
    parts: Sequence[TaskResult]
    left_out: Sequence[str]

    def note(self) -> str:
        """What a reader of the number must know of its checkpoints."""
        equal = equal_weights((part.model.revision, part.model.weights) for part in self.parts)
        said = [f"{' and '.join(group)} have the same weights" for group in equal]
        return "; ".join(said + ([f"{_WITHOUT}{', '.join(self.left_out)}"] if self.left_out else []))

    def identity(self) -> dict[str, Any]:
        """What the record is about: all checkpoints, under the glob that chose them."""
        last = self.parts[-1]
        digest = hashlib.sha256("".join(part.model.digest for part in self.parts).encode()).hexdigest()
        model = last.model.model_copy(
            update={"revision": self.config.revisions, "commit": None, "digest": digest, "weights": None, "words_seen": None}
        )
        return {
            "task": self.task.card,
            "model": model,
            "checkpoints": tuple(
                CheckpointRef(
                    revision=part.model.revision,
                    words_seen=part.model.words_seen,
                    digest=part.model.digest,
                    weights=part.model.weights,
                )
                for part in self.parts
            ),
            "protocol": last.protocol,
            "split": last.split,
            "backend": last.backend,
        }

    def stored(self, store: ResultStore) -> TaskResult | None:
        """The record that a new one would replace, if it is what its checkpoints would give now."""
        last = self.parts[-1]
        assert last.data is not None
        assert last.provenance is not None
        model = self.identity()["model"]
        old = store.find(model, self.task.card.name, last.split, last.backend, last.protocol)
        dtype: Dtype = "bfloat16" if last.provenance.dtype == "bfloat16" else "float32"
        wanted = Wanted(self.task, PROTOCOLS[last.protocol], last.data.digest, dtype)
        return old if old is not None and sweep_holds(store, old, wanted) else None

    def says(self, old: TaskResult) -> bool:
        """Whether an earlier record is of the same checkpoints, and tells as much of those left out."""
        about, note = self.identity(), self.note()
        told = all(
            (head.note or "").endswith(note) and (_WITHOUT in (head.note or "")) == bool(self.left_out) for head in old.headlines
        )
        return same_model(old.model, about["model"]) and old.checkpoints == about["checkpoints"] and told


def _over_all(line: _Line, tokenizer: object, reporter: Reporter) -> TaskResult:
    """One record out of many; what goes wrong concerns it alone."""
    store = ResultStore(line.config.out)
    about = line.identity()
    try:
        old = line.stored(store)
        if old is not None and not line.config.fresh and line.says(old):
            return old
        try:
            result, table = _computed(line, store, tokenizer)
        except UsageError as error:  # there are too few
            return TaskResult(**about, status="not_applicable", error=str(error))
        if old is not None and line.left_out and _digests(old) > _digests(result):
            many = f"{len(old.checkpoints)} checkpoints"
            reporter.note(
                f"{result.model.name}: the record over {many} is kept; the one without {', '.join(line.left_out)} is not stored"
            )
            return _noted(result, f"not stored, in favour of the record over {many}")
        return store.write(result, table)
    except BabyevalError as error:  # among others a full disk
        return TaskResult(**about, status="skipped" if isinstance(error, MissingError) else "failed", error=str(error))
    except Exception as error:  # a plug-in's own code may fail in any way
        return TaskResult(**about, status="failed", error=str(unexpected(line.task.card.name, error)))


def _computed(line: _Line, store: ResultStore, tokenizer: object) -> tuple[TaskResult, pd.DataFrame]:
    """The record, not written yet, and its table."""
    start = time.monotonic()
    parts, task = line.parts, line.task
    last = parts[-1]
    if parts[0].model.words_seen is None:
        raise UsageError(
            "It is not known how many words the checkpoints have seen.",
            hint='Name them like chck_10M, or say it in each one\'s babyeval.json: {"words_seen": 10000000}.',
        )
    scores, table = task.trajectory(_snapshots(store, parts), tokenizer, PROTOCOLS[last.protocol])
    assert last.provenance is not None
    result = TaskResult(
        **line.identity(),
        status="done",
        headlines=tuple(scores[: task.headline_count]),
        scores=tuple(scores),
        counts=_counts(parts, len(table)),
        data=last.data,
        provenance=last.provenance.model_copy(update={"finished": now()}),
        timing=Timing(seconds=time.monotonic() - start, rows_computed=0, rows_cached=0, positions=0, trie_nodes=0),
    )
    return _noted(result, line.note()), table


def _noted(result: TaskResult, note: str) -> TaskResult:
    """The same with a note to its headlines."""
    count = len(result.headlines)
    heads = tuple(
        head.model_copy(update={"note": "; ".join(filter(None, (head.note, note))) or None}) for head in result.headlines
    )
    return result.model_copy(update={"headlines": heads, "scores": heads + result.scores[count:]})


def _digests(record: TaskResult) -> set[str]:
    return {one.digest for one in record.checkpoints}


def _snapshots(store: ResultStore, parts: Sequence[TaskResult]) -> list[Snapshot]:
    import pandas as pd

    tables = [pd.read_parquet(store.folder_of(part) / ITEMS_FILE) for part in parts]
    return [
        Snapshot(part.model.words_seen or 0, table, part.model.revision, part.model.weights)
        for part, table in zip(parts, tables, strict=True)
    ]


def _counts(parts: Sequence[TaskResult], words: int) -> Counts:
    """What happened to items of any checkpoint."""
    counts = [part.counts for part in parts if part.counts is not None]
    sums = {key: sum(getattr(one, key) for one in counts) for key in ("ties", "nan", "truncated", "unscored")}
    return Counts(items=words, **sums)
