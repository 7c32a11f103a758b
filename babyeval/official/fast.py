"""The fast scores of a model's checkpoints, as a submission file lists them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from babyeval.official.parts import DATA_FOLDERS, year_parts
from babyeval.official.sizes import FAST_TASKS, TRACKS, expected_sizes, expected_total, size_problem
from babyeval.official.steps import by_step, lacking_words
from babyeval.records import Score, TaskResult

_READING = {"spr": "self_paced", "rt": "eye_tracking"}
FractionsByUid = dict[str, float]


@dataclass(frozen=True, slots=True)
class FastScores:
    """The fast scores of a model's checkpoints.

    Attributes:
        content: For each key one entry per checkpoint, in the official order; null where there is none.
        tasks: The tasks that some checkpoint lacks.
        problem: What is missing, in words; None if nothing is.
    """

    content: dict[str, list[FractionsByUid | None]]
    tasks: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def empty(self) -> bool:
        """Whether no checkpoint has any score."""
        return not any(entry for entries in self.content.values() for entry in entries)


def is_fast(result: TaskResult) -> bool:
    """Whether a record may give fast scores: of the fast set, or of the whole where the task has no fast one, as officially."""
    split = "fast" if "fast" in result.task.data else "full"
    return result.status == "done" and result.split == split and result.items is not None and not result.checkpoints


def fast_scores(results: Iterable[TaskResult], protocol: str, track: str) -> FastScores:
    """Puts the fast scores of a model together, from the records of its checkpoints.

    Args:
        results: The records of one model under one backend and the year's protocol.
        protocol: The year.
        track: Whose checkpoints are listed.
    """
    found = by_step(result for result in results if is_fast(result))
    made_by = {part.key: part.made_by for part in year_parts(protocol)}
    content: dict[str, list[FractionsByUid | None]] = {key: [] for key in FAST_TASKS[protocol]}
    lacking: dict[str, list[str]] = {}
    faults = []
    for step in TRACKS[track]:
        for key, entries in content.items():
            task = made_by[key] or ""
            record, entry = found.get(step, {}).get(task), None
            if record is not None and (problem := _problem(record, protocol)):
                faults.append(f"{step}, {task}: {problem}")
            elif record is not None:
                entry = _fractions(record, protocol)
            entries.append(entry)
            if entry is None:
                lacking.setdefault(step, []).append(task)
    tasks = tuple(dict.fromkeys(task for tasks in lacking.values() for task in tasks))
    said = "; ".join([lacking_words(lacking, track, len(content)), *faults]) if lacking else None
    return FastScores(content, tasks, said)


def _problem(result: TaskResult, protocol: str) -> str | None:
    """What is wrong with a record's size; None if nothing is."""
    task = result.task.name
    if expected_sizes(protocol, task, "fast"):
        return size_problem({score.subset: score.n for score in _by_uid(result)}, protocol, task, "fast")
    rows, expected = result.items.rows if result.items else 0, expected_total(protocol, task, "fast")
    return None if rows == expected else f"it holds {rows:,} items, and {expected:,} are expected"


def _by_uid(result: TaskResult) -> list[Score]:
    return [score for score in result.scores if score.group == "uid" and score.metric == result.task.metric]


def _fractions(result: TaskResult, protocol: str) -> FractionsByUid:
    """A record's scores as fractions, correlations as they are; NaN where one is undefined, as officially."""
    task = result.task.name
    if task == "reading":
        heads = {score.subset: score for score in result.headlines}
        return {key: _fraction(heads[subset]) for key, subset in _READING.items()}
    if expected_sizes(protocol, task, "fast"):
        return {score.subset: _fraction(score) for score in _by_uid(result)}
    name = next(folder for folder, (owner, split) in DATA_FOLDERS.items() if (owner, split) == (task, "full"))
    return {name: _fraction(result.headlines[0])}  # one number: Global PIQA has its own name, WUG that of its one UID


def _fraction(score: Score) -> float:
    return math.nan if score.value is None else score.value / (100 if score.unit == "percent" else 1)
