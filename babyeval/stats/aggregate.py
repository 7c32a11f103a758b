"""From the outcomes of items to scores."""

from __future__ import annotations

from collections.abc import Sequence

from babyeval.card import TaskCard
from babyeval.records import Score
from babyeval.stats.intervals import Estimate, proportion, stratified_macro_mean
from babyeval.types import Item, Outcome

UID = "uid"


def group_value(item: Item, key: str) -> str:
    """The item's value of a grouping key: its subset for ``uid``, else from its meta."""
    return item.subset if key == UID else item.meta[key]


def accuracy_scores(card: TaskCard, items: Sequence[Item], outcomes: Sequence[Outcome]) -> list[Score]:
    """All scores of a task whose outcomes are credits: the headline first, then every group's values.

    The headline is the unweighted mean over the card's strata, with an error that fits this
    estimator; groups are means over their items with Wilson's interval.
    """
    credits = [outcome.value for outcome in outcomes]
    clusters = [item.cluster for item in items]
    strata = [group_value(item, card.strata) for item in items]
    if len(set(strata)) > 1:
        scores = [_score(card, stratified_macro_mean(credits, strata, clusters), "macro")]
    else:
        scores = [_score(card, proportion(credits, clusters), "micro")]
    for key in dict.fromkeys((card.strata, UID, *card.report)):
        members: dict[str, list[int]] = {}
        for i, item in enumerate(items):
            members.setdefault(group_value(item, key), []).append(i)
        for value, indices in sorted(members.items()):
            estimate = proportion([credits[i] for i in indices], [clusters[i] for i in indices])
            scores.append(_score(card, estimate, "micro", group=key, subset=value))
    return scores


def _score(card: TaskCard, estimate: Estimate, estimator: str, group: str = "", subset: str = "") -> Score:
    return Score(
        metric=card.metric,
        group=group,
        subset=subset,
        value=_percent(estimate.value),
        unit=card.unit,
        higher_is_better=card.higher_is_better,
        estimator="macro" if estimator == "macro" else "micro",
        n=estimate.n,
        n_clusters=estimate.clusters,
        se=_percent(estimate.se),
        se_method=estimate.method,
        ci_low=_percent(estimate.low),
        ci_high=_percent(estimate.high),
        chance=card.chance,
        note=estimate.note,
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
