"""Two checkpoints on the same items: differences with intervals and tests, for each kind of score."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyeval.stats.intervals import clustered_mean, macro_mean
from babyeval.stats.permutation import sign_flip
from babyeval.stats.power import mcnemar_detectable
from babyeval.stats.seeds import two_way_difference
from babyeval.stats.student import t_comparison, untested
from babyeval.stats.types import Comparison, noted

Floats = NDArray[np.float64]

# A standard error this small, relative to the values, is what rounding leaves where they do not differ.
_ROUNDING = 1e-12
_FEW = 10  # clusters: with fewer an error over them is too small (statistics.md, section 1)
_NOT_FINITE = "a value is not finite"


def subset_mean_test(differences: Sequence[float], n: int, level: float = 0.95) -> Comparison:
    """Whether a beats b "on phenomena like these": t over the subsets' mean differences.

    Subsets are a sample, so that it holds its size where models differ by subset, which tests over items do not
    (statistics.md, sections 0 and 2). The sign-flip permutation over subsets is its companion.

    Args:
        differences: For each subset the mean of a minus that of b.
        n: Number of items of all subsets.
        level: Coverage aimed at.

    Example:
        >>> found = subset_mean_test([1.0, 2.0, 3.0, 4.0, 5.0], 500)
        >>> found.difference, round(found.p, 4), found.p_permutation
        (3.0, 0.0132, 0.0625)
    """
    count = len(differences)
    base: dict[str, Any] = {"test": "t over subset means", "unit": "subsets", "n": n, "clusters": count, "level": level}
    if count == 0 or not all(map(math.isfinite, differences)):
        return untested(None, "no subsets" if count == 0 else _NOT_FINITE, base)
    mean = math.fsum(differences) / count
    if count == 1:
        return untested(mean, "one subset has no standard error", base)
    p, least = sign_flip(differences)
    base |= {"p_permutation": p, "smallest_p": least}
    se = math.sqrt(math.fsum((value - mean) ** 2 for value in differences) / (count - 1) / count)
    if se <= _ROUNDING * max(map(abs, differences)):
        return untested(mean, "all subsets differ by the same", base)
    note = None
    if least > 1 - level:
        note = f"sign flips of so few subsets cannot give a p below {least:.3g}"
    return t_comparison(mean, se, count - 1, **base, note=note)


def stratified_paired_test(
    a: Sequence[float],
    b: Sequence[float],
    strata: Sequence[str],
    clusters: Sequence[str],
    within: Sequence[str] | None = None,
    level: float = 0.95,
) -> Comparison:
    """Whether a beats b "on these exact subsets": a paired t over items, for the unweighted mean of the strata's means.

    Error and degrees of freedom are those of `intervals.stratified_macro_mean`, of the items' differences. It says nothing
    about other subsets. With one stratum of independent items it is the paired t test. Below ten clusters, where the error
    is too small, the sign flips of what each cluster adds stand beside it.

    Args:
        a: A value per item; where one is not finite there is no test, as for other items than the models' scores stand on.
        b: The other model's, in the same order.
        strata: The stratum of each item.
        clusters: The cluster of each item, such as its template, its story, or its twin.
        within: The subset of each item that is averaged inside its stratum first.
        level: Coverage aimed at.

    Example:
        >>> found = stratified_paired_test([1, 1, 1, 1, 1, 0], [0, 1, 0, 0, 1, 0], list("aaabbb"), list("123456"))
        >>> round(found.difference, 2), round(found.p, 3), found.test
        (0.5, 0.101, 'stratified paired t')
    """
    differences = [float(x) - float(y) for x, y in zip(a, b, strict=True)]
    count = len(set(clusters))
    test = "stratified paired t" if len(set(strata)) > 1 or within is not None else "paired t"
    if test == "paired t" and count < len(differences):
        test = "clustered paired t"
    base: dict[str, Any] = {"test": test, "unit": "items", "n": len(differences), "clusters": count, "level": level}
    if unknown := _not_finite(differences):
        return untested(None, unknown, base)
    found = macro_mean(differences, strata, clusters, within)
    if found.value is None or found.se is None:
        return untested(found.value, found.note, base)
    note = None
    if count < _FEW:
        shares = cluster_shares(differences, strata, clusters, within)
        base["p_permutation"], base["smallest_p"] = sign_flip(list(shares.values()))
        note = _few_clusters(count, base["smallest_p"])
    return t_comparison(found.value, found.se, found.freedom, **base, note=note)


def _not_finite(differences: Sequence[float]) -> str | None:
    """How many items lack a value under one of the models, such as an undefined credit."""
    count = sum(not math.isfinite(value) for value in differences)
    return f"{count} of {len(differences)} items have no finite value under both models" if count else None


def _few_clusters(count: int, smallest: float | None = None) -> str:
    """Says that an error of so few clusters is too small."""
    beside = "" if smallest is None else f"; see the sign flips, which cannot give a p below {smallest:.3g}"
    return f"only {count} independent clusters: the error is rough, and mostly too small{beside}"


def cluster_shares(
    differences: Sequence[float], strata: Sequence[str], clusters: Sequence[str], within: Sequence[str] | None = None
) -> dict[str, float]:
    """What each cluster adds to the unweighted mean of the strata's means: what signs are flipped of.

    Example:
        >>> cluster_shares([1.0, 0.0, 1.0, 1.0], list("aabb"), ["one", "two", "one", "one"])
        {'one': 0.75, 'two': 0.0}
    """
    cells = list(zip(strata, within or [""] * len(strata), strict=True))
    in_cell, in_stratum = Counter(cells), Counter(stratum for stratum, _ in set(cells))
    shares: dict[str, float] = defaultdict(float)
    for difference, cell, cluster in zip(differences, cells, clusters, strict=True):
        shares[cluster] += difference / in_cell[cell] / in_stratum[cell[0]] / len(in_stratum)
    return dict(shares)


def mcnemar(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Comparison:
    """Whether a beats b on independent items that are right or wrong: McNemar's exact test.

    Its p is binomial, of the items that only one model gets right (1947, Psychometrika 12). The interval of the difference
    is Tango's, see `tango_interval`, and the least detectable difference that of the exact test, see
    `power.mcnemar_detectable`. Shared ties, with credits between 0 and 1, are beyond it: `stratified_paired_test`
    stands in and says so.

    Args:
        a: Credits of 0 or 1; where one is not finite there is no test.
        b: The other model's, in the same order.
        level: Coverage aimed at.

    Example:
        >>> round(mcnemar([1] * 30 + [0] * 12 + [1] * 58, [0] * 30 + [1] * 12 + [1] * 58).p, 5)
        0.00792
    """
    n = len(a)
    base: dict[str, Any] = {"test": "exact McNemar", "unit": "items", "n": n, "clusters": n, "level": level}
    unknown = _not_finite([x - y for x, y in zip(a, b, strict=True)])
    if n == 0 or unknown:
        return untested(None, unknown or "no items", base)
    if not {*a, *b} <= {0, 1}:
        items = [str(i) for i in range(n)]
        found = stratified_paired_test(a, b, ["all"] * n, items, level=level)
        ties = "some credits are neither 0 nor 1, as of ties, for which there is no McNemar test"
        return replace(found, note=noted(ties, found.note))
    won = sum(x > y for x, y in zip(a, b, strict=True))
    lost = sum(x < y for x, y in zip(a, b, strict=True))
    low, high = tango_interval(won, lost, n, level)
    if won + lost == 0:
        note = "the models are right on the same items: the interval holds, a standard error of 0 would not"
        return replace(untested(0.0, note, base), low=low, high=high)
    from scipy.stats import binomtest

    difference = (won - lost) / n
    se = math.sqrt(max(0.0, won + lost - n * difference**2) / (n - 1) / n) if n > 1 else 0.0
    p = float(binomtest(min(won, lost), won + lost, 0.5).pvalue)
    if se <= _ROUNDING:
        note = "one item has no standard error" if n == 1 else "all items differ by the same"
        return replace(untested(difference, note, base), low=low, high=high, p=p)
    apart = None
    if p >= 1 - level and not low <= 0 <= high:
        apart = "the exact test, which is more careful than the score test of the interval, does not exclude 0"
    return Comparison(difference, se, low, high, p, **base, mde=mcnemar_detectable(won + lost, n, level), note=apart)


def tango_interval(won: int, lost: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of the difference of two paired proportions by their score test.

    Tango (1998, Statistics in Medicine 17): all differences that the score test does not reject. At 0 that is McNemar's
    test without continuity correction, so that it may exclude 0 where the exact test, which is more careful, has p > .05.

    Args:
        won: Items that only a gets right.
        lost: Items that only b gets right.
        n: All items.
        level: Coverage aimed at.

    Example:
        >>> low, high = tango_interval(6, 16, 161)
        >>> round(low, 4), round(high, 4)
        (-0.124, -0.0054)
    """
    from scipy.optimize import brentq

    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    at = (won - lost) / n
    if won + lost == 0:
        return -z2 / (n + z2), z2 / (n + z2)
    if n in (won, lost):  # there the statistic is 0 divided by 0, and the other end has a closed form
        inner = at * (n - z2) / (n + z2)
        return min(inner, at), max(inner, at)

    def excess(difference: float) -> float:
        """The score, squared, beyond its critical value; the variance is that of the likeliest table with this difference."""
        linear = (2 * n - won + lost) * difference - won - lost
        root = math.sqrt(max(0.0, linear**2 + 8 * n * lost * difference * (1 - difference)))
        variance = n * ((root - linear) / (2 * n) + difference * (1 - difference))
        return float((won - lost - n * difference) ** 2 - z2 * variance)

    return float(brentq(excess, -1, at, xtol=1e-14)), float(brentq(excess, at, 1, xtol=1e-14))


