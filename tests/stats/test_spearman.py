"""Spearman's correlation against scipy, its interval against the formula and against values known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, pearsonr, rankdata, spearmanr

from babyeval.stats.intervals import spearman

# Few values, so that ties are common.
PAIRS = st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 6)), min_size=5, max_size=40).filter(
    lambda pairs: all(len(set(values)) > 1 for values in zip(*pairs, strict=True))
)


@given(PAIRS, st.sampled_from([0.9, 0.95, 0.99]))
def test_value_and_interval(pairs, level):
    x, y = (list(map(float, values)) for values in zip(*pairs, strict=True))
    estimate = spearman(x, y, level)
    rho = spearmanr(x, y).statistic
    assert estimate.value == pytest.approx(rho, abs=1e-12)
    assert estimate.value == pytest.approx(pearsonr(rankdata(x), rankdata(y)).statistic, abs=1e-9)
    if abs(rho) < 1 - 1e-9:
        error = math.sqrt(1 + rho**2 / 2) / math.sqrt(len(x) - 3)
        z = 0.5 * math.log((1 + rho) / (1 - rho))
        ends = [z + side * norm.ppf((1 + level) / 2) * error for side in (-1, 1)]
        expected = [(math.exp(2 * end) - 1) / (math.exp(2 * end) + 1) for end in ends]
        assert (estimate.low, estimate.high) == pytest.approx(expected)
        assert estimate.se == pytest.approx((1 - rho**2) * error)
        assert -1 < estimate.low < estimate.value < estimate.high < 1
    assert (estimate.n, estimate.clusters, estimate.method) == (len(x), len(x), "bonett-wright")


def test_a_textbook_example():
    """Ten people's test scores and hours of television, as in many textbooks: rho = -29/165."""
    tests = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    estimate = spearman(tests, hours)
    assert estimate.value == pytest.approx(-29 / 165)
    assert estimate.low < 0 < estimate.high


def test_no_correlation_of_a_hundred_and_three_by_hand():
    """With rho 0 the error of z is 1 / sqrt(100), and the interval tanh(1.96 / 10) to both sides."""
    x = list(range(-51, 52))
    estimate = spearman(x, [abs(value) for value in x])
    assert estimate.value == pytest.approx(0, abs=1e-12)
    assert estimate.se == pytest.approx(0.1)
    assert (estimate.low, estimate.high) == pytest.approx((-0.193525, 0.193525), abs=1e-6)


def test_fifty_items_leave_a_wide_interval():
    """statistics.md, section 8: a half-width of about .27 at n = 50 for small rho."""
    x = list(range(-25, 26))[:50]
    estimate = spearman(x, [abs(value) for value in x])
    assert abs(estimate.value) < 0.1
    assert (estimate.high - estimate.low) / 2 == pytest.approx(0.275, abs=0.01)


@given(PAIRS, st.randoms(use_true_random=False))
def test_order_scale_and_sides_change_nothing(pairs, random):
    x, y = (list(map(float, values)) for values in zip(*pairs, strict=True))
    shuffled = random.sample(pairs, len(pairs))
    a, b = spearman(x, y), spearman([math.exp(v) for v, _ in shuffled], [w * 3.0 - 7 for _, w in shuffled])
    turned, swapped = spearman([-v for v in x], y), spearman(y, x)
    assert (b.value, swapped.value) == pytest.approx((a.value, a.value), abs=1e-12)
    assert turned.value == pytest.approx(-a.value, abs=1e-12)
    if a.low is not None:
        assert (b.low, b.high, -turned.high, -turned.low) == pytest.approx((a.low, a.high) * 2)


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([], [], "fewer than three"),
        ([1.0, 2.0], [2.0, 1.0], "fewer than three"),
        ([1.0] * 9, list(range(9)), "the model's values are equal"),
        (list(range(9)), [0.5] * 9, "the human values are equal"),
        ([1.0, 2.0, math.nan, 4.0], [1.0, 2.0, 3.0, 4.0], "not finite"),
        ([1.0, 2.0, math.inf, 4.0], [1.0, 2.0, 3.0, 4.0], "not finite"),
        ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, -math.inf, 4.0], "not finite"),
    ],
)
def test_what_is_undefined_is_none_with_a_reason(x, y, reason):
    estimate = spearman(x, y)
    assert (estimate.value, estimate.se, estimate.low, estimate.high) == (None, None, None, None)
    assert reason in estimate.note


@pytest.mark.parametrize("side", [1, -1])
def test_perfect_agreement_has_a_value_and_no_interval(side):
    estimate = spearman(list(range(10)), [side * v for v in range(10)])
    assert estimate.value == pytest.approx(side)
    assert (estimate.se, estimate.low, estimate.high) == (None, None, None)
    assert "perfectly" in estimate.note


def test_three_items_have_a_value_and_no_interval():
    estimate = spearman([1, 2, 3], [1, 3, 2])
    assert (estimate.value, estimate.low) == (pytest.approx(0.5), None)
    assert "too few" in estimate.note


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 200])
@pytest.mark.parametrize("r", [0.2, 0.6])
def test_intervals_of_a_bivariate_normal_hold_the_truth(n, r):
    """Its Spearman correlation is 6 / pi asin(r / 2), a little less than r."""
    rng = np.random.default_rng(n + round(10 * r))
    truth = 6 / math.pi * math.asin(r / 2)
    hits = 0
    for _ in range(2000):
        x = rng.normal(size=n)
        y = r * x + math.sqrt(1 - r * r) * rng.normal(size=n)
        estimate = spearman(x.tolist(), y.tolist())
        hits += estimate.low <= truth <= estimate.high
    assert 0.93 <= hits / 2000 <= 0.97
