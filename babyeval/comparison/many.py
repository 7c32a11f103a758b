"""All pairs of many models on one task: what `compare_pair` gives, from tables that are read and reduced once per model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from babyeval.comparison.join import NoItems, items_of, joined
from babyeval.comparison.pairs import (
    ENOUGH_SUBSETS,
    GAIN_NOTE,
    LIKE_ITEMS,
    LIKE_SENTENCES,
    READING_PARTS,
    SAME,
    THESE_SUBSETS,
    compare_pair,
    compared_fits,
    disagreement,
    headline_values,
    of_fits,
    remarked,
    wins,
)  # fmt: skip
from babyeval.comparison.report import Measured, scaled
from babyeval.errors import UsageError
from babyeval.stats.aggregate import UID
from babyeval.stats.correlations import Resampled, resampled, resampled_difference, uncorrelated
from babyeval.stats.pairs import mcnemar
from babyeval.stats.student import t_comparison
from babyeval.stats.types import Comparison

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from babyeval.records import TaskResult
    from babyeval.store import ResultStore

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_FEW = 10  # clusters: what is said of fewer is left to `compare_pair`


class Many:
    """The records of one task of many models.

    What is usual is computed here, from what each model's table was reduced to; whatever is not, such as items without
    credits, few clusters or models that do not differ, is left to `compare_pair`. Numbers agree but for rounding; companion
    permutations are left out.

    Args:
        store: Where the items lie.
    """

    def __init__(self, store: ResultStore) -> None:
        self._store = store
        self._frame: _Frame | None = None
        self._reduced: dict[int, tuple[TaskResult, Any]] = {}

    def compare(self, a: TaskResult, b: TaskResult) -> list[Measured]:
        """What `compare_pair` gives of two records, which are all of one task and measured alike.

        Raises:
            UsageError: The items do not join.
        """
        one, other = self._of(a), self._of(b)
        found = self._frame.compare(a, b, one, other) if self._frame and one is not None and other is not None else None
        return compare_pair(self._store, a, b) if found is None else remarked(found, a, b)

    def _of(self, result: TaskResult) -> Any:
        """What the record's items come to; None if they cannot be used here."""
        if id(result) not in self._reduced:
            self._reduced[id(result)] = result, self._reduce(result)
        return self._reduced[id(result)][1]

    def _reduce(self, result: TaskResult) -> Any:
        frames = {"ranking": _Credits, "rating": _Ratings, "reading": _Readings, "fit": _Fits}
        if result.task.family not in frames:
            return None
        try:
            if self._frame is None:
                kind = frames[result.task.family]
                self._first, self._record = joined(self._store, result, result, kind.columns(result))[0], result
                self._frame = kind(self._first, result)
                return self._frame.reduce(self._first, result)
            own = items_of(self._store, result, self._frame.own(result))
            if not own.index.equals(self._first.index):
                own = joined(self._store, self._record, result, self._frame.own(result))[1]
            return self._frame.reduce(own, result)
        except (NoItems, UsageError):  # `compare_pair` says what is wrong
            return None


class _Frame:
    """What all models share on a task: its items, and how they are grouped.

    Args:
        table: One model's items.
        result: Its record.
    """

    @staticmethod
    def columns(result: TaskResult) -> list[str]:
        """What is needed of the first table."""
        raise NotImplementedError

    def own(self, result: TaskResult) -> list[str]:
        """What is needed of another model's."""
        return self.columns(result)

    def __init__(self, table: pd.DataFrame, result: TaskResult) -> None:
        raise NotImplementedError

    def reduce(self, table: pd.DataFrame, result: TaskResult) -> Any:
        """What one model's items come to; None if they are not usual."""
        raise NotImplementedError

    def compare(self, a: TaskResult, b: TaskResult, one: Any, other: Any) -> list[Measured] | None:
        """Two models; None if their difference is not usual."""
        raise NotImplementedError


def _codes(values: pd.Series[Any]) -> Integers:
    """Numbers for values, in the order of their first occurrence."""
    codes, _ = values.astype(str).factorize()
    return codes.astype(np.int64)


def _sums(codes: Integers, values: Floats, count: int) -> Floats:
    return np.asarray(np.bincount(codes, values, count), np.float64)


