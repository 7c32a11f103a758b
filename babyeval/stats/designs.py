"""Planned designs: contrasts between conditions, factors and their interactions, and how many seeds a study needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyeval.errors import UsageError
from babyeval.stats.conditions import ROUNDING, weighted_means
from babyeval.stats.power import minimum_detectable
from babyeval.stats.types import Comparison

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

# The questions that CLASS-IT asks of its conditions.
PLANNED: Mapping[str, Mapping[str, float]] = {
    "sequential against merged": {"it_switch_wiki": 0.5, "it_wiki_switch": 0.5, "it_merged": -1.0},
    "order": {"it_switch_wiki": 1.0, "it_wiki_switch": -1.0},
    "size": {"it_merged": 1.0, "it_merged_100m": -1.0},
}


def planned(conditions: Sequence[str]) -> dict[str, Mapping[str, float]]:
    """Those of the planned contrasts whose conditions are all there.

    Example:
        >>> list(planned(["it_switch_wiki", "it_wiki_switch"]))
        ['order']
    """
    return {name: weights for name, weights in PLANNED.items() if set(weights) <= set(conditions)}


def contrast(
    groups: Mapping[str, Sequence[float]],
    weights: Mapping[str, float],
    *,
    parents: Mapping[str, Sequence[str]] | None = None,
    n: int = 0,
    level: float = 0.95,
) -> Comparison:
    """A weighted sum of conditions' means over seeds, with weights that add up to 0.

    Each condition has its own variance, and t Satterthwaite's degrees of freedom (Welch's test where weights are 1 and -1).
    Values of a side that go on from one parent are no independent ones (`conditions.weighted_means`).

    Args:
        groups: One value per training seed, by condition.
        weights: Of the conditions that the contrast is about.
        parents: For each value the checkpoint from which it goes on; by default no two have the same.
        n: Number of items behind each value, for the record.
        level: Coverage aimed at.

    Raises:
        UsageError: A weight is for a condition that is not there, or weights do not add up to 0 or are all 0.

    Example:
        >>> seeds = {"early": [60.0, 62.0], "late": [61.0, 63.0], "both": [58.0, 60.0]}
        >>> found = contrast(seeds, {"early": 0.5, "late": 0.5, "both": -1.0})
        >>> found.difference, round(found.se, 4), round(found.freedom, 3)
        (2.5, 1.2247, 2.0)
    """
    unknown = [name for name in weights if name not in groups]
    if unknown:
        raise UsageError(f"There is no condition {unknown[0]!r}.", where="contrast", hint=f"Conditions: {', '.join(groups)}.")
    if not any(weights.values()) or abs(math.fsum(weights.values())) > 1e-9:
        raise UsageError(
            "The weights of a contrast must add up to 0, and not all be 0.",
            where=", ".join(f"{name}: {weight:g}" for name, weight in weights.items()),
            hint="Half of each of two conditions against a third: 0.5, 0.5, -1.",
        )
    samples = [np.asarray(values, np.float64) for values in groups.values()]
    origins = [parents[name] for name in groups] if parents is not None else None
    every = [weights.get(name, 0.0) for name in groups]
    return weighted_means(samples, every, test="Welch t contrast over seeds", parents=origins, n=n, level=level)


@dataclass(frozen=True, slots=True)
class Effect:
    """A row of an analysis of variance: a factor or an interaction, as ``size:curriculum``; ``note`` says why it has no test."""

    term: str
    squares: float
    freedom: int
    f: float | None
    p: float | None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Factorial:
    """An analysis of variance.

    Attributes:
        effects: Main effects first.
        residual: Mean square within cells; None without replication.
        freedom: Its degrees of freedom.
        n: Number of values, one per seed and cell.
        fewest: Number of them in the smallest cell.
        note: Why something is None, or what a reader must know.
    """

    effects: tuple[Effect, ...]
    residual: float | None
    freedom: int
    n: int
    fewest: int
    note: str | None = None


def factorial(
    frame: pd.DataFrame,
    factors: Sequence[str],
    *,
    value: str = "value",
    seed: str = "seed",
    kind: Literal[2, 3] = 2,
    shared: bool = False,
) -> Factorial:
    """Analysis of variance of all factors and interactions, with seeds as replications.

    Rows of one cell and seed, such as subsets, are averaged first: they are no replications. Each effect compares two
    nested least-squares models, as statsmodels' `anova_lm` does, but with degrees of freedom by rank, so that
    empty cells cost theirs; for type III, factors are coded so that they add up to 0.

    Where seeds are parents that cells have in common, what they have in common cancels in the effect of a factor that varies
    within parents, which is on the safe side; an effect between parents holds more of it than the mean square within
    cells, and has no test here.

    Args:
        frame: Columns of the factors, the seed and the value.
        factors: Names of the columns, such as size and curriculum.
        value: The column of values; rows where it is not finite are left out.
        seed: The column of seeds.
        kind: 2: each effect beyond all that do not contain it; 3: beyond all others.
        shared: Whether a seed that several cells have is one parent of values in all of them; else it is another in each.

    Raises:
        UsageError: A column is not there.
    """
    lacking = [name for name in (*factors, seed, value) if name not in frame]
    if lacking or not factors:
        known = ", ".join(map(str, frame.columns))
        raise UsageError(
            f"There is no column {(lacking or ['(factor)'])[0]!r}.", where="factorial design", hint=f"Columns: {known}."
        )
    there = frame[np.isfinite(frame[value].astype(float))]
    rows = there.groupby([*factors, seed], sort=False, observed=True)[value].mean().reset_index()
    y = rows[value].to_numpy(np.float64)
    terms = [term for size in range(1, len(factors) + 1) for term in combinations(factors, size)]
    if len(y) < 2:
        none = tuple(Effect(":".join(term), 0.0, 0, None, None) for term in terms)
        return Factorial(none, None, 0, len(y), len(y), "fewer than two values")
    columns = _columns(rows, terms)
    origins = rows[seed].factorize()[0] if shared else np.arange(len(y))
    parents = np.eye(int(origins.max()) + 1)[origins]
    whole = _residual(y, parents, list(columns.values()))
    sizes, freedom = rows.groupby(list(factors), observed=True).size(), whole.freedom
    notes = [f"of {factor} one level is left" for factor in factors if rows[factor].nunique() < 2]
    if len(sizes) < math.prod(rows[factor].nunique() for factor in factors):
        notes.append(
            "cells of the design are empty: interactions speak of the others only" + (", and type III of nothing" * (kind == 3))
        )
    tiny = 1e-24 * len(y) * float(np.abs(y).max()) ** 2
    if not freedom or whole.squares <= tiny:
        notes.append("no cell has two seeds" if not freedom else "seeds do not differ")
    effects = []
    for term in terms:
        others = [other for other in terms if other != term and (kind == 3 or not set(term) <= set(other))]
        without = _residual(y, parents, [columns[other] for other in others])
        with_it = _residual(y, parents, [columns[other] for other in (*others, term)])
        own = _Left(max(0.0, without.squares - with_it.squares), without.freedom - with_it.freedom, without.noise - with_it.noise)
        effects.append(_effect(":".join(term), own, whole if whole.squares > tiny else _Left(0.0, freedom, 0.0)))
    residual = whole.squares / freedom if freedom else None
    return Factorial(tuple(effects), residual, freedom, len(y), int(sizes.min()), "; ".join(notes) or None)


def _columns(rows: pd.DataFrame, terms: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], Floats]:
    """The columns of each term: factors coded to add up to 0 over their levels, and products of them."""
    columns: dict[tuple[str, ...], Floats] = {}
    for term in terms:
        product: Floats = np.ones((len(rows), 1))
        for factor in term:
            codes, levels = rows[factor].factorize()
            coded = np.vstack([np.eye(len(levels) - 1), -np.ones(len(levels) - 1)])[codes]
            product = (product[:, :, None] * coded[:, None, :]).reshape(len(rows), -1)
        columns[term] = product
    return columns


class _Left(NamedTuple):
    """A sum of squares, its degrees of freedom, and how often it holds the variance of parents."""

    squares: float
    freedom: int
    noise: float


def _residual(y: Floats, parents: Floats, blocks: Sequence[Floats]) -> _Left:
    """What least squares leaves; ``parents`` tells by a 1 from which of them a value goes on."""
    design = np.column_stack([np.ones(len(y)), *blocks])
    space, sizes, _ = np.linalg.svd(design, full_matrices=False)
    space = space[:, sizes > sizes.max() * len(y) * np.finfo(float).eps]
    left = y - space @ (space.T @ y)
    return _Left(float(left @ left), len(y) - space.shape[1], len(y) - float(np.sum((space.T @ parents) ** 2)))


def _effect(term: str, own: _Left, residual: _Left) -> Effect:
    if not (own.freedom and residual.squares and residual.freedom):
        return Effect(term, own.squares, own.freedom, None, None)
    if own.noise / own.freedom > 1.000001 * residual.noise / residual.freedom:
        why = f"conditions of several levels of the design share parents, which are the replications of {term}: leave out the other factor"
        return Effect(term, own.squares, own.freedom, None, None, why)
    from scipy.stats import f

    ratio = own.squares / own.freedom / (residual.squares / residual.freedom)
    return Effect(term, own.squares, own.freedom, ratio, float(f.sf(ratio, own.freedom, residual.freedom)))


@dataclass(frozen=True, slots=True)
class Plan:
    """What so many seeds per condition would find.

    Attributes:
        seeds: Training seeds of each of two conditions.
        mde: The least true difference that Welch's t finds with the power aimed at; None for one seed.
        sd: Standard deviation between seeds, from the pilot; None where no two of a condition differ by more than rounding.
        pilot_freedom: Its degrees of freedom: few make the plan rough.
    """

    seeds: int
    mde: float | None
    sd: float | None
    pilot_freedom: int


def planned_mde(
    pilot: Mapping[str, Sequence[float]], seeds: Sequence[int], *, level: float = 0.95, power: float = 0.8
) -> list[Plan]:
    """The least true difference that a planned study finds, by the number of its seeds.

    From the pilot's variance between seeds, pooled over its conditions, by the noncentral t of 2 S - 2 degrees of freedom.

    Args:
        pilot: One value per training seed, by condition; at least one needs two seeds.
        seeds: Numbers of seeds per condition.
        level: One minus the two-sided size of the test.
        power: Chance to find the difference.

    Example:
        >>> pilot = {"a": [60.0, 62.0, 61.0], "b": [63.0, 62.0, 64.0]}
        >>> [(plan.seeds, round(plan.mde, 2)) for plan in planned_mde(pilot, [3, 5, 10])]
        [(3, 3.07), (5, 2.02), (10, 1.32)]
    """
    samples = [np.asarray(values, np.float64) for values in pilot.values()]
    samples = [sample[np.isfinite(sample)] for sample in samples]
    samples = [sample for sample in samples if len(sample) > 1]
    freedom = sum(len(sample) - 1 for sample in samples)
    squares = sum(float(np.sum((sample - sample.mean()) ** 2)) for sample in samples)
    largest = max((float(np.abs(sample).max()) for sample in samples), default=0.0)
    sd = math.sqrt(squares / freedom) if freedom and squares / freedom > (ROUNDING * largest) ** 2 else None
    plans = []
    for count in seeds:
        error = sd * math.sqrt(2 / count) if sd and count > 1 else None
        mde = minimum_detectable(error, 2 * count - 2, level, power) if error else None
        plans.append(Plan(count, mde, sd, freedom))
    return plans
