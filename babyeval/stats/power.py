"""The least true difference that a test finds."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import overload

import numpy as np
from numpy.typing import NDArray


@overload
def minimum_detectable(se: float, freedom: None = None, level: float = 0.95, power: float = 0.8) -> float: ...


@overload
def minimum_detectable(se: float, freedom: float, level: float = 0.95, power: float = 0.8) -> float | None: ...


def minimum_detectable(se: float, freedom: float | None = None, level: float = 0.95, power: float = 0.8) -> float | None:
    """The least true difference that a two-sided test with this standard error finds with this power.

    With known variance ``(z_a + z_b) * se``, which is 2.80 times the error at 5% and 80% (statistics.md, section 10).
    With an estimated one, the noncentrality at which t passes its critical value with that power, times the error.
    The chance to find the opposite sign, below one in a million at that power, is left out.

    Args:
        se: Standard error of the difference.
        freedom: Degrees of freedom of the error; None for a normal test.
        level: One minus the size of the test: for one of m that Holm's method adjusts, at its worst 1 - 0.05 / m.
        power: Chance to find the difference.

    Returns:
        The difference; None below one degree of freedom, where it is beyond all bounds and cannot be computed.

    Example:
        >>> round(minimum_detectable(1.0), 2), round(minimum_detectable(1.0, freedom=4), 2)
        (2.8, 3.76)
        >>> round(minimum_detectable(1.0, level=1 - 0.05 / 12), 2)  # one of twelve
        3.71
    """
    if freedom is None or math.isinf(freedom):
        return se * (NormalDist().inv_cdf((1 + level) / 2) + NormalDist().inv_cdf(power))
    if freedom < 1:
        return None
    from scipy.special import nctdtrinc
    from scipy.stats import t

    return se * float(nctdtrinc(freedom, 1 - power, t.ppf((1 + level) / 2, freedom)))


def mcnemar_detectable(discordant: int, n: int, level: float = 0.95, power: float = 0.8) -> float | None:
    """The least true difference of two proportions of the same items that McNemar's exact test finds with this power.

    For few items that differ the normal formula promises too much: the exact test rejects for no fewer than six of them,
    and less often than its level allows. Here the number of them is binomial, with the share that was seen, or with as
    large a one as the difference itself takes, and the exact test rejects given that number.

    Args:
        discordant: Items that only one model gets right.
        n: All items.
        level: One minus the size of the test.
        power: Chance to find the difference.

    Returns:
        A share of the items; None where so few items find nothing.

    Example:
        >>> round(mcnemar_detectable(5, 103), 3), round(mcnemar_detectable(1000, 10_000), 4), mcnemar_detectable(2, 5)
        (0.076, 0.0089, None)
    """
    from scipy.optimize import brentq
    from scipy.stats import binom

    @cache
    def possible(share: float) -> tuple[NDArray[np.float64], ...]:
        """How many items may differ, how likely, and how many of them are won without being rejected."""
        first, last = binom.ppf((1e-9, 1 - 1e-9), n, share)
        counts = np.arange(first, last + 1)
        return counts, binom.pmf(counts, n, share), np.maximum(binom.isf((1 - level) / 2, counts, 0.5), 0)

    def lacking(difference: float) -> float:
        """The power that is missing; the opposite sign is left out, as above."""
        share = max(discordant / n, difference)
        counts, chances, most = possible(share)
        return power - float(chances @ binom.sf(most, counts, (1 + difference / share) / 2))

    return None if lacking(1.0) > 0 else float(brentq(lacking, 1e-12, 1.0, xtol=1e-9))