class _Credits(_Frame):
    """Credits of items: `stats.pairs.stratified_paired_test`, of sums over clusters that are linear in the credits."""

    @staticmethod
    def columns(result: TaskResult) -> list[str]:
        keys = ("subset" if key == UID else key for key in (result.task.strata, result.task.within))
        return list(dict.fromkeys(["subset", "cluster", "value", *filter(None, keys)]))

    def __init__(self, table: pd.DataFrame, result: TaskResult) -> None:
        card = result.task
        strata, within = (
            None if not key else _codes(table["subset" if key == UID else key]) for key in (card.strata, card.within)
        )
        self.strata = np.zeros(len(table), np.int64) if strata is None else strata
        self.within, self.n = within, len(table)
        inner = np.zeros(len(table), np.int64) if within is None else within
        _, self.cell = np.unique(np.stack([self.strata, inner]), axis=1, return_inverse=True)
        self.cells = int(self.cell.max()) + 1
        self.cluster = _codes(table["cluster"])
        self.clusters = int(self.cluster.max()) + 1
        self.stratum_of = np.zeros(self.cells, np.int64)
        self.stratum_of[self.cell] = self.strata
        per_stratum = np.bincount(self.stratum_of)
        self.sizes = np.bincount(self.cell)
        self.weight = 1 / len(per_stratum) / per_stratum[self.stratum_of]  # of a cell in the macro mean
        self.share = 1 / per_stratum[self.stratum_of]  # ... and in its stratum's
        met, self.pair = np.unique(self.cell * self.clusters + self.cluster, return_inverse=True)
        self.pair_cell, self.pair_cluster = met // self.clusters, met % self.clusters
        inside = np.bincount(self.pair_cell)  # clusters of each cell
        self.alone = bool((inside < 2).any())
        with np.errstate(divide="ignore"):
            self.scale = np.sqrt(inside / (inside - 1))
        self.freedom = inside - 1
        self.part = self._parts()  # of each cell: cells that share clusters are one
        self.part_of_cluster = np.zeros(self.clusters, np.int64)
        self.part_of_cluster[self.pair_cluster] = self.part[self.pair_cell]
        self.part_clusters = np.bincount(self.part_of_cluster)
        self.groups = (self.strata, self.within, self.cluster)

    def own(self, result: TaskResult) -> list[str]:
        return ["value"]

    def _parts(self) -> Integers:
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        size = self.cells + self.clusters
        edges = coo_matrix((np.ones(len(self.pair_cell)), (self.pair_cell, self.cells + self.pair_cluster)), shape=(size, size))
        _, labels = connected_components(edges, directed=False)
        return np.unique(labels[: self.cells], return_inverse=True)[1].astype(np.int64)

    def reduce(self, table: pd.DataFrame, result: TaskResult) -> _Reduced | None:
        values = table["value"].to_numpy(np.float64, na_value=np.nan)
        if not np.isfinite(values).all():
            return None
        means = _sums(self.cell, values, self.cells) / self.sizes
        deviations = (self.weight / self.sizes)[self.cell] * (values - means[self.cell])
        inside = _sums(self.pair, deviations, len(self.pair_cell))
        sums = _sums(self.pair_cluster, self.scale[self.pair_cell] * inside, self.clusters) if not self.alone else inside
        strata = _sums(self.stratum_of, self.share * means, int(self.strata.max()) + 1)
        return _Reduced(values, means, inside, sums, strata)

    def compare(self, a: TaskResult, b: TaskResult, one: _Reduced, other: _Reduced) -> list[Measured] | None:
        card, several = a.task, len(one.strata) > 1
        if len(one.strata) >= ENOUGH_SUBSETS or self.alone:
            return None
        single = not several and self.within is None and self.clusters == self.n
        found = self._mcnemar(one, other) if single else self._test(one, other)
        if found is None:
            return None
        signs = one.strata - other.strata if several else one.values - other.values
        factor = 100.0 if card.unit == "percent" else 1.0
        note = disagreement(a, b, found.difference, factor)
        claim = THESE_SUBSETS if several else LIKE_ITEMS
        counts = wins(signs, card)
        return [Measured("", card.metric, card.unit, headline_values(a, b), scaled(found, factor), claim, counts, note=note)]

    def _mcnemar(self, one: _Reduced, other: _Reduced) -> Comparison | None:
        if not all(np.isin(values, (0.0, 1.0)).all() for values in (one.values, other.values)):
            return None
        difference = one.values - other.values
        return _of_counts(int((difference > 0).sum()), int((difference < 0).sum()), self.n)

    def _test(self, one: _Reduced, other: _Reduced) -> Comparison | None:
        if self.clusters < _FEW:
            return None
        squares = (one.sums - other.sums) ** 2
        variance = float(squares.sum())
        if variance < 1e-20:
            return None
        own = self.scale**2 * _sums(self.pair_cell, (one.inside - other.inside) ** 2, self.cells)
        count = len(self.part_clusters)
        whole, parts = _sums(self.part, own, count), _sums(self.part_of_cluster, squares, count)
        with np.errstate(divide="ignore", invalid="ignore"):
            cells = np.where(whole > 0, whole**2 / _sums(self.part, own**2 / self.freedom, count), np.inf)
        freedom = variance**2 / float((parts**2 / np.minimum(cells, self.part_clusters - 1)).sum())
        several = len(one.strata) > 1 or self.within is not None
        test = "stratified paired t" if several else "clustered paired t" if self.clusters < self.n else "paired t"
        difference = float(self.weight @ (one.means - other.means))
        return t_comparison(difference, variance**0.5, freedom, test=test, unit="items", n=self.n, clusters=self.clusters)


