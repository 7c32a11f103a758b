"""Sign-flip permutation: how often differences with other signs would have a mean as far from 0."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Sums of the same numbers in another order differ by rounding, as a share of all sizes; they must count as equal.
ROUNDING = 1e-12
# Enumerating is worth some more work than drawing: its p is exact and needs no seed.
_WORTH = 6
_TOGETHER = 8  # units whose signs are one drawn byte, looked up in a table of all their sums
_SIGNS: Floats = 1 - 2 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64)


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
    values = values[size > ROUNDING * size.max()]
    if not len(values):
        return 1.0, 1.0
    sums = flipped_sums(values[:, None], draws, seed)[0]
    least = abs(float(values.sum())) - ROUNDING * float(size.sum())
    return float(np.mean(np.abs(sums) >= least)), 1 / len(sums)


def flipped_sums(shares: Floats, draws: int, seed: int) -> Floats:
    """The sums of columns with other signs of their rows: of all signs, or of the data's own and so many random ones.

    The first of all sign vectors' signs stays 1, since turning all round changes no absolute value. Counting the data's own
    signs among the draws gives ``(1 + hits) / (draws + 1)``, which is never 0.

    Args:
        shares: What each unit adds to each statistic, units x statistics.
        draws: Random sign vectors, where not all are enumerated.
        seed: Of the random signs.

    Returns:
        Statistics x sign vectors.
    """
    units, statistics = shares.shape
    if 2**units <= draws * _WORTH:
        sums = shares[:1].T
        for share in shares[1:, :, None]:
            sums = np.concatenate([sums + share, sums - share], axis=1)
        return sums
    rng = np.random.default_rng(seed)
    drawn = np.zeros((statistics, draws))
    for start in range(0, units, _TOGETHER):
        block = shares[start : start + _TOGETHER]
        signs = rng.integers(0, 256, draws, np.uint8)
        table = _SIGNS[:, : len(block)] @ block
        for column in np.flatnonzero(block.any(axis=0)):
            drawn[column] += table[:, column][signs]
    own: Floats = shares.sum(axis=0)[:, None]
    return np.concatenate([own, drawn], axis=1)
