"""Curves of acquisition against sigmoids whose crossing is known, and against fits written out plainly."""

from __future__ import annotations

import csv
import io
import lzma
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit, least_squares

from babyeval.stats import acquisition
from babyeval.stats.acquisition import (
    REASONS,
    child_acquisition,
    model_acquisition_2025,
    model_acquisition_2026,
    model_acquisition_robust,
)

MONTHS = np.arange(16, 31)
WORDS = 1e6 * np.array([*range(1, 10), *range(10, 101, 10), *range(200, 1001, 100)])
X = np.log10(WORDS + 1)
CEILING = math.log(16_000)
BITS = math.log2(300_000)
RULES = {
    "2025": (lambda w, s, _: model_acquisition_2025(w, s)),
    "2026": model_acquisition_2026,
    "robust": model_acquisition_robust,
}

few = settings(max_examples=20, deadline=None)


def sigmoid(x, a, b, c, d):
    return a / (1 + np.exp(-b * (x - c))) + d


def crossing(level, a, b, c, d):
    """The inverse of the sigmoid by halving intervals."""
    low, high = c - 700 / b, c + 700 / b
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sigmoid(middle, a, b, c, d) < level else (low, middle)
    return low


def falling(start=12.0, end=2.0, steepness=3.0, midpoint=7.5, x=X, contexts=1):
    """Noise-free surprisals that fall along a sigmoid."""
    return np.repeat((start - sigmoid(x, start - end, steepness, midpoint, 0.0))[:, None], contexts, axis=1)


def noisy(seed, contexts=5, noise=0.5, **shape):
    rng = np.random.default_rng(seed)
    surprisals = falling(contexts=contexts, **shape)
    return surprisals + rng.normal(0, 2, contexts) + rng.normal(0, noise, surprisals.shape)


def plainly(words, points, ceiling, bounded):
    """The official rules as protocol.md, section 5, tells them; points are (checkpoints,) or (checkpoints, contexts)."""
    pairs = [(count, surprisal) for count, row in zip(words, points, strict=True) for surprisal in np.atleast_1d(row)]
    x, y = [math.log10(count + 1) for count, _ in pairs], [-surprisal for _, surprisal in pairs]
    r, level = max(y) - min(y), (-ceiling + max(y)) / 2
    kwargs = {"p0": [r, 1.0, np.mean(x), min(y)], "maxfev": 20_000 if bounded else 1000}
    if bounded:
        lower = [0, 0, min(x) - 1, min(y) - 2 * r - 1]
        kwargs["bounds"] = (lower, [10 * r + 1, 100, max(x) + 1, max(y) + 1])
    try:
        a, b, c, d = curve_fit(sigmoid, x, y, **kwargs)[0]
    except (RuntimeError, TypeError):
        return math.nan
    smallest = 1e-6 if bounded else 0.0
    if a <= smallest or b <= smallest or not d < level < a + d:
        return math.nan
    at = c - math.log(a / (level - d) - 1) / b
    return at if x[0] <= at <= x[-1] else math.nan


def wordbank(shared):
    text = lzma.decompress((shared / "extra" / "wordbank_en_us_proportions.csv.xz").read_bytes()).decode()
    return [[float(row[str(month)]) for month in MONTHS] for row in csv.DictReader(io.StringIO(text))]


@few
@given(st.floats(18, 28), st.floats(0.25, 0.9), st.floats(0.0, 0.15), st.floats(0.8, 1.0))
def test_a_childs_curve_crosses_one_half_where_it_is_known_to(c, b, d, top):
    found = child_acquisition(MONTHS, sigmoid(MONTHS, top - d, b, c, d))
    expected = crossing(0.5, top - d, b, c, d)
    if 16.2 < expected < 29.8:
        assert found.at == pytest.approx(expected, abs=0.03)
        assert found.reason == ""


