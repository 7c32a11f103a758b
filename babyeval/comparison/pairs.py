"""Two checkpoints on one task: which test the task's kind asks for, and what the test speaks of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from babyeval.comparison.join import NoItems, joined
from babyeval.comparison.report import Level, Measured, scaled
from babyeval.reading import EYE_TRACKING, SELF_PACED
from babyeval.records import Score, TaskResult
from babyeval.stats.aggregate import UID
from babyeval.stats.types import Comparison
from babyeval.store import ResultStore

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from babyeval.card import TaskCard

ENOUGH_SUBSETS = 10  # of which a sample of subsets can be spoken (statistics.md, decided defaults)
READING_PARTS = {"eye_tracking": EYE_TRACKING, "self_paced": (SELF_PACED,)}

_LIKE_SUBSETS = "these two checkpoints, on subsets like these"
THESE_SUBSETS = "these two checkpoints, on these exact subsets"
LIKE_ITEMS = "these two checkpoints, on items like these"
LIKE_SENTENCES = "these two checkpoints, on sentences like these"
_REFITTED = "these two checkpoints, fine-tuned with other seeds, on items like these"
GAIN_NOTE = "what surprisal adds to the held-out log-likelihood per word"
NOTHING = "nothing: there is no test"
SAME = 1e-12  # differences below it are rounding
NO_LEVEL = "the task leaves no choice of level"
# Remarks on the error of a single headline, in whose place a comparison has its own.
_OF_ITS_ERROR = (
    "cannot separate models", "standard error", "too few items for an interval", "no interval is defined", "in a resample of",
)  # fmt: skip


def compare_pair(store: ResultStore, a: TaskResult, b: TaskResult, level: Level | None = None) -> list[Measured]:
    """Compares two models on a task, headline by headline.

    Args:
        store: Where the records' items lie.
        a: A record.
        b: That of another model with the same task, data, protocol and split.
        level: ``items`` or ``subsets``, where the task leaves a choice; by default subsets where there are ten or more.

    Raises:
        UsageError: The items do not join.
    """
    compared = {"ranking": _ranking, "rating": _rating, "acquisition": _rating, "reading": _reading, "fit": _fit}
    try:
        measured = compared[a.task.family](store, a, b, level)
    except NoItems as reason:
        measured = _untested(a, b, str(reason))
    return remarked(measured, a, b, None if level is None or a.task.family == "ranking" else NO_LEVEL)


def remarked(measured: Sequence[Measured], a: TaskResult, b: TaskResult, fixed: str | None = None) -> list[Measured]:
    """Comparisons with what a reader must know of both headlines, and ``fixed`` where there is a test."""
    names = [r.model.name if a.model.name != b.model.name else f"{r.model.name}@{r.model.revision}" for r in (a, b)]
    records = dict(zip(names, (a, b), strict=True))
    return [
        replace(one, note=together(one.note, *caveats(records, one.subset), fixed if one.found.p is not None else None))
        for one in measured
    ]


def own_headlines(result: TaskResult) -> list[Score]:
    """The headlines of the card's own metric; that of a single checkpoint in age of acquisition is another number."""
    return [score for score in result.headlines if score.metric == result.task.metric]


def together(*notes: str | None) -> str | None:
    """Several notes as one, each once."""
    return "; ".join(dict.fromkeys(filter(None, notes))) or None


def caveats(records: Mapping[str, TaskResult], subset: str) -> list[str]:
    """What a reader must know of headlines, such as seeds that diverged, or data that is not what was published.

    Args:
        records: Records of one task, by what they are called.
        subset: Which headline.
    """
    said: dict[str, list[str]] = {}
    for name, result in records.items():
        parts = [part for score in own_headlines(result) if score.subset == subset for part in (score.note or "").split("; ")]
        if result.data is not None and result.data.departs:
            parts.append(f"the data is not what was published ({result.data.departs})")
        for part in parts:
            if part and not any(words in part for words in _OF_ITS_ERROR):
                said.setdefault(part, []).append(name)
    return [f"{', '.join(dict.fromkeys(names))}: {part}" for part, names in said.items()]


