"""Standard errors and intervals of a single score."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

# A smaller variance of credits is what rounding leaves where clusters do not differ.
_ROUNDING = 1e-20


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its error, in the unit of the values it was made from.

    Attributes:
        value: The estimate; None if there is nothing to estimate from.
        se: Its standard error; None where undefined.
        low: Lower end of the interval.
        high: Upper end of the interval.
        method: How the error was made.
        n: Number of values.
        clusters: Number of independent clusters of values.
        note: Why something is None.
        freedom: Degrees of freedom of the error, where it is used with quantiles of t and a test needs them.
    """

    value: float | None
    se: float | None
    low: float | None
    high: float | None
    method: str
    n: int
    clusters: int
    note: str | None = None
    freedom: float | None = None


def proportion(credits: Sequence[float], clusters: Sequence[str], level: float = 0.95) -> Estimate:
    """Mean of credits between 0 and 1 with an interval.

    For independent items Wilson's interval, which holds its coverage for small samples and extreme
    proportions where the normal one does not (statistics.md, section 1); fractional credits (shared
    ties) are successes in part. Where several items share a cluster, the clustered error with t
    quantiles of C - 1 degrees of freedom (Miller 2024, arXiv 2411.00640); with fewer than about ten
    clusters it is still too small.

    Args:
        credits: One credit per item.
        clusters: The cluster of each item.
        level: Coverage aimed at.

    Example:
        >>> estimate = proportion([1.0] * 8 + [0.0] * 2, [str(i) for i in range(10)])
        >>> round(estimate.low, 3), round(estimate.high, 3)
        (0.49, 0.943)
    """
    n = len(credits)
    if n == 0:
        return Estimate(None, None, None, None, "wilson", 0, 0, "no items")
    mean = math.fsum(credits) / n
    count = len(set(clusters))
    if count < n:
        return _clustered_proportion(credits, clusters, mean, count, level)
    low, high = wilson_interval(mean, n, NormalDist().inv_cdf((1 + level) / 2))
    se = math.sqrt(_cluster_variance(credits, range(n))) if n > 1 else None
    note = "one item has no standard error" if n == 1 else None
    if se is not None and se**2 < _ROUNDING:
        se, note = None, "all items are equal: the interval holds, a standard error of 0 would not"
    return Estimate(mean, se, low, high, "wilson", n, len(set(clusters)), note)


def wilson_interval(share: float, size: float, quantile: float) -> tuple[float, float]:
    """Wilson's score interval (1927, JASA 22) for a share of ``size`` independent items, which need not be whole.

    Example:
        >>> low, high = wilson_interval(0.8, 10, 1.959964)
        >>> round(low, 3), round(high, 3)
        (0.49, 0.943)
    """
    spread = quantile**2 / size
    centre = (share + spread / 2) / (1 + spread)
    half = quantile / (1 + spread) * math.sqrt(share * (1 - share) / size + spread / (4 * size))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))  # rounding must not exclude 0 and 1


def _clustered_proportion(credits: Sequence[float], clusters: Sequence[str], mean: float, count: int, level: float) -> Estimate:
    n = len(credits)
    variance = _cluster_variance(credits, clusters) if count > 1 else 0.0
    if variance < _ROUNDING:
        note = "one cluster has no standard error" if count == 1 else "all clusters are equal"
        return Estimate(mean, None, None, None, "clustered", n, count, note)
    se = math.sqrt(variance)
    half = _half_width(se, count - 1, level)
    return Estimate(mean, se, max(0.0, mean - half), min(1.0, mean + half), "clustered", n, count)


def clustered_mean(values: Sequence[float], clusters: Sequence[str], level: float = 0.95) -> Estimate:
    """Mean of any numbers with the clustered error, and t quantiles of C - 1 degrees of freedom for C clusters.

    Example:
        >>> estimate = clustered_mean([1.0, 2.0, 4.0], ["a", "b", "c"])
        >>> round(estimate.value, 3), round(estimate.se, 3)
        (2.333, 0.882)
    """
    n, count = len(values), len(set(clusters))
    if n == 0:
        return Estimate(None, None, None, None, "clustered", 0, 0, "no items")
    mean = math.fsum(values) / n
    if count == 1:
        return Estimate(mean, None, None, None, "clustered", n, count, "one cluster has no standard error")
    se = math.sqrt(_cluster_variance(values, clusters))
    half = _half_width(se, count - 1, level)
    return Estimate(mean, se, mean - half, mean + half, "clustered", n, count)


