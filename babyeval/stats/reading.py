"""Regressions of reading times on surprisal: nested least squares, held-out likelihood, resampled sentences."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Table = Mapping[str, Floats]

SURPRISAL, PREVIOUS = "surprisal", "previous_surprisal"
# The same, corrected for the probability that the word has ended (scoring/word_end.py).
WORD_END = {name: f"{name}_word_end" for name in (SURPRISAL, PREVIOUS)}
# In how many tokens the word and the one before it were scored.
TOKENS = {name: f"{name.removesuffix(SURPRISAL)}token_count" for name in (SURPRISAL, PREVIOUS)}
_WORD = ("Subtlex_log10", "length", "context_length")
_FOLDS = 10
# What is left of a column, relative to its size, if it is a combination of others: above float32's rounding, below any signal.
_NOTHING = 1e-5


@dataclass(frozen=True, slots=True)
class Form:
    """A pair of nested models.

    Attributes:
        name: How records call it.
        base: Predictors of the baseline, which also has all their pairwise products and an intercept.
        added: What the full model has besides; surprisal comes first.
        beside: What both models have without products.
    """

    name: str
    base: tuple[str, ...]
    added: tuple[str, ...]
    beside: tuple[str, ...] = ()


# Word length, frequency and position; the same baseline for every model.
WORD_FORM = Form("measure", _WORD, (SURPRISAL,))
# Officially the model's own surprisal of the previous word is in the baseline, so each model has another one (D12).
OFFICIAL_SPILLOVER = Form("measure_spillover", (*_WORD, "prev_length", PREVIOUS), (SURPRISAL,))
COMMON_SPILLOVER = Form("measure_spillover", (*_WORD, "prev_length"), (SURPRISAL, PREVIOUS))


@dataclass(frozen=True, slots=True)
class Nested:
    """Design matrices of a form on its complete rows.

    Attributes:
        rows: Indices of the complete rows.
        base: Intercept, standardised predictors and their products, but for combinations of those before: shape (rows, columns).
        full: The same and, last, what is added, in its own unit.
        y: The dependent variable.
        clusters: The sentence of each row, as a number.
        fault: Why there is no regression; None if there is one.
    """

    rows: NDArray[np.intp]
    base: Floats
    full: Floats
    y: Floats
    clusters: NDArray[np.intp]
    fault: str | None


def nested(table: Table, form: Form, measure: str, sentences: Sequence[str]) -> Nested:
    """Puts the matrices of a form together; rows that lack a value are left out of both models.

    Standardising the predictors changes neither fit nor the coefficients of what is added: the products and the
    predictors span the same space (statistics.md, section 7).

    Args:
        table: Columns of equal length; NaN where a value is missing.
        form: Which models.
        measure: Column of the dependent variable.
        sentences: The sentence of each row.
    """
    there = np.all([np.isfinite(table[name]) for name in (*form.base, *form.beside, *form.added, measure)], axis=0)
    (rows,) = np.nonzero(there)
    scaled = [_standardised(table[name][rows]) for name in form.base]
    products = [one * other for one, other in combinations(scaled, 2)]
    base = np.ones((len(rows), 1))
    for column in (*scaled, *products, *(_standardised(table[name][rows]) for name in form.beside)):
        if _left(base, column[:, None]) > _NOTHING:  # the fit is the same without it, and its coefficients are not made up
            base = np.column_stack([base, column])
    full = np.column_stack([base, *(table[name][rows] for name in form.added)])
    clusters = np.unique(np.asarray(sentences), return_inverse=True)[1][rows]
    y = table[measure][rows]
    return Nested(rows, base, full, y, clusters, _fault(form, base, full[:, base.shape[1] :], y, clusters))


def _fault(form: Form, base: Floats, added: Floats, y: Floats, clusters: NDArray[np.intp]) -> str | None:
    """Why there is no regression: coefficients and errors of what is no new information are made of rounding."""
    if len(y) <= base.shape[1] + added.shape[1] + 2 or len(np.unique(clusters)) <= 2:
        return "too few complete rows or sentences for this regression"
    if _left(base, added) <= _NOTHING:
        return f"{form.added[0]} is a combination of the other predictors"
    return "the other predictors leave nothing to explain" if _left(base, y[:, None]) <= _NOTHING else None


def _left(base: Floats, columns: Floats) -> float:
    """The least root mean square of what the base leaves of a combination of columns, whose own is 1 each."""
    if not len(columns):
        return 0.0
    size = np.sqrt(np.mean(columns**2, axis=0))
    scaled = columns / np.where(size > 0, size, 1)
    left = scaled - base @ np.linalg.lstsq(base, scaled, rcond=None)[0]
    return float(np.linalg.svd(left, compute_uv=False)[-1]) / math.sqrt(len(columns))


def _standardised(column: Floats) -> Floats:
    spread = float(column.std()) if len(column) else 0.0
    return (column - column.mean()) / spread if spread > 0 else np.zeros_like(column)


@dataclass(frozen=True, slots=True)
class Regression:
    """What surprisal adds to a baseline.

    Attributes:
        n: Number of rows.
        clusters: Number of sentences.
        partial_r2: ``(R2_full - R2_base) / (1 - R2_base)``, a share.
        coefficient: Of surprisal, in units of the dependent variable per nat.
        coefficient_previous: Of the previous word's surprisal, if it is among what is added.
        se: Standard error of the coefficient.
        t: The coefficient divided by it.
        p: Two-sided p-value of the coefficient.
        p_joint: p-value of all that is added together.
        r2: Of the full model, not adjusted.
        delta_r2: Its difference to the baseline's.
        aic: Akaike's criterion of the full model.
        delta_aic: Its difference to the baseline's: negative if surprisal helps.
        half: Half the width of the coefficient's 95% interval.
        chance: The partial R2 to be expected of noise in place of what is added: ``q / (n - p)`` for q columns added to p,
            the mean of ``Beta(q / 2, (n - p - q) / 2)``, which it follows where the errors are independent and normal.
    """

    n: int
    clusters: int
    partial_r2: float
    coefficient: float
    coefficient_previous: float | None
    se: float
    t: float
    p: float
    p_joint: float
    r2: float
    delta_r2: float
    aic: float
    delta_aic: float
    half: float
    chance: float


def regress(data: Nested, by_sentence: bool) -> Regression | None:
    """Fits both models by least squares (statsmodels).

    Args:
        data: The matrices.
        by_sentence: Errors robust to dependence within a sentence, with t quantiles of C - 1 degrees of freedom for
            C sentences; else the classical ones, as the official pipeline takes (D12).

    Returns:
        None if there is no regression; ``data.fault`` says why.
    """
    if data.fault:
        return None
    import statsmodels.api as sm

    options: dict[str, Any] = {"cov_type": "cluster", "cov_kwds": {"groups": data.clusters}} if by_sentence else {}
    base = sm.OLS(data.y, data.base).fit()
    full = sm.OLS(data.y, data.full).fit(use_t=True, **options)
    at = data.base.shape[1]
    added = np.eye(data.full.shape[1])[at:]
    low, high = full.conf_int()[at]
    return Regression(
        n=len(data.y),
        clusters=len(np.unique(data.clusters)),
        partial_r2=1 - float(full.ssr / base.ssr),
        coefficient=float(full.params[at]),
        coefficient_previous=float(full.params[at + 1]) if len(added) > 1 else None,
        se=float(full.bse[at]),
        t=float(full.tvalues[at]),
        p=float(full.pvalues[at]),
        p_joint=float(full.wald_test(added, use_f=True, scalar=True).pvalue),
        r2=float(full.rsquared),
        delta_r2=float(full.rsquared - base.rsquared),
        aic=float(full.aic),
        delta_aic=float(full.aic - base.aic),
        half=float(high - low) / 2,
        chance=len(added) / float(base.df_resid),
    )


def fold_of(sentence: str) -> int:
    """The fold of a sentence, the same for every model and every selection of rows.

    Example:
        >>> fold_of("sentence-1") == fold_of("sentence-1"), 0 <= fold_of("sentence-2") < 10
        (True, True)
    """
    return int.from_bytes(hashlib.blake2b(sentence.encode(), digest_size=8).digest()) % _FOLDS


def held_out(table: Table, form: Form, measure: str, sentences: Sequence[str]) -> tuple[Floats, Floats]:
    """Log-density of each row under models that were fitted on the sentences of other folds, in nats.

    Coefficients and the normal error's variance (its maximum-likelihood estimate) come from the other folds
    (Goodkind and Bicknell 2018; statistics.md, section 7).

    Returns:
        Under the baseline and under the full model, each of shape (rows of the table,); NaN for rows that lack a value,
        and for all where there is no regression.
    """
    data = nested(table, form, measure, sentences)
    if data.fault:
        return np.full(len(sentences), math.nan), np.full(len(sentences), math.nan)
    folds = np.array([fold_of(sentences[i]) for i in data.rows], np.intp)
    answers = []
    for matrix in (data.base, data.full):
        found = np.full(len(sentences), math.nan)
        for fold in np.unique(folds):
            test = folds == fold
            train = ~test
            if train.sum() <= matrix.shape[1]:
                continue
            weights = np.linalg.lstsq(matrix[train], data.y[train], rcond=None)[0]
            variance = float(np.mean((data.y[train] - matrix[train] @ weights) ** 2))
            if variance > 0:
                errors = data.y[test] - matrix[test] @ weights
                found[data.rows[test]] = -0.5 * (math.log(2 * math.pi * variance) + errors**2 / variance)
        answers.append(found)
    return answers[0], answers[1]


def sentence_weights(sentences: Sequence[str], draws: int, seed: int = 0) -> Floats:
    """How often each sentence is drawn in each resample: shape (draws, sentences in alphabetical order)."""
    count = len(set(sentences))
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)


def resampled_partial_r2(data: Nested, weights: Floats) -> Floats | None:
    """The partial R2 of each resample of sentences, or None if in some resample a predictor is a combination of the others.

    The residual sum of squares is the square of the last pivot of the Cholesky factor of the
    cross-products of predictors and dependent variable, which add up over sentences.

    Args:
        data: The matrices.
        weights: How often each sentence counts: shape (draws, sentences).
    """
    if data.fault:
        return None
    y = _standardised(data.y)
    added = [_standardised(column) for column in data.full[:, data.base.shape[1] :].T]
    residuals = []
    for matrix in (data.base, np.column_stack([data.base, *added])):
        rows = np.column_stack([matrix, y])
        width = rows.shape[1]
        crosses = np.zeros((weights.shape[1], width, width))
        np.add.at(crosses, data.clusters, rows[:, :, None] * rows[:, None, :])
        grams = (weights @ crosses.reshape(len(crosses), -1)).reshape(-1, width, width)
        try:
            pivots = np.diagonal(np.linalg.cholesky(grams), axis1=1, axis2=2) ** 2
        except np.linalg.LinAlgError:
            return None
        if np.any(pivots[:, :-1] <= _NOTHING**2 * np.diagonal(grams, axis1=1, axis2=2)[:, :-1]):
            return None  # rounding let it pass
        residuals.append(pivots[:, -1])
    return np.asarray(1 - residuals[1] / residuals[0], np.float64)
