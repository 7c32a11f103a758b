"""Two training conditions: training seeds are what was replicated, so seeds carry the test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from babyeval.errors import UsageError
from babyeval.stats.student import t_comparison
from babyeval.stats.types import ENOUGH_SEEDS, Comparison, noted

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

WELCH = "Welch t over seeds"
MIXED = "linear mixed model over seeds and subsets"
ONE_SEED = "no test supports a claim about a condition with one seed"

_MOST = 200_000  # arrangements of seeds that are enumerated: all up to 10 against 10
_DRAWS = 9_999
ROUNDING = 1e-12  # of the largest value: a smaller error is what rounding leaves of 0


def compare_conditions(a: Sequence[float], b: Sequence[float], *, n: int = 0, level: float = 0.95) -> Comparison:
    """The difference of two conditions by Welch's t over seed means, with the exact permutation of seeds.

    Seeds are not matched, even where they have the same number (statistics.md, section 5). The claim is about training in
    these two ways, evaluated on these exact items; `mixed_model` widens it to subsets like these.

    Args:
        a: One value per training seed of the first condition.
        b: The same for the second.
        n: Number of items behind each value, for the record.
        level: Coverage aimed at.

    Example:
        >>> found = compare_conditions([61.0, 62.0, 63.0], [58.0, 60.0, 59.0])
        >>> round(found.difference, 6), round(found.p, 4), found.p_permutation, found.smallest_p
        (3.0, 0.0213, 0.1, 0.1)
    """
    samples = [np.asarray(a, np.float64), np.asarray(b, np.float64)]
    found = weighted_means(samples, (1, -1), test=WELCH, n=n, level=level)
    pooled = np.concatenate(samples)
    if min(map(len, samples)) < 2 or not np.isfinite(pooled).all() or np.ptp(pooled) <= ROUNDING * np.abs(pooled).max():
        return found
    p, smallest = _permutation(*samples)
    return replace(found, p_permutation=p, smallest_p=smallest, note=noted(found.note, _reach(smallest, samples, level)))


def _reach(smallest: float, samples: Sequence[Floats], level: float) -> str | None:
    """Says so if so few seeds cannot be told apart without assuming that they are normally distributed."""
    sizes = " against ".join(str(len(sample)) for sample in samples)
    if smallest > 1 - level:
        return f"with {sizes} seeds a permutation cannot give p below {smallest:.2g}: a smaller p rests on normality"
    few = min(map(len, samples)) < ENOUGH_SEEDS
    return f"with {sizes} seeds p rests on normality, which the smaller condition cannot show" if few else None


def weighted_means(
    samples: Sequence[Floats],
    weights: Sequence[float],
    *,
    test: str,
    parents: Sequence[Sequence[str]] | None = None,
    n: int = 0,
    level: float = 0.95,
) -> Comparison:
    """A weighted sum of seed means, with t.

    Each sample has its own variance, and Satterthwaite's degrees of freedom (1946, Biometrics 2): for weights 1 and -1
    it is Welch's test. Values that go on from one parent have its noise in common. Where that adds up, as in two
    conditions on the same side, these are one sample of parents, each with the weighted sum of what went on from it. Where it
    cancels, as between sides, they are taken for independent, which is on the safe side.

    Args:
        samples: One value per seed, per condition.
        weights: One per condition.
        test: What the result calls itself.
        parents: For each value the checkpoint from which it goes on; by default no two have the same.
        n: Number of items behind each value.
        level: Coverage aimed at.
    """
    used = [i for i, weight in enumerate(weights) if weight]
    values, shares = [samples[i] for i in used], [weights[i] for i in used]
    count = sum(map(len, values))

    def undefined(note: str, value: float | None = None) -> Comparison:
        return Comparison(value, None, None, None, None, test, "seeds", n, count, level=level, note=note)

    if not all(map(len, values)):
        return undefined("a condition has no seed")
    if not all(np.isfinite(sample).all() for sample in values):
        return undefined("a seed's value is not finite")
    difference = float(sum(share * sample.mean() for share, sample in zip(shares, values, strict=True)))
    if min(map(len, values)) < 2:
        return undefined(ONE_SEED, difference)
    origins = [parents[i] for i in used] if parents is not None else [[f"{i} {k}" for k in range(len(samples[i]))] for i in used]
    parts, units = [], 0  # each sample's share of the variance, with its degrees of freedom
    for members in together_by_parent(shares, origins):
        sums: dict[str, float] = {}
        for i in members:
            for origin, off in zip(origins[i], shares[i] / len(values[i]) * (values[i] - values[i].mean()), strict=True):
                sums[origin] = sums.get(origin, 0.0) + float(off)
        fewest, units = min(len(values[i]) for i in members), units + len(sums)
        parts.append((math.fsum(off**2 for off in sums.values()) * fewest / (fewest - 1), fewest - 1))
    variance = sum(part for part, _ in parts)
    if variance <= (ROUNDING * max(float(np.abs(sample).max()) for sample in values)) ** 2:
        return undefined("seeds do not differ, where a standard error of 0 would not hold", difference)
    # Shares of the variance, since squares of tiny variances would vanish.
    freedom = 1 / sum((part / variance) ** 2 / df for part, df in parts)
    return t_comparison(difference, math.sqrt(variance), freedom, test=test, unit="seeds", n=n, clusters=units, level=level)


def together_by_parent(weights: Sequence[float], parents: Sequence[Sequence[str]]) -> list[list[int]]:
    """Which conditions are one sample of parents: those of a side that share some, if independence would understate the error.

    A parent adds the square of its summed weights to the variance, and independence the sum of the squares.

    Args:
        weights: Each condition's, none of them 0.
        parents: For each of its values the parent.

    Example:
        >>> together_by_parent([0.5, 0.5, -1.0], [["p", "q"], ["p", "q"], ["r", "s"]])
        [[0, 1], [2]]
        >>> together_by_parent([0.5, 0.5, -1.0], [["p", "q"], ["p", "q"], ["p", "q"]])
        [[0], [1], [2]]
    """
    of: dict[str, list[float]] = {}
    for weight, mine in zip(weights, parents, strict=True):
        for parent in mine:
            of.setdefault(parent, []).append(weight / len(mine))
    groups = [[i] for i in range(len(weights))]
    if all(math.fsum(shares) ** 2 <= 1.000001 * math.fsum(share**2 for share in shares) for shares in of.values()):
        return groups
    for i, mine in enumerate(parents):
        alike = [
            group
            for group in groups
            if i in group or any(weights[k] * weights[i] > 0 and set(parents[k]) & set(mine) for k in group)
        ]
        groups = [group for group in groups if group not in alike] + [sorted(k for group in alike for k in group)]
    return sorted(groups)


def _permutation(a: Floats, b: Floats) -> tuple[float, float]:
    """Two-sided p of a difference of means if labels could be exchanged, and the least that so many seeds can give.

    Twice the smaller one-sided one, as scipy has it. All arrangements are enumerated; beyond 10 against 10
    they are drawn.
    """
    pooled = np.concatenate([a, b]) - np.mean(np.concatenate([a, b]))
    total = math.comb(len(pooled), len(a))
    if total <= _MOST:
        sums = _subset_sums(pooled, len(a))
    else:
        total = _DRAWS + 1
        drawn = np.random.default_rng(0).permuted(np.tile(pooled, (_DRAWS, 1)), axis=1)[:, : len(a)].sum(axis=1)
        sums = np.append(drawn, pooled[: len(a)].sum())  # the data's own arrangement is one of them
    own = pooled[: len(a)].sum()
    near = 1e-9 * np.abs(pooled).max()  # scores of few items repeat: sums that differ by rounding are equal
    fewer = min(int(np.count_nonzero(sums >= own - near)), int(np.count_nonzero(sums <= own + near)))
    return min(1.0, 2 * fewer / total), min(1.0, 2 / total)


def _subset_sums(values: Floats, size: int) -> Floats:
    """The sum of every subset of this size, built up value by value."""
    sums = [np.zeros(1), *[np.empty(0)] * size]
    for left, value in zip(reversed(range(len(values))), values, strict=True):
        grown = [np.concatenate([without, one_less + value]) for without, one_less in zip(sums[1:], sums, strict=False)]
        sums = [part if k + left >= size else part[:0] for k, part in enumerate([sums[0], *grown])]
    return sums[size]


def mixed_model(cells: pd.DataFrame, *, n: int = 0, level: float = 0.95) -> Comparison:
    """The difference of two conditions by a linear mixed model on the cell means of seeds and subsets.

    ``value ~ condition + subset + (1 | seed) + (1 | condition:subset)``: its error covers other seeds and conditions that
    act differently on other subsets, so that the claim is about training in these two ways and phenomena like these.
    Seeds, and what is left of a cell, have a variance of their own in each condition: with a common one, the test
    rejects far too often where conditions have different numbers of seeds and the smaller one varies more. Where every
    seed has every subset, REML has a closed form: for R seeds and G subsets, Welch's squared error of seed means plus
    ``(V - sum of MS_rest / R over both) / G``, where V is the variance over subsets of the conditions' differences. A
    negative second term, which is the variance of condition:subset, counts as 0, so that the error is never below
    Welch's; REML would then share out the rest anew. The test is t with Satterthwaite's degrees of freedom over all mean
    squares (1946, Biometrics 2): Wald's z rejects too often, and as many degrees of freedom as
    seeds too seldom where the subsets' variance is the larger. Since terms that are taken off can bring Satterthwaite's
    number to nearly 0, it is at least that of the smallest mean square that is added.

    Args:
        cells: Columns ``condition`` (two; the first to occur is a), ``seed`` (of its condition: seed 1 of a is not seed 1
            of b), ``subset`` and ``value``, one row per cell; a subset that any seed lacks is left out.
        n: Number of items behind a seed, for the record.
        level: Coverage aimed at.

    Raises:
        UsageError: There are not two conditions.
    """
    names = list(dict.fromkeys(cells["condition"]))
    if len(names) != 2:
        which = ", ".join(map(str, names))
        raise UsageError(f"A mixed model compares two conditions, not {len(names)}.", where=which, hint="Choose two of them.")
    table = cells.pivot(index=["condition", "seed"], columns="subset", values="value").astype(float)
    values = np.asarray(table, np.float64)
    whole = np.isfinite(values).all(axis=0)
    first = np.array(table.index.get_level_values("condition") == names[0])
    a, b = values[first][:, whole], values[~first][:, whole]
    notes = [f"{int((~whole).sum())} subsets that a seed lacks are left out"] if not whole.all() else []

    def undefined(why: str, difference: float | None = None) -> Comparison:
        note = noted(*notes, why)
        return Comparison(difference, None, None, None, None, MIXED, "seeds", n, len(table), level=level, note=note)

    if not a.size:
        return undefined("no subset is there for every seed")
    difference = float(a.mean() - b.mean())
    if min(len(a), len(b)) < 2:
        return undefined(ONE_SEED, difference)
    if a.shape[1] < 3:  # with two, of which conditions differ by subset, one test in nine rejects
        return undefined("fewer than three subsets say too little about others", difference)
    variance, freedom, alike = _reml(a, b)
    if variance <= (ROUNDING * max(float(np.abs(a).max()), float(np.abs(b).max()))) ** 2:
        return undefined("neither seeds nor subsets differ, where a standard error of 0 would not hold", difference)
    notes += ["the variance of condition x subset is estimated as 0"] if alike else []
    smallest = min(1.0, 2 / math.comb(len(table), len(a)))
    note = noted(*notes, _reach(smallest, (a, b), level))
    return t_comparison(
        difference, math.sqrt(variance), freedom, test=MIXED, unit="seeds", n=n, clusters=len(table), level=level,
        smallest_p=smallest, note=note,
    )  # fmt: skip


def _reml(a: Floats, b: Floats) -> tuple[float, float, bool]:
    """Variance of the difference of two tables of seeds x subsets, its degrees of freedom, and whether subsets add none."""
    subsets = a.shape[1]
    seeds, rest = [], []  # each condition's share of the variance, with its degrees of freedom
    for table in (a, b):
        count, own = len(table), table.mean(axis=1, keepdims=True) - table.mean()
        seeds.append((float(np.sum(own**2)) / (count - 1) / count, count - 1))
        left, freedom = float(np.sum((table - table.mean(axis=0) - own) ** 2)), (count - 1) * (subsets - 1)
        rest.append((-left / freedom / count / subsets, freedom))
    among = (float(np.var(a.mean(axis=0) - b.mean(axis=0), ddof=1)) / subsets, subsets - 1)
    alike = among[0] + sum(term for term, _ in rest) <= 0
    terms = seeds if alike else [*seeds, among, *rest]
    total = sum(term for term, _ in terms)
    if total <= 0:
        return 0.0, 0.0, alike
    # Subsets count here too: with fewer subsets than seeds, the seeds' number alone would reject too often.
    least = min(df for _, df in (seeds if alike else [*seeds, among]))
    return total, max(least, 1 / sum((term / total) ** 2 / df for term, df in terms)), alike


@dataclass(frozen=True, slots=True)
class SeedVariance:
    """How much of the spread of a condition's runs comes from pre-training seeds, and how much from fine-tuning seeds.

    Attributes:
        pretraining: Variance between pre-training seeds; None where it cannot be told from that of fine-tuning.
        finetuning: Variance between fine-tuning seeds of one checkpoint.
        f: Variance ratio of the one-way analysis.
        p: Its p-value.
        pretraining_seeds: Number of checkpoints.
        runs: Number of fine-tuned models.
        note: Why something is None, or what a reader must know.
    """

    pretraining: float | None
    finetuning: float | None
    f: float | None
    p: float | None
    pretraining_seeds: int
    runs: int
    note: str | None = None


def seed_variance(values: Mapping[str, Sequence[float]]) -> SeedVariance:
    """Variances of pre-training and of fine-tuning seeds, by one-way analysis of variance.

    ``(MS_between - MS_within) / n0``, with ``n0 = (N - sum n_i^2 / N) / (R - 1)`` where checkpoints have different
    numbers of runs (Searle, Casella and McCulloch 1992, Variance Components, section 3.6); negative estimates become 0.

    Args:
        values: For each pre-training seed the values of its fine-tuned models.

    Example:
        >>> found = seed_variance({"1": [60.0, 62.0], "2": [65.0, 67.0], "3": [61.0, 63.0]})
        >>> found.pretraining, found.finetuning, round(found.f, 3)
        (6.0, 2.0, 7.0)
    """
    from scipy.stats import f as f_distribution

    groups = [np.asarray(runs, np.float64) for runs in values.values() if len(runs)]
    count, sizes = len(groups), np.array([len(group) for group in groups])
    runs = int(sizes.sum())

    def undefined(note: str, finetuning: float | None = None) -> SeedVariance:
        return SeedVariance(None, finetuning, None, None, count, runs, note)

    if not count:
        return undefined("there are no runs")
    if not all(np.isfinite(group).all() for group in groups):
        return undefined("a value is not finite")
    means = np.array([group.mean() for group in groups])
    if runs == count:
        return undefined("one run per checkpoint: pre-training and fine-tuning seeds cannot be told apart")
    within = sum(float(np.sum((group - group.mean()) ** 2)) for group in groups) / (runs - count)
    if count == 1:
        return undefined("conditional on this checkpoint: only the noise of fine-tuning is visible", within)
    grand = np.concatenate(groups).mean()
    between = float(np.sum(sizes * (means - grand) ** 2)) / (count - 1)
    if within <= (ROUNDING * max(float(np.abs(group).max()) for group in groups)) ** 2:
        return undefined("fine-tuned models of one checkpoint do not differ", within)
    size = (runs - float(np.sum(sizes**2)) / runs) / (count - 1)
    ratio, estimate = between / within, (between - within) / size
    p = float(f_distribution.sf(ratio, count - 1, runs - count))
    note = "pre-training seeds differ no more than fine-tuning seeds make them: estimated as 0" if estimate < 0 else None
    return SeedVariance(max(0.0, estimate), within, ratio, p, count, runs, note)
