"""A comparison by Student's t, from a difference and its error."""

from __future__ import annotations

from typing import Any

from babyeval.stats.power import minimum_detectable
from babyeval.stats.types import Comparison, Unit


def t_comparison(
    difference: float,
    se: float,
    freedom: float,
    *,
    test: str,
    unit: Unit,
    n: int,
    clusters: int,
    level: float = 0.95,
    p_permutation: float | None = None,
    smallest_p: float | None = None,
    note: str | None = None,
) -> Comparison:
    """Interval, two-sided p and least detectable difference by t; the arguments are the attributes of `Comparison`.

    Example:
        >>> found = t_comparison(2.0, 1.0, 4, test="t", unit="subsets", n=50, clusters=5)
        >>> round(found.low, 3), round(found.high, 3), round(found.p, 4), round(found.mde, 2)
        (-0.776, 4.776, 0.1161, 3.76)
    """
    from scipy.stats import t

    half = float(t.ppf((1 + level) / 2, freedom)) * se
    return Comparison(
        difference=difference, se=se, low=difference - half, high=difference + half,
        p=2 * float(t.sf(abs(difference) / se, freedom)), test=test, unit=unit, n=n, clusters=clusters, freedom=freedom,
        mde=minimum_detectable(se, freedom, level), p_permutation=p_permutation, smallest_p=smallest_p, level=level, note=note,
    )  # fmt: skip


def untested(difference: float | None, note: str | None, about: dict[str, Any]) -> Comparison:
    """A difference without any test, and why; ``about`` are further attributes of `Comparison`.

    Example:
        >>> untested(0.5, "one item has no standard error", {"test": "t", "unit": "items", "n": 1, "clusters": 1}).p is None
        True
    """
    return Comparison(difference, None, None, None, None, **about, note=note)
