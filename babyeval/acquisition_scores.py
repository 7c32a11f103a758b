"""The numbers of the acquisition family: curves of words over checkpoints, and their correlation with children's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from babyeval.errors import DataError, UsageError
from babyeval.models.revisions import equal_weights
from babyeval.protocols import Protocol
from babyeval.records import Score
from babyeval.stats.acquisition import (
    MIN_CHECKPOINTS,
    Acquired,
    Rule,
    correlate,
    model_acquisition_2025,
    model_acquisition_2026,
    model_acquisition_robust,
)
from babyeval.stats.intervals import Estimate, spearman
from babyeval.stats.reading import Floats
from babyeval.types import Snapshot

if TYPE_CHECKING:
    import pandas as pd

_REASONS = 3  # that the note of the correlation lists

_RULES: dict[str, Rule] = {"babylm-2025": "2025", "babylm-2026": "2026"}


def trajectory(snapshots: Sequence[Snapshot], tokenizer: Any, protocol: Protocol) -> tuple[list[Score], pd.DataFrame]:
    """The correlation of models' and children's ages of acquisition, and what became of each word.

    Args:
        snapshots: The checkpoints' tables, by words seen.
        tokenizer: The model's tokenizer, which says how improbable a word can be for a model that knows nothing.
        protocol: Which curve is fitted, and how the correlation is formed (protocol.md, section 5).

    Raises:
        UsageError: There are fewer than four checkpoints, or fewer than four that differ in their weights (D36).
        DataError: They were asked about different items.
    """
    words = np.array([snapshot.words_seen for snapshot in snapshots], np.float64)
    if len(set(words)) < MIN_CHECKPOINTS:
        raise UsageError(
            f"A curve needs at least {MIN_CHECKPOINTS} checkpoints of different age, and there are {len(set(words))}.",
            hint="Choose more by --revisions, or save checkpoints more often.",
        )
    equal = equal_weights((snapshot.revision, snapshot.weights) for snapshot in snapshots)
    different = len(snapshots) - sum(len(group) - 1 for group in equal)
    if different < MIN_CHECKPOINTS:
        raise UsageError(
            f"A curve needs at least {MIN_CHECKPOINTS} checkpoints that differ, and there are {different}.",
            where="the same weights: " + "; ".join(" and ".join(group) for group in equal),
            hint="Were the checkpoints saved or uploaded as they were at each step?",
        )
    first = snapshots[0].table
    if any(not snapshot.table["item_id"].equals(first["item_id"]) for snapshot in snapshots):
        raise DataError("The checkpoints were asked about different items.", hint="Run all of them again with --fresh.")
    surprisals = np.stack([snapshot.table["value"].to_numpy(np.float64) for snapshot in snapshots])
    table = _words(first, words, surprisals, tokenizer, protocol)
    return _trajectory_scores(table, protocol), table


def _words(first: pd.DataFrame, words: Floats, surprisals: Floats, tokenizer: Any, protocol: Protocol) -> pd.DataFrame:
    """One row per word: both ages, or why there is none."""
    import pandas as pd

    lines = []
    tokens = first["tokens"].map(lambda counts: float(np.sum(counts)))
    for word, rows in first.groupby("word", sort=False).groups.items():
        own = surprisals[:, list(rows)]
        ceiling = _ceiling(str(word), float(tokens[rows].mean()), tokenizer, protocol)
        model = _model(words, own, ceiling, protocol)
        child = first.loc[rows[0], "child"]
        lines.append(
            {
                "item_id": word,
                "gold": first.loc[rows[0], "gold"],
                "value": model.at,
                "reason": f"child: {child}" if child else f"model: {model.reason}" if model.reason else "",
                "contexts": len(rows),
                "ceiling": ceiling,
                "surprisal": own.mean(axis=1).tolist(),
                "curve": list(model.curve) if model.curve else None,
            }
        )
    return pd.DataFrame(lines)


def _ceiling(word: str, tokens: float, tokenizer: Any, protocol: Protocol) -> float:
    """Surprisal in nats of the word for a model that takes all tokens for equally probable.

    The official number of tokens is that of the word behind "The", and added tokens are not counted (D19).
    """
    if protocol.name == "robust":
        return tokens * math.log(len(tokenizer))
    pieces = len(tokenizer(f"The {word}")["input_ids"]) - len(tokenizer("The")["input_ids"])
    return max(1, pieces) * math.log(tokenizer.vocab_size)


def _model(words: Floats, surprisals: Floats, ceiling: float, protocol: Protocol) -> Acquired:
    if protocol.name == "babylm-2025":
        return model_acquisition_2025(words, surprisals)
    if protocol.name == "babylm-2026":
        return model_acquisition_2026(words, surprisals, ceiling)
    return model_acquisition_robust(words, surprisals, ceiling)


def _trajectory_scores(table: pd.DataFrame, protocol: Protocol) -> list[Score]:
    """The correlation, with ranks beside it, and the number of words that dropped out, by reason."""
    kept = table[table["reason"] == ""]
    model, child = kept["value"].tolist(), kept["gold"].tolist()
    found = correlate(model, child, _RULES.get(protocol.name, "robust"))
    ranks = spearman(model, child)
    correlation = _correlation("pearson_r", found.value, found.estimate)
    said = "; ".join(filter(None, (correlation.note, _dropped(table))))
    scores = [
        correlation.model_copy(update={"note": said or None}),
        _correlation("spearman_rho", ranks.value, ranks),
    ]
    counted = {"": len(kept), **Counter(reason for reason in table["reason"] if reason)}
    plain: list[tuple[str, str, float | None, str]] = [("p_value", "", found.p, "probability")]
    plain += [("words_dropped" if reason else "words", reason, float(n), "words") for reason, n in counted.items()]
    scores += [
        Score(
            metric=metric, group="reason" if reason else "", subset=reason, value=value, unit=unit, estimator="micro",
            higher_is_better=metric == "words", n=len(table), n_clusters=len(table), se=None, se_method="none",
            ci_low=None, ci_high=None, chance=None,
        )
        for metric, reason, value, unit in plain
    ]  # fmt: skip
    return scores


def _dropped(table: pd.DataFrame) -> str:
    """How many words have no pair of ages, and the most frequent reasons."""
    reasons = Counter(reason for reason in table["reason"] if reason)
    if not reasons:
        return ""
    most = ", ".join(f"{count} {reason.replace(': ', ' ')}" for reason, count in reasons.most_common(_REASONS))
    return f"{reasons.total()} of {len(table)} words dropped out: {most}{', ...' if len(reasons) > _REASONS else ''}"


def _correlation(metric: str, value: float | None, estimate: Estimate) -> Score:
    return Score(
        metric=metric, value=value, unit="correlation", estimator="micro", n=estimate.n, n_clusters=estimate.clusters,
        se=estimate.se, se_method=estimate.method, ci_low=estimate.low, ci_high=estimate.high, chance=0.0, note=estimate.note,
    )  # fmt: skip
