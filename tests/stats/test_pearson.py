"""Pearson's correlation and the difference of two: against items left out one by one, and in simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from correlated import sample, unscaled
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from scipy.stats import t as student

from babyeval.stats.pearson import pearson, pearson_difference

KINDS = ["normal", "skewed", "uneven"]
R = st.floats(-0.95, 0.95)


def without_each(x, y):
    return np.array([pearsonr(np.delete(x, i), np.delete(y, i)).statistic for i in range(len(x))])


def error(rest):
    return math.sqrt((len(rest) - 1) / len(rest) * np.square(rest - rest.mean()).sum())


def bounds(r, rest, quantile):
    return np.tanh(np.arctanh(r) + error(np.arctanh(rest)) * quantile * np.array([-1, 1]))


@given(st.integers(0, 10**6), st.integers(10, 80), st.sampled_from(KINDS), R)
@settings(max_examples=30, deadline=None)
def test_the_interval_by_leaving_out_each_item(seed, n, kind, r):
    x, y = sample(n, r, seed, kind)
    found, p = pearson(x, y)
    rest = without_each(x, y)
    low, high = bounds(found.value, rest, student.ppf(0.975, n - 2))
    assert found.value == pytest.approx(pearsonr(x, y).statistic)
    assert (found.se, found.low, found.high) == pytest.approx((error(rest), low, high), abs=1e-10)
    assert p == pytest.approx(2 * student.sf(abs(np.arctanh(found.value)) / error(np.arctanh(rest)), n - 2))
    assert (p < 0.05) == (not low <= 0 <= high)


@given(st.integers(0, 10**6), st.integers(15, 60), st.sampled_from(KINDS), R, R, st.floats(-0.9, 0.9))
@settings(max_examples=30, deadline=None)
def test_the_difference_by_leaving_out_each_item(seed, n, kind, one, other, together):
    human, a, b = unscaled(np.random.default_rng(seed), n, [one, other], together, kind)
    found = pearson_difference(a, b, human)
    (ra, rb), (rest_a, rest_b) = zip(*((pearsonr(x, human).statistic, without_each(x, human)) for x in (a, b)), strict=True)
    quantile = student.ppf(0.975, n - 2)
    (low_a, high_a), (low_b, high_b) = bounds(ra, rest_a, quantile), bounds(rb, rest_b, quantile)
    both = np.corrcoef(np.arctanh(rest_a), np.arctanh(rest_b))[0, 1]
    down = math.sqrt((ra - low_a) ** 2 + (high_b - rb) ** 2 - 2 * both * (ra - low_a) * (high_b - rb))
    up = math.sqrt((high_a - ra) ** 2 + (rb - low_b) ** 2 - 2 * both * (high_a - ra) * (rb - low_b))
    assert (found.difference, found.se) == pytest.approx((ra - rb, error(rest_a - rest_b)), abs=1e-9)
    assert (found.low, found.high) == pytest.approx((ra - rb - down, ra - rb + up), abs=1e-9)
    assert (found.p < 0.05) == (not found.low <= 0 <= found.high)
    turned = pearson_difference(b, a, human)
    assert (turned.difference, turned.p) == pytest.approx((-found.difference, found.p))
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_clear_equal_and_undefined_differences():
    human, a, b = unscaled(np.random.default_rng(3), 100, [0.9, 0.0])
    clear = pearson_difference(a, b, human)
    assert clear.p < 1e-6
    assert (clear.n, clear.freedom, clear.test) == (100, 98, "paired jackknife")
    few = pearson_difference(a[:14], b[:14], human[:14])
    assert few.difference == pytest.approx(pearsonr(a[:14], human[:14]).statistic - pearsonr(b[:14], human[:14]).statistic)
    same = pearson_difference(a, 2 * a + 1, human)
    assert same.difference == pytest.approx(0)
    perfect = pearson_difference(human, b, human)
    assert (few.p, same.p, perfect.p, perfect.low) == (None,) * 4
    assert "too few" in few.note
    assert "agree with each other" in same.note
    assert "perfectly" in perfect.note
    assert "equal" in pearson_difference([1.0] * 20, b[:20], human[:20]).note


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [10, 30, 100, 400])
def test_intervals_hold_the_truth(n, kind):
    results = []
    for r in (0.0, 0.4):
        found = [pearson(*sample(n, r, 1000 * n + i, kind))[0] for i in range(10_000)]
        results.append(np.mean([one.low <= r <= one.high for one in found]))
    print(f"acquisition, {n} words, {kind}, r of 0 and .4: held {results[0]} and {results[1]}")
    assert min(results) >= 0.93
    assert max(results) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [15, 20, 50, 200])
def test_differences_hold_the_truth_and_equal_models_are_told_apart_no_more_than_asked(n, kind):
    results = []
    for one, other, together in ((0.0, 0.0, 0.0), (0.4, 0.4, 0.0), (0.4, 0.4, 0.7), (0.7, 0.3, 0.3)):
        rng, held = np.random.default_rng([n, len(kind), int(10 * together)]), 0
        for _ in range(4000):
            human, a, b = unscaled(rng, n, [one, other], together, kind)
            found = pearson_difference(a, b, human)
            held += found.low <= one - other <= found.high
        results.append(held / 4000)
    print(
        f"difference of acquisition, {n} words, {kind}: held {results}, rejected {[round(1 - held, 4) for held in results[:3]]}"
    )
    assert min(results) >= 0.93
    assert max(results) <= 0.97
