"""Age of acquisition: sigmoid curves of children and of models, where they cross, and how the two agree.

A word's curve is ``f(x) = a / (1 + exp(-b (x - c))) + d``; its acquisition is the x where f crosses a threshold.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from babyeval.stats.intervals import Estimate
from babyeval.stats.pearson import METHOD, pearson

Floats = NDArray[np.float64]
Curve = tuple[float, float, float, float]
Rule = Literal["2025", "2026", "robust"]

NO_AGES = "no ages in the table"
FEW_AGES = "fewer than three ages"
NOT_HALF = "never known by half of the children"
OUTSIDE_AGES = "outside the ages asked"
NO_FIT = "curve cannot be fitted"
MISSING = "a surprisal is missing"
NO_FALL = "does not fall"
NO_CROSSING = "never crosses the midpoint"
OUTSIDE_CHECKPOINTS = "outside the checkpoints"
REASONS = (
    NO_AGES, FEW_AGES, NOT_HALF, OUTSIDE_AGES, NO_FIT, MISSING, NO_FALL, NO_CROSSING, OUTSIDE_CHECKPOINTS,
)  # fmt: skip
MIN_CHECKPOINTS = 4  # as many as a curve has parameters

_HALF = 0.5
_CEILING_2025 = math.log2(300_000)  # bits, although surprisals are in nats (D18)
_P_2026 = 0.1
_FLAT_2026 = 1e-6


@dataclass(frozen=True, slots=True)
class Acquired:
    """When a word is acquired.

    Attributes:
        at: Months (child) or log10 of words seen plus one (model); NaN if there is none.
        reason: Why there is none, one of ``REASONS``; empty if there is one.
        curve: Fitted (a, b, c, d), of the proportion of children or of minus the surprisal in nats; None if none is.
    """

    at: float
    reason: str
    curve: Curve | None


@dataclass(frozen=True, slots=True)
class Correlation:
    """Agreement of a model with children over words.

    Attributes:
        value: What the protocol reports; None where undefined.
        p: Two-sided p-value of Pearson's r: officially under bivariate normality, else that of the interval; None where
            it is undefined.
        estimate: Pearson's r itself, never forced to 0, with its error and interval, and a note that says
            why something is None or the value was forced to 0.
    """

    value: float | None
    p: float | None
    estimate: Estimate


def child_acquisition(months: ArrayLike, proportions: ArrayLike) -> Acquired:
    """The age at which half of the children know a word; the same rule in all protocols.

    Args:
        months: Ages in ascending order, shape (ages,).
        proportions: Children of each age who know the word, between 0 and 1, shape (ages,); NaN where nobody was
            asked. Such ages are left out.

    Example:
        >>> months = range(16, 31)
        >>> round(child_acquisition(months, [1 / (1 + math.exp(-(m - 22) / 2)) for m in months]).at, 2)
        22.0
    """
    ages, known = np.asarray(months, np.float64), np.asarray(proportions, np.float64)
    there = ~np.isnan(known)
    ages, known = ages[there], known[there]
    if len(ages) < 3:
        return _none(FEW_AGES if len(ages) else NO_AGES)
    start = [1.0, 0.1, float(ages.mean()), 0.0]
    bounds = [0.0, 0.0, ages[0], -0.5], [2.0, 1.0, ages[-1], 0.5]
    curve = _official_fit(ages, known, start, bounds, 1000)
    if curve is None:
        return _none(NO_FIT)
    return _crossing(curve, _HALF, (ages[0], ages[-1]), NOT_HALF, OUTSIDE_AGES)


def model_acquisition_2025(words_seen: ArrayLike, surprisals: ArrayLike) -> Acquired:
    """The official rule of 2025, with its defects (D18).

    Every context is a point of an unbounded fit, and the threshold is the midpoint of the word's lowest surprisal in
    nats and of log2(300,000), in bits. Missing surprisals are left out, inferred from 2026.

    Args:
        words_seen: Words the model was trained on, in ascending order, shape (checkpoints,).
        surprisals: Of the word in nats, shape (checkpoints, contexts).
    """
    table = np.asarray(surprisals, np.float64)
    words = np.repeat(np.asarray(words_seen, np.float64), table.shape[1])
    return _official_model(words, table.ravel(), _CEILING_2025, bounded=False)


def model_acquisition_2026(words_seen: ArrayLike, surprisals: ArrayLike, ceiling: float) -> Acquired:
    """The official rule of 2026: a bounded fit to the mean surprisal of each checkpoint.

    The starting values are those of 2025, which lie within the bounds. A checkpoint with a missing surprisal has no
    mean and is left out, as the official scorer does. A fit that does not converge, as one or two in a hundred do,
    takes all of its 20,000 evaluations: some seconds.

    Args:
        words_seen: Words the model was trained on, in ascending order, shape (checkpoints,).
        surprisals: Of the word in nats, shape (checkpoints, contexts).
        ceiling: Surprisal of the word under a uniform distribution, in nats.
    """
    means = np.asarray(surprisals, np.float64).mean(axis=1)
    return _official_model(np.asarray(words_seen, np.float64), means, ceiling, bounded=True)


def _official_model(words: Floats, surprisals: Floats, ceiling: float, *, bounded: bool) -> Acquired:
    if len(words) < 3:
        return _none(NO_FIT)
    there = ~np.isnan(surprisals)
    if not there.any():
        return _none(MISSING)
    x, y = np.log10(words[there] + 1), -surprisals[there]
    level = -(ceiling - y.max()) / 2
    low, spread = float(y.min()), float(np.ptp(y))
    start = [spread, 1.0, float(x.mean()), low]
    bounds = [0.0, 0.0, x.min() - 1, low - 2 * spread - 1], [10 * spread + 1, 100.0, x.max() + 1, y.max() + 1]
    curve = _official_fit(x, y, start, bounds, 20_000) if bounded else _official_fit(x, y, start, None, 1000)
    if curve is None:
        return _none(NO_FIT)
    if min(curve[:2]) <= (_FLAT_2026 if bounded else 0):
        return Acquired(math.nan, NO_FALL, curve)
    return _crossing(curve, level, (x[0], x[-1]), NO_CROSSING, OUTSIDE_CHECKPOINTS)


def model_acquisition_robust(words_seen: ArrayLike, surprisals: ArrayLike, ceiling: float) -> Acquired:
    """Where a model's mean surprisal of a word has fallen half-way from the ceiling to its minimum.

    The curve is the least-squares fit to the means over contexts. A grid of steepnesses b and midpoints c, for which a
    and d follow in closed form, gives the start, so that no fit depends on a guess; b and c are then refined within the
    grid's bounds. Nothing is extrapolated: a crossing outside of the checkpoints is none.

    Args:
        words_seen: Words the model was trained on, in ascending order, shape (checkpoints,). A curve has four
            parameters, so there must be at least ``MIN_CHECKPOINTS`` different ones; with fewer no curve is fitted.
        surprisals: Of the word in nats, shape (checkpoints, contexts); a missing one leaves the word out, as means
            over different contexts cannot be compared.
        ceiling: Surprisal of the word under a uniform distribution, in nats.

    Example:
        >>> words = [10**6, 3 * 10**6, 10**7, 3 * 10**7, 10**8]
        >>> surprisals = [[9.0, 9.2], [8.8, 8.6], [5.0, 5.2], [1.4, 1.2], [1.0, 1.0]]
        >>> round(model_acquisition_robust(words, surprisals, ceiling=9.2).at, 1)
        7.0
    """
    table = np.asarray(surprisals, np.float64)
    x = np.log10(np.asarray(words_seen, np.float64) + 1)
    if not table.size or not np.isfinite(table).all():
        return _none(MISSING)
    if len(np.unique(x)) < MIN_CHECKPOINTS:
        return _none(NO_FIT)
    y = -table.mean(axis=1)
    curve = _best_fit(x, y)
    if curve[0] <= 0:
        return Acquired(math.nan, NO_FALL, curve)
    return _crossing(curve, -(ceiling - y.max()) / 2, (x.min(), x.max()), NO_CROSSING, OUTSIDE_CHECKPOINTS)


def _none(reason: str) -> Acquired:
    return Acquired(math.nan, reason, None)


def _crossing(curve: Curve, level: float, within: tuple[float, float], never: str, outside: str) -> Acquired:
    """Where a rising curve reaches a level, if it does so within an interval of x."""
    a, b, c, d = curve
    if not (a > 0 and b > 0 and d < level < a + d):
        return Acquired(math.nan, never, curve)
    share = a / (level - d) - 1
    at = c - math.log(share) / b if share > 0 else math.inf  # rounding may leave nothing to the upper asymptote
    if not within[0] <= at <= within[1]:
        return Acquired(math.nan, outside, curve)
    return Acquired(at, "", curve)


def _sigmoid(x: Floats, a: float, b: float, c: float, d: float) -> Floats:
    return a / (1 + np.exp(-b * (x - c))) + d


def _official_fit(
    x: Floats, y: Floats, start: Sequence[float], bounds: tuple[Sequence[float], Sequence[float]] | None, evaluations: int
) -> Curve | None:
    """scipy's fit as both official versions call it; None where they would drop the word."""
    from scipy.optimize import curve_fit

    limits = (-np.inf, np.inf) if bounds is None else bounds
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of covariances, which nobody asked for
        try:
            found = curve_fit(_sigmoid, x, y, p0=start, bounds=limits, maxfev=evaluations)[0]
        except (RuntimeError, TypeError, ValueError):  # no convergence; fewer points than parameters; infinite values
            return None
    if not np.isfinite(found).all():
        return None
    a, b, c, d = map(float, found)
    return a, b, c, d


