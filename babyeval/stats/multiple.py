"""Many tests at once: Holm, Benjamini-Hochberg, Benjamini-Yekutieli, and Westfall-Young's max-T for correlated tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from babyeval.stats.permutation import ROUNDING, flipped_sums

Method = Literal["holm", "bh", "by"]

_NAMES: dict[Method, str] = {"holm": "holm", "bh": "fdr_bh", "by": "fdr_by"}


def adjust(p: Sequence[float | None], method: Method) -> list[float | None]:
    """P-values adjusted for the number of tests in the family.

    Holm's keep the chance of any false positive at the level: for confirmatory tables. Those of Benjamini and Hochberg
    keep the share of false ones among the positives, for exploratory grids of tests that are independent or positively
    dependent; those of Benjamini and Yekutieli under any dependence (statistics.md, section 3).

    Args:
        p: The p-values; one that is None or NaN stays undefined and does not count in the family.
        method: Which adjustment.

    Example:
        >>> adjust([0.01, None, 0.04], "holm")
        [0.02, None, 0.04]
    """
    there = [i for i, value in enumerate(p) if value is not None and not math.isnan(value)]
    adjusted: list[float | None] = [None] * len(p)
    if there:
        from statsmodels.stats.multitest import multipletests

        for i, value in zip(there, multipletests([p[i] for i in there], method=_NAMES[method])[1], strict=True):
            adjusted[i] = float(value)
    return adjusted


def max_t(
    tasks: Mapping[str, Mapping[str, float]], draws: int = 9_999, seed: int = 0
) -> dict[str, tuple[float | None, float | None]]:
    """P-values of tasks by sign flips, as they are and adjusted for all tasks, which uses how tasks are correlated.

    Step-down max-T (Westfall and Young 1993; Ge, Dudoit and Speed 2003, Test 12): a task's statistic is compared with
    the largest of its own and all less extreme tasks' under the same flips, which keeps the chance of any false positive
    at the level. A unit has one sign wherever its name occurs, so that tasks that share units stay as correlated
    as they are; tasks without common units are flipped independently, and the level holds as well, with about Holm's
    power. Units that are not the same must therefore have different names.

    The statistic is the sum of a task's differences over the root of their sum of squares. It is a monotone function
    of t, but bounded: the t of a task of few units is huge whenever their signs agree, and would drown the others.

    Args:
        tasks: For each task the difference of each unit, such as a subset; already weighted, if the estimate weighs them.
        draws: Random sign vectors, where not all are enumerated.
        seed: Of the random signs.

    Returns:
        For each task its p-value and its adjusted p-value; both None, and the task not in the family, where it has fewer
        than two units, a difference that is not finite, or none but 0.

    Example:
        >>> same = {"one": 3.0, "two": 2.0, "three": 4.0, "four": 3.0, "five": 2.0, "six": 1.0}
        >>> other = {name: -value for name, value in same.items()}
        >>> max_t({"a": same, "b": other})  # two tasks that say the same count once
        {'a': (0.03125, 0.03125), 'b': (0.03125, 0.03125)}
    """
    family = [name for name, differences in tasks.items() if _usable(differences)]
    result: dict[str, tuple[float | None, float | None]] = dict.fromkeys(tasks, (None, None))
    if not family:
        return result
    units = {unit: i for i, unit in enumerate(dict.fromkeys(unit for name in family for unit in tasks[name]))}
    shares = np.zeros((len(units), len(family)))
    for column, name in enumerate(family):
        for unit, difference in tasks[name].items():
            shares[units[unit], column] = difference
    shares /= np.abs(shares).max(axis=0)  # squares must neither overflow nor vanish
    shares /= np.sqrt((shares**2).sum(axis=0))
    shares = shares[shares.any(axis=1)]  # the sign of 0 tells nothing
    observed = np.abs(shares.sum(axis=0))
    order = np.argsort(-observed, kind="stable")
    least = (observed - ROUNDING * np.abs(shares).sum(axis=0))[order, None]
    drawn = np.abs(flipped_sums(shares, draws, seed))[order]
    own = (drawn >= least).mean(axis=1)
    largest = (np.maximum.accumulate(drawn[::-1], axis=0)[::-1] >= least).mean(axis=1)
    adjusted = np.maximum.accumulate(largest)
    for place, column in enumerate(order):
        result[family[column]] = (float(own[place]), float(adjusted[place]))
    return result


def _usable(differences: Mapping[str, float]) -> bool:
    values = list(differences.values())
    return len(values) > 1 and all(map(math.isfinite, values)) and any(values)
