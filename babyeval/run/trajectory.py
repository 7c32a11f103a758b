"""What several checkpoints of one training run give together: one record over all of them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from typing import Any

from babyeval.config import RunConfig
from babyeval.errors import BabyevalError, MissingError, UsageError
from babyeval.families import SpanTask
from babyeval.models.checkpoint import Checkpoint
from babyeval.models.revisions import by_words
from babyeval.progress import Reporter
from babyeval.protocols import PROTOCOLS
from babyeval.records import CheckpointRef, Counts, TaskResult, Timing
from babyeval.registry import resolve_tasks
from babyeval.run.plan import unexpected
from babyeval.store import ITEMS_FILE, ResultStore
from babyeval.types import Snapshot


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
    tokenizers = {(one.name, one.revision): one.tokenizer for one in checkpoints}
    further = []
    for task in resolve_tasks(list(config.tasks)):
        if not isinstance(task, SpanTask) or not task.across or config.revisions is None:
            continue
        mine = [result for result in results if result.task.name == task.card.name]
        lines: dict[tuple[str, str, str, str], list[TaskResult]] = {}
        for result in mine:
            if result.status == "done":
                lines.setdefault((result.model.name, result.protocol, result.split, result.backend), []).append(result)
        for (name, protocol, *_), parts in lines.items():
            reporter.note(f"{name}: {task.card.name} over {len(parts)} checkpoints ({protocol})")
            parts.sort(key=lambda part: by_words(part.model.words_seen, part.model.revision))
            known = [part for part in parts if part.model.words_seen is not None] or parts
            left_out = [f"{part.model.revision} (words seen unknown)" for part in parts if part not in known]
            left_out += [
                f"{result.model.revision} ({result.status})"
                for result in mine
                if (result.model.name, result.protocol) == (name, protocol) and result.status != "done"
            ]
            further.append(_over_all(config, task, known, left_out, tokenizers[name, known[-1].model.revision]))
    return further


def _over_all(
    config: RunConfig, task: SpanTask, parts: Sequence[TaskResult], left_out: Sequence[str], tokenizer: object
) -> TaskResult:
    """One record out of many; what goes wrong concerns it alone."""
    store = ResultStore(config.out)
    start = time.monotonic()
    about = _identity(config, parts)
    try:
        if parts[0].model.words_seen is None:
            raise UsageError(
                "It is not known how many words the checkpoints have seen.",
                hint='Name them like chck_10M, or say it in each one\'s babyeval.json: {"words_seen": 10000000}.',
            )
        scores, table = task.trajectory(_snapshots(store, parts), tokenizer, PROTOCOLS[parts[0].protocol])
    except UsageError as error:  # there are too few
        return TaskResult(**about, status="not_applicable", error=str(error))
    except BabyevalError as error:
        return TaskResult(**about, status="skipped" if isinstance(error, MissingError) else "failed", error=str(error))
    except Exception as error:  # a plug-in's own code may fail in any way
        return TaskResult(**about, status="failed", error=str(unexpected(task.card.name, error)))
    headlines = scores[: task.headline_count]
    if left_out:
        note = f"without {', '.join(left_out)}"
        scores = [
            score.model_copy(update={"note": "; ".join(filter(None, (score.note, note)))}) if score in headlines else score
            for score in scores
        ]
    result = TaskResult(
        **about,
        status="done",
        headlines=tuple(scores[: task.headline_count]),
        scores=tuple(scores),
        counts=_counts(parts, len(table)),
        data=parts[-1].data,
        provenance=parts[-1].provenance,
        timing=Timing(seconds=time.monotonic() - start, rows_computed=0, rows_cached=0, positions=0, trie_nodes=0),
    )
    try:
        return store.write(result, table)
    except MissingError as error:  # the disk is full
        return TaskResult(**about, status="skipped", error=str(error))


def _snapshots(store: ResultStore, parts: Sequence[TaskResult]) -> list[Snapshot]:
    import pandas as pd

    tables = [pd.read_parquet(store.folder_of(part) / ITEMS_FILE) for part in parts]
    return [Snapshot(part.model.words_seen or 0, table) for part, table in zip(parts, tables, strict=True)]


def _identity(config: RunConfig, parts: Sequence[TaskResult]) -> dict[str, Any]:
    """What the record is about: all checkpoints, under the glob that chose them."""
    last = parts[-1]
    digest = hashlib.sha256("".join(part.model.digest for part in parts).encode()).hexdigest()
    model = last.model.model_copy(
        update={"revision": config.revisions, "commit": None, "digest": digest, "weights": None, "words_seen": None}
    )
    return {
        "task": last.task,
        "model": model,
        "checkpoints": tuple(
            CheckpointRef(
                revision=part.model.revision,
                words_seen=part.model.words_seen,
                digest=part.model.digest,
                weights=part.model.weights,
            )
            for part in parts
        ),
        "protocol": last.protocol,
        "split": last.split,
        "backend": last.backend,
    }


def _counts(parts: Sequence[TaskResult], words: int) -> Counts:
    """What happened to items of any checkpoint."""
    counts = [part.counts for part in parts if part.counts is not None]
    sums = {key: sum(getattr(one, key) for one in counts) for key in ("ties", "nan", "truncated", "unscored")}
    return Counts(items=words, **sums)
