"""The parts of a submission that are made from records of many checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from babyeval.errors import MissingError, UsageError
from babyeval.models.checkpoint import words_in_name
from babyeval.official.fast import fast_scores, is_fast
from babyeval.official.sizes import FAST_TASKS
from babyeval.official.steps import require_track, step_of, track_of
from babyeval.official.surprisals import TASK, acquisition_score, acquisition_surprisals, is_whole
from babyeval.records import TaskResult
from babyeval.store import ResultStore

OFF_SCHEDULE = (
    "Of checkpoints only those of the official schedule, by name or words seen, are parts of a submission: chck_1M, chck_2M, ..."
)


@dataclass(slots=True)
class Sweep:
    """A model's checkpoints, as a submission needs them.

    Attributes:
        store: Where the records lie.
        protocol: The year.
        results: The records of the model under one backend and the year's protocol, of all its revisions.
        track: The track that was named, if any.
        data_dir: Where the benchmark data is.
        passwords: Passwords of data archives by task.
        lacking: For each part that was asked for the tasks that some checkpoint lacks.
    """

    store: ResultStore
    protocol: str
    results: Sequence[TaskResult]
    track: str | None = None
    data_dir: Path | None = None
    passwords: Mapping[str, str] | None = None
    lacking: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def of_checkpoints(self) -> list[TaskResult]:
        """The records that official checkpoints have to give."""
        useful = (r for r in self.results if is_fast(r) or (r.task.name == TASK and is_whole(r) and not r.checkpoints))
        return [r for r in useful if step_of(r.model.revision, r.model.words_seen)]

    def part(self, key: str) -> tuple[Any, str | None]:
        """The content of a part and what is wrong with it; null, or holding nulls, where something is missing.

        Raises:
            MissingError: Data or a table is absent.
            DataError: The data is not what was scored.
        """
        steps = {step_of(r.model.revision, r.model.words_seen) or "" for r in self.of_checkpoints()}
        track = track_of(steps, self.track)
        content, problem = self._part(key, track)
        if problem and self.track is None and steps and f" of {track}" in problem:  # the guess may be wrong
            problem += f" (taken for the track {track}: --track says otherwise)"
        elif problem and not steps and (others := self._off_schedule()):
            problem += f" ({', '.join(others[:9])}{' ...' if len(others) > 9 else ''} stand on no official schedule)"
        return content, problem

    def _off_schedule(self) -> list[str]:
        """Revisions that are checkpoints by their names, and none of the official ones."""
        return sorted(
            {r.model.revision for r in self.results if words_in_name(r.model.revision) is not None and not r.checkpoints}
        )

    def _part(self, key: str, track: str) -> tuple[Any, str | None]:
        if key in ("aoa", "aoa_surprisals"):
            if key == "aoa" and self.protocol != "babylm-2025":
                content, problem = acquisition_score(self.results, track)
            else:
                content, problem = acquisition_surprisals(self.store, self.results, track, self.data_dir, self.passwords)
            self.lacking[key] = (TASK,) if problem else ()
            return content, problem
        scores = fast_scores(self.results, self.protocol, track)
        self.lacking[key] = scores.tasks
        if scores.empty:
            return None, "no checkpoint was evaluated on the fast sets"
        return scores.content, scores.problem

    def wanted(self, keys: Iterable[str]) -> str:
        """What to evaluate for these parts, as the value of ``--tasks``."""
        tasks = dict.fromkeys(task for key in keys for task in self.lacking[key])
        everything = len(FAST_TASKS[self.protocol]) + 1  # and age of acquisition
        return ",".join(tasks) if len(tasks) < everything else "zero-shot"


def surprisal_file(
    results: Path,
    protocol: str,
    *,
    model: str | None = None,
    backend: str | None = None,
    track: str | None = None,
    data_dir: Path | None = None,
    passwords: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The content of an official ``surprisal.json``, alone: see `acquisition_surprisals`.

    Args:
        results: The results folder.
        protocol: Under which the surprisals were computed.
        model: The model's name, where the folder holds several.
        backend: Likewise.
        track: As for a submission.
        data_dir: Where the benchmark data is.
        passwords: Passwords of data archives by task.

    Raises:
        MissingError: A checkpoint, its table or the data is absent.
        UsageError: Several models fit, or there is no such track.
        DataError: The data is not what was scored.
    """
    require_track(track)
    store = ResultStore(results)
    fitting = [r for r in store.results() if (r.task.name, r.protocol) == (TASK, protocol)]
    fitting = [r for r in fitting if model in (None, r.model.name) and backend in (None, r.backend)]
    there = sorted({f"{r.model.name}, {r.backend}" for r in fitting})
    if len(there) > 1:
        raise UsageError("Surprisals are those of one model under one backend.", where="; ".join(there), hint="Choose one.")
    content, problem = Sweep(store, protocol, fitting, track, data_dir, passwords).part("aoa_surprisals")
    if problem:
        raise MissingError(
            f"The surprisals of age of acquisition are incomplete: {problem}.",
            where=str(results),
            hint=f"Evaluate the checkpoints: babyeval run --model ... --revisions 'chck_*' --tasks {TASK} --protocol {protocol}.",
        )
    return dict(content)
