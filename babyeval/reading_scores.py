"""The scores of the reading family out of its table: two headlines, and every regression behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from babyeval.protocols import Protocol
from babyeval.reading import EYE_TRACKING, MEASURES, SELF_PACED
from babyeval.records import Score
from babyeval.stats.intervals import Estimate, clustered_mean
from babyeval.stats.reading import (
    COMMON_SPILLOVER,
    OFFICIAL_SPILLOVER,
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
_TOO_FEW = "too few complete rows or sentences for this regression"
_NO_INTERVAL = "too few sentences to resample them"


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
    fits: dict[tuple[str, str], tuple[Regression | None, Floats | None]] = {}
    scores: list[Score] = []
    for form in (WORD_FORM, spillover):
        for measure in MEASURES:
            data = nested(table, form, measure, sentences)
            mine = (SELF_PACED,) if form is spillover else EYE_TRACKING
            fit = regress(data, robust), resampled_partial_r2(data, weights) if measure in mine else None
            fits[form.name, measure] = fit
            scores += _measure_scores(form, measure, data, *fit, robust)
    eye = _headline("eye_tracking", [fits[WORD_FORM.name, measure] for measure in EYE_TRACKING], EYE_TRACKING)
    self_paced = _headline("self_paced", [fits[spillover.name, SELF_PACED]], (SELF_PACED,))
    beside = [*_likelihoods(table, sentences), *_word_end_scores(table, sentences, weights)] if robust else []
    return [eye, self_paced, *beside, *scores]


def _word_end_scores(table: Table, sentences: Sequence[str], weights: Floats) -> list[Score]:
    """The headlines' regressions on surprisals corrected for the word's end, if there are any; never headlines."""
    if not table.keys() >= set(WORD_END.values()):
        return []
    corrected = {**table, **{plain: table[name] for plain, name in WORD_END.items()}}
    parts: list[tuple[str, Form, tuple[str, ...]]] = [
        ("eye_tracking", WORD_FORM, EYE_TRACKING), ("self_paced", COMMON_SPILLOVER, (SELF_PACED,)),
    ]  # fmt: skip
    wholes, singles, gains = [], [], []
    for subset, form, measures in parts:
        data = {measure: nested(corrected, form, measure, sentences) for measure in measures}
        fits = {measure: (regress(one, True), resampled_partial_r2(one, weights)) for measure, one in data.items()}
        wholes.append(_headline(subset, list(fits.values()), measures))
        for measure, fit in fits.items():
            found = _measure_scores(form, measure, data[measure], *fit, True)
            singles += [score for score in found if score.metric in ("partial_r2", "coefficient", "p_value")]
        held = [np.subtract(*reversed(held_out(corrected, form, measure, sentences))) for measure in measures]
        gains.append(_gain("", subset, np.mean(held, axis=0), sentences))
    return [score.model_copy(update={"metric": f"{score.metric}_word_end"}) for score in (*wholes, *gains, *singles)]


def _headline(subset: str, fits: Sequence[tuple[Regression | None, Floats | None]], measures: Sequence[str]) -> Score:
    """The mean of the measures' partial R2 in percent; its interval resamples sentences, the same for all of them."""
    found = [regression for regression, _ in fits if regression is not None]
    if len(found) < len(fits):
        return _score("partial_r2", None, "percent", subset=subset, n=0, clusters=0, note=_TOO_FEW)
    draws = [draw for _, draw in fits if draw is not None]
    spread = 100 * np.mean(draws, axis=0) if len(draws) == len(fits) else None
    value = 100 * math.fsum(regression.partial_r2 for regression in found) / len(found)
    negative = [name for name, regression in zip(measures, found, strict=True) if regression.coefficient < 0]
    return _score(
        "partial_r2", value, "percent", subset=subset, n=found[0].n, clusters=found[0].clusters,
        estimator="macro" if len(fits) > 1 else "micro", draws=spread,
        note="; ".join(filter(None, (_NO_INTERVAL if spread is None else None, _warning(negative)))) or None,
    )  # fmt: skip


def _warning(negative: Sequence[str]) -> str | None:
    """A gain with a negative slope is a failure of the model, not a success (statistics.md, section 7)."""
    if not negative:
        return None
    return f"warning: surprising words are read faster (negative coefficient) in {', '.join(negative)}"


def _measure_scores(
    form: Form, measure: str, data: Nested, fit: Regression | None, draws: Floats | None, robust: bool
) -> list[Score]:
    """Everything about one regression, as metrics of the measure."""
    place: dict[str, Any] = {"group": form.name, "subset": measure}
    if fit is None:
        clusters = len(np.unique(data.clusters))
        return [_score("partial_r2", None, "percent", n=len(data.y), clusters=clusters, note=_TOO_FEW, **place)]
    place |= {"n": fit.n, "clusters": fit.clusters}
    unit = "ms" if measure in (*EYE_TRACKING, SELF_PACED) else "microvolt"
    method = "clustered by sentence" if robust else "ordinary least squares"
    spread = None if draws is None else 100 * draws
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
        _score("partial_r2", 100 * fit.partial_r2, "percent", draws=spread, note=note, **place),
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
    return _estimated("delta_log_likelihood", estimate, "nats per 1,000 words", group=group, subset=subset)


def _estimated(metric: str, estimate: Estimate, unit: str, *, group: str, subset: str) -> Score:
    return Score(
        metric=metric, subset=subset, group=group, value=estimate.value, unit=unit, estimator="micro",
        n=estimate.n, n_clusters=estimate.clusters, se=estimate.se, se_method=estimate.method,
        ci_low=estimate.low, ci_high=estimate.high, chance=0.0, note=estimate.note,
    )  # fmt: skip


def _score(
    metric: str, value: float | None, unit: str, *, subset: str, n: int, clusters: int, group: str = "",
    estimator: Literal["macro", "micro"] = "micro", draws: Floats | None = None, note: str | None = None,
) -> Score:  # fmt: skip
    """A score; its error and percentile interval are those of the draws."""
    low, high = (None, None) if draws is None else map(float, np.quantile(draws, (0.025, 0.975)))
    return Score(
        metric=metric, subset=subset, group=group, value=value, unit=unit, estimator=estimator, n=n, n_clusters=clusters,
        higher_is_better=metric not in ("p_value", "p_value_joint", "aic", "delta_aic"),
        se=None if draws is None else float(np.std(draws, ddof=1)),
        se_method="none" if draws is None else f"bootstrap of sentences, {len(draws):,} draws",
        ci_low=low, ci_high=high, chance=0.0 if metric == "partial_r2" else None, note=note,
    )  # fmt: skip