def stratified_macro_mean(
    values: Sequence[float],
    strata: Sequence[str],
    clusters: Sequence[str],
    level: float = 0.95,
    within: Sequence[str] | None = None,
) -> Estimate:
    """Unweighted mean of the strata's means, with the error that belongs to it.

    The strata are taken as fixed ("these subsets"). The estimate is a weighted sum of cell means, a cell
    being a subset within a stratum; with each cluster's weighted deviations from its cells' means,
    each times sqrt(C / (C - 1)) for the C clusters of the cell, added up to S_c, the variance is the sum of
    S_c squared (statistics.md, section 1; Miller 2024, arXiv 2411.00640). The interval takes t quantiles
    with Satterthwaite's degrees of freedom (1946, Biometrics 2) over the cells; cells that share clusters have no
    more of them together than their clusters less one. With one item per
    cluster and credits of 0 and 1 the error is ``sqrt(sum_g p_g (1 - p_g) / (n_g - 1)) / G``.

    Args:
        values: One value per item.
        strata: The stratum of each item.
        clusters: The cluster of each item; it may reach over several cells.
        level: Coverage aimed at.
        within: The subset of each item that is averaged inside its stratum first; by default
            a stratum is the mean over its items.

    Example:
        >>> estimate = stratified_macro_mean([1, 1, 0, 1, 0, 0], list("aaabbb"), list("123456"))
        >>> round(estimate.value, 3), round(estimate.se, 3)
        (0.5, 0.236)
    """
    n = len(values)
    found = macro_mean(values, strata, clusters, within)
    if found.value is None or found.se is None:
        return Estimate(found.value, None, None, None, "stratified", n, found.clusters, found.note)
    half = _half_width(found.se, found.freedom, level)
    low, high = max(0.0, found.value - half), min(1.0, found.value + half)
    return Estimate(found.value, found.se, low, high, "stratified", n, found.clusters)


@dataclass(frozen=True, slots=True)
class MacroMean:
    """A macro mean of any numbers with its error, and no bounds.

    Attributes:
        value: The unweighted mean of the strata's means; None if there are no items.
        se: Its standard error; None where undefined.
        freedom: Degrees of freedom of the error; infinite where undefined.
        clusters: Number of independent clusters.
        note: Why something is None.
    """

    value: float | None
    se: float | None
    freedom: float
    clusters: int
    note: str | None = None


def macro_mean(
    values: Sequence[float], strata: Sequence[str], clusters: Sequence[str], within: Sequence[str] | None = None
) -> MacroMean:
    """What `stratified_macro_mean` estimates, for numbers that need not be between 0 and 1, such as differences.

    Example:
        >>> found = macro_mean([1, -1, 0, 0, 0, -1], list("aaabbb"), list("123456"))
        >>> round(found.value, 3), round(found.se, 3), round(found.freedom, 2)
        (-0.167, 0.333, 3.2)
    """
    if len(values) == 0:
        return MacroMean(None, None, math.inf, 0, "no items")
    cells = _cells(values, strata, within)
    value = math.fsum(weight * mean for weight, mean, _ in cells)
    count = len(set(clusters))
    alone = sum(len({clusters[i] for i in members}) < 2 for _, _, members in cells)
    if alone:
        note = f"{alone} of {len(cells)} subsets have fewer than two independent clusters"
        return MacroMean(value, None, math.inf, count, note)
    variance, freedom = _nested_variance(values, clusters, cells)
    if variance < _ROUNDING:
        return MacroMean(value, None, math.inf, count, "all clusters of each subset are equal")
    return MacroMean(value, math.sqrt(variance), freedom, count)


def _cells(values: Sequence[float], strata: Sequence[str], within: Sequence[str] | None) -> list[tuple[float, float, list[int]]]:
    """Each subset within a stratum: its weight in the macro mean, its mean, and the indices of its items."""
    cells: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, stratum in enumerate(strata):
        cells[stratum, "" if within is None else within[i]].append(i)
    per_stratum = Counter(stratum for stratum, _ in cells)
    return [
        (1 / len(per_stratum) / per_stratum[stratum], math.fsum(values[i] for i in members) / len(members), members)
        for (stratum, _), members in cells.items()
    ]


