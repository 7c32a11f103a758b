"""What stands around a comparison's rows: what was compared and how, what is missing, and what a reader must know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from babyeval.comparison.alike import settings_that_differ
from babyeval.comparison.report import CORRECTIONS, SMALL, ComparisonRow
from babyeval.comparison.select import Choice, Side
from babyeval.comparison.sentences import NO_VERDICT, listed, p_value
from babyeval.errors import MissingError
from babyeval.models.naming import counted
from babyeval.models.revisions import equal_weights
from babyeval.records import TaskResult


def gaps(choice: Choice, groups: Mapping[str, Sequence[Side]], results: Sequence[TaskResult], *, named: bool) -> list[str]:
    """Which comparisons are missing for want of a record.

    Args:
        choice: The records.
        groups: What is compared: models, or the checkpoints of conditions.
        results: All records, to say what there is.
        named: Whether these were asked for by name.

    Raises:
        MissingError: One that is named has no record to compare.
    """
    lines, there = list[str](), dict[str, Sequence[Side]]()
    for name, sides in groups.items():
        absent = [side for side in sides if not any(side in records for records in choice.records.values())]
        if len(absent) < len(sides):
            there[name] = sides
        elif named:
            models = {side.name for side in sides}
            have = sorted({f"{r.task.name} {r.protocol} {r.split}" for r in results if r.model.name in models})
            raise MissingError(
                f"'{name}' has no record that could be compared under {choice.protocol}.", where=f"there is {', '.join(have)}",
                hint="Evaluate it with the same protocol and split as the others, or leave it out.",
            )  # fmt: skip
        if absent:
            lines.append(f"{listed(side.label for side in absent)}: no record that could be compared under {choice.protocol}")
    for task, records in choice.records.items():
        lacking = [name for name, sides in there.items() if not any(side in records for side in sides)]
        if lacking:
            lines.append(f"{task}: no record of {listed(lacking)}")
    return lines


def identical(choice: Choice) -> list[str]:
    """Models that are one and the same: their difference is 0 by nature (D36); as seeds they are refused."""
    weights: dict[str, str | None] = {}
    for records in choice.records.values():
        for side, result in records.items():
            if not result.checkpoints:
                weights[side.label] = result.model.weights or result.model.digest
    return [f"{' and '.join(group)} have the same weights" for group in equal_weights(weights.items())]


def out_of_reach(rows: Sequence[ComparisonRow]) -> list[str]:
    """Says so if no exchange of so few seeds could confirm anything once p-values are adjusted, or seeds are too few at all.

    The bound is for the family's least p-value: of m tests Holm's rule takes it times m; Benjamini and Hochberg's leaves it if
    all others are as small, and Benjamini and Yekutieli's then takes it times 1 + 1/2 + ... + 1/m.
    """
    lines = []
    for planned in (False, True):
        part = [row for row in rows if bool(row.contrast) == planned and row.unit == "seeds" and row.smallest_p is not None]
        if not part:
            continue
        run = [row for row in part if row.p_permutation is not None] or part  # of a contrast of three conditions none is
        least, count = min(row.smallest_p for row in run if row.smallest_p is not None), len(part)
        factor = {"holm": count, "by": sum(1 / i for i in range(1, count + 1))}.get(part[0].correction, 1)
        if least * factor <= SMALL:
            if any(row.out_of_reach for row in part):
                lines.append(f"{NO_VERDICT}: significance there rests on the t test and its normality")
            continue
        after = (
            f", and {CORRECTIONS[part[0].correction]}-adjusted over {counted(count, 'test')} none below {p_value(least * factor)}"
        )
        # Of three or more conditions no permutation is run: what an exchange could give is a bound alone.
        several = planned and all(row.p_permutation is None for row in part)
        what = "no exchange of so few seeds could give" if several else "the exact permutation of so few seeds gives"
        none = "a" if several else "no"
        lines.append(
            f"{what} {none} p below {p_value(least)}{after if count > 1 else ''}: "
            "significance here rests on the t test and its normality"
        )
    return lines


def choices(choice: Choice, sides: Sequence[Side], conditions: Mapping[str, Sequence[Side]]) -> list[str]:
    """What was compared, in lines."""
    splits: dict[str, list[str]] = {}
    backends: dict[str, dict[str, None]] = {}
    for task, records in choice.records.items():
        splits.setdefault(next(iter(records.values())).split, []).append(task)
        for side, result in records.items():
            backends.setdefault(side.label, {})[result.backend] = None
    told = [split if len(splits) == 1 else f"{split} ({', '.join(names)})" for split, names in splits.items()]
    lines = [f"Protocol: {choice.protocol}. Split: {'; '.join(told)}."]
    if any(split.startswith("mini") for split in splits):
        lines.append(
            "Mini splits are made up for trying out: they show that everything runs, and measure nothing. Report none of it."
        )
    kinds = {label: ", ".join(names) for label, names in backends.items()}
    same = len(set(kinds.values())) == 1
    scored = next(iter(kinds.values())) if same else "; ".join(f"{label}: {kind}" for label, kind in kinds.items())
    lines.append(f"Scored as {scored}.")
    if revisions := [f"{side.name}: {side.revision}" for side in sides if side.revision != "main"]:
        lines.append(f"Revisions: {'; '.join(revisions)}.")
    lines += settings_that_differ(choice)
    models = {side: records[side].model for records in choice.records.values() for side in records}
    for name, part in conditions.items():
        apart = len({side.seed for side in part} - {None}) == len(part)  # of several parents, seeds recur
        shown = ", ".join(str(side.seed) if apart else side.label for side in part)
        known = [side for side in part if side in models]
        lacking: dict[tuple[str, ...], list[str]] = {}  # which of them are not there, on which tasks
        for task, records in choice.records.items():
            absent = tuple(side.label for side in part if side not in records)
            if absent and len(absent) < len(part):
                lacking.setdefault(absent, []).append(task)
        without = "".join(f"; {', '.join(tasks)} without {listed(absent)}" for absent, tasks in lacking.items())
        origins = {models[side].parent_digest or side.label for side in known}
        origin = f" from {counted(len(origins), 'checkpoint')}" if len(origins) < len(known) else ""
        lines.append(f"{name}: {counted(len(part), 'training seed')}{origin} ({shown}){without}.")
    return lines
