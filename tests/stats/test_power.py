"""The least detectable difference against statsmodels' power of t tests and against simulated tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm, t
from statsmodels.stats.power import TTestPower

from babyeval.stats.power import minimum_detectable


@pytest.mark.parametrize("n", [5, 11, 67, 1_000])
@pytest.mark.parametrize(("level", "power"), [(0.95, 0.8), (0.99, 0.9)])
def test_with_an_estimated_error_it_is_that_of_a_t_test(n, level, power):
    effect = minimum_detectable(1 / math.sqrt(n), n - 1, level, power)
    assert TTestPower().power(effect, n, 1 - level) == pytest.approx(power, abs=3e-5)


def test_with_a_known_error_it_is_that_of_a_normal_test():
    assert minimum_detectable(3.0) == pytest.approx(3 * (norm.ppf(0.975) + norm.ppf(0.8)), rel=1e-12)
    assert minimum_detectable(3.0, math.inf) == minimum_detectable(3.0) == pytest.approx(minimum_detectable(3.0, 1e6), rel=1e-5)
    assert minimum_detectable(1.0) == pytest.approx(2.80, abs=0.002)  # statistics.md, section 10


@pytest.mark.parametrize(("freedom", "one", "among"), [(11, 3.08, 4.57), (66, 2.84, 3.83), (None, 2.80, 3.71)])
def test_one_of_twelve_adjusted_tests_finds_less(freedom, one, among):
    """By Bonferroni's level, which is Holm's at its worst; statsmodels has the t tests of one sample above."""
    found = [minimum_detectable(1.0, freedom, 1 - 0.05 / tests) for tests in (1, 12)]
    assert found == pytest.approx([one, among], abs=0.006)


def test_fewer_degrees_of_freedom_find_less():
    found = [minimum_detectable(1.0, freedom) for freedom in (1, 1.5, 2, 4, 7.3, 30, None)]
    assert found == sorted(found, reverse=True)


def test_below_one_degree_of_freedom_there_is_none():
    assert [minimum_detectable(1.0, freedom) for freedom in (0.0, 0.01, 0.99)] == [None] * 3


def test_so_many_tests_find_it():
    rng = np.random.default_rng(80)
    x = rng.normal(minimum_detectable(1 / math.sqrt(6), 5), 1, (20_000, 6))
    statistic = x.mean(axis=1) / (x.std(axis=1, ddof=1) / math.sqrt(6))
    # The error of the test is estimated from the data, the difference set by the true one.
    assert np.mean(np.abs(statistic) > t.ppf(0.975, 5)) == pytest.approx(0.8, abs=0.012)
