"""What makes records comparable: the same task, data, rules and scoring; what differs is refused or told."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from babyeval.comparison.select import CORRECTED, Choice
from babyeval.errors import UsageError
from babyeval.records import TaskResult


def require_comparable(choice: Choice) -> None:
    """Refuses to compare what was not measured alike.

    Raises:
        UsageError: Versions of a task or protocol, or the data, differ: all such tasks are named.
    """
    problems: dict[str, str] = {}
    for task, records in choice.records.items():
        for what, of in ALIKE.items():
            values: dict[str, list[str]] = {}
            for side, result in records.items():
                value = of(result)
                if value is not None:
                    values.setdefault(value, []).append(side.label)
            if len(values) > 1 and task not in problems:
                said = "; ".join(f"{value[:12]}: {', '.join(labels)}" for value, labels in values.items())
                problems[task] = f"{task}: {what} ({said})"
    if problems:
        others = [task for task in choice.records if task not in problems]
        leave = f" Or leave them out: --tasks {','.join(others)}." if others else ""
        raise UsageError(
            f"{len(problems)} of {len(choice.records)} tasks were not measured alike, so that their scores are not comparable.",
            where="\n    ".join(["", *problems.values()]),
            hint=f"Evaluate the models again with the same version and data ('babyeval run' makes anew what is old).{leave}",
        )


def way_of_scoring(result: TaskResult) -> str:
    """The backend; values that are corrected for the word's end have the same headlines as plain ones."""
    return result.backend.removesuffix(CORRECTED)


def ways_that_differ(names: tuple[str, str], sides: tuple[Iterable[TaskResult], Iterable[TaskResult]]) -> str | None:
    """Says so if both sides of a comparison were scored in different ways, which may be what differs."""
    a, b = (", ".join(dict.fromkeys(map(way_of_scoring, results))) for results in sides)
    return f"scored in different ways: {names[0]} as {a}, {names[1]} as {b}" if a and b and a != b else None


def settings_that_differ(choice: Choice, naming: Callable[[list[str]], str] = ", ".join) -> list[str]:
    """Settings of scoring that differ between records which the same backend made, in lines; ``naming`` lists the models."""
    found: dict[str, dict[str, dict[str, None]]] = {}
    for records in choice.records.values():
        for what in _SETTINGS:
            ways: dict[str, dict[str, list[str]]] = {}
            for side, result in records.items():
                if result.provenance is not None and result.imported is None:
                    value = str(getattr(result.provenance, what))
                    ways.setdefault(way_of_scoring(result), {}).setdefault(value, []).append(side.label)
            for values in ways.values():
                for value, labels in values.items() if len(values) > 1 else ():
                    found.setdefault(what, {}).setdefault(value, {}).update(dict.fromkeys(labels))
    return [
        f"Scored with different settings, {_SETTINGS[what]}: "
        + "; ".join(f"{value} ({naming(list(labels))})" for value, labels in values.items())
        + "."
        for what, values in found.items()
    ]


def _task_version(result: TaskResult) -> str | None:
    return f"version {result.task.version}"


def _data_digest(result: TaskResult) -> str | None:
    return result.data.digest if result.data is not None else None  # a report of rounded scores does not know its data


def _protocol_version(result: TaskResult) -> str | None:
    return f"version {result.provenance.protocol_version}" if result.provenance is not None else None


def _task_code(result: TaskResult) -> str | None:
    """The task's own code; a custom task may be changed without a new version."""
    return (result.provenance.task_code or None) if result.provenance is not None and result.imported is None else None


def _scoring_version(result: TaskResult) -> str | None:
    """Of scores that were computed here; official files bring their own."""
    known = result.provenance is not None and result.imported is None
    return f"version {result.provenance.scoring_version}" if known and result.provenance else None


_SETTINGS = {
    "dtype": "precision", "masking": "masking", "word_end": "correction for the word's end", "window": "window",
    "truncation": "truncation",
}  # fmt: skip
ALIKE = {
    "different versions of the task": _task_version,
    "different code of the task": _task_code,
    "different versions of scoring": _scoring_version,
    "different data": _data_digest,
    "different versions of the protocol": _protocol_version,
}
