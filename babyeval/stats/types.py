"""What every comparison of two models or conditions gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ENOUGH_SEEDS = 4  # replications of each condition: fewer carry no verdict, however small p is

Unit = Literal["items", "subsets", "seeds"]


def noted(*notes: str | None) -> str | None:
    """Several notes as one; None if there is none.

    Example:
        >>> noted("one", None, "other")
        'one; other'
    """
    return "; ".join(filter(None, notes)) or None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A difference with its error, interval and test, on the scale of the values it was made from.

    Whatever is undefined is None, and the note says why; it is never 0.

    Attributes:
        difference: a minus b.
        se: Its standard error.
        low: Lower end of the interval at ``level``, which is that of one test: not adjusted for others.
        high: Upper end of the interval.
        p: Two-sided p-value of the named test.
        test: Short name that a paper can print, as "stratified paired t".
        unit: What was replicated.
        n: Number of items behind it, per model.
        clusters: Replications of the unit: subsets, clusters of items, or seeds in all.
        freedom: Degrees of freedom of the test.
        mde: The least true difference that one test finds with 80% power where its two-sided size is 1 - ``level``: not
            adjusted for others either, for which `power.minimum_detectable` takes another level.
        p_permutation: The p-value of the exact or Monte Carlo companion, where there is one.
        smallest_p: The least p-value that the permutation could give with so few replications, or the bootstrap with its draws.
        level: Coverage aimed at.
        note: Why something is None, or what a reader must know.
    """

    difference: float | None
    se: float | None
    low: float | None
    high: float | None
    p: float | None
    test: str
    unit: Unit
    n: int
    clusters: int
    freedom: float | None = None
    mde: float | None = None
    p_permutation: float | None = None
    smallest_p: float | None = None
    level: float = 0.95
    note: str | None = None