def _nested_variance(
    values: Sequence[float], clusters: Sequence[str], cells: Sequence[tuple[float, float, list[int]]]
) -> tuple[float, float]:
    """Variance of a weighted sum of cell means, from cells of (weight, mean, items), and its degrees of freedom."""
    sums: dict[str, float] = defaultdict(float)
    own: list[tuple[float, int]] = []  # each cell's share by itself, and its degrees of freedom
    part = list(range(len(cells)))  # cells that share clusters are one part
    first: dict[str, int] = {}  # the cell in which a cluster was met
    for cell, (weight, mean, members) in enumerate(cells):
        inside: dict[str, float] = defaultdict(float)
        for i in members:
            inside[clusters[i]] += weight / len(members) * (values[i] - mean)
        scale = math.sqrt(len(inside) / (len(inside) - 1))
        for cluster, total in inside.items():
            sums[cluster] += scale * total
            met = part[first.setdefault(cluster, cell)]
            if met != part[cell]:
                part = [part[cell] if other == met else other for other in part]
        own.append((scale**2 * math.fsum(total**2 for total in inside.values()), len(inside) - 1))
    squares: dict[int, list[float]] = defaultdict(list)
    for cluster, total in sums.items():
        squares[part[first[cluster]]].append(total**2)
    variance = math.fsum(square for of_part in squares.values() for square in of_part)
    inverse = math.fsum(
        math.fsum(of_part) ** 2 / _part_freedom([own[cell] for cell in range(len(cells)) if part[cell] == name], len(of_part))
        for name, of_part in squares.items()
    )
    return variance, variance**2 / inverse if inverse else math.inf


def _part_freedom(own: Sequence[tuple[float, int]], clusters: int) -> float:
    """Degrees of freedom of cells that share clusters, from each one's share of the variance: clusters count once."""
    whole = math.fsum(share for share, _ in own)
    cells = whole**2 / math.fsum(share**2 / df for share, df in own) if whole else math.inf
    return min(cells, clusters - 1)


def spearman(x: Sequence[float], y: Sequence[float], level: float = 0.95) -> Estimate:
    """Spearman's rank correlation with an interval on Fisher's z.

    The error of z is that of Bonett and Wright (2000, Psychometrika 65), ``sqrt((1 + rho^2 / 2) / (n - 3))``;
    the standard error of rho is ``(1 - rho^2)`` times it (statistics.md, section 8).

    Args:
        x: One value per item.
        y: The values they are compared with, in the same order.
        level: Coverage aimed at.

    Example:
        >>> estimate = spearman([1, 2, 3, 4, 5, 6], [1, 3, 2, 4, 6, 5])
        >>> round(estimate.value, 3), round(estimate.low, 3), round(estimate.high, 3)
        (0.886, 0.066, 0.992)
    """
    n = len(x)
    method = "bonett-wright"
    if n < 3 or not all(map(math.isfinite, (*x, *y))):
        note = "fewer than three items have no rank correlation" if n < 3 else "a value is not finite"
        return Estimate(None, None, None, None, method, n, n, note)
    for name, values in (("the model's", x), ("the human", y)):
        if len(set(values)) == 1:
            note = f"all of {name} values are equal, so that ranks correlate with nothing"
            return Estimate(None, None, None, None, method, n, n, note)
    from scipy.stats import spearmanr

    rho = float(spearmanr(x, y).statistic)
    if n <= 3 or abs(rho) > 1 - 1e-12:
        note = "too few items for an interval" if n <= 3 else "the ranks agree perfectly, where no interval is defined"
        return Estimate(rho, None, None, None, method, n, n, note)
    error = math.sqrt((1 + rho * rho / 2) / (n - 3))
    half = NormalDist().inv_cdf((1 + level) / 2) * error
    low, high = (math.tanh(math.atanh(rho) + side * half) for side in (-1, 1))
    return Estimate(rho, (1 - rho * rho) * error, low, high, method, n, n)


def _half_width(se: float, freedom: float, level: float) -> float:
    """Half of the interval by t quantiles around an estimate with this standard error."""
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, freedom)) * se


def _cluster_variance(values: Sequence[float], clusters: Sequence[object]) -> float:
    """Variance of a mean from the sums of its clusters' deviations, with the factor C / (C - 1)."""
    n = len(values)
    mean = math.fsum(values) / n
    sums: dict[object, float] = defaultdict(float)
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] += value - mean
    count = len(sums)
    return count / (count - 1) * math.fsum(total * total for total in sums.values()) / n**2