def test_children_against_a_plain_fit_and_against_interpolation(shared):
    for known in wordbank(shared)[::40]:
        found = child_acquisition(MONTHS, known)
        a, b, c, d = curve_fit(
            sigmoid, MONTHS, known, p0=[1, 0.1, MONTHS.mean(), 0], bounds=([0, 0, 16, -0.5], [2, 1, 30, 0.5]), maxfev=1000
        )[0]
        assert found.curve == pytest.approx((a, b, c, d))
        expected = crossing(0.5, a, b, c, d) if d < 0.5 < a + d else math.nan
        if 16 <= expected <= 30:
            assert found.at == pytest.approx(expected)
            above = np.maximum.accumulate(known) >= 0.5
            assert abs(found.at - MONTHS[above.argmax()]) < 3, "the first month in which half of the children knew it"
        else:
            assert math.isnan(found.at)


def test_months_without_children_are_left_out():
    known = sigmoid(MONTHS, 1, 0.5, 22, 0) + np.random.default_rng(0).normal(0, 0.03, len(MONTHS))
    gaps = known.copy()
    gaps[[0, 5, 14]] = math.nan
    there = ~np.isnan(gaps)
    assert child_acquisition(MONTHS, gaps) == child_acquisition(MONTHS[there], known[there])
    assert child_acquisition(MONTHS, gaps).at != child_acquisition(MONTHS, known).at


@pytest.mark.parametrize("seed", range(6))
def test_official_rules_against_plain_fits(seed):
    rng = np.random.default_rng(100 + seed)
    shape = {
        "start": rng.uniform(9, 13),
        "end": rng.uniform(1, 4),
        "midpoint": rng.uniform(6.5, 8.5),
        "steepness": rng.uniform(2, 5),
    }
    surprisals = noisy(seed, **shape)
    for found, expected in (
        (model_acquisition_2025(WORDS, surprisals), plainly(WORDS, surprisals, BITS, bounded=False)),
        (model_acquisition_2026(WORDS, surprisals, CEILING), plainly(WORDS, surprisals.mean(1), CEILING, bounded=True)),
    ):
        assert found.at == pytest.approx(expected, abs=1e-9, nan_ok=True)
        assert (found.reason == "") == math.isfinite(expected)


def test_the_plain_fits_find_something():
    found = [model_acquisition_2025(WORDS, noisy(seed)).at for seed in range(6)]
    assert np.isfinite(found).sum() >= 3


@few
@given(st.floats(9, 14), st.floats(0.5, 3), st.floats(1.5, 8), st.floats(6.6, 8.4), st.sampled_from(["2026", "robust"]))
def test_a_noise_free_curve_gives_its_own_crossing(start, end, steepness, midpoint, rule):
    surprisals = falling(start, end, steepness, midpoint)
    found = RULES[rule](WORDS, surprisals, CEILING)
    level = -(CEILING + surprisals.min()) / 2
    expected = crossing(level, start - end, steepness, midpoint, -start)
    if 6.05 < expected < 8.95 and -start + 0.1 < level:
        assert found.at == pytest.approx(expected, abs=1e-4)
        assert found.curve == pytest.approx((start - end, steepness, midpoint, -start), rel=1e-2)


def test_a_ceiling_where_the_curve_starts_gives_its_midpoint():
    x = np.linspace(2, 12, 40)
    surprisals = falling(10.0, 2.0, 3.0, 7.0, x=x)
    assert model_acquisition_robust(10**x - 1, surprisals, 10.0).at == pytest.approx(7.0, abs=1e-6)
    assert model_acquisition_2026(10**x - 1, surprisals, 10.0).at == pytest.approx(7.0, abs=1e-4)