def _untested(a: TaskResult, b: TaskResult, reason: str) -> list[Measured]:
    """The differences of headlines, without any items; what one of them lacks is a row without a difference."""
    sides = [{score.subset: score for score in own_headlines(result)} for result in (a, b)]
    measured = []
    for subset in dict.fromkeys([*sides[0], *sides[1]]):
        scores = [side[subset] for side in sides if subset in side]
        first, second = (side[subset].value if subset in side else None for side in sides)
        difference = None if first is None or second is None else first - second
        n = min(score.n for score in scores)
        found = Comparison(difference, None, None, None, None, "none", "items", n, 0, note=reason)
        measured.append(Measured(subset, scores[0].metric, scores[0].unit, (first, second), found, NOTHING))
    return measured


def _ranking(store: ResultStore, a: TaskResult, b: TaskResult, level: Level | None) -> list[Measured]:
    """Credits of items: over subsets, or over items within these subsets (statistics.md, section 2)."""
    from babyeval.stats.pairs import cluster_shares, mcnemar, stratified_paired_test, subset_mean_test

    card = a.task
    strata_column, within_column = ("subset" if key == UID else key for key in (card.strata, card.within))
    needed = ["subset", "cluster", "value", *filter(None, (strata_column, within_column))]
    left, right = joined(store, a, b, list(dict.fromkeys(needed)))
    unknown = int((left["value"].isna() | right["value"].isna()).sum())
    if unknown:  # a mean that skips them would compare other items than those that n counts (D2)
        raise NoItems(f"{unknown:,} of {len(left):,} items have no credit under one of the models")
    one, other = left["value"].tolist(), right["value"].tolist()
    strata = left[strata_column].astype(str).tolist() if strata_column else [card.name] * len(left)
    within = left[within_column].astype(str).tolist() if within_column else None
    clusters = left["cluster"].astype(str).tolist()
    means = _stratum_means(left["value"] - right["value"], strata, within)
    several, few = len(means) > 1, None
    if level == "subsets" or (level is None and len(means) >= ENOUGH_SUBSETS):
        found, claim, flips = subset_mean_test(list(means.values()), len(left)), _LIKE_SUBSETS, means
        few = few_subsets(len(means))
    else:
        claim = THESE_SUBSETS if several else LIKE_ITEMS
        flips = cluster_shares((left["value"] - right["value"]).tolist(), strata, clusters, within)
        if several or within is not None or len(set(clusters)) < len(clusters):
            found = stratified_paired_test(one, other, strata, clusters, within)
        else:
            found = mcnemar(one, other)
    counts = wins(list(means.values()) if several else left["value"] - right["value"], card)
    factor = 100.0 if card.unit == "percent" else 1.0
    return [
        Measured(
            "", card.metric, card.unit, headline_values(a, b), scaled(found, factor), claim, counts, flips,
            together(disagreement(a, b, found.difference, factor), few),
        )
    ]  # fmt: skip


def few_subsets(count: int) -> str | None:
    """What is to be said of a claim about subsets that few of them carry."""
    if not 1 < count < ENOUGH_SUBSETS:
        return None
    return f"{count} subsets are few for a claim about others like these, which is made by default from {ENOUGH_SUBSETS} on"


def _stratum_means(values: pd.Series[float], strata: Sequence[str], within: Sequence[str] | None) -> dict[str, float]:
    """Each stratum's mean; with subsets inside it, the mean of their means."""
    if within is None:
        means = values.groupby(list(strata), sort=False).mean()
    else:
        means = values.groupby([list(strata), list(within)], sort=False).mean().groupby(level=0, sort=False).mean()
    return {str(name): float(mean) for name, mean in means.items()}


