"""Learning curves out of records: a task's scores against the words that a model has seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from babyeval.errors import MissingError, UsageError
from babyeval.models.revisions import by_words, equal_weights
from babyeval.records import SCHEMA_VERSION, Score, TaskResult
from babyeval.store import DamagedRecord, ResultStore

_SPLITS = ("full", "fast", "mini")  # the largest first


@dataclass(frozen=True, slots=True)
class Point:
    """One headline of one checkpoint.

    Attributes:
        line: The curve that it belongs to: the model's name, with backend and subset where a name has several.
        words_seen: Words of training.
        result: The record.
        score: The headline.
        same_weights_as: Other revisions of the line with the same weights (D36).
    """

    line: str
    words_seen: int
    result: TaskResult
    score: Score
    same_weights_as: tuple[str, ...] = ()

    def as_row(self) -> dict[str, Any]:
        """The point as plain data."""
        model = self.result.model
        about = {key: getattr(model, key) for key in ("name", "revision", "condition", "train_seed", "digest")}
        return {
            "line": self.line,
            "model": about.pop("name"),
            **about,
            "backend": self.result.backend,
            "words_seen": self.words_seen,
            "same_weights_as": list(self.same_weights_as),
            **self.score.model_dump(mode="json"),
        }


@dataclass(frozen=True, slots=True)
class Curve:
    """A task's learning curves.

    Attributes:
        task: The task.
        protocol: The protocol of all points.
        split: The split of all points.
        points: By line, then by words seen.
    """

    task: str
    protocol: str
    split: str
    points: tuple[Point, ...]

    def as_json(self) -> dict[str, Any]:
        """The curves as plain data."""
        about = {"schema_version": SCHEMA_VERSION, "task": self.task, "protocol": self.protocol, "split": self.split}
        return {**about, "points": [point.as_row() for point in self.points]}

    def equal(self) -> list[tuple[str, tuple[str, ...]]]:
        """Groups of revisions that share their weights, with their model's name."""
        weights: dict[str, dict[str, str | None]] = {}
        for point in self.points:
            weights.setdefault(point.result.model.name, {})[point.result.model.revision] = point.result.model.weights
        return [(name, group) for name, models in weights.items() for group in equal_weights(models.items())]


def selected(
    results: Iterable[TaskResult],
    *,
    model: str | None = None,
    revisions: str | None = None,
    task: str | None = None,
    protocol: str | None = None,
    split: str | None = None,
    backend: str | None = None,
) -> list[TaskResult]:
    """The records that fit everything that is given, in the order of training.

    Args:
        results: Records of a results folder.
        model: The model's name.
        revisions: A glob over revisions.
        task: The task's name.
        protocol: The protocol's name.
        split: The split's label, such as ``full`` or ``full@200``.
        backend: The backend's label.

    Raises:
        MissingError: None does; what there is is listed.
    """
    left = list(results)
    if not left:
        raise MissingError("The results folder holds no record that can be read.", hint="Fill it by 'babyeval run --out FOLDER'.")
    wanted = {"task": task, "model": model, "protocol": protocol, "split": split, "backend": backend, "revisions": revisions}
    for what, value in wanted.items():
        if value is None:
            continue
        there = sorted({_field(result, what) for result in left})
        left = [r for r in left if (fnmatchcase(_field(r, what), value) if what == "revisions" else _field(r, what) == value)]
        if not left:
            raise MissingError(
                f"No record fits --{what} {value}.", where=f"there is {', '.join(there)}", hint=f"Choose another --{what}."
            )
    return sorted(left, key=lambda r: (r.model.name, *by_words(r.model.words_seen, r.model.revision)))


