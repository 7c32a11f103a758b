"""Compares models or training conditions out of a results folder, and says what each number may claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from babyeval.comparison.conditions import (
    Contrast,
    compare_contrast,
    compare_pair_of_conditions,
    conditions_of,
    planned_contrasts,
    require_seeds,
)
from babyeval.comparison.pairs import compare_pair
from babyeval.comparison.report import CORRECTIONS, LEVELS, SMALL, CompareReport, ComparisonRow, Correction, Level, Measured
from babyeval.comparison.select import Choice, Side, choose, read_records, require_comparable, sides_of
from babyeval.comparison.sentences import paragraph, row_sentence
from babyeval.errors import UsageError
from babyeval.models.naming import counted
from babyeval.models.revisions import equal_weights
from babyeval.records import TaskResult
from babyeval.store import ResultStore


class _Pair(NamedTuple):
    """Two names that are compared, and what was measured on each task."""

    a: str
    b: str
    measured: Mapping[str, Sequence[Measured]]
    contrast: str | None = None


def compare(
    results: str | Path = "results",
    *names: str,
    by: str | None = None,
    protocol: str | None = None,
    split: str | None = None,
    backend: str | None = None,
    revision: str | None = None,
    tasks: str | Sequence[str] = "all",
    level: Level | None = None,
    correction: Correction = "holm",
    baseline: str | None = None,
    contrasts: Sequence[str] = (),
) -> CompareReport:
    """Compares models, or training conditions, from records alone: no model is loaded.

    Two models are compared on the same items, task by task: by t over the subsets' mean differences where there are ten
    subsets or more, else by the paired error over items, which speaks of these exact subsets alone; correlations by
    the paired bootstrap, reading by held-out log-likelihoods, fine-tuned models over their seeds and items. Conditions are
    compared by Welch's t over training seeds (docs/how-to-report.md).

    Args:
        results: The results folder.
        names: Models, as ``NAME`` or ``NAME@REVISION``, or, with ``by="condition"``, conditions; none: all, if they are few.
        by: ``condition`` compares training conditions.
        protocol: By default ``robust``, else the only one that all share.
        split: By default, task by task, the largest that all have.
        backend: Which records to take of models that were scored in several ways.
        revision: Which revision of models with several; by default ``main`` or ``final``.
        tasks: ``all``, or names of groups and tasks.
        level: The unit: ``items``, ``subsets`` or ``seeds`` (the same as ``by="condition"``, and refused for one seed). With
            conditions, ``subsets`` widens the claim to subsets like these by a mixed model.
        correction: ``holm``, ``bh``, ``by`` or ``maxt``.
        baseline: Compare all others with this one, instead of all pairs.
        contrasts: Planned contrasts of conditions, such as ``a,b against c``.

    Returns:
        The rows, in words too, and what a reader must know.

    Raises:
        UsageError: A name or option is wrong, or what would be compared was not measured alike.
        MissingError: The folder is empty, or there is nothing in common.

    Example:
        >>> report = compare("results", "tiny-llama", "tiny-bert", tasks="blimp")  # doctest: +SKIP
        >>> report.rows[0].difference, report.rows[0].p_adjusted  # doctest: +SKIP
        (4.3, 0.012)
    """
    by = _checked(by, level, correction, contrasts)
    store = ResultStore(Path(results))
    named = names if by is None else ()
    stored = read_records(store, (*named, *((baseline,) if baseline and named else ())))
    given = (*names, baseline) if baseline and names and baseline not in names else names
    conditions: dict[str, list[Side]] = {}
    if by is None:
        sides = sides_of(stored.results, given, revision)
    else:
        conditions = conditions_of(stored.results, given, revision)
        sides = [side for part in conditions.values() for side in part]
        if level == "seeds":
            require_seeds(conditions)
    words = tasks if isinstance(tasks, str) else ",".join(tasks)
    choice = choose(stored.results, sides, tasks=words, protocol=protocol, split=split, backend=backend)
    require_comparable(choice)
    labels = list(conditions) if by else [side.label for side in sides]
    pairs = _pairs(labels, baseline)
    if by is None:
        of = {side.label: side for side in sides}
        made = [_compare_models(store, choice, of[a], of[b], level) for a, b in pairs]
        planned: list[_Pair] = []
    else:
        made = [_compare_conditions(choice, a, b, conditions, level) for a, b in pairs]
        planned = [_planned(choice, one, conditions) for one in planned_contrasts(list(conditions), contrasts)]
    rows = [*_family(made, choice, correction), *_family(planned, choice, correction)]
    warnings = [*stored.damaged, *_identical(choice), *choice.left_out, *_out_of_reach(rows)]
    z = None
    if by is not None:
        from babyeval.comparison.zscores import condition_z_scores

        z = condition_z_scores(choice, conditions, baseline)
    return CompareReport(tuple(rows), tuple(_paragraphs(rows)), tuple(_choices(choice, sides, conditions)), tuple(warnings), z)


def _checked(by: str | None, level: str | None, correction: str, contrasts: Sequence[str]) -> str | None:
    """Refuses options that do not fit, and tells whether conditions are compared."""
    if by not in (None, "condition"):
        raise UsageError(f"There is no comparison by '{by}'.", hint="Choose --by condition, or leave it out to compare models.")
    if level not in (None, *LEVELS):
        raise UsageError(f"There is no level '{level}'.", hint=f"Choose by --level: {', '.join(LEVELS)}.")
    if correction not in CORRECTIONS:
        raise UsageError(f"There is no correction '{correction}'.", hint=f"Choose by --correction: {', '.join(CORRECTIONS)}.")
    if by == "condition" and level == "items":
        raise UsageError("Items are no replications of a training condition.", hint="Leave out --level items, or --by condition.")
    by = "condition" if level == "seeds" else by
    if by is None and contrasts:
        raise UsageError("A contrast is of conditions.", hint="Add --by condition.")
    if by is not None and correction == "maxt":
        raise UsageError(
            "max-T flips the signs of items or subsets, and conditions are compared over seeds.", hint="Take --correction holm."
        )
    return by


def _pairs(labels: Sequence[str], baseline: str | None) -> list[tuple[str, str]]:
    if baseline is None:
        return list(combinations(labels, 2))
    if baseline not in labels:
        raise UsageError(
            f"The baseline '{baseline}' is not among what is compared.", where=", ".join(labels), hint="Name one of these."
        )
    return [(label, baseline) for label in labels if label != baseline]


def _compare_models(store: ResultStore, choice: Choice, a: Side, b: Side, level: Level | None) -> _Pair:
    there = {task: records for task, records in choice.records.items() if a in records and b in records}
    return _Pair(a.label, b.label, {task: compare_pair(store, r[a], r[b], level) for task, r in there.items()})


def _compare_conditions(choice: Choice, a: str, b: str, conditions: Mapping[str, Sequence[Side]], level: Level | None) -> _Pair:
    measured = {
        task: compare_pair_of_conditions(choice, task, conditions[a], conditions[b], level)
        for task, records in choice.records.items()
        if all(any(side in records for side in conditions[name]) for name in (a, b))
    }
    return _Pair(a, b, measured)


def _planned(choice: Choice, one: Contrast, conditions: Mapping[str, Sequence[Side]]) -> _Pair:
    measured = {task: compare_contrast(choice, task, one, conditions) for task in choice.records}
    return _Pair(", ".join(one.plus), ", ".join(one.minus), measured, one.name)


def _family(pairs: Sequence[_Pair], choice: Choice, correction: Correction) -> list[ComparisonRow]:
    """The rows of all pairs; their p-values are adjusted together."""
    from babyeval.stats.multiple import adjust, max_t

    rows, flips = list[ComparisonRow](), list[Mapping[str, float]]()
    for pair in pairs:
        for task, headlines in pair.measured.items():
            for measured in headlines:
                rows.append(_row(pair, choice.records[task], measured, correction))
                flips.append(measured.flips if measured.found.p is not None else {})
    adjusted: list[float | None]
    if correction == "maxt":
        # A unit keeps its sign across pairs: what b and c have in common against a is what correlates the tests.
        keyed = {str(i): {f"{rows[i].task}: {unit}": v for unit, v in units.items()} for i, units in enumerate(flips) if units}
        found = max_t(keyed)
        rows = [
            row.model_copy(update={"p_permutation": found[str(i)][0]}) if str(i) in found else row for i, row in enumerate(rows)
        ]
        adjusted = [found.get(str(i), (None, None))[1] for i in range(len(rows))]
    else:
        adjusted = adjust([row.p for row in rows], correction)
    count = sum(p is not None for p in adjusted)
    family = _family_name(count, pairs, [row for row, p in zip(rows, adjusted, strict=True) if p is not None])
    finished = []
    for row, p in zip(rows, adjusted, strict=True):
        lost = row.p is not None and p is None
        note = "; ".join(filter(None, (row.note, "not in the family: it has no signs to flip" if lost else None))) or None
        whole = row.model_copy(update={"p_adjusted": p, "family": family if p is not None else "", "note": note})
        finished.append(whole.model_copy(update={"sentence": row_sentence(whole)}))
    return finished


def _family_name(count: int, pairs: Sequence[_Pair], rows: Sequence[ComparisonRow]) -> str:
    tasks = counted(len({row.label for row in rows}), "task") if rows else "no tasks"
    what = "planned contrast" if any(pair.contrast for pair in pairs) else "pair"
    return f"{counted(count, 'test')} ({tasks.replace('task', 'score')} x {counted(len(pairs), what)})"


def _row(pair: _Pair, records: Mapping[Side, TaskResult], measured: Measured, correction: Correction) -> ComparisonRow:
    mine = [
        result
        for side, result in records.items()
        if pair.contrast or side.label in (pair.a, pair.b) or side.condition in (pair.a, pair.b)
    ]
    card, found = mine[0].task, measured.found
    wins, losses, ties = measured.counts or (None, None, None)
    return ComparisonRow(
        a=pair.a, b=pair.b, task=card.name, subset=measured.subset, metric=measured.metric, contrast=pair.contrast,
        unit_of_value=measured.unit_of_value, value_a=measured.values[0], value_b=measured.values[1],
        higher_is_better=card.higher_is_better, difference=found.difference, ci_low=found.low, ci_high=found.high,
        ci_level=found.level, p=found.p, correction=correction, test=found.test, unit=found.unit, clusters=found.clusters,
        n=found.n, mde=found.mde, p_permutation=found.p_permutation, smallest_p=found.smallest_p, wins=wins, losses=losses,
        ties=ties, claim=measured.claim, protocol=mine[0].protocol, split=_joined(r.split for r in mine),
        backend=_joined(r.backend for r in mine), note="; ".join(filter(None, (measured.note, found.note))) or None,
    )  # fmt: skip


def _joined(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _paragraphs(rows: Sequence[ComparisonRow]) -> list[str]:
    """A text for each pair, and for each planned contrast."""
    groups: dict[tuple[str | None, str, str], list[ComparisonRow]] = {}
    for row in rows:
        groups.setdefault((row.contrast, row.a, row.b), []).append(row)
    return [paragraph(part) for part in groups.values()]


def _identical(choice: Choice) -> list[str]:
    """Models that are one and the same: their difference is 0 by nature, and as seeds they are no replications (D36)."""
    weights: dict[str, str | None] = {}
    for records in choice.records.values():
        for side, result in records.items():
            if not result.checkpoints:
                weights[side.label] = result.model.weights or result.model.digest
    return [f"{' and '.join(group)} have the same weights" for group in equal_weights(weights.items())]


def _out_of_reach(rows: Sequence[ComparisonRow]) -> list[str]:
    """Says so if the exact permutation of so few seeds could confirm nothing once p-values are adjusted."""
    exact = [row.smallest_p for row in rows if row.unit == "seeds" and row.smallest_p is not None and not row.contrast]
    if not exact or len(exact) * min(exact) <= SMALL:
        return []
    return [
        f"the exact permutation of so few seeds gives no p below {min(exact):.2g}, which {counted(len(exact), 'test')} adjusted "
        f"together by Holm's rule cannot bring below {SMALL:g}: significance here rests on Welch's t and its normality"
    ]


def _choices(choice: Choice, sides: Sequence[Side], conditions: Mapping[str, Sequence[Side]]) -> list[str]:
    """What was compared, in lines."""
    splits: dict[str, list[str]] = {}
    backends: dict[str, dict[str, None]] = {}
    for task, records in choice.records.items():
        splits.setdefault(next(iter(records.values())).split, []).append(task)
        for side, result in records.items():
            backends.setdefault(side.label, {})[result.backend] = None
    told = [split if len(splits) == 1 else f"{split} ({', '.join(names)})" for split, names in splits.items()]
    lines = [f"Protocol: {choice.protocol}. Split: {'; '.join(told)}."]
    kinds = {label: ", ".join(names) for label, names in backends.items()}
    same = len(set(kinds.values())) == 1
    scored = next(iter(kinds.values())) if same else "; ".join(f"{label}: {kind}" for label, kind in kinds.items())
    lines.append(f"Scored as {scored}.")
    if revisions := [f"{side.name}: {side.revision}" for side in sides if side.revision != "main"]:
        lines.append(f"Revisions: {'; '.join(revisions)}.")
    for name, part in conditions.items():
        shown = ", ".join(str(side.seed) if side.seed is not None else side.label for side in part)
        lines.append(f"{name}: {counted(len(part), 'training seed')} ({shown}).")
    return lines
