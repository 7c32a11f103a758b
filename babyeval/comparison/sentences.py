"""Comparisons in words that a paper may use: test, unit of replication, correction and family are always named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from babyeval.comparison.report import CORRECTIONS, SMALL, ComparisonRow
from babyeval.models.naming import counted
from babyeval.stats.types import ENOUGH_SEEDS

NO_VERDICT = f"fewer than {ENOUGH_SEEDS} seeds of a condition carry no verdict at any difference"
_UNITS = {"percent": (2, " points"), "correlation": (3, ""), "nats": (4, " nats per word")}


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
    shown = "" if None in values else f" ({' against '.join(number(value, row.unit_of_value) for value in values)})"
    head = f"{row.label}: {row.a} minus {row.b} is {number(row.difference, row.unit_of_value, sign=True)}{_unit(row)}{shown}"
    if row.p is None:
        return f"{head}; no test supports a claim about it ({row.note})."
    interval = f"unadjusted {row.ci_level:.0%} CI {_interval(row)}, " if row.ci_low is not None else ""
    test = f"{row.test}, unit {row.unit}, {row.replications}, p {equals(row.p)}"
    adjusted = f", {CORRECTIONS[row.correction]}-adjusted over {row.family} p {equals(row.p_adjusted)}"
    text = f"{head}, {interval}{test}{adjusted if row.p_adjusted is not None else ''}"
    if small(row):
        return f"{text}; {_too_few([row])}." if row.out_of_reach else f"{text}."
    return f"{text}; {_missed(row)}." if row.mde is not None else f"{text}."


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
        few = f"; {NO_VERDICT}" if any(row.out_of_reach for row in open_) else ""
        clauses.append(f"no difference between {a} and {b} was found on {listed(map(_not_found, open_))}{few}")
    if outside:
        clauses.append(f"not in the family, so that their p-values are not adjusted: {listed(map(_outside, outside))}")
    if mute:
        clauses.append(f"no test is possible on {listed(row.label for row in mute)}")
    tests = _tests([row for row in rows if row.p is not None])
    family = next((row.family for row in rows if row.p_adjusted is not None), "")
    method = f"p-values are {CORRECTIONS[rows[0].correction]}-adjusted over the family of {family}" if family else ""
    return f"{'; '.join(filter(None, (*clauses, tests, method)))}."


def _found(row: ComparisonRow, side: int) -> str:
    """The difference, as the better one minus the other: a minus b for side 1, b minus a for -1."""
    difference, low, high = (None if v is None else side * v for v in (row.difference, row.ci_low, row.ci_high))
    ends = (low, high) if side == 1 else (high, low)
    between = " to ".join(number(end, row.unit_of_value) for end in ends)
    interval = f", unadjusted {row.ci_level:.0%} CI {between}" if low is not None else ""
    return f"{row.label} ({number(difference, row.unit_of_value, sign=True)}{_unit(row)}{interval}, p {equals(row.p_adjusted)})"


def _not_found(row: ComparisonRow) -> str:
    least = amount(row.mde, row.unit_of_value) if row.mde is not None else ""
    mde = f", 80% power only for at least {least} at the unadjusted 5% level" if least else ""
    return f"{row.label} ({number(row.difference, row.unit_of_value, sign=True)}{_unit(row)}, p {equals(row.p_adjusted)}{mde})"


def _outside(row: ComparisonRow) -> str:
    return f"{row.label} ({number(row.difference, row.unit_of_value, sign=True)}{_unit(row)}, p {equals(row.p)})"


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
