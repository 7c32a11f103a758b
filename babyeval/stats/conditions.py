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
from babyeval.stats.types import Comparison, noted

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

WELCH = "Welch t over seeds"
MIXED = "linear mixed model over seeds and subsets"
ONE_SEED = "no test supports a claim about a condition with one seed"

_MOST = 200_000  # arrangements of seeds that are enumerated: all up to 10 against 10
_DRAWS = 9_999
_ROUNDING = 1e-12  # of the largest value: a smaller error is what rounding leaves of 0


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
    if min(map(len, samples)) < 2 or not np.isfinite(pooled).all() or np.ptp(pooled) <= _ROUNDING * np.abs(pooled).max():
        return found
    p, smallest = _permutation(*samples)
    return replace(found, p_permutation=p, smallest_p=smallest, note=noted(found.note, _reach(smallest, samples, level)))


def _reach(smallest: float, samples: Sequence[Floats], level: float) -> str | None:
    """Says so if so few seeds can never be told apart without assuming that they are normally distributed."""
    if smallest <= 1 - level:
        return None
    sizes = " against ".join(str(len(sample)) for sample in samples)
    return f"with {sizes} seeds a permutation cannot give p below {smallest:.2g}: a smaller p rests on normality"


def weighted_means(
    samples: Sequence[Floats], weights: Sequence[float], *, test: str, n: int = 0, level: float = 0.95, pooled: bool = False
) -> Comparison:
    """A weighted sum of independent seed means, with t.

    Each sample has its own variance, and Satterthwaite's degrees of freedom (1946, Biometrics 2): for weights 1 and -1
    it is Welch's test. Pooled, all samples have the same variance, which those of weight 0 and those of one seed
    help to estimate, or not.

    Args:
        samples: One value per seed, per condition.
        weights: One per condition.
        test: What the result calls itself.
        n: Number of items behind each value.
        level: Coverage aimed at.
        pooled: Whether to assume equal variances.
    """
    used = [(weight, sample) for weight, sample in zip(weights, samples, strict=True) if weight or (pooled and len(sample))]
    count = sum(len(sample) for _, sample in used)

    def undefined(note: str, value: float | None = None) -> Comparison:
        return Comparison(value, None, None, None, None, test, "seeds", n, count, level=level, note=note)

    if not all(len(sample) for _, sample in used):
        return undefined("a condition has no seed")
    if not all(np.isfinite(sample).all() for _, sample in used):
        return undefined("a seed's value is not finite")
    difference = float(sum(weight * sample.mean() for weight, sample in used))
    freedoms = [len(sample) - 1 for _, sample in used]
    if not (any(freedoms) if pooled else all(freedoms)):
        return undefined(ONE_SEED, difference)
    squares = [float(np.sum((sample - sample.mean()) ** 2)) for _, sample in used]
    within = [sum(squares) / sum(freedoms)] * len(used) if pooled else [s / df for s, df in zip(squares, freedoms, strict=True)]
    parts = [weight**2 * share / len(sample) for (weight, sample), share in zip(used, within, strict=True)]
    variance = sum(parts)
    if variance <= (_ROUNDING * max(float(np.abs(sample).max()) for _, sample in used)) ** 2:
        return undefined("seeds do not differ, where a standard error of 0 would not hold", difference)
    # Shares of the variance, since squares of tiny variances would vanish.
    own = 1 / sum((part / variance) ** 2 / df for part, df in zip(parts, freedoms, strict=True)) if not pooled else sum(freedoms)
    return t_comparison(difference, math.sqrt(variance), own, test=test, unit="seeds", n=n, clusters=count, level=level)


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
    seeds too seldom where the subsets' variance is the larger.

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
    if a.shape[1] < 2:
        return undefined("one subset says nothing about others", difference)
    variance, freedom, alike = _reml(a, b)
    if variance <= (_ROUNDING * max(float(np.abs(a).max()), float(np.abs(b).max()))) ** 2:
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
    return total, 1 / sum((term / total) ** 2 / df for term, df in terms), alike


@dataclass(frozen=True, slots=True)
class SeedVariance:
    """How much of the spread of a condition's runs comes from pre-training seeds, and how much from fine-tuning seeds.

    Attributes:
        pretraining: Variance between pre-training seeds; None where it cannot be told from that of fine-tuning.
        finetuning: Variance between fine-tuning seeds of one checkpoint.
        f: Variance ratio of the one-way analysis.
        p: Its p-value.
        se: Standard error of the unweighted mean over pre-training seeds, which covers both; None for one checkpoint.
        pretraining_seeds: Number of checkpoints.
        runs: Number of fine-tuned models.
        note: Why something is None, or what a reader must know.
    """

    pretraining: float | None
    finetuning: float | None
    f: float | None
    p: float | None
    se: float | None
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

    def undefined(note: str, finetuning: float | None = None, se: float | None = None) -> SeedVariance:
        return SeedVariance(None, finetuning, None, None, se, count, runs, note)

    if not count:
        return undefined("there are no runs")
    if not all(np.isfinite(group).all() for group in groups):
        return undefined("a value is not finite")
    means = np.array([group.mean() for group in groups])
    se = float(means.std(ddof=1)) / math.sqrt(count) if count > 1 else None
    if runs == count:
        return undefined("one run per checkpoint: pre-training and fine-tuning seeds cannot be told apart", se=se)
    within = sum(float(np.sum((group - group.mean()) ** 2)) for group in groups) / (runs - count)
    if count == 1:
        return undefined("conditional on this checkpoint: only the noise of fine-tuning is visible", within)
    grand = np.concatenate(groups).mean()
    between = float(np.sum(sizes * (means - grand) ** 2)) / (count - 1)
    if within <= (_ROUNDING * max(float(np.abs(group).max()) for group in groups)) ** 2:
        return undefined("fine-tuned models of one checkpoint do not differ", within, se)
    size = (runs - float(np.sum(sizes**2)) / runs) / (count - 1)
    ratio, estimate = between / within, (between - within) / size
    p = float(f_distribution.sf(ratio, count - 1, runs - count))
    note = "pre-training seeds differ no more than fine-tuning seeds make them: estimated as 0" if estimate < 0 else None
    return SeedVariance(max(0.0, estimate), within, ratio, p, se, count, runs, note)
