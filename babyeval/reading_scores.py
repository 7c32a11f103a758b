"""The scores of the reading family out of its table: two headlines, and every regression behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np

from babyeval.protocols import Protocol
from babyeval.reading import EYE_TRACKING, MEASURES, SELF_PACED
from babyeval.records import Score
from babyeval.stats.intervals import Estimate, clustered_mean
from babyeval.stats.reading import (
    COMMON_SPILLOVER,
    OFFICIAL_SPILLOVER,
    TOKENS,
    WORD_END,
    WORD_FORM,
    Floats,
    Form,
    Nested,
    Regression,
    Table,
    held_out,
    nested,
    regress,
    resampled_partial_r2,
    sentence_weights,
)

_DRAWS = 1000
# Such an interval covers a truth of 0 never, of 0.5% about 85 times in 100, and larger ones 90 to 97 times.
_PERCENTILE = "percentile; biased upwards near 0"
_NO_INTERVAL = "in a resample of sentences a predictor is a combination of the others"
# The regressions of the headlines under robust.
_PARTS: tuple[tuple[str, Form, tuple[str, ...]], ...] = (
    ("eye_tracking", WORD_FORM, EYE_TRACKING), ("self_paced", COMMON_SPILLOVER, (SELF_PACED,)),
)  # fmt: skip


def reading_scores(columns: Mapping[str, Sequence[float]], sentences: Sequence[str], protocol: Protocol) -> list[Score]:
    """Scores of a table with one row per word.

    Args:
        columns: Surprisals, predictors, measures and held-out log-densities; NaN where a value is missing.
        sentences: The sentence of each row.
        protocol: ``robust`` or an official one.
    """
    table: Table = {name: np.array(column, np.float64) for name, column in columns.items()}
    robust = protocol.name == "robust"
    spillover = COMMON_SPILLOVER if robust else OFFICIAL_SPILLOVER
    weights = sentence_weights(sentences, _DRAWS)
    fits: dict[tuple[str, str], _Fit] = {}
    scores: list[Score] = []
    for form in (WORD_FORM, spillover):
        for measure in MEASURES:
            mine = (SELF_PACED,) if form is spillover else EYE_TRACKING
            fit = _fit(table, form, measure, sentences, robust, weights if measure in mine else None)
            fits[form.name, measure] = fit
            scores += _measure_scores(form, measure, fit, robust)
    eye = _headline("eye_tracking", {measure: fits[WORD_FORM.name, measure] for measure in EYE_TRACKING}, robust)
    self_paced = _headline("self_paced", {SELF_PACED: fits[spillover.name, SELF_PACED]}, robust)
    if not robust:
        return [eye, self_paced, *scores]
    tokens, word_end = _token_scores(table, sentences, weights), _word_end_scores(table, sentences, weights)
    return [eye, self_paced, *tokens, *_likelihoods(table, sentences), *word_end, *scores]


class _Fit(NamedTuple):
    """A regression and its resamples, as far as there are any."""

    data: Nested
    regression: Regression | None
    draws: Floats | None


def _fit(table: Table, form: Form, measure: str, sentences: Sequence[str], robust: bool, weights: Floats | None) -> _Fit:
    data = nested(table, form, measure, sentences)
    return _Fit(data, regress(data, robust), None if weights is None else resampled_partial_r2(data, weights))


def _token_scores(table: Table, sentences: Sequence[str], weights: Floats) -> list[Score]:
    """What the numbers of tokens tell in the place of surprisals, and surprisals beyond them.

    A model that gives every token the same probability has the number of tokens for surprisal, and words in many pieces
    are rare words: what the tokenizer tells about reading times is no merit of the model.
    """
    if not table.keys() >= set(TOKENS.values()):
        return []
    scores = []
    for subset, form, measures in _PARTS:
        counts = tuple(TOKENS[name] for name in form.added)
        for metric, other in (("tokens", replace(form, added=counts)), ("beyond_tokens", replace(form, beside=counts))):
            fits = {measure: _fit(table, other, measure, sentences, True, weights) for measure in measures}
            scores.append(_headline(subset, fits, True, f"partial_r2_{metric}"))
    return scores


def _word_end_scores(table: Table, sentences: Sequence[str], weights: Floats) -> list[Score]:
    """The headlines' regressions on surprisals corrected for the word's end, if there are any; never headlines."""
    if not table.keys() >= set(WORD_END.values()):
        return []
    corrected = {**table, **{plain: table[name] for plain, name in WORD_END.items()}}
    wholes, singles, gains = [], [], []
    for subset, form, measures in _PARTS:
        fits = {measure: _fit(corrected, form, measure, sentences, True, weights) for measure in measures}
        wholes.append(_headline(subset, fits, True))
        for measure, fit in fits.items():
            found = _measure_scores(form, measure, fit, True)
            singles += [score for score in found if score.metric in ("partial_r2", "coefficient", "p_value")]
        held = [np.subtract(*reversed(held_out(corrected, form, measure, sentences))) for measure in measures]
        gains.append(_gain("", subset, np.mean(held, axis=0), sentences))
    return [score.model_copy(update={"metric": f"{score.metric}_word_end"}) for score in (*wholes, *gains, *singles)]


def _headline(subset: str, fits: Mapping[str, _Fit], robust: bool, metric: str = "partial_r2") -> Score:
    """The mean of the measures' partial R2 in percent; its interval resamples sentences, the same for all of them."""
    fault = next((fit.data.fault for fit in fits.values() if fit.data.fault), None)
    found = {measure: fit.regression for measure, fit in fits.items() if fit.regression is not None}
    if fault or not found:
        return _score(metric, None, "percent", subset=subset, n=0, clusters=0, chance=None if robust else 0.0, note=fault)
    draws = [fit.draws for fit in fits.values() if fit.draws is not None]
    spread = 100 * np.mean(draws, axis=0) if len(draws) == len(fits) else None
    value, chance = (
        100 * math.fsum(column) / len(found)
        for column in zip(*((fit.partial_r2, fit.chance if robust else 0.0) for fit in found.values()), strict=True)
    )
    negative = [name for name, fit in found.items() if fit.coefficient < 0 and metric != "partial_r2_tokens"]
    first = found[next(iter(found))]
    return _score(
        metric, value, "percent", subset=subset, n=first.n, clusters=first.clusters, chance=chance,
        estimator="macro" if len(fits) > 1 else "micro", draws=spread,
        note="; ".join(filter(None, (_NO_INTERVAL if spread is None else None, _warning(negative)))) or None,
    )  # fmt: skip


