"""Comparisons in words that a paper may use: test, unit of replication, correction and family are always named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from babyeval.comparison.report import CORRECTIONS, SMALL, ComparisonRow, Correction
from babyeval.models.naming import counted
from babyeval.stats.types import ENOUGH_SEEDS

NO_VERDICT = f"fewer than {ENOUGH_SEEDS} seeds of a condition carry no verdict at any difference"
_UNITS = {"percent": (2, " points"), "correlation": (3, ""), "nats": (4, " nats per word")}
_SCALES = {"percent": " in percent", "nats": " in nats per word"}
_METRICS = {
    "accuracy": "accuracy", "f1": "F1", "partial_r2": "partial R2", "held_out_log_likelihood": "held-out log-likelihood",
    "spearman_rho": "Spearman's rho", "pearson_r": "Pearson's r",
}  # fmt: skip
_MEAN = "the mean of "


class Noted(Protocol):
    """A row of a comparison, of a design or of a plan."""

    @property
    def label(self) -> str:
        """The score."""

    @property
    def note(self) -> str | None:
        """What a reader must know."""


def number(value: float | None, unit: str, sign: bool = False) -> str:
    """A value or difference with the digits that its unit deserves.

    Example:
        >>> number(3.14159, "percent"), number(0.31415, "correlation", sign=True), number(None, "nats")
        ('3.14', '+0.314', '-')
    """
    digits = _UNITS.get(unit, (3, ""))[0]
    return "-" if value is None else f"{value:{'+' if sign else ''}.{digits}f}"


def amount(value: float, unit: str) -> str:
    """The same with the name of the unit.

    Example:
        >>> amount(3.14159, "percent")
        '3.14 points'
    """
    return f"{number(value, unit)}{_UNITS.get(unit, (3, ''))[1]}"


def p_value(p: float | None) -> str:
    """A p-value as papers print it.

    Example:
        >>> p_value(0.0316), p_value(0.00001), p_value(0.0496), p_value(0.04996), p_value(None)
        ('.032', '< .001', '.0496', '< .05', '-')
    """
    if p is None:
        return "-"
    if p < 0.001:
        return "< .001"
    digits = 4 if 0.045 <= p < 0.055 else 3  # rounding must not carry it over the usual threshold
    if 0.04995 <= p < SMALL:
        return "< .05"
    return "1" if p > 0.9995 else f"{p:.{digits}f}".lstrip("0")


def listed(names: Iterable[str]) -> str:
    """Names with commas and a last 'and'.

    Example:
        >>> listed(["a", "b", "c"])
        'a, b and c'
    """
    *first, last = list(names)
    return f"{', '.join(first)} and {last}" if first else last


def mean_of(names: Sequence[str]) -> str:
    """What a side of a contrast is called: its condition, or the mean of several.

    Example:
        >>> mean_of(["a"]), mean_of(["a", "b"])
        ('a', 'the mean of a and b')
    """
    return names[0] if len(names) == 1 else f"{_MEAN}{listed(names)}"


def title_of(contrast: str | None, a: str, b: str) -> str:
    """What is compared, with the name of a planned contrast where that says more than its sides.

    Example:
        >>> title_of("order", "a", "b"), title_of("a, b against c", "the mean of a and b", "c")
        ('order: a against b', 'the mean of a and b against c')
    """
    sides = [[name.strip() for name in side.split(",")] for side in (contrast or "").split(" against ")]
    named = contrast and [mean_of(side) for side in sides] != [a, b]
    return f"{contrast}: {a} against {b}" if named else f"{a} against {b}"


def metric_name(row: ComparisonRow) -> str:
    """What the row's metric is called in a text; nothing for plain accuracy."""
    return "" if row.metric == "accuracy" else _METRICS.get(row.metric, "")


def metrics_line(rows: Sequence[ComparisonRow]) -> str:
    """Which score is of which metric: one task may have another between models than between conditions."""
    groups: dict[str, dict[str, None]] = {}
    for row in rows:
        name = _METRICS.get(row.metric, row.metric) + _SCALES.get(row.unit_of_value, "")
        groups.setdefault(name, {})[row.label] = None
    return f"Metrics: {'; '.join(f'{name} ({listed(labels)})' for name, labels in groups.items())}."


def notes_of(rows: Iterable[Noted]) -> dict[str, dict[str, None]]:
    """What a reader must know of single rows, and of which; what holds of several is said once."""
    notes: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.note:
            notes.setdefault(row.note, {})[row.label] = None
    return notes


def adjusted_by(correction: Correction) -> str:
    """How p-values are adjusted.

    Example:
        >>> adjusted_by("holm"), adjusted_by("maxt")
        ('Holm-adjusted over', 'adjusted by max-T over sign flips within')
    """
    return "adjusted by max-T over sign flips within" if correction == "maxt" else f"{CORRECTIONS[correction]}-adjusted over"