def learning_curve(
    folder: Path,
    task: str,
    *,
    protocol: str | None = None,
    split: str | None = None,
    model: str | None = None,
    revisions: str | None = None,
    backend: str | None = None,
    damaged: list[DamagedRecord] | None = None,
) -> Curve:
    """A task's headlines against the words that each checkpoint has seen.

    Args:
        folder: The results folder.
        task: The task's name.
        protocol: By default ``robust`` where there is any, else the only one.
        split: By default the largest that all checkpoints have; never a limited one.
        model: Only this model.
        revisions: Only revisions that match this glob.
        backend: Only this backend.
        damaged: Takes up the errors of records that cannot be read, which then stop nothing.

    Raises:
        MissingError: No record fits, or one does not say how many words its model has seen.
        UsageError: Protocol or split have to be chosen; or a record is damaged and ``damaged`` is not given.
    """
    stored = ResultStore(folder).results(damaged=damaged)
    done = [result for result in stored if result.status == "done" and result.headlines and not result.checkpoints]
    left = selected(done, model=model, revisions=revisions, task=task, protocol=protocol, split=split, backend=backend)
    if protocol is None:
        protocol = _default_protocol(left)
        left = [result for result in left if result.protocol == protocol]
    if split is None:
        split = _default_split(left)
        left = [result for result in left if result.split == split]
    _require_words(left)
    return Curve(task, protocol, split, tuple(_points(left)))


def _field(result: TaskResult, what: str) -> str:
    names = {"task": result.task.name, "model": result.model.name, "revisions": result.model.revision}
    return names[what] if what in names else str(getattr(result, what))


def _default_protocol(results: Sequence[TaskResult]) -> str:
    there = sorted({result.protocol for result in results})
    if "robust" in there or len(there) == 1:
        return "robust" if "robust" in there else there[0]
    raise UsageError("There are results under several protocols.", where=", ".join(there), hint="Choose one by --protocol.")


def _default_split(results: Sequence[TaskResult]) -> str:
    checkpoints: dict[tuple[str, str, str], set[str]] = {}
    for result in results:
        checkpoints.setdefault((result.model.name, result.model.revision, result.backend), set()).add(result.split)
    for split in _SPLITS:
        if all(split in splits for splits in checkpoints.values()):
            return split
    having = {
        split: sum(split in splits for splits in checkpoints.values()) for split in sorted(set().union(*checkpoints.values()))
    }
    raise UsageError(
        "No split was evaluated on all checkpoints.",
        where=", ".join(f"{split}: {count} of {len(checkpoints)}" for split, count in having.items()),
        hint="Choose one by --split, or evaluate the others on it too.",
    )


def _require_words(results: Sequence[TaskResult]) -> None:
    unknown = [f"{result.model.name} ({result.model.revision})" for result in results if result.model.words_seen is None]
    if unknown:
        raise MissingError(
            f"{len(unknown)} of {len(results)} records do not say how many words their model has seen.",
            where=", ".join(dict.fromkeys(unknown)),
            hint="Leave them out by --revisions 'chck_*' or --model NAME; or say it in the checkpoint's babyeval.json, "
            '{"words_seen": 10000000}, and run again: rows are cached.',
        )


def _points(results: Sequence[TaskResult]) -> list[Point]:
    backends: dict[str, set[str]] = {}
    weights: dict[str, dict[str, str | None]] = {}
    for result in results:
        backends.setdefault(result.model.name, set()).add(result.backend)
        weights.setdefault(result.model.name, {})[result.model.revision] = result.model.weights
    points = []
    for result in results:
        name, revision, words = result.model.name, result.model.revision, result.model.words_seen
        assert words is not None
        twins = next((group for group in equal_weights(weights[name].items()) if revision in group), ())
        for score in result.headlines:
            parts = (name, result.backend if len(backends[name]) > 1 else "", score.subset if len(result.headlines) > 1 else "")
            others = tuple(twin for twin in twins if twin != revision)
            points.append(Point(", ".join(filter(None, parts)), words, result, score, others))
    return sorted(points, key=lambda point: (point.line, point.words_seen, point.result.model.revision))
