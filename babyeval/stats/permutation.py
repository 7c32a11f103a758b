"""Sign-flip permutation: how often differences with other signs would have a mean as far from 0."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CHUNK = 1 << 21  # signs held at a time
# Enumerating is worth some more work than drawing: its p is exact and needs no seed.
_WORTH = 6
# Sums of the same numbers in another order differ by rounding; they must count as equal.
_ROUNDING = 1e-12


def sign_flip(differences: ArrayLike, draws: int = 9_999, seed: int = 0) -> tuple[float, float]:
    """Two-sided p-value of a mean if every difference could as well have had the other sign.

    Exact under that null hypothesis, for any number of differences. All signs are enumerated where there are not many;
    else ``(1 + hits) / (draws + 1)`` over random ones, which is exact as well, whatever the number of draws
    (Phipson and Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9). Differences of 0 tell nothing.

    Args:
        differences: One per exchangeable unit, such as a subset's mean difference or a sentence's sum.
        draws: Random sign vectors, where not all are enumerated.
        seed: Of the random signs.

    Returns:
        The p-value and the least that so many differences could give; NaN where there is none or one is not finite.

    Example:
        >>> sign_flip([1.0, 2.0, 3.0, 4.0, 5.0])
        (0.0625, 0.0625)
    """
    values = np.asarray(differences, np.float64).ravel()
    if not len(values) or not np.isfinite(values).all():
        return math.nan, math.nan
    size = np.abs(values)
    values = values[size > _ROUNDING * size.max()]
    if not len(values):
        return 1.0, 1.0
    least = abs(float(values.sum())) - _ROUNDING * float(size.sum())
    if 2 ** len(values) <= draws * _WORTH:
        sums = np.zeros(1)
        for value in values[1:]:
            sums = np.concatenate([sums + value, sums - value])
        # The first sign may stay: turning all signs round changes no absolute value.
        return float(np.mean(np.abs(sums + values[0]) >= least)), 1 / len(sums)
    return (1 + _hits(values, least, draws, seed)) / (draws + 1), 1 / (draws + 1)


def _hits(values: NDArray[np.float64], least: float, draws: int, seed: int) -> int:
    """How many of so many random sign vectors give a sum at least this far from 0."""
    rng = np.random.default_rng(seed)
    total, hits, rows = values.sum(), 0, max(1, _CHUNK // len(values))
    for start in range(0, draws, rows):
        kept = rng.integers(0, 2, (min(rows, draws - start), len(values)), np.int8)
        hits += int(np.count_nonzero(np.abs(2 * (kept @ values) - total) >= least))
    return hits
