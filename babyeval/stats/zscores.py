"""Conditions side by side over tasks: z-scores in the manner of CLASS-IT, ranks, chance-corrected scores, effects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from babyeval.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class ZTable:
    """Conditions x tasks on one scale. z is a scale to show values on, never a test.

    Attributes:
        z: ``(x - mean) / sd`` over the conditions, turned so that more is better; tasks that say something only.
        bound: The largest |z| that so many conditions can reach; None for one.
        conditions: Their number, K.
        ddof: Of the standard deviations.
        left_out: Tasks that say nothing, with the reason.
        unchecked: Tasks of ``z`` without standard errors that their spread could be compared with.
        families: The family of each task of ``z``; tasks of a family are averaged before anything is summarised.
        ranks: Rank of the conditions per task of ``z``, 1 for the best, shared where equal.
        corrected: ``(x - chance) / (best - chance)`` for tasks whose chance is given: 0 for guessing, 1 for the best.
        effects: ``(x - baseline) / sqrt(se^2 + se_baseline^2)``, turned likewise: statistics for tests, where the errors
            are independent. None without baseline and errors.
    """

    z: pd.DataFrame
    bound: float | None
    conditions: int
    ddof: int
    left_out: Mapping[str, str]
    unchecked: Sequence[str]
    families: Mapping[str, str]
    ranks: pd.DataFrame
    corrected: pd.DataFrame
    effects: pd.DataFrame | None = None

    def summary(self, tasks: Sequence[str] | None = None) -> pd.DataFrame:
        """Median, quartiles and inter-quartile range of z per condition, its mean rank, and the number of values behind them.

        Args:
            tasks: Only these, such as those of fine-tuning; by default all. Those that were left out stay out.
        """
        import pandas as pd

        chosen = [task for task in self.z.columns if tasks is None or task in tasks]
        z, ranks = (self._by_family(table[chosen]) for table in (self.z, self.ranks))
        low, median, high = (z.quantile(share, axis=1) for share in (0.25, 0.5, 0.75))
        columns = {"median": median, "q1": low, "q3": high, "iqr": high - low, "mean_rank": ranks.mean(axis=1)}
        return pd.DataFrame(columns).assign(values=z.shape[1])

    def _by_family(self, table: pd.DataFrame) -> pd.DataFrame:
        return table.T.groupby([self.families[str(task)] for task in table.columns], sort=False).mean().T


def z_bound(conditions: int, ddof: int = 1) -> float | None:
    """The largest |z| that one of so many values can reach (statistics.md, section 4).

    Example:
        >>> round(z_bound(5), 3), z_bound(5, ddof=0)
        (1.789, 2.0)
    """
    if conditions < 2:
        return None
    return (conditions - 1) / math.sqrt(conditions) if ddof else math.sqrt(conditions - 1)


def z_scores(
    table: pd.DataFrame,
    se: pd.DataFrame | None = None,
    *,
    higher_is_better: Mapping[str, bool] | None = None,
    families: Mapping[str, str] | None = None,
    chance: Mapping[str, float] | None = None,
    best: Mapping[str, float] | None = None,
    baseline: str | None = None,
    ddof: int = 1,
    k: float = 1.0,
) -> ZTable:
    """Standardises each task over the conditions.

    A task is left out where a condition has no value, where all are equal, and where the spread over conditions is no more
    than ``k`` times their mean standard error: dividing by it would show noise as large as effects.

    Args:
        table: Conditions x tasks: one mean per cell.
        se: Their standard errors, in the same shape; NaN where unknown.
        higher_is_better: By task; by default it is.
        families: Family of each task; by default a task is its own.
        chance: Expected value of a guessing model, by task, on the table's scale.
        best: The best possible value, by task; by default 1.
        baseline: The condition that effects refer to.
        ddof: 1 for the sample's standard deviation, 0 for that of these conditions as a population.
        k: See above.

    Raises:
        UsageError: The baseline is not among the conditions, or ddof is neither 0 nor 1.

    Example:
        >>> import pandas as pd
        >>> scores = pd.DataFrame({"blimp": [70.0, 72.0, 74.0]}, index=["a", "b", "c"])
        >>> z_scores(scores).z["blimp"].tolist()
        [-1.0, 0.0, 1.0]
    """
    if baseline is not None and baseline not in table.index:
        known = ", ".join(map(str, table.index))
        raise UsageError(f"There is no condition {baseline!r}.", where="baseline", hint=f"Conditions: {known}.")
    if ddof not in (0, 1):
        raise UsageError(f"ddof is 0 or 1, not {ddof}.", where="z-scores")
    values = table.astype(float)
    errors = None if se is None else se.reindex(index=table.index, columns=table.columns).astype(float)
    left_out = {str(task): why for task in values if (why := _uninformative(values, errors, str(task), ddof, k))}
    tasks = [str(task) for task in values if task not in left_out]
    signs = np.array([1.0 if (higher_is_better or {}).get(task, True) else -1.0 for task in tasks])
    kept = values[tasks]
    z = (kept - kept.mean()) / kept.std(ddof=ddof) * signs
    unchecked = [task for task in tasks if errors is None or not np.isfinite(errors[task]).all()]
    return ZTable(
        z=z,
        bound=z_bound(len(values), ddof),
        conditions=len(values),
        ddof=ddof,
        left_out=left_out,
        unchecked=unchecked,
        families={task: (families or {}).get(task, task) for task in tasks},
        ranks=(kept * signs).rank(ascending=False),
        corrected=_chance_corrected(values, chance or {}, best or {}),
        effects=None if errors is None or baseline is None else _effects(kept * signs, errors[tasks], baseline),
    )


def _chance_corrected(values: pd.DataFrame, chance: Mapping[str, float], best: Mapping[str, float]) -> pd.DataFrame:
    """Scores between chance and the best, of the tasks whose chance is known."""
    known = [str(task) for task in values if task in chance]
    floor = np.array([chance[task] for task in known])
    ceiling = np.array([best.get(task, 1.0) for task in known])
    corrected: pd.DataFrame = (values[known] - floor) / (ceiling - floor)
    return corrected


def _effects(turned: pd.DataFrame, errors: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Differences from the baseline in units of their standard errors."""
    squares = errors**2
    effects: pd.DataFrame = (turned - turned.loc[baseline]) / (squares + squares.loc[baseline]) ** 0.5
    return effects.drop(index=baseline)


def _uninformative(values: pd.DataFrame, errors: pd.DataFrame | None, task: str, ddof: int, k: float) -> str | None:
    """Why a task says nothing about which condition is better; None where it may."""
    column = values[task].to_numpy()
    missing = [str(name) for name, value in zip(values.index, column, strict=True) if not math.isfinite(value)]
    if missing:
        return f"no value for {', '.join(missing)}"
    if len(column) < 2:
        return "one condition has nothing to be compared with"
    spread = float(np.std(column, ddof=ddof))
    if spread <= _ROUNDING * float(np.abs(column).max()):
        return "all conditions are equal"
    if errors is None or not np.isfinite(errors[task]).all():
        return None
    error = float(errors[task].mean())
    if spread <= k * error:
        return f"conditions spread by {spread:.3g}, no more than {k:g} x their mean standard error of {error:.3g}"
    return None