def _best_fit(x: Floats, y: Floats) -> Curve:
    """The least-squares curve, rising or falling, no steeper than the checkpoints can tell."""
    from scipy.optimize import least_squares

    points = np.unique(x)
    span, gap = points[-1] - points[0], np.diff(points).min()
    beyond = span * np.linspace(0.1, 0.5, 5)
    c = np.concatenate([points[0] - beyond, points, (points[1:] + points[:-1]) / 2, points[-1] + beyond])
    log_b = np.linspace(math.log(0.5 / span), math.log(10 / gap), 24)
    errors = np.square(_profiled(x, y, log_b[:, None], c)[0]).sum(axis=-1)
    i, j = np.unravel_index(errors.argmin(), errors.shape)
    fit = least_squares(
        lambda at: _profiled(x, y, at[0], at[1])[0], [log_b[i], c[j]],
        bounds=([log_b[0], c.min()], [log_b[-1], c.max()]), xtol=1e-8, ftol=1e-10, gtol=1e-12, max_nfev=200,
    )  # fmt: skip
    _, a, d = _profiled(x, y, *fit.x)
    return float(a), math.exp(fit.x[0]), float(fit.x[1]), float(d)


def _profiled(x: Floats, y: Floats, log_b: ArrayLike, c: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Residuals, a and d of the linear least-squares fit for given b and c, which may be arrays of one shape."""
    from scipy.special import expit

    rise = expit(np.exp(log_b)[..., None] * (x - np.asarray(c)[..., None]))
    mean = rise.mean(axis=-1, keepdims=True)
    rise = rise - mean
    centred = y - y.mean()
    a = (rise @ centred) / np.maximum(np.square(rise).sum(axis=-1), 1e-12)
    return centred - a[..., None] * rise, a, y.mean() - a * mean[..., 0]


def correlate(model_at: Sequence[float], child_at: Sequence[float], protocol_rule: Rule) -> Correlation:
    """Pearson's r between the acquisition of words by a model and by children.

    Officially fewer than three words give 0, and in 2026 also a p above 0.1 (D19); ``robust`` forces nothing to 0.
    The interval is that of r itself under every protocol (`babyeval.stats.pearson`), and under ``robust`` p belongs to it.

    Args:
        model_at: log10 of words seen, one per word, only of words that both have acquired.
        child_at: Months, in the same order.
        protocol_rule: Which value to report.

    Example:
        >>> found = correlate([6.1, 6.4, 7.0, 7.2], [17, 22, 21, 26], "2026")
        >>> found.value, round(found.estimate.value, 3), round(found.p, 2)
        (0.0, 0.818, 0.18)
    """
    official = protocol_rule != "robust"
    n = len(model_at)
    if n < 3:
        note = "fewer than three words have no correlation" + "; officially that counts as 0" * official
        return Correlation(0.0 if official else None, None, _no_interval(None, n, note))
    x, y = np.asarray(model_at, np.float64), np.asarray(child_at, np.float64)
    if not np.isfinite([x, y]).all():
        return Correlation(None, None, _no_interval(None, n, "a value is not finite"))
    for who, values in (("the model", x), ("children", y)):
        if np.ptp(values) <= 1e-12 * np.abs(values).max():
            note = f"{who} acquired all words at the same time, which correlates with nothing"
            return Correlation(None, None, _no_interval(None, n, note))
    from scipy.stats import pearsonr

    r, p = map(float, pearsonr(x, y))
    estimate, own = pearson(model_at, child_at)
    if not official:
        return Correlation(r, own, estimate)
    if protocol_rule == "2026" and p > _P_2026:
        forced = f"r is {r:.3f} with p = {p:.3f}, and officially 0 because p is above {_P_2026}; the interval is that of r"
        return Correlation(0.0, p, replace(estimate, note="; ".join(filter(None, (forced, estimate.note)))))
    return Correlation(r, p, estimate)


def _no_interval(value: float | None, n: int, note: str) -> Estimate:
    return Estimate(value, None, None, None, METHOD, n, n, note)
