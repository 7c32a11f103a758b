"""The mean over seeds of a metric of items, with an error that covers both: seeds and items are crossed samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from babyeval.stats.intervals import Estimate, wilson_interval
from babyeval.stats.power import minimum_detectable

Floats = NDArray[np.float64]
Integers = NDArray[np.int_]
Labels = Sequence[int]

_MOST_BLOCKS = 100  # of a jackknife: more add time, and next to nothing to a standard error
_NOTHING = 1e-20  # what rounding leaves of a variance of 0


@dataclass(frozen=True, slots=True)
class TwoWay:
    """Where the error of a mean over seeds and items comes from.

    Attributes:
        items: Variance of the mean by the sampling of items, as far as these seeds show it.
        seeds: Variance by the sampling of seeds alone; 0 where seeds differ no more than their items make them.
        freedom: Degrees of freedom of the sum, by Satterthwaite (1946, Biometrics 2).
    """

    items: float
    seeds: float
    freedom: float

    @property
    def total(self) -> float:
        return self.items + self.seeds


def two_way(shares: Floats, values: Floats) -> TwoWay:
    """The variance of a mean over crossed seeds and blocks of items.

    With an effect of each item, of each seed, and a rest, the mean's variance is
    ``s_item^2 / n + s_seed^2 / S + s_rest^2 / (n S)``. The blocks' means over seeds show the first and the last term,
    the seeds' values the second and the last; the last is taken off once.

    Args:
        shares: What each block adds to the deviation of each seed's value, blocks x seeds; every column adds up to 0.
        values: Each seed's value.

    Example:
        >>> y = np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
        >>> two_way((y - y.mean(axis=0)) / len(y), y.mean(axis=0)).seeds  # both are right in half of the items
        0.0
    """
    return _crossed([(shares, values)])


def two_way_difference(shares_a: Floats, values_a: Floats, shares_b: Floats, values_b: Floats) -> TwoWay:
    """The variance of the difference of two such means: the same blocks of items, other seeds.

    What an item adds to both models cancels out; the seeds' variances add up. What one adds with one seed alone shows
    among the items, as in `two_way`.

    Example:
        >>> y = np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
        >>> shares = (y - y.mean(axis=0)) / len(y)
        >>> two_way_difference(shares, y.mean(axis=0), shares, y.mean(axis=0)).total
        0.0
    """
    return _crossed([(shares_a, values_a), (shares_b, values_b)])


def _crossed(models: Sequence[tuple[Floats, Floats]]) -> TwoWay:
    """The variance of the mean of one model, or of the difference of two, from each one's shares and values."""
    means = [shares.mean(axis=1) for shares, _ in models]
    blocks = len(means[0])
    bessel = blocks / (blocks - 1)
    items = bessel * float(np.sum((means[0] - means[1] if len(means) > 1 else means[0]) ** 2))
    own, parts = 0.0, items**2 / (blocks - 1)
    for (shares, values), mean in zip(models, means, strict=True):
        seeds = shares.shape[1]
        if seeds == 1:
            continue
        rest = bessel * seeds / (seeds - 1) * float(np.sum((shares - mean[:, None]) ** 2)) / seeds**2
        between = float(np.var(values, ddof=1)) / seeds
        if between > rest:
            own += between - rest
            parts += between**2 / (seeds - 1) + rest**2 / ((blocks - 1) * (seeds - 1))
    return TwoWay(items, own, (items + own) ** 2 / parts if parts and own else blocks - 1)


def credit_shares(credits: Floats, blocks: Sequence[Sequence[int]]) -> Floats:
    """What blocks of items add to the deviation of each seed's mean credit.

    Args:
        credits: One credit per item and seed.
        blocks: Indices of the items of each block.
    """
    deviations = (credits - credits.mean(axis=0)) / len(credits)
    starts = np.cumsum([0, *map(len, blocks)])[:-1]
    shares: Floats = np.add.reduceat(deviations[[i for block in blocks for i in block]], starts, axis=0)
    return shares


def jackknife_shares(
    metric: Callable[[Integers, Integers], float],
    gold: Labels,
    predictions: Sequence[Labels],
    blocks: Sequence[Sequence[int]],
    without: Callable[[Integers, Integers, Sequence[Sequence[int]]], Floats] | None = None,
) -> Floats:
    """The same for any metric, by leaving out one block after the other.

    Args:
        metric: Takes right and predicted labels.
        gold: Right labels.
        predictions: For each seed the predicted labels.
        blocks: Indices of the items of each block; many are put together.
        without: Takes right and predicted labels and blocks, and gives the metric without each of them: faster.
    """
    right, said = np.asarray(gold), [np.asarray(labels) for labels in predictions]
    while len(blocks) > _MOST_BLOCKS:
        joined = [[*a, *b] for a, b in zip(blocks[::2], blocks[1::2], strict=False)]
        blocks = joined + [list(block) for block in blocks[2 * len(joined) :]]
    if without is not None:
        shares = -np.array([without(right, labels, blocks) for labels in said]).T
    else:
        shares = np.empty((len(blocks), len(predictions)))
        for g, block in enumerate(blocks):
            left = np.delete(right, list(block))
            shares[g] = [-metric(left, np.delete(labels, list(block))) for labels in said]
    centred: Floats = shares - shares.mean(axis=0)
    return centred * ((len(blocks) - 1) / len(blocks))