def wins(differences: ArrayLike, card: TaskCard) -> tuple[int, int, int]:
    """In how many the first model is better, is worse, and is as good but for rounding, whichever direction is better."""
    import numpy as np

    gains = np.asarray(differences, np.float64) * (1 if card.higher_is_better else -1)
    better, worse = int((gains > SAME).sum()), int((gains < -SAME).sum())
    return better, worse, len(gains) - better - worse


def headline_values(a: TaskResult, b: TaskResult) -> tuple[float | None, float | None]:
    """The first headline of each."""
    first, second = (own_headlines(result)[0].value for result in (a, b))
    return first, second


def disagreement(a: TaskResult, b: TaskResult, difference: float | None, factor: float) -> str | None:
    """Says so if the items do not give the headlines' difference: an estimator that is not the card's."""
    first, second = headline_values(a, b)
    if None in (first, second, difference):
        return None
    assert first is not None and second is not None and difference is not None  # noqa: PT018 - for the type checker
    if abs(first - second - factor * difference) <= 1e-6 * factor:
        return None
    return f"the headlines differ by {first - second:.4g}: they are not what the items give"


def _rating(store: ResultStore, a: TaskResult, b: TaskResult, level: Level | None) -> list[Measured]:
    """Correlations with the same human values depend on each other: words or stems are left out, or drawn, for both together."""
    from babyeval.stats.correlations import correlation_difference
    from babyeval.stats.pearson import pearson_difference

    card, trajectory = a.task, a.task.family == "acquisition"
    left, right = joined(store, a, b, ["gold", "value", "reason" if trajectory else "cluster"])
    note = None
    if trajectory:  # a word needs an age under both models
        kept = ((left["reason"] == "") & (right["reason"] == "")).to_numpy()
        own = [int((table["reason"] == "").sum()) for table in (left, right)]
        note = f"of the {int(kept.sum())} words that have an age under both models (of {own[0]} and {own[1]})"
        left, right = left[kept], right[kept]
    columns = (left["value"].tolist(), right["value"].tolist(), left["gold"].tolist())
    found = pearson_difference(*columns) if trajectory else correlation_difference(*columns, left["cluster"].astype(str).tolist())
    factor = 100.0 if card.unit == "percent" else 1.0
    values = headline_values(a, b)
    if trajectory:  # each headline is of its own words, and would not give the difference
        own_words = " and ".join("-" if value is None else f"{value:.3f}" for value in values)
        note = f"{note}; over each one's own words: {own_words}"
        values = _correlation(left, factor), _correlation(right, factor)
    else:
        note = disagreement(a, b, found.difference, factor)
    return [Measured("", card.metric, card.unit, values, scaled(found, factor), LIKE_ITEMS, note=note)]


def _correlation(table: pd.DataFrame, factor: float) -> float | None:
    """Pearson's correlation with children; None where it is undefined."""
    if len(table) < 2 or table["value"].nunique() < 2 or table["gold"].nunique() < 2:
        return None
    value = float(table["value"].corr(table["gold"]))
    return None if math.isnan(value) else factor * value


def _reading(store: ResultStore, a: TaskResult, b: TaskResult, level: Level | None) -> list[Measured]:
    """Held-out log-likelihoods of reading times, row by row; never two p-values or partial R2 (statistics.md, section 7)."""
    from babyeval.stats.pairs import held_out_test

    columns = [f"{kind}_{measure}" for part in READING_PARTS.values() for measure in part for kind in ("ll_base", "ll_full")]
    try:
        left, right = joined(store, a, b, ["cluster", *columns])
    except NoItems as reason:
        lacking = a.protocol != "robust"
        why = f"{a.protocol} has no held-out likelihoods to compare: take --protocol robust" if lacking else str(reason)
        raise NoItems(why) from reason
    measured = []
    for part, measures in READING_PARTS.items():
        full = [_mean_column(table, "ll_full", measures) for table in (left, right)]
        base = [_mean_column(table, "ll_base", measures) for table in (left, right)]
        delta = full[0] - full[1]
        there = delta.notna()
        gains = [float((f - b)[there].mean()) if there.any() else None for f, b in zip(full, base, strict=True)]
        sentences = left["cluster"].astype(str)
        found = held_out_test(delta.tolist(), sentences.tolist())
        flips = {str(name): float(sum_) for name, sum_ in delta[there].groupby(sentences[there], sort=False).sum().items()}
        measured.append(
            Measured(
                part, "held_out_log_likelihood", "nats", (gains[0], gains[1]), found, LIKE_SENTENCES, flips=flips,
                note=GAIN_NOTE,
            )
        )  # fmt: skip
    return measured