def family_name(labels: Sequence[str], others: Sequence[object], what: str) -> str:
    """How many tests there are, and of what.

    Args:
        labels: The score of each test.
        others: Of what else it is one, as a pair.
        what: How that is called.

    Example:
        >>> family_name(["blimp", "blimp", "wug"], ["size", "order", "size"], "effect")
        '3 tests (2 scores x 2 effects, as far as there is a test)'
    """
    scores, kinds = len(set(labels)), len(set(others))
    whole = "" if scores * kinds == len(labels) else ", as far as there is a test"
    return f"{counted(len(labels), 'test')} ({counted(scores, 'score')} x {counted(kinds, what)}{whole})"


def small(row: ComparisonRow) -> bool:
    """Whether the difference is told from 0 in its family."""
    return row.p_adjusted is not None and row.p_adjusted < SMALL


def row_sentence(row: ComparisonRow) -> str:
    """One difference in words."""
    if row.difference is None:
        return f"{row.label}: no difference between {row.a} and {row.b} can be given ({row.note})."
    values = (row.value_a, row.value_b)
    both = "" if None in values else " against ".join(number(value, row.unit_of_value) for value in values)
    shown = f" ({about})" if (about := ", ".join(filter(None, (metric_name(row), both)))) else ""
    head = f"{row.label}: {row.a} minus {row.b} is {number(row.difference, row.unit_of_value, sign=True)}{_unit(row)}{shown}"
    if row.p is None:
        return f"{head}; no test supports a claim about it ({row.note})."
    interval = f"unadjusted {row.ci_level:.0%} CI {_interval(row)}, " if row.ci_low is not None else ""
    without = f", without {listed(row.lacking)}" if row.lacking else ""
    test = f"{row.test}, unit {row.unit}, {row.replications}{without}, p {equals(row.p)}"
    adjusted = f", {adjusted_by(row.correction)} {row.family} p {equals(row.p_adjusted)}"
    text = f"{head}, {interval}{test}{adjusted if row.p_adjusted is not None and not _alone(row) else ''}"
    if small(row):
        return f"{text}; {_too_few([row])}." if row.out_of_reach else f"{text}."
    return f"{text}; {_missed(row)}." if row.mde is not None else f"{text}."


def _alone(row: ComparisonRow) -> bool:
    """Whether it is its family's only test, so that nothing is adjusted."""
    return row.family.startswith("1 test")


def _unit(row: ComparisonRow) -> str:
    return _UNITS.get(row.unit_of_value, (3, ""))[1]


def equals(p: float | None) -> str:
    """A p-value behind the letter p.

    Example:
        >>> equals(0.0316), equals(0.00001)
        ('= .032', '< .001')
    """
    shown = p_value(p)
    return shown if shown.startswith("<") else f"= {shown}"


def _interval(row: ComparisonRow) -> str:
    return f"{number(row.ci_low, row.unit_of_value)} to {number(row.ci_high, row.unit_of_value)}"


def _missed(row: ComparisonRow) -> str:
    """What a difference would have to be to be found: the absence of a small p is no evidence of absence."""
    assert row.mde is not None
    least = amount(row.mde, row.unit_of_value)
    text = f"at the unadjusted 5% level a true difference would be found with 80% power only if it were at least {least}"
    return f"{text}, and even then {NO_VERDICT}" if row.out_of_reach else text


def _too_few(rows: Sequence[ComparisonRow]) -> str:
    """Why a small p is no verdict: the seeds are too few for any test that does not rest on normality."""
    few = listed(dict.fromkeys(f"{row.fewest_seeds}" for row in rows if row.fewest_seeds is not None))
    text = f"no verdict: p rests on normality, which so few seeds cannot show ({few} in the smallest condition)"
    short = [row for row in rows if row.smallest_p is not None and row.smallest_p > SMALL]
    arms = dict.fromkeys((row.seeds_a, row.seeds_b, p_value(row.smallest_p)) for row in short)
    reach = listed(f"{a} against {b} seeds cannot give p below {least}" for a, b, least in arms) if arms else ""
    return f"{text}, and an exchange of {reach}" if reach else text


