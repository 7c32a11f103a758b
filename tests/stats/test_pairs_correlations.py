"""Two rank correlations with the same human values: against scipy, and against resamples made one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from babyeval.stats.correlations import _correlations, correlation_difference


def rho(x, y):
    return spearmanr(x, y).statistic


def names(count):
    return [str(i) for i in range(count)]


def sample(n, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    human = rng.normal(size=n)
    a, b = (0.6 * human + 0.8 * rng.normal(size=n) for _ in range(2))
    return tuple(np.round(values, 0) if ties else values for values in (a, b, human))


@given(st.integers(5, 30), st.integers(0, 1000), st.booleans())
def test_each_resample_has_the_correlation_of_its_items(n, seed, ties):
    x, _, y = sample(n, seed, ties)
    rows = np.random.default_rng(seed).integers(0, n, (3, n))
    weights = np.array([np.bincount(row, minlength=n) for row in rows], float)
    for row, found in zip(rows, _correlations(x, y, weights.T), strict=True):
        if min(len(set(x[row])), len(set(y[row]))) > 1:
            assert found == pytest.approx(rho(x[row], y[row]), abs=1e-9)
        else:
            assert math.isnan(found)


@pytest.mark.parametrize("ties", [False, True])
def test_difference_and_error(ties):
    a, b, human = sample(80, 1, ties)
    found = correlation_difference(a, b, human, names(80))
    assert found.difference == pytest.approx(rho(a, human) - rho(b, human), abs=1e-10)
    rng = np.random.default_rng(77)
    drawn = [rho(a[rows], human[rows]) - rho(b[rows], human[rows]) for rows in rng.integers(0, 80, (1500, 80))]
    assert found.se == pytest.approx(np.std(drawn), rel=0.1)
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, (0.025, 0.975)), abs=0.25 * found.se)
    assert (found.n, found.clusters, found.unit, found.test) == (80, 80, "items", "paired bootstrap")
    assert found.mde == pytest.approx(2.8016 * found.se, rel=1e-4)


def test_items_of_one_cluster_go_together():
    """Every item four times: resampled by itself, the error would be half as large."""
    a, b, human = (np.repeat(values, 4) for values in sample(60, 2))
    once = correlation_difference(*sample(60, 2), names(60))
    found = correlation_difference(a, b, human, np.repeat(names(60), 4).tolist())
    assert found.se == pytest.approx(once.se, rel=0.05)
    assert (found.n, found.clusters) == (240, 60)
    assert correlation_difference(a, b, human, names(240)).se < 0.6 * found.se


def test_p_says_what_a_clear_difference_and_none_say():
    rng = np.random.default_rng(3)
    human = rng.normal(size=100)
    good, bad = human + 0.4 * rng.normal(size=100), rng.normal(size=100)
    clear = correlation_difference(good, bad, human, names(100))
    assert clear.p < 0.01
    assert clear.low > 0
    alike = correlation_difference(bad, bad + 0.05 * rng.normal(size=100), human, names(100))
    assert alike.p > 0.05
    assert alike.low < 0 < alike.high


def test_same_seed_same_answer_and_sides_turn_the_sign():
    a, b, human = sample(50, 4)
    one, other = (correlation_difference(*pair, human, names(50)) for pair in ((a, b), (b, a)))
    assert (one.difference, one.low, one.high, one.p) == pytest.approx((-other.difference, -other.high, -other.low, other.p))
    assert one == correlation_difference(a, b, human, names(50))
    assert one != correlation_difference(a, b, human, names(50), seed=1)


@pytest.mark.parametrize(
    ("a", "b", "human", "reason"),
    [
        ([1.0, 2.0], [2.0, 1.0], [1.0, 2.0], "fewer than three"),
        ([1.0] * 20, list(range(20)), list(range(20)), "a's values are equal"),
        (list(range(20)), [0.1] * 20, list(range(20)), "b's values are equal"),
        (list(range(20)), list(range(20)), [3.0] * 20, "human values are equal"),
        ([math.nan, *range(19)], list(range(20)), list(range(20)), "not finite"),
    ],
)
def test_no_correlation_no_difference(a, b, human, reason):
    found = correlation_difference(a, b, human, names(len(a)))
    assert (found.difference, found.se, found.low, found.p, found.mde) == (None,) * 5
    assert reason in found.note


def test_the_least_p_and_lost_resamples_are_told():
    a, b, human = sample(50, 6)
    found = correlation_difference(a, b, human, names(50), draws=999)
    assert (found.smallest_p, found.note) == (2 / 1000, None)
    opposed = correlation_difference(human + 0.1 * a, 0.1 * b - human, human, names(50), draws=999)
    assert opposed.p == opposed.smallest_p == 2 / 1000
    rare = [1.0, *[0.0] * 11]  # what a resample holds of it with a chance of 1 - (11 / 12) ** 12
    lost = correlation_difference(rare, list(range(12)), [3.0, *range(11)], names(12), draws=2000)
    count = int(lost.note.split()[0])
    assert count == pytest.approx(2000 * (11 / 12) ** 12, abs=90)
    assert lost.smallest_p == 2 / (2001 - count)
    assert f"{count} of 2000 resamples" in lost.note


def test_few_clusters_and_equal_predictions_have_a_difference_only():
    a, b, human = sample(20, 5)
    few = correlation_difference(a, b, human, np.repeat(names(4), 5).tolist())
    assert few.difference == pytest.approx(spearmanr(a, human).statistic - spearmanr(b, human).statistic)
    assert "fewer than" in few.note
    same = correlation_difference(a, 2 * a + 1, human, names(20))
    assert same.difference == pytest.approx(0)
    assert "agree" in same.note
    assert (few.p, same.p, few.low, same.low) == (None,) * 4