def _mean_column(table: pd.DataFrame, kind: str, measures: Sequence[str]) -> pd.Series[float]:
    """The mean of the measures' columns; NaN where one is."""
    return table[[f"{kind}_{measure}" for measure in measures]].mean(axis=1, skipna=False)


def _fit(store: ResultStore, a: TaskResult, b: TaskResult, level: Level | None) -> list[Measured]:
    """Fine-tuned models: seeds are each model's own, items are shared."""
    left, right = joined(store, a, b, ["cluster", "gold", "predictions"])
    seeds = [of_fits(result, table) for result, table in ((a, left), (b, right))]
    return [compared_fits(a, b, seeds[0], seeds[1], len(left), left["cluster"].nunique())]


def of_fits(result: TaskResult, table: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What blocks of items add to the value of each of a record's fine-tuning seeds, and the values."""
    sha256 = result.items.sha256 if result.items else ""
    return _seeds(result.task.metric, result.task.unit, _Predictions(sha256, hash(tuple(table.index)), table))


def compared_fits(
    a: TaskResult, b: TaskResult, seeds_a: tuple[NDArray[np.float64], NDArray[np.float64]],
    seeds_b: tuple[NDArray[np.float64], NDArray[np.float64]], n: int, clusters: int,
) -> Measured:  # fmt: skip
    """Two fine-tuned models by what `of_fits` gives of each."""
    from babyeval.stats.pairs import fits_test

    card, several = a.task, (len(seeds_a[1]), len(seeds_b[1]))
    found = fits_test(*seeds_a, *seeds_b, n)
    hyper = "they were fine-tuned with different hyper-parameters"
    other = hyper if a.fit and b.fit and a.fit.hyper_digest != b.fit.hyper_digest else None
    claim = _REFITTED if min(several) > 1 else f"{LIKE_ITEMS}, as fine-tuned here"
    return Measured(
        "", card.metric, card.unit, headline_values(a, b), replace(found, clusters=clusters, note=together(found.note, other)), claim,
        note=together(f"{several[0]} and {several[1]} fine-tuning seeds", disagreement(a, b, found.difference, 1.0)),
    )  # fmt: skip


@dataclass(frozen=True)
class _Predictions:
    """A table of predictions, told apart by its digest and the order of its items: pairs of many models share tables."""

    sha256: str
    order: int
    table: pd.DataFrame = field(compare=False)


@lru_cache(maxsize=64)
def _seeds(metric: str, unit: str, predicted: _Predictions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What blocks of items add to each seed's value, and the values."""
    import numpy as np

    from babyeval.fit.metrics import get_metric
    from babyeval.stats.seeds import blocks_of, credit_shares, jackknife_shares

    table, function = predicted.table, get_metric(metric, unit)
    gold, blocks = table["gold"].to_numpy(), blocks_of(table["cluster"].astype(str).tolist())
    labels = np.concatenate(table["predictions"].tolist()).reshape(len(table), -1)
    if metric == "accuracy":
        credits = (labels == gold[:, None]).astype(np.float64)
        return 100 * credit_shares(credits, blocks), 100 * credits.mean(axis=0)
    values = np.array([function(gold, column) for column in labels.T])
    return jackknife_shares(function, gold.tolist(), list(labels.T), blocks, function.without), values