def _warning(negative: Sequence[str]) -> str | None:
    """A gain with a negative slope is a failure of the model, not a success (statistics.md, section 7)."""
    if not negative:
        return None
    return f"warning: surprising words are read faster (negative coefficient) in {', '.join(negative)}"


def _measure_scores(form: Form, measure: str, fitted: _Fit, robust: bool) -> list[Score]:
    """Everything about one regression, as metrics of the measure."""
    data, fit, draws = fitted
    place: dict[str, Any] = {"group": form.name, "subset": measure}
    if fit is None:
        place |= {"n": len(data.y), "clusters": len(np.unique(data.clusters)), "chance": None if robust else 0.0}
        return [_score("partial_r2", None, "percent", note=data.fault, **place)]
    place |= {"n": fit.n, "clusters": fit.clusters}
    unit = "ms" if measure in (*EYE_TRACKING, SELF_PACED) else "microvolt"
    method = "clustered by sentence" if robust else "ordinary least squares"
    spread = None if draws is None else 100 * draws
    chance = 100 * fit.chance if robust else 0.0
    faster = fit.coefficient < 0 and unit == "ms"  # an amplitude may rightly fall, as the N400 does
    note = _warning([measure]) if faster else None
    values: list[tuple[str, float | None, str]] = [
        ("t", fit.t, "standard errors"),
        ("p_value", fit.p, "probability"),
        ("r2", fit.r2, "share"),
        ("delta_r2", fit.delta_r2, "share"),
        ("aic", fit.aic, "AIC"),
        ("delta_aic", fit.delta_aic, "AIC"),
    ]
    if fit.coefficient_previous is not None:
        values += [
            ("p_value_joint", fit.p_joint, "probability"),
            ("coefficient_previous", fit.coefficient_previous, f"{unit} per nat"),
        ]
    estimate = Estimate(
        fit.coefficient, fit.se, fit.coefficient - fit.half, fit.coefficient + fit.half, method, fit.n, fit.clusters, note
    )
    return [
        _score("partial_r2", 100 * fit.partial_r2, "percent", draws=spread, chance=chance, note=note, **place),
        _estimated("coefficient", estimate, f"{unit} per nat", **{key: place[key] for key in ("group", "subset")}),
        *(_score(metric, value, of, **place) for metric, value, of in values),
    ]


def _likelihoods(table: Table, sentences: Sequence[str]) -> list[Score]:
    """Gains in held-out log-likelihood, of the headlines and of each other measure."""
    gains = {measure: table[f"ll_full_{measure}"] - table[f"ll_base_{measure}"] for measure in MEASURES}
    parts: list[tuple[str, str, Floats]] = [
        ("", "eye_tracking", np.mean([gains[measure] for measure in EYE_TRACKING], axis=0)),
        ("", "self_paced", gains[SELF_PACED]),
        *((WORD_FORM.name, measure, gain) for measure, gain in gains.items() if measure != SELF_PACED),
    ]
    return [_gain(group, subset, gain, sentences) for group, subset, gain in parts]


def _gain(group: str, subset: str, gain: Floats, sentences: Sequence[str]) -> Score:
    """The mean gain of a word, NaN where it has none; its interval is over sentences."""
    there = np.flatnonzero(np.isfinite(gain)).tolist()
    estimate = clustered_mean((1000 * gain[there]).tolist(), [sentences[i] for i in there])
    if not there:
        estimate = replace(estimate, note="no regression gives a word a held-out density")
    return _estimated("delta_log_likelihood", estimate, "nats per 1,000 words", group=group, subset=subset)


def _estimated(metric: str, estimate: Estimate, unit: str, *, group: str, subset: str) -> Score:
    return Score(
        metric=metric, subset=subset, group=group, value=estimate.value, unit=unit, estimator="micro",
        n=estimate.n, n_clusters=estimate.clusters, se=estimate.se, se_method=estimate.method,
        ci_low=estimate.low, ci_high=estimate.high, chance=0.0, note=estimate.note,
    )  # fmt: skip


def _score(
    metric: str, value: float | None, unit: str, *, subset: str, n: int, clusters: int, group: str = "", chance: float | None = None,
    estimator: Literal["macro", "micro"] = "micro", draws: Floats | None = None, note: str | None = None,
) -> Score:  # fmt: skip
    """A score; its error and percentile interval are those of the draws."""
    low, high = (None, None) if draws is None else map(float, np.quantile(draws, (0.025, 0.975)))
    return Score(
        metric=metric, subset=subset, group=group, value=value, unit=unit, estimator=estimator, n=n, n_clusters=clusters,
        higher_is_better=metric not in ("p_value", "p_value_joint", "aic", "delta_aic"),
        se=None if draws is None else float(np.std(draws, ddof=1)),
        se_method="none" if draws is None else f"bootstrap of sentences, {len(draws):,} draws, {_PERCENTILE}",
        ci_low=low, ci_high=high, chance=chance, note=note,
    )  # fmt: skip
