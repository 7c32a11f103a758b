"""Two models that predict the same human values: the difference of their rank correlations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from babyeval.stats.power import minimum_detectable
from babyeval.stats.student import untested
from babyeval.stats.types import Comparison, noted

Floats = NDArray[np.float64]

_ROUNDING = 1e-12  # relative to the values: what rounding leaves where they do not differ
_TEST = "paired bootstrap"
_FEW = 10  # items: with fewer a resample tells little (statistics.md, section 1)


def correlation_difference(
    predicted_a: Sequence[float],
    predicted_b: Sequence[float],
    human: Sequence[float],
    clusters: Sequence[str],
    draws: int = 9_999,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Whether a's ranks agree better than b's with the same human values: the paired bootstrap of Spearman's rho.

    Clusters are resampled, with both models' predictions together, as the two correlations depend on each other
    (statistics.md, section 8). The interval is the percentile one, and the p-value the level at which it would just exclude 0.

    Args:
        predicted_a: One prediction per item.
        predicted_b: The other model's, in the same order.
        human: What they are compared with.
        clusters: The cluster of each item.
        draws: Number of resamples.
        seed: Of the resamples.
        level: Coverage aimed at.

    Example:
        >>> human = [float(i) for i in range(20)]
        >>> found = correlation_difference(human[::-1], [i % 7 for i in range(20)], human, [str(i) for i in range(20)])
        >>> round(found.difference, 2), found.p < 0.05
        (-1.24, True)
    """
    columns = [np.asarray(values, np.float64) for values in (predicted_a, predicted_b, human)]
    fault = uncorrelated(*columns)
    if fault:
        n, count = len(human), len(set(clusters))
        return untested(None, fault, {"test": _TEST, "unit": "items", "n": n, "clusters": count, "level": level})
    a, b = (resampled(x, human, clusters, draws, seed) for x in columns[:2])
    return resampled_difference(a, b, level)


@dataclass(frozen=True, slots=True)
class Resampled:
    """A correlation with human values.

    Attributes:
        value: The correlation.
        draws: The same in each resample; none of too few clusters.
        n: Number of items.
        clusters: Number of independent ones.
    """

    value: float
    draws: Floats
    n: int
    clusters: int


def resampled(predicted: ArrayLike, human: ArrayLike, clusters: Sequence[str], draws: int = 9_999, seed: int = 0) -> Resampled:
    """A model's correlation in resamples of clusters, which are the same for all models with these clusters.

    Args:
        predicted: One prediction per item, finite and not all equal.
        human: What they are compared with, likewise.
        clusters: The cluster of each item.
        draws: Number of resamples.
        seed: Of the resamples.
    """
    x, target, count = np.asarray(predicted, np.float64), np.asarray(human, np.float64), len(set(clusters))
    value = float(_correlations(x, target, np.ones((len(x), 1)))[0])
    if count < _FEW:
        return Resampled(value, np.empty(0), len(x), count)
    weights = _weights(tuple(map(str, clusters)), draws, seed)
    names = tuple(map(str, clusters))  # people's ranks are the same for all models
    found = _against(_centred_ranks(x, weights), *_human_ranks(target.tobytes(), names, draws, seed), weights)
    return Resampled(value, found, len(x), count)


@lru_cache(maxsize=2)
def _weights(clusters: tuple[str, ...], draws: int, seed: int) -> Floats:
    """How often each resample of clusters holds each item: items x draws."""
    names, index = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
    count = len(names)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    return np.ascontiguousarray(drawn.T, dtype=np.float64)[index]


@lru_cache(maxsize=2)
def _human_ranks(human: bytes, clusters: tuple[str, ...], draws: int, seed: int) -> tuple[Floats, Floats]:
    """The centred ranks in each resample, and the sum of their squares."""
    weights = _weights(clusters, draws, seed)
    ranks = _centred_ranks(np.frombuffer(human), weights)
    return ranks, np.einsum("ij,ij->j", weights * ranks, ranks)


def resampled_difference(a: Resampled, b: Resampled, level: float = 0.95) -> Comparison:
    """What `correlation_difference` gives, from the resamples of both models."""
    base: dict[str, Any] = {"test": _TEST, "unit": "items", "n": a.n, "clusters": a.clusters, "level": level}
    difference = a.value - b.value
    if a.clusters < _FEW:
        return untested(difference, f"fewer than {_FEW} independent items are too few to resample", base)
    sampled = a.draws - b.draws
    sampled = sampled[np.isfinite(sampled)]
    notes = []
    if lost := len(a.draws) - len(sampled):
        notes.append(f"{lost} of {len(a.draws)} resamples, which hold one value only and have no correlation, are left out")
    se = float(sampled.std(ddof=1)) if len(sampled) > 1 else 0.0
    if se <= _ROUNDING:
        return untested(difference, noted(*notes, "the two models' predictions agree with each other in every resample"), base)
    low, high = map(float, np.quantile(sampled, ((1 - level) / 2, (1 + level) / 2)))
    p, least, mde = _inverted(sampled), 2 / (len(sampled) + 1), minimum_detectable(se, level=level)
    return Comparison(difference, se, low, high, p, **base, mde=mde, smallest_p=least, note=noted(*notes))


def uncorrelated(x: Floats, y: Floats, target: Floats) -> str | None:
    """Why there are no correlations to compare."""
    if len(target) < 3:
        return "fewer than three items have no correlation"
    if not np.isfinite([x, y, target]).all():
        return "a value is not finite"
    for who, values in (("a's", x), ("b's", y), ("the human", target)):
        if np.ptp(values) <= _ROUNDING * np.abs(values).max():
            return f"all of {who} values are equal, which correlate with nothing"
    return None


def _correlations(x: Floats, y: Floats, weights: Floats) -> Floats:
    """The correlation in each resample, from how often it holds each item: weights of shape (items, draws)."""
    x, y = (_centred_ranks(values, weights) for values in (x, y))
    return _against(x, y, np.einsum("ij,ij->j", weights * y, y), weights)


def _against(x: Floats, y: Floats, yy: Floats, weights: Floats) -> Floats:
    """The correlation of centred ranks."""
    weighted = weights * x
    xx, xy = np.einsum("ij,ij->j", weighted, x), np.einsum("ij,ij->j", weighted, y)
    return _quotient(xx, yy, xy, weights.sum(axis=0))


def _quotient(xx: Floats, yy: Floats, xy: Floats, total: Floats) -> Floats:
    varied = np.minimum(xx, yy) > _ROUNDING * total
    found: Floats = np.where(varied, xy / np.sqrt(np.where(varied, xx * yy, 1.0)), math.nan)
    return found


def _centred_ranks(values: Floats, weights: Floats) -> Floats:
    """Mid-ranks as shares of the items, around their mean, which is a half in every resample."""
    ranks: Floats = _mid_ranks(values, weights) / weights.sum(axis=0) - 0.5
    return ranks


def _mid_ranks(values: Floats, weights: Floats) -> Floats:
    """The mid-rank of each item in each resample, from 0 to the number of items: those below, and half of its equals."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    equals = np.add.reduceat(weights[order], first, axis=0)
    middle = np.cumsum(equals, axis=0) - equals / 2
    return middle[np.searchsorted(ordered[first], values)]


def _inverted(sampled: Floats) -> float:
    """The level at which the percentile interval would just exclude 0; never below what so many draws can tell."""
    draws = len(sampled)
    ties = int(np.count_nonzero(sampled == 0)) / 2
    side = min(int(np.count_nonzero(sampled < 0)), int(np.count_nonzero(sampled > 0))) + ties
    return min(1.0, 2 * (1 + side) / (draws + 1))