def held_out_test(delta: Sequence[float], sentences: Sequence[str], level: float = 0.95) -> Comparison:
    """Whether a predicts reading times that it was not fitted to better than b: held-out log-likelihood per row.

    The mean over rows, with the error of a sample of sentences and t quantiles; the sign-flip permutation of the
    sentences' sums is its companion (statistics.md, section 7).

    Args:
        delta: For each row the log-likelihood under a minus that under b; rows with NaN, which a regression had to
            leave out, are left out.
        sentences: The sentence of each row.
        level: Coverage aimed at.

    Example:
        >>> found = held_out_test([0.25, 0.5, -0.25, 0.5, 0.25, 0.25], list("aabbcd"))
        >>> found.difference, found.clusters, found.p_permutation
        (0.25, 4, 0.125)
    """
    there = [i for i, value in enumerate(delta) if not math.isnan(value)]
    values, kept = [delta[i] for i in there], [sentences[i] for i in there]
    sums: dict[str, float] = defaultdict(float)
    for value, sentence in zip(values, kept, strict=True):
        sums[sentence] += value
    base: dict[str, Any] = {
        "test": "clustered t over sentences", "unit": "items", "n": len(values), "clusters": len(sums), "level": level,
    }  # fmt: skip
    if not values or not all(map(math.isfinite, values)):
        return untested(None, _NOT_FINITE if values else "no row has a held-out likelihood under both models", base)
    found = clustered_mean(values, kept, level)
    if len(sums) == 1:
        return untested(found.value, "one sentence has no standard error", base)
    p, least = sign_flip(list(sums.values()))
    base |= {"p_permutation": p, "smallest_p": least}
    if found.se is None or found.value is None or found.se <= _ROUNDING * max(map(abs, values)):
        return untested(found.value, "all sentences differ by the same", base)
    left = len(delta) - len(values)
    notes = [f"{left} rows without a likelihood are left out" if left else None]
    if len(sums) < _FEW:
        notes.append(_few_clusters(len(sums), least))
    return t_comparison(found.value, found.se, len(sums) - 1, **base, note=noted(*notes))


