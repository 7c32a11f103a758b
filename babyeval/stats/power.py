"""The least true difference that a test finds."""

from __future__ import annotations

import math
from statistics import NormalDist


def minimum_detectable(se: float, freedom: float | None = None, level: float = 0.95, power: float = 0.8) -> float:
    """The least true difference that a two-sided test with this standard error finds with this power.

    With known variance ``(z_a + z_b) * se``, which is 2.80 times the error at 5% and 80% (statistics.md, section 10).
    With an estimated one, the noncentrality at which t passes its critical value with that power, times the error.
    The chance to find the opposite sign, below one in a million at that power, is left out.

    Args:
        se: Standard error of the difference.
        freedom: Degrees of freedom of the error; None for a normal test.
        level: One minus the size of the test.
        power: Chance to find the difference.

    Example:
        >>> round(minimum_detectable(1.0), 2), round(minimum_detectable(1.0, freedom=4), 2)
        (2.8, 3.76)
    """
    if freedom is None or math.isinf(freedom):
        return se * (NormalDist().inv_cdf((1 + level) / 2) + NormalDist().inv_cdf(power))
    from scipy.special import nctdtrinc
    from scipy.stats import t

    return se * float(nctdtrinc(freedom, 1 - power, t.ppf((1 + level) / 2, freedom)))