def test_the_2025_threshold_lies_between_bits_and_nats():
    surprisals = falling(17.0, 2.0, 3.0, 7.5)
    level = -(BITS + surprisals.min()) / 2
    assert model_acquisition_2025(WORDS, surprisals).at == pytest.approx(crossing(level, 15, 3, 7.5, -17), abs=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_no_start_finds_a_better_curve_than_the_robust_fit(seed):
    rng = np.random.default_rng(seed)
    shape = {"steepness": rng.uniform(0.5, 20), "midpoint": rng.uniform(5.5, 9.5), "end": rng.uniform(2, 11)}
    surprisals = noisy(seed, **shape)
    y = -surprisals.mean(1)
    ours = model_acquisition_robust(WORDS, surprisals, CEILING).curve
    span = X[-1] - X[0]
    lower = [-200.0, 0.5 / span, X[0] - span / 2, -200.0]
    upper = [200.0, 10 / np.diff(X).min(), X[-1] + span / 2, 200.0]
    best = math.inf
    for _ in range(12):
        start = [rng.choice([-1, 1]) * np.ptp(y), rng.uniform(0.5, 20), rng.uniform(X[0], X[-1]), y.mean()]
        best = min(best, least_squares(lambda p: sigmoid(X, *p) - y, start, bounds=(lower, upper)).cost)
    assert np.square(sigmoid(X, *ours) - y).sum() / 2 <= best * (1 + 1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_a_robust_crossing_lies_on_the_curve_and_within_the_checkpoints(seed):
    surprisals = noisy(seed, contexts=10)
    found = model_acquisition_robust(WORDS, surprisals, CEILING)
    assert sigmoid(found.at, *found.curve) == pytest.approx(-(CEILING + surprisals.mean(1).min()) / 2)
    assert X[0] <= found.at <= X[-1]
    assert found.at == pytest.approx(model_acquisition_robust(WORDS, falling(contexts=1), CEILING).at, abs=0.4)


@few
@given(st.integers(0, 10**6), st.floats(0.1, 10), st.floats(-5, 5), st.integers(2, 4))
def test_units_and_repeated_contexts_change_nothing(seed, scale, shift, times):
    surprisals = noisy(seed, noise=0.2)
    once = model_acquisition_robust(WORDS, surprisals, CEILING)
    assert once.reason == ""
    order = np.random.default_rng(seed).permutation(len(WORDS))
    for words, table, ceiling, moved in (
        (WORDS, surprisals * scale, CEILING * scale, 0),
        (WORDS, surprisals + shift, CEILING + shift, 0),
        (WORDS, np.tile(surprisals, times), CEILING, 0),
        (WORDS, surprisals[:, ::-1], CEILING, 0),
        (WORDS[order], surprisals[order], CEILING, 0),
        (WORDS * 1000, surprisals, CEILING, 3),
    ):
        assert model_acquisition_robust(words, table, ceiling).at == pytest.approx(once.at + moved, abs=2e-3)


def test_repeated_contexts_change_nothing_officially():
    surprisals = noisy(0, noise=0.2)
    for rule in ("2025", "2026"):
        once, thrice = (RULES[rule](WORDS, table, CEILING) for table in (surprisals, np.tile(surprisals, 3)))
        assert once.reason == ""
        assert thrice.at == pytest.approx(once.at, abs=1e-3)


def test_missing_surprisals_are_left_out_officially_and_leave_the_word_out_robustly():
    surprisals = noisy(0)
    holes = surprisals.copy()
    holes[3, 1] = math.nan
    kept = np.arange(len(WORDS)) != 3
    points = [[value for value in row if not math.isnan(value)] for row in holes]
    assert model_acquisition_2025(WORDS, holes).at == pytest.approx(plainly(WORDS, points, BITS, bounded=False), abs=1e-9)
    assert model_acquisition_2026(WORDS, holes, CEILING) == model_acquisition_2026(WORDS[kept], surprisals[kept], CEILING)
    assert model_acquisition_robust(WORDS, holes, CEILING).reason == acquisition.MISSING


def reasons():
    """Inputs and why they have no age of acquisition."""
    child, low = child_acquisition, falling(3.0, 2.0)
    yield acquisition.NO_AGES, lambda: child(MONTHS, [math.nan] * 15)
    yield acquisition.NO_AGES, lambda: child([], [])
    yield acquisition.FEW_AGES, lambda: child(MONTHS[:3], [0.2, math.nan, 0.8])
    yield acquisition.NO_FIT, lambda: child(MONTHS, [math.inf, *[0.5] * 14])
    yield acquisition.NO_FIT, lambda: child([20, 20, 20], [0.2, 0.5, 0.8])
    yield acquisition.NOT_HALF, lambda: child(MONTHS, sigmoid(MONTHS, 0.3, 0.6, 21, 0.0))
    yield acquisition.OUTSIDE_AGES, lambda: child(MONTHS, sigmoid(MONTHS, 1.0, 0.2, 15.5, 0.0))
    yield acquisition.NO_FIT, lambda: model_acquisition_2025(WORDS[:3], falling()[:3])
    yield acquisition.NO_FIT, lambda: model_acquisition_2026(WORDS[:2], falling()[:2], CEILING)
    yield acquisition.NO_FIT, lambda: model_acquisition_robust(WORDS[:3], falling()[:3], CEILING)
    yield acquisition.NO_FIT, lambda: model_acquisition_robust(WORDS[[0, 0, 1, 1, 2]], falling()[[0, 0, 1, 1, 2]], CEILING)
    for rule in RULES.values():
        yield acquisition.MISSING, lambda rule=rule: rule(WORDS, np.full((28, 2), math.nan), CEILING)
        yield acquisition.NO_CROSSING, lambda rule=rule: rule(WORDS, low, CEILING)
    yield acquisition.NO_FIT, lambda: model_acquisition_2025(WORDS, np.where(X[:, None] < 7, falling(), math.inf))
    yield acquisition.MISSING, lambda: model_acquisition_robust(WORDS, np.where(X[:, None] < 7, falling(), math.inf), CEILING)
    for rule in (RULES["2025"], RULES["robust"]):
        yield acquisition.NO_FALL, lambda rule=rule: rule(WORDS, falling()[::-1], CEILING)
    yield acquisition.NO_FALL, lambda: model_acquisition_2026(WORDS, np.full((28, 3), 4.0), CEILING)
    yield acquisition.NO_FALL, lambda: model_acquisition_robust(WORDS, np.full((28, 3), 4.0), CEILING)
    yield acquisition.OUTSIDE_CHECKPOINTS, lambda: model_acquisition_2025(WORDS, falling(20.0, 2.0, 2.0, 5.5))
    for rule in (RULES["2026"], RULES["robust"]):
        for early_or_late in (falling(10.0, 1.0, 1.5, 5.5), falling(20.0, 1.0, 1.5, 9.2)):
            yield acquisition.OUTSIDE_CHECKPOINTS, lambda rule=rule, table=early_or_late: rule(WORDS, table, CEILING)


@pytest.mark.parametrize(("reason", "ask"), list(reasons()))
def test_what_has_no_age_says_why(reason, ask):
    found = ask()
    assert (found.reason, math.isnan(found.at)) == (reason, True)


def test_every_reason_has_a_case_and_is_listed_once():
    assert {reason for reason, _ in reasons()} == set(REASONS)
    assert len(set(REASONS)) == len(REASONS)


def test_fits_are_silent():
    step = np.where(X < 7.3, 10.0, 1.0)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for table in (step, step[::-1], np.full((28, 1), 3.0), noisy(1), noisy(2, midpoint=20.0), step[:5]):
            for rule in ("2025", "robust"):
                RULES[rule](WORDS[: len(table)], table, CEILING)
        model_acquisition_2026(WORDS, noisy(1), CEILING)
        child_acquisition(MONTHS, [0.0] * 7 + [1.0] * 8)


def test_a_step_is_found_between_its_checkpoints():
    found = model_acquisition_robust(WORDS, np.where(X < 7.3, 10.0, 1.0)[:, None], CEILING)
    assert X[X < 7.3].max() <= found.at <= X[X > 7.3].min()