def paragraph(rows: Sequence[ComparisonRow]) -> str:
    """All differences of one pair in one sentence for a paper, and what the tests are."""
    a, b = rows[0].a, rows[0].b
    told = [row for row in rows if small(row) and not row.out_of_reach]
    better = [row for row in told if (row.difference or 0) * (1 if row.higher_is_better else -1) > 0]
    worse = [row for row in told if row not in better]
    unsure = [row for row in rows if small(row) and row.out_of_reach]
    open_ = [row for row in rows if row.p_adjusted is not None and not small(row)]
    outside = [row for row in rows if row.p is not None and row.p_adjusted is None]
    mute = [row for row in rows if row.p is None]
    clauses = []
    for who, other, part, side in ((a, b, better, 1), (b, a, worse, -1)):
        if part:
            clauses.append(f"{who} is better than {other} on {listed(_found(row, side) for row in part)}")
    if unsure:
        clauses.append(f"{a} minus {b} on {listed(_found(row, 1) for row in unsure)}, {_too_few(unsure)}")
    if open_:
        several = any(name.startswith(_MEAN) for name in (a, b))
        between = f"between {a} on the one hand and {b} on the other" if several else f"between {a} and {b}"
        clauses.append(f"no difference {between} was found on {listed(_outside(row, row.p_adjusted) for row in open_)}")
        clauses.append(_missable(open_))
        clauses.append(NO_VERDICT if any(row.out_of_reach for row in open_) else "")
    if outside:
        clauses.append(
            f"not in the family, so that their p-values are not adjusted: {listed(_outside(row, row.p) for row in outside)}"
        )
    for why in dict.fromkeys(row.note for row in mute):
        without = listed(row.label for row in mute if row.note == why)
        once = any(row.fewest_seeds == 1 for row in mute if row.note == why)
        step = f": train each condition with {ENOUGH_SEEDS} seeds or more" if once else ""
        clauses.append(f"no test is possible on {without}" + (f" ({why}{step})" if why else ""))
    clauses += _uneven(rows)
    tests = _tests([row for row in rows if row.p is not None])
    family = next((row.family for row in rows if row.p_adjusted is not None and not _alone(row)), "")
    method = f"p-values are {adjusted_by(rows[0].correction)} the family of {family}" if family else ""
    mini = "all of it on mini splits, which measure nothing" if any(row.split.startswith("mini") for row in rows) else ""
    text = f"{'; '.join(filter(None, (*clauses, tests, method, mini)))}."
    named = (told or unsure) and not text.startswith(_MEAN)  # a name stays as it is
    return text if named else text[:1].upper() + text[1:]


def _missable(rows: Sequence[ComparisonRow]) -> str:
    """What would have been found: the absence of a small p is no evidence of absence."""
    least = [f"{row.label} {amount(row.mde, row.unit_of_value)}" for row in rows if row.mde is not None]
    if not least:
        return ""
    return f"differences that would have been found with 80% power (unadjusted 5% level): {listed(least)}"


def _uneven(rows: Sequence[ComparisonRow]) -> list[str]:
    """On which scores there are other numbers of seeds than on the rest, or seeds without a value."""
    arms = [(row.seeds_a or 0, row.seeds_b or 0) for row in rows]
    most = (max(a for a, _ in arms), max(b for _, b in arms))
    groups: dict[tuple[tuple[int, int], tuple[str, ...]], list[str]] = {}
    for row, seeds in zip(rows, arms, strict=True):
        if row.lacking or seeds != most:
            groups.setdefault((seeds, row.lacking), []).append(row.label)
    return [
        f"only {a} against {b} seeds on {listed(labels)}" + (f" (without {listed(lacking)})" if lacking else "")
        for ((a, b), lacking), labels in groups.items()
    ]


def _found(row: ComparisonRow, side: int) -> str:
    """The difference, as the better one minus the other: a minus b for side 1, b minus a for -1."""
    difference, low, high = (None if v is None else side * v for v in (row.difference, row.ci_low, row.ci_high))
    ends = (low, high) if side == 1 else (high, low)
    between = " to ".join(number(end, row.unit_of_value) for end in ends)
    interval = f", unadjusted {row.ci_level:.0%} CI {between}" if low is not None else ""
    return f"{row.label} ({_difference(row, difference)}{interval}, p {equals(row.p_adjusted)})"


def _difference(row: ComparisonRow, value: float | None) -> str:
    """A difference with its metric and unit."""
    return f"{metric_name(row)} {number(value, row.unit_of_value, sign=True)}{_unit(row)}".lstrip()


def _outside(row: ComparisonRow, p: float | None) -> str:
    return f"{row.label} ({_difference(row, row.difference)}, p {equals(p)})"


def _tests(rows: Sequence[ComparisonRow]) -> str:
    """Which test on which tasks, what it replicates, and what it therefore speaks of."""
    groups: dict[tuple[str, str, str], list[ComparisonRow]] = {}
    for row in rows:
        groups.setdefault((row.test, row.unit, row.claim), []).append(row)
    parts = [
        f"{test} (unit {unit}; claim: {claim})" + (f" on {listed(row.label for row in part)}" if len(groups) > 1 else "")
        for (test, unit, claim), part in groups.items()
    ]
    return f"tests: {', '.join(parts)}" if parts else ""
