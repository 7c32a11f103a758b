"""Sign flips against enumeration by hand and scipy, and their exact size."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from babyeval.stats.permutation import flipped_sums, sign_flip


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=9))
def test_p_is_the_share_of_all_signs_and_rounding_breaks_no_tie(values):
    sums = [abs(sum(map(math.prod, zip(signs, values, strict=True)))) for signs in itertools.product((1, -1), repeat=len(values))]
    expected = np.mean(np.array(sums) >= abs(sum(values)))
    tenths = [value * 0.1 for value in values]  # none of which a float holds exactly
    p, least = sign_flip(tenths)
    assert p == expected
    assert least == min(1.0, 2 / 2 ** np.count_nonzero(values))
    assert least <= p


def test_enumeration_agrees_with_scipy():
    rng = np.random.default_rng(4)
    for size in (5, 9, 13):
        values = rng.normal(0.4, 1, size)
        found = permutation_test(
            (values,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=math.inf, vectorized=True
        )
        assert sign_flip(values)[0] == pytest.approx(found.pvalue, abs=1e-12)


def test_drawing_agrees_with_enumeration():
    values = np.random.default_rng(8).normal(0.45, 1, 17)
    exact = sign_flip(values, draws=2**17)[0]
    drawn, least = sign_flip(values)
    assert least == 1 / 10_000
    assert 0.02 < exact < 0.5
    assert abs(drawn - exact) < 4 * math.sqrt(exact * (1 - exact) / 9_999)
    assert drawn == sign_flip(values)[0] != sign_flip(values, seed=1)[0]


def test_drawn_signs_are_fair_and_independent_and_those_of_a_unit_are_one():
    """Each statistic being a unit of its own shows its sign; the last is the sum of three, from different bytes."""
    shares = np.hstack([np.eye(21), np.isin(np.arange(21), (0, 9, 20))[:, None]])
    found = flipped_sums(shares, 4_000, 1)
    assert found.shape == (22, 4_001)
    assert (found[:, 0] == shares.sum(axis=0)).all(), "the data's own signs come first"
    signs = found[:21, 1:]
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert np.abs(signs @ signs.T / 4_000 - np.eye(21)).max() < 5 / math.sqrt(4_000)
    assert np.abs(signs.mean(axis=1)).max() < 5 / math.sqrt(4_000)
    assert (found[21, 1:] == signs[[0, 9, 20]].sum(axis=0)).all()


def test_all_signs_are_enumerated_once():
    found = flipped_sums(np.eye(6), 9_999, 0)
    assert sorted(map(tuple, found.T.tolist())) == sorted((1, *rest) for rest in itertools.product((1, -1), repeat=5))


def test_many_differences_are_drawn_in_parts():
    values = np.random.default_rng(9).normal(0, 1, 3_000)
    z = abs(values.sum()) / math.sqrt(np.square(values).sum())
    normal = math.erfc(z / math.sqrt(2))
    assert sign_flip(values)[0] == pytest.approx(normal, abs=4 * math.sqrt(normal * (1 - normal) / 9_999) + 0.002)


@pytest.mark.parametrize("size", [4, 5, 6, 8])
def test_size_is_the_largest_that_so_few_signs_allow(size):
    """Under the null hypothesis every pattern of signs is as likely: 5 differences never reach .05."""
    values = np.random.default_rng(size).normal(size=size)
    found = [sign_flip(values * signs)[0] for signs in itertools.product((1, -1), repeat=size)]
    for alpha in (0.05, 0.1, 0.25):
        steps = math.floor(alpha * 2**size / 2)
        assert np.mean(np.array(found) <= alpha) == pytest.approx(steps * 2 / 2**size)
    assert min(found) == 2 / 2**size == sign_flip(values)[1]


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_order_side_and_unit_change_nothing(values, random):
    shuffled = random.sample(values, len(values))
    assert sign_flip([-100 * value for value in shuffled]) == sign_flip(values)


def test_differences_of_zero_tell_nothing():
    assert sign_flip([0.0, 1.0, 2.0, 0.0, 3.0]) == sign_flip([1.0, 2.0, 3.0]) == (0.25, 0.25)
    assert sign_flip([0.0, 0.0]) == (1.0, 1.0)
    assert sign_flip([2.0]) == (1.0, 1.0)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf, 2.0]])
def test_what_has_no_mean_has_no_p(values):
    assert all(map(math.isnan, sign_flip(values)))
