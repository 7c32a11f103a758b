"""From predictions of several seeds to scores: the mean, its spread, and an interval that covers seeds and items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from babyeval.fit.metrics import Metric
from babyeval.records import Score
from babyeval.stats.intervals import Estimate, proportion
from babyeval.stats.seeds import (
    Floats,
    blocks_of,
    credit_shares,
    detectable,
    jackknife_shares,
    over_seeds,
    over_seeds_and_items,
)

if TYPE_CHECKING:
    from babyeval.fit.task import FitTask

FEW_SEEDS = 3  # fewer are allowed and flagged


@dataclass(frozen=True, slots=True)
class Predicted:
    """What several fits of one task say about the same examples.

    Attributes:
        gold: Right labels, as indices into the card's.
        clusters: The cluster of each example.
        labels: By seed the predicted labels; diverged fits are left out.
        diverged: Seeds of diverged fits.
    """

    gold: Sequence[int]
    clusters: Sequence[str]
    labels: Mapping[int, Sequence[int]]
    diverged: Sequence[int] = ()

    @property
    def constant(self) -> list[int]:
        """Seeds of fits that give all examples one label."""
        return [seed for seed, labels in self.labels.items() if len(set(labels)) == 1]

    @property
    def majority(self) -> float:
        """Share of the most frequent right label, in percent: what a constant classifier can reach."""
        return 100 * max(Counter(self.gold).values()) / len(self.gold)


def fit_scores(task: FitTask, predicted: Predicted, remarks: Sequence[str] = ()) -> tuple[list[Score], float | None]:
    """The scores of a fine-tuned task over seeds, never the best of them.

    The headline is the mean over seeds, with an interval over seeds and items. Beside it stand the intervals over
    seeds alone and over items alone (group ``covers``), each seed's value (group ``seed``), and in group ``seeds``
    ``sd`` (over seeds, n - 1), ``min``, ``constant`` and ``diverged`` (numbers of seeds), ``majority`` and ``mde``.

    Args:
        task: What the labels mean, and the metrics.
        predicted: At least one seed's predictions.
        remarks: What a reader of the headline must know besides.

    Returns:
        The scores, headline first, and the least detectable difference (`babyeval.stats.seeds.detectable`).
    """
    scores: list[Score] = []
    mde = None
    for metric in task.metrics:
        values = np.array([metric(predicted.gold, labels) for labels in predicted.labels.values()])
        parts = _estimates(metric, predicted, values)
        estimate = parts.pop("")
        note = estimate.note
        if metric is task.metrics[0]:
            mde = detectable(estimate)
            note = "; ".join([*filter(None, [note]), *_headline_notes(metric, predicted, mde), *remarks])
        scores.append(_score(task, metric, predicted, estimate, note=note or None))
        scores += [_score(task, metric, predicted, part, "covers", name, part.note) for name, part in parts.items()]
        for seed, value in zip(predicted.labels, values, strict=True):
            own = Estimate(None if np.isnan(value) else float(value), None, None, None, "none", len(predicted.gold), 0)
            scores.append(_score(task, metric, predicted, own, "seed", str(seed)))
    return [*scores, *_described(task, predicted, scores[0], mde)], mde


def _estimates(metric: Metric, predicted: Predicted, values: Floats) -> dict[str, Estimate]:
    """The mean over seeds: with an interval over seeds and items (no name), and of several seeds over either alone."""
    n, count = len(predicted.gold), len(set(predicted.clusters))
    if undefined := int(np.isnan(values).sum()):
        note = f"the metric is undefined for {undefined} of {len(values)} seeds: a label is neither there nor predicted"
        return {"": Estimate(None, None, None, None, "none", n, count, note)}
    blocks, several = blocks_of(predicted.clusters), len(values) > 1
    if metric.name == "accuracy":
        credits = _credits(predicted)
        shares, mean = credit_shares(credits, blocks), credits.mean(axis=1)
        if count < n:  # near 0 and 1 the clustered t interval would fail for as few as WSC has
            items = over_seeds_and_items(mean.mean(keepdims=True), shares.mean(axis=1, keepdims=True), n, wilson=True)
        else:
            items = proportion(mean.tolist(), predicted.clusters)
        both = over_seeds_and_items(values / 100, shares, n, wilson=True) if several else items
        items, both = _percent(items), _percent(both)
    else:
        shares = jackknife_shares(metric, predicted.gold, list(predicted.labels.values()), blocks, metric.without)
        low, high = {"f1": (0.0, 100.0), "mcc": (-1.0, 1.0)}.get(metric.name, (-np.inf, np.inf))
        both = over_seeds_and_items(values, shares, n, low=low, high=high)
        items = over_seeds_and_items(values.mean(keepdims=True), shares.mean(axis=1, keepdims=True), n, low=low, high=high)
    return {"": both, "seeds": over_seeds(values.tolist(), n, count), "items": items} if several else {"": both}


def _credits(predicted: Predicted) -> Floats:
    """1 where a seed is right, examples x seeds."""
    return np.array([np.equal(labels, predicted.gold) for labels in predicted.labels.values()], np.float64).T


def _percent(estimate: Estimate) -> Estimate:
    """The same in percent."""
    value, se, low, high = (None if v is None else 100 * v for v in (estimate.value, estimate.se, estimate.low, estimate.high))
    return replace(estimate, value=value, se=se, low=low, high=high)


def _headline_notes(metric: Metric, predicted: Predicted, mde: float | None) -> list[str]:
    count, notes = len(predicted.labels), list[str]()
    asked = count + len(predicted.diverged)
    if predicted.diverged:
        notes.append(f"{len(predicted.diverged)} of {asked} seeds diverged and are left out")
    if predicted.constant:
        notes.append(
            f"constant: one label for all rows in {len(predicted.constant)} of {count} seeds "
            f"(the most frequent label has {predicted.majority:.2f}% of them)"
        )
    if count == 1:
        notes.append("one seed shows no spread over seeds: the interval covers items alone")
    elif count < FEW_SEEDS:
        notes.append(f"{count} seeds tell little about their spread: take at least {FEW_SEEDS}")
    if mde is not None:
        size = f"{mde:.1f} points" if metric.unit == "percent" else f"{mde:.2f}"
        what = f"{len(predicted.gold):,} items and {count} seed{'s' if count > 1 else ''}"
        notes.append(f"{what} cannot separate models that are closer than {size} (80% power, independent errors)")
    return notes


def _described(task: FitTask, predicted: Predicted, headline: Score, mde: float | None) -> list[Score]:
    """What the seeds and the examples are like, as numbers of their own."""
    values = [task.metrics[0](predicted.gold, labels) for labels in predicted.labels.values()]
    several = len(values) > 1 and headline.value is not None
    few = None if several else "it takes two seeds"
    described: list[tuple[str, float | None, str, str | None]] = [
        ("sd", float(np.std(values, ddof=1)) if several else None, headline.unit, few),
        ("min", min(values) if headline.value is not None else None, headline.unit, None),
        ("constant", float(len(predicted.constant)), "seeds", None),
        ("diverged", float(len(predicted.diverged)), "seeds", None),
        ("majority", predicted.majority, "percent", None),
        ("mde", mde, headline.unit, None if mde is not None else "there is no interval"),
    ]
    return [
        Score(
            metric=name, group="seeds", value=value, unit=unit, higher_is_better=name in ("min", "majority"), estimator="micro",
            n=headline.n, n_clusters=headline.n_clusters, se=None, se_method="none", ci_low=None, ci_high=None, chance=None,
            note=note,
        )
        for name, value, unit, note in described
    ]  # fmt: skip


def _score(
    task: FitTask,
    metric: Metric,
    predicted: Predicted,
    estimate: Estimate,
    group: str = "",
    subset: str = "",
    note: str | None = None,
) -> Score:
    chance = task.guessed(metric.name, predicted.gold)  # F1's depends on the labels: the card's is that of the full split
    if chance is None and metric is task.metrics[0]:
        chance = task.card.chance
    return Score(
        metric=metric.name,
        group=group,
        subset=subset,
        value=estimate.value,
        unit=metric.unit,
        estimator="micro",
        n=estimate.n,
        n_clusters=len(set(predicted.clusters)),
        se=estimate.se,
        se_method=estimate.method,
        ci_low=estimate.low,
        ci_high=estimate.high,
        chance=chance,
        note=note,
    )