@dataclass(frozen=True, slots=True)
class _Reduced:
    """Credits of a model.

    Attributes:
        values: As they are.
        means: Of each cell.
        inside: What each cluster adds to the macro mean in each of its cells, as a deviation.
        sums: The same over cells, with the factor of each cell.
        strata: Of each stratum its mean.
    """

    values: Floats
    means: Floats
    inside: Floats
    sums: Floats
    strata: Floats


@lru_cache(maxsize=4096)
def _of_counts(won: int, lost: int, n: int) -> Comparison:
    """McNemar's test knows of the items only how many each model alone gets right."""
    rest = [0.0] * (n - won - lost)
    return mcnemar([1.0] * won + [0.0] * lost + rest, [0.0] * won + [1.0] * lost + rest)


class _Ratings(_Frame):
    """Correlations with people: the same resamples for all models."""

    @staticmethod
    def columns(result: TaskResult) -> list[str]:
        return ["gold", "value", "cluster"]

    def __init__(self, table: pd.DataFrame, result: TaskResult) -> None:
        self.gold, self.clusters = table["gold"].to_numpy(np.float64), table["cluster"].astype(str).tolist()

    def reduce(self, table: pd.DataFrame, result: TaskResult) -> Resampled | None:
        values, gold = (table[name].to_numpy(np.float64, na_value=np.nan) for name in ("value", "gold"))
        if uncorrelated(values, values, gold) or not np.array_equal(gold, self.gold):
            return None
        return resampled(values, gold, self.clusters)

    def compare(self, a: TaskResult, b: TaskResult, one: Resampled, other: Resampled) -> list[Measured]:
        found, factor = resampled_difference(one, other), 100.0 if a.task.unit == "percent" else 1.0
        note = disagreement(a, b, found.difference, factor)
        return [Measured("", a.task.metric, a.task.unit, headline_values(a, b), scaled(found, factor), LIKE_ITEMS, note=note)]


class _Readings(_Frame):
    """Held-out log-likelihoods of reading times: `stats.pairs.held_out_test`."""

    @staticmethod
    def columns(result: TaskResult) -> list[str]:
        return [
            "cluster",
            *(f"{kind}_{name}" for part in READING_PARTS.values() for name in part for kind in ("ll_base", "ll_full")),
        ]

    def __init__(self, table: pd.DataFrame, result: TaskResult) -> None:
        self.sentence = _codes(table["cluster"])

    def reduce(self, table: pd.DataFrame, result: TaskResult) -> dict[str, tuple[Floats, Floats]]:
        return {
            part: (table[[f"ll_full_{m}" for m in names]].mean(axis=1, skipna=False).to_numpy(np.float64),
                   table[[f"ll_base_{m}" for m in names]].mean(axis=1, skipna=False).to_numpy(np.float64))
            for part, names in READING_PARTS.items()
        }  # fmt: skip

    def compare(self, a: TaskResult, b: TaskResult, one: Any, other: Any) -> list[Measured] | None:
        measured = []
        for part in READING_PARTS:
            delta = one[part][0] - other[part][0]
            there = ~np.isnan(delta)
            found = self._test(delta, there)
            if found is None:
                return None
            gains = [float((full - base)[there].mean()) for full, base in (one[part], other[part])]
            measured.append(
                Measured(part, "held_out_log_likelihood", "nats", (gains[0], gains[1]), found, LIKE_SENTENCES, note=GAIN_NOTE)
            )
        return measured

    def _test(self, delta: Floats, there: NDArray[np.bool_]) -> Comparison | None:
        values, sentences = delta[there], self.sentence[there]
        n, count = len(values), len(np.unique(sentences))
        if n == 0 or count < _FEW or not np.isfinite(values).all():
            return None
        mean = float(values.mean())
        se = float(np.sqrt(count / (count - 1) * (np.bincount(sentences, values - mean) ** 2).sum())) / n
        if se <= SAME * float(np.abs(values).max()):
            return None
        note = f"{len(delta) - n} rows without a likelihood are left out" if n < len(delta) else None
        test = "clustered t over sentences"
        return t_comparison(mean, se, count - 1, test=test, unit="items", n=n, clusters=count, note=note)


class _Fits(_Frame):
    """Fine-tuned models: what each seed gets right, block by block."""

    @staticmethod
    def columns(result: TaskResult) -> list[str]:
        return ["cluster", "gold", "predictions"]

    def __init__(self, table: pd.DataFrame, result: TaskResult) -> None:
        self.n, self.clusters = len(table), int(table["cluster"].nunique())

    def reduce(self, table: pd.DataFrame, result: TaskResult) -> tuple[Floats, Floats]:
        return of_fits(result, table)

    def compare(self, a: TaskResult, b: TaskResult, one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> list[Measured]:
        return [compared_fits(a, b, one, other, self.n, self.clusters)]
