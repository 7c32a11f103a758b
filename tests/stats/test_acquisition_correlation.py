"""Correlation of ages of acquisition: what each protocol reports, against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from correlated import sample
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, pearsonr

from babyeval.stats.acquisition import correlate
from babyeval.stats.pearson import pearson


@pytest.mark.parametrize("rule", ["2025", "2026", "robust"])
def test_a_clear_correlation_is_the_same_under_every_rule(rule):
    x, y = sample(120, 0.5, 1)
    found = correlate(x, y, rule)
    assert found.value == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert found.p == pytest.approx(pearsonr(x, y).pvalue if rule != "robust" else pearson(x, y)[1])
    assert (found.estimate.value, found.estimate.n, found.estimate.clusters, found.estimate.note) == (found.value, 120, 120, None)
    ends = bootstrap((x, y), lambda a, b: pearsonr(a, b).statistic, paired=True, vectorized=False, method="percentile",
                     n_resamples=3000, rng=np.random.default_rng(5))  # fmt: skip
    assert (found.estimate.low, found.estimate.high) == pytest.approx(ends.confidence_interval, abs=0.02)
    assert found.estimate.se == pytest.approx(ends.standard_error, rel=0.08)


def test_2026_forces_what_is_not_significant_to_0_and_keeps_the_interval():
    weak = next(pair for pair in (sample(30, 0.2, seed) for seed in range(99)) if 0.1 < pearsonr(*pair).pvalue < 0.2)
    r, p = pearsonr(*weak)
    robust, official, older = (correlate(*weak, rule) for rule in ("robust", "2026", "2025"))
    assert (official.value, robust.value, older.value) == (0.0, pytest.approx(r), pytest.approx(r))
    assert official.p == older.p == pytest.approx(p)
    assert (official.estimate.value, official.estimate.low, official.estimate.high) == (
        r,
        robust.estimate.low,
        robust.estimate.high,
    )
    assert f"p = {p:.3f}" in official.estimate.note
    assert robust.estimate.note is older.estimate.note is None


def test_just_significant_is_kept():
    near = next(pair for pair in (sample(30, 0.3, seed) for seed in range(999)) if 0.07 < pearsonr(*pair).pvalue < 0.1)
    assert correlate(*near, "2026").value == pytest.approx(pearsonr(*near).statistic)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_words(n):
    x, y = [6.0, 7.0][:n], [20.0, 25.0][:n]
    assert [correlate(x, y, rule).value for rule in ("2025", "2026", "robust")] == [0.0, 0.0, None]
    for rule in ("2025", "2026", "robust"):
        found = correlate(x, y, rule)
        assert (found.p, found.estimate.value, found.estimate.low, found.estimate.n) == (None, None, None, n)
        assert "fewer than three words" in found.estimate.note
        assert ("officially" in found.estimate.note) == (rule != "robust")


@pytest.mark.parametrize("rule", ["2025", "2026", "robust"])
@pytest.mark.parametrize(
    ("x", "y", "why"),
    [
        ([7.0] * 12, range(12), "the model acquired all words at the same time"),
        (range(12), [0.1 + 0.2] * 6 + [0.3] * 6, "children acquired all words at the same time"),
        ([*range(11), math.nan], range(12), "not finite"),
    ],
)
def test_undefined_is_none_with_a_note_and_not_0(x, y, why, rule):
    found = correlate(list(x), list(y), rule)
    assert (found.value, found.p, found.estimate.value, found.estimate.se, found.estimate.low) == (None,) * 5
    assert why in found.estimate.note


def test_too_few_or_perfect_for_an_interval():
    short, exact = correlate([1, 2, 3, 4], [1, 2, 4, 3], "2026"), correlate(range(12), range(12), "robust")
    assert (short.value, short.estimate.value) == (0.0, pytest.approx(0.8))
    assert "officially 0" in short.estimate.note
    assert "too few" in short.estimate.note
    assert exact.value == pytest.approx(1)
    assert "perfectly" in exact.estimate.note
    assert short.estimate.low is exact.estimate.low is None


def test_one_word_that_decides_leaves_no_interval():
    alone = correlate([1.0] * 11 + [2.0], [*range(11), 30], "robust").estimate
    spoils = correlate([*range(11), 30.0], [*range(11), 3.0], "robust").estimate
    assert (alone.se, alone.low, spoils.se, spoils.low) == (None,) * 4
    assert "all others have one value" in alone.note
    assert "all others agree perfectly" in spoils.note


@given(st.integers(0, 10**6), st.integers(10, 60), st.floats(0.01, 100), st.floats(-50, 50))
@settings(max_examples=15, deadline=None)
def test_order_and_units_of_words_change_nothing(seed, n, scale, shift):
    x, y = sample(n, 0.4, seed)
    order = np.random.default_rng(seed).permutation(n)
    once = correlate(x, y, "robust")
    again = correlate((scale * np.array(x) + shift)[order].tolist(), np.array(y)[order].tolist(), "robust")
    assert again.value == pytest.approx(once.value)
    assert (again.estimate.se, again.estimate.low, again.estimate.high) == pytest.approx(
        (once.estimate.se, once.estimate.low, once.estimate.high)
    )
