"""The official checkpoints of a training run: which of a model's revisions is which, and what is to be run for those that lack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from babyeval.errors import UsageError
from babyeval.models.checkpoint import words_in_name
from babyeval.official.sizes import TRACKS
from babyeval.records import TaskResult

_WORDS = {words_in_name(step): step for step in TRACKS["strict"]}


def step_of(revision: str, words_seen: int | None) -> str | None:
    """The official checkpoint that a revision is, by its name, else by the words that it has seen; None if it is none.

    Example:
        >>> step_of("chck_10M", 10_003_200), step_of("step-500", 2_000_000), step_of("main", 10_000_000)
        ('chck_10M', 'chck_2M', None)
    """
    if revision in TRACKS["strict"]:
        return revision
    return None if revision == "main" or words_seen is None else _WORDS.get(words_seen)


def by_step(results: Iterable[TaskResult]) -> dict[str, dict[str, TaskResult]]:
    """The records of each official checkpoint by task.

    Of several revisions that have seen as many words it is the one of the checkpoint's name, else the first by name.

    Args:
        results: Records of one model, backend and protocol, one per revision and task.
    """
    revisions: dict[str, dict[str, dict[str, TaskResult]]] = {}
    for result in results:
        step = step_of(result.model.revision, result.model.words_seen)
        if step is not None:
            revisions.setdefault(step, {}).setdefault(result.model.revision, {})[result.task.name] = result
    return {step: named.get(step) or named[min(named)] for step, named in revisions.items()}


def track_of(steps: Iterable[str], track: str | None) -> str:
    """The track that is meant: the one that is named, else ``strict`` if there are checkpoints beyond those of strict-small."""
    return track or ("strict-small" if set(steps) <= set(TRACKS["strict-small"]) else "strict")


def require_track(track: str | None) -> None:
    """Refuses an unknown track.

    Raises:
        UsageError: There is no such track.
    """
    if track is not None and track not in TRACKS:
        raise UsageError(
            f"'{track}' is no track.",
            hint=f"Choose --track {' or '.join(TRACKS)}; the other tracks have the checkpoints of strict.",
        )


def lacking_words(lacking: Mapping[str, Sequence[str]], track: str, everything: int) -> str:
    """Which checkpoints lack which tasks, in words.

    Args:
        lacking: For each checkpoint the tasks that it lacks.
        track: The track.
        everything: How many tasks there are.

    Example:
        >>> lacking_words({"chck_1M": ["ewok"], "chck_3M": ["ewok"]}, "strict-small", 7)
        '2 of the 19 checkpoints of strict-small lack scores: chck_1M, chck_3M (ewok)'
    """
    alike: dict[tuple[str, ...], list[str]] = {}
    for step, tasks in lacking.items():
        alike.setdefault(tuple(tasks), []).append(step)
    parts = []
    for tasks, steps in alike.items():
        parts.append(", ".join(steps) + ("" if len(tasks) == everything else f" ({', '.join(tasks)})"))
    return f"{len(lacking)} of the {len(TRACKS[track])} checkpoints of {track} lack scores: {'; '.join(parts)}"
