"""Age of acquisition as the official files have it: the surprisals of all checkpoints, and the correlation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from babyeval.acquisition import CONTEXTS
from babyeval.data.acquisition import WordContext, read_contexts
from babyeval.models.checkpoint import words_in_name
from babyeval.official.sizes import TRACKS, acquisition_problem
from babyeval.official.steps import by_step, lacking_words, step_of
from babyeval.official.stored import full_data, items_of, require_same_data
from babyeval.records import TaskResult
from babyeval.registry import get_task
from babyeval.store import ResultStore

TASK = "aoa"


def acquisition_surprisals(
    store: ResultStore,
    results: Iterable[TaskResult],
    track: str,
    data_dir: Path | None = None,
    passwords: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any] | None, str | None]:
    """The content of the official ``surprisal.json``.

    Args:
        store: Where the records lie.
        results: The records of one model under one backend and protocol.
        track: Whose checkpoints are listed.
        data_dir: Where the benchmark data is: records hold no contexts, so they are read again.
        passwords: Passwords of data archives by task.

    Returns:
        ``{"metadata": {...}, "results": [{"step", "word_count", "target_word", "context_id", "context",
        "surprisal"}]}``, surprisals in nats, checkpoint by checkpoint in the order of the data; or None and what is missing.

    Raises:
        MissingError: The data or a record's table is absent.
        DataError: The data is not what the records were made from.
    """
    found = by_step(r for r in results if r.task.name == TASK and is_whole(r) and not r.checkpoints)
    lacking = {step: [TASK] for step in TRACKS[track] if TASK not in found.get(step, {})}
    if lacking:
        return None, lacking_words(lacking, track, 1) if len(lacking) < len(TRACKS[track]) else "not evaluated"
    task = get_task(TASK)
    source = full_data(task, data_dir, passwords)
    contexts = read_contexts(next(file for file in source.files if file.stem == Path(CONTEXTS).stem))
    rows: list[dict[str, Any]] = []
    for step in TRACKS[track]:
        record = found[step][TASK]
        require_same_data(record, source)
        mine = _rows(store, step, record, contexts)
        if problem := acquisition_problem(step, len(mine)):
            return None, problem
        rows += mine
    steps = len(TRACKS[track])
    about = {"model_name": record.model.name, "use_bos_only": False, "total_steps": steps, "completed_steps": steps}
    return {"metadata": about, "results": rows}, None


def _rows(store: ResultStore, step: str, record: TaskResult, contexts: Sequence[WordContext]) -> list[dict[str, Any]]:
    """One checkpoint's surprisals in the order of the data; NaN where there is none, as officially."""
    _, table = items_of(store, record, ["word", "context_id", "value"])
    values = dict(
        zip(zip(table["word"], table["context_id"].astype(int), strict=True), table["value"].astype(float), strict=True)
    )
    return [
        {
            "step": step, "word_count": words_in_name(step), "target_word": one.word, "context_id": one.number,
            "context": one.context, "surprisal": values[one.word, one.number],
        }
        for one in contexts
    ]  # fmt: skip


def acquisition_score(results: Iterable[TaskResult], track: str) -> tuple[dict[str, float] | None, str | None]:
    """The content of the official ``aoa_score.json``: the correlation over the checkpoints of a track.

    Args:
        results: The records of one model under one backend and protocol.
        track: Whose checkpoints count; the correlation is of those whose own records are among the results.

    Returns:
        ``{"aoa": r}``; or None and what is missing.
    """
    mine = [result for result in results if result.task.name == TASK and is_whole(result)]
    over_all = [result for result in mine if result.checkpoints]
    if not over_all:
        return None, "not evaluated over the checkpoints together"
    steps = TRACKS[track]
    of_track = [r for r in over_all if len(r.checkpoints) == len(steps) and set(_refs(r)) == set(steps)]
    if not of_track:
        most = max(len(result.checkpoints) for result in over_all)
        return None, f"it was formed over {most} checkpoints that are not the {len(steps)} of {track}"
    singles = {step: named[TASK] for step, named in by_step(result for result in mine if not result.checkpoints).items()}
    own = {step: (singles[step].model.digest, _data(singles[step])) for step in steps if step in singles}
    sound = [r for r in of_track if {step: (digest, _data(r)) for step, digest in _refs(r).items()} == own]
    if not sound:
        return None, "it was formed over other checkpoints, or from other data, than the records of the checkpoints here"
    score = max(sound, key=lambda result: result.provenance.finished if result.provenance else "").headlines[0]
    return (None, f"it is undefined: {score.note}") if score.value is None else ({"aoa": score.value}, None)


def _refs(result: TaskResult) -> dict[str | None, str]:
    """Digests of the checkpoints by step."""
    return {step_of(one.revision, one.words_seen): one.digest for one in result.checkpoints}


def _data(result: TaskResult) -> str | None:
    return result.data.digest if result.data else None


def is_whole(result: TaskResult) -> bool:
    """Whether a record is of the full split, done, and has its items."""
    return result.status == "done" and result.split == "full" and result.items is not None