def blocks_of(clusters: Sequence[str]) -> list[list[int]]:
    """The items of each cluster."""
    members: dict[str, list[int]] = {}
    for i, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(i)
    return list(members.values())


def over_seeds_and_items(
    values: Floats,
    shares: Floats,
    n: int,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    wilson: bool = False,
    level: float = 0.95,
) -> Estimate:
    """Mean over seeds with an interval that covers other seeds and other items.

    For accuracy it is Wilson's interval, with the number of independent items that would give this variance, and t
    quantiles: it keeps its coverage near 0 and 1 and for few items (Dean and Pagano 2015, Journal of Survey
    Statistics and Methodology 3). For other metrics it is the t interval.

    Args:
        values: Each seed's value.
        shares: See `two_way`.
        n: Number of items.
        low: Least possible value.
        high: Largest possible value.
        wilson: Whether values are shares of the items: 0 to 1, whatever the bounds say.
        level: Coverage aimed at.
    """
    from scipy.stats import t

    value, blocks = float(np.mean(values)), len(shares)
    method = ("wilson" if wilson else "jackknife") + (", seeds and items" if len(values) > 1 else ", items")
    if blocks < 2:
        return Estimate(value, None, None, None, method, n, blocks, "one cluster has no standard error")
    if not np.isfinite(shares).all():
        return Estimate(value, None, None, None, method, n, blocks, "too few items of a label for an interval")
    parts = two_way(shares, values)
    variance = parts.total if parts.total > _NOTHING else 0.0
    quantile = float(t.ppf((1 + level) / 2, parts.freedom))
    se = math.sqrt(variance) if variance else None
    note = None if variance else "every item adds the same under every seed, where a standard error of 0 would not hold"
    if wilson:
        size = value * (1 - value) / variance if variance else float(blocks)
        return Estimate(value, se, *wilson_interval(value, size, quantile), method, n, blocks, note, parts.freedom)
    if se is None:
        return Estimate(value, None, None, None, method, n, blocks, note)
    ends = max(low, value - quantile * se), min(high, value + quantile * se)
    return Estimate(value, se, *ends, method, n, blocks, freedom=parts.freedom)


def over_seeds(values: Sequence[float], n: int, clusters: int, level: float = 0.95) -> Estimate:
    """Mean over seeds with the t interval over seeds alone: these items, this checkpoint.

    Example:
        >>> estimate = over_seeds([60.0, 62.0, 64.0], 100, 100)
        >>> round(estimate.se, 3), round(estimate.low, 2)
        (1.155, 57.03)
    """
    from scipy.stats import t

    count, mean = len(values), math.fsum(values) / len(values)
    if count < 2:
        return Estimate(mean, None, None, None, "t, seeds", n, clusters, "one seed has no spread")
    se = float(np.std(values, ddof=1)) / math.sqrt(count)
    if se == 0:
        return Estimate(mean, None, None, None, "t, seeds", n, clusters, "all seeds give the same value")
    half = float(t.ppf((1 + level) / 2, count - 1)) * se
    return Estimate(mean, se, mean - half, mean + half, "t, seeds", n, clusters)


def detectable(estimate: Estimate, level: float = 0.95, power: float = 0.8) -> float | None:
    """The least true difference that a test between two models with such an estimate finds with this power.

    ``(t_a + t_b) * sqrt(2) * se`` (statistics.md, section 10), with the degrees of freedom of both; for models whose
    errors are independent. Where two models err on the same items, a paired comparison finds less. Where every item is
    right there is no error, and the width of the interval stands for it.

    Example:
        >>> round(detectable(Estimate(60.0, 4.08, 52.0, 68.0, "wilson", 139, 139)), 1)
        16.2
    """
    if estimate.se is not None:
        freedom = None if estimate.freedom is None else 2 * estimate.freedom
        return minimum_detectable(math.sqrt(2) * estimate.se, freedom, level, power)
    if estimate.low is None or estimate.high is None:
        return None
    se = (estimate.high - estimate.low) / (2 * NormalDist().inv_cdf((1 + level) / 2))
    return minimum_detectable(math.sqrt(2) * se, level=level, power=power)
