"""From the outcomes of items to scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from babyeval.card import TaskCard
from babyeval.records import Score
from babyeval.stats.intervals import Estimate, proportion, stratified_macro_mean
from babyeval.types import Item, Outcome

UID = "uid"


def group_value(item: Item, key: str) -> str:
    """The item's value of a grouping key: its subset for ``uid``, else from its meta; empty for no key."""
    return item.subset if key == UID else item.meta[key] if key else ""


def accuracy_scores(
    card: TaskCard, items: Sequence[Item], outcomes: Sequence[Outcome], chances: Mapping[str, float | None] | None = None
) -> list[Score]:
    """All scores of a task whose outcomes are credits: the headline first, then every group's values.

    The headline is the unweighted mean over the card's strata, with an error that fits this
    estimator; a stratum is the mean over its items, or, with the card's ``within``, the unweighted
    mean over its subsets. Other groups are means over their items with Wilson's interval, or the
    clustered error where items share a cluster. The same scores follow for every variant, as metrics of their own.

    Args:
        card: What the task is.
        items: The items.
        outcomes: What each contributes, in the same order.
        chances: Expected score of a guessing model, by metric, where it is not the card's.
    """
    columns: dict[str, list[float | None]] = {card.metric: [outcome.value for outcome in outcomes]}
    for variant in outcomes[0].variants if outcomes else ():
        columns[variant] = [outcome.variants[variant] for outcome in outcomes]
    scores = []
    for metric, column in columns.items():
        there = [(item, value) for item, value in zip(items, column, strict=True) if value is not None]
        chance = (chances or {}).get(metric)
        scores += _metric_scores(card, metric, there, card.chance if chance is None else chance)
    return scores


def _metric_scores(card: TaskCard, metric: str, credits: Sequence[tuple[Item, float]], chance: float) -> list[Score]:
    whole = _mean(credits, card.strata, card.within)
    scores = [make_score(card, *whole, metric=metric, chance=chance)]
    for key in dict.fromkeys((card.strata, UID, *card.report)):
        members: dict[str, list[tuple[Item, float]]] = {}
        for item, value in credits:
            members.setdefault(group_value(item, key), []).append((item, value))
        for name, part in sorted(members.items()) if key else ():
            estimate = _mean(part, card.within if key == card.strata else "", "")
            scores.append(make_score(card, *estimate, metric=metric, chance=chance, group=key, subset=name))
    return scores


def _mean(credits: Sequence[tuple[Item, float]], outer: str, inner: str) -> tuple[Estimate, str]:
    """The mean over outer groups of means over inner groups, and the name of this estimator."""
    values = [value for _, value in credits]
    clusters = [item.cluster for item, _ in credits]
    strata = [group_value(item, outer) for item, _ in credits]
    subsets = [group_value(item, inner) for item, _ in credits]
    if len(set(strata)) > 1 or len(set(subsets)) > 1:
        return stratified_macro_mean(values, strata, clusters, within=subsets), "macro"
    return proportion(values, clusters), "micro"


def make_score(
    card: TaskCard, estimate: Estimate, estimator: str, *, metric: str, chance: float, group: str = "", subset: str = ""
) -> Score:
    """A score in the card's unit: percent for shares, correlations as they are."""
    scale = 100 if card.unit == "percent" else 1
    value, se, low, high = (
        None if number is None else scale * number for number in (estimate.value, estimate.se, estimate.low, estimate.high)
    )
    return Score(
        metric=metric,
        group=group,
        subset=subset,
        value=value,
        unit=card.unit,
        higher_is_better=card.higher_is_better,
        estimator="macro" if estimator == "macro" else "micro",
        n=estimate.n,
        n_clusters=estimate.clusters,
        se=se,
        se_method=estimate.method,
        ci_low=low,
        ci_high=high,
        chance=chance,
        note=estimate.note,
    )
