"""Planned designs: contrasts between conditions, factors and their interactions, and how many seeds a study needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from babyeval.errors import UsageError
from babyeval.stats.conditions import weighted_means
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
    pooled: bool = False,
    n: int = 0,
    level: float = 0.95,
) -> Comparison:
    """A weighted sum of conditions' means over seeds, with weights that add up to 0.

    By default each condition has its own variance, and t Satterthwaite's degrees of freedom (Welch's test where weights
    are 1 and -1). Pooled, all conditions that are given share one variance, as in an analysis of variance.

    Args:
        groups: One value per training seed, by condition.
        weights: Of the conditions that the contrast is about.
        pooled: Whether variances are equal.
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
    test = "pooled t contrast over seeds" if pooled else "Welch t contrast over seeds"
    return weighted_means(samples, [weights.get(name, 0.0) for name in groups], test=test, n=n, level=level, pooled=pooled)


@dataclass(frozen=True, slots=True)
class Effect:
    """A row of an analysis of variance: a factor or an interaction, as ``size:curriculum``."""

    term: str
    squares: float
    freedom: int
    f: float | None
    p: float | None


@dataclass(frozen=True, slots=True)
class Factorial:
    """An analysis of variance.

    Attributes:
        effects: Main effects first.
        residual: Mean square within cells; None without replication.
        freedom: Its degrees of freedom.
        n: Number of values, one per seed and cell.
        note: Why something is None, or what a reader must know.
    """

    effects: tuple[Effect, ...]
    residual: float | None
    freedom: int
    n: int
    note: str | None = None


def factorial(
    frame: pd.DataFrame, factors: Sequence[str], *, value: str = "value", seed: str = "seed", kind: Literal[2, 3] = 2
) -> Factorial:
    """Analysis of variance of all factors and interactions, with seeds as replications.

    Rows of one cell and seed, such as subsets, are averaged first: they are no replications. Each effect compares two
    nested least-squares models, as statsmodels' `anova_lm` does, but with degrees of freedom by rank, so that
    empty cells cost theirs; for type III, factors are coded so that they add up to 0.

    Args:
        frame: Columns of the factors, the seed and the value.
        factors: Names of the columns, such as size and curriculum.
        value: The column of values; rows where it is not finite are left out.
        seed: The column of seeds.
        kind: 2: each effect beyond all that do not contain it; 3: beyond all others.

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
        return Factorial(
            tuple(Effect(":".join(term), 0.0, 0, None, None) for term in terms), None, 0, len(y), "fewer than two values"
        )
    columns = _columns(rows, terms)
    whole, freedom = _residual(y, list(columns.values()))
    cells = len(rows[list(factors)].drop_duplicates())
    notes = []
    if cells < math.prod(rows[factor].nunique() for factor in factors):
        notes.append(
            "cells of the design are empty: interactions speak of the others only" + (", and type III of nothing" * (kind == 3))
        )
    tiny = 1e-24 * len(y) * float(np.abs(y).max()) ** 2
    if not freedom or whole <= tiny:
        notes.append("no cell has two seeds" if not freedom else "seeds do not differ")
    effects = []
    for term in terms:
        others = [other for other in terms if other != term and (kind == 3 or not set(term) <= set(other))]
        without, more = _residual(y, [columns[other] for other in others])
        with_it, less = _residual(y, [columns[other] for other in (*others, term)])
        effects.append(_effect(":".join(term), max(0.0, without - with_it), more - less, whole if whole > tiny else 0.0, freedom))
    return Factorial(tuple(effects), whole / freedom if freedom else None, freedom, len(y), "; ".join(notes) or None)


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


def _residual(y: Floats, blocks: Sequence[Floats]) -> tuple[float, int]:
    """Sum of squares that least squares leaves, and its degrees of freedom."""
    design = np.column_stack([np.ones(len(y)), *blocks])
    effects, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    return float(np.sum((y - design @ effects) ** 2)), len(y) - int(rank)


def _effect(term: str, squares: float, freedom: int, residual: float, residual_freedom: int) -> Effect:
    if not (freedom and residual and residual_freedom):
        return Effect(term, squares, freedom, None, None)
    from scipy.stats import f

    ratio = squares / freedom / (residual / residual_freedom)
    return Effect(term, squares, freedom, ratio, float(f.sf(ratio, freedom, residual_freedom)))


@dataclass(frozen=True, slots=True)
class Plan:
    """What so many seeds per condition would find.

    Attributes:
        seeds: Training seeds of each of two conditions.
        mde: The least true difference that Welch's t finds with the power aimed at; None for one seed.
        sd: Standard deviation between seeds, from the pilot.
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
    sd = math.sqrt(squares / freedom) if squares else None
    plans = []
    for count in seeds:
        error = sd * math.sqrt(2 / count) if sd and count > 1 else None
        mde = minimum_detectable(error, 2 * count - 2, level, power) if error else None
        plans.append(Plan(count, mde, sd, freedom))
    return plans