def fits_test(shares_a: Floats, values_a: Floats, shares_b: Floats, values_b: Floats, n: int, level: float = 0.95) -> Comparison:
    """Whether checkpoint a beats b after fine-tuning, each with several seeds: t over fine-tuning seeds and items.

    Items are paired and seeds are not (statistics.md, section 5): the variance is that of the items, of the difference of
    the means over seeds, and that of each model's seeds. Works for every metric that has shares, `seeds.credit_shares` or
    `seeds.jackknife_shares`, over the same blocks of items for both models.

    Args:
        shares_a: What each block of items adds to the deviation of each seed's value, blocks x seeds.
        values_a: Each seed's value.
        shares_b: The other model's, with blocks in the same order.
        values_b: The other model's.
        n: Number of items.
        level: Coverage aimed at.

    Example:
        >>> y = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> right, other = y.mean(axis=0), 1 - y.mean(axis=0)
        >>> found = fits_test((y - right) / 4, right, ((1 - y) - other) / 4, other, 4)
        >>> found.difference, round(found.p, 3)
        (0.5, 0.182)
    """
    blocks = len(shares_a)
    test = "t over fine-tuning seeds and items" if max(len(values_a), len(values_b)) > 1 else "paired t"
    base: dict[str, Any] = {"test": test, "unit": "items", "n": n, "clusters": blocks, "level": level}
    if not (len(values_a) and len(values_b) and np.isfinite([*values_a, *values_b]).all()):
        return untested(None, _NOT_FINITE if len(values_a) and len(values_b) else "no seeds", base)
    difference = float(np.mean(values_a) - np.mean(values_b))
    if blocks < 2:
        return untested(difference, "one cluster has no standard error", base)
    if not (np.isfinite(shares_a).all() and np.isfinite(shares_b).all()):
        return untested(difference, "too few items of a label for a standard error", base)
    found = two_way_difference(shares_a, values_a, shares_b, values_b)
    se, size = math.sqrt(found.total), float(np.abs([*values_a, *values_b]).max())
    if se <= _ROUNDING * max(size, 1.0):
        return untested(difference, "every item adds the same to both models, so that there is no standard error", base)
    notes = [_few_clusters(blocks)] if blocks < _FEW else []
    if min(len(values_a), len(values_b)) == 1:
        notes.append("one fine-tuning seed: how other seeds would do is not covered")
    return t_comparison(difference, se, found.freedom, **base, note=noted(*notes))
