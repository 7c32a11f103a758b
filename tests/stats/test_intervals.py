"""Standard errors and intervals against statsmodels and against the formulas of statistics.md, section 1."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from babyeval.stats.intervals import proportion, stratified_macro_mean

CREDITS = st.sampled_from([0.0, 1.0, 0.5, 1 / 3])


def names(count: int) -> list[str]:
    return [str(i) for i in range(count)]


def ols(values, groups):
    """Cluster-robust error of a mean, with the factor C / (C - 1) for few clusters."""
    fit = sm.OLS(np.asarray(values), np.ones(len(values))).fit()
    plain = fit.get_robustcov_results("cluster", groups=groups, use_correction=False)
    count = len(set(groups))
    return float(plain.bse[0]) * math.sqrt(count / (count - 1))


@st.composite
def samples(draw: st.DrawFn) -> tuple[list[float], list[str], list[str]]:
    """Strata of clusters of items, in mixed order, with something that varies in the first stratum."""
    rows = []
    for stratum in range(draw(st.integers(2, 5))):
        for cluster in range(draw(st.integers(2, 6))):
            size = draw(st.integers(1, 4))
            rows += [(draw(CREDITS), f"s{stratum}", f"s{stratum}c{cluster}") for _ in range(size)]
    rows += [(1.0, "s0", "s0x"), (0.0, "s0", "s0y"), (0.0, "s0", "s0z")]
    values, strata, clusters = zip(*draw(st.permutations(rows)), strict=True)
    return list(values), list(strata), list(clusters)


@given(st.lists(CREDITS, min_size=2, max_size=60), st.sampled_from([0.9, 0.95, 0.99]))
def test_a_proportion_is_the_mean_with_wilsons_interval(credits, level):
    estimate = proportion(credits, names(len(credits)), level)
    assert estimate.value == pytest.approx(np.mean(credits))
    expected = proportion_confint(sum(credits), len(credits), alpha=1 - level, method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx(expected)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.method == "wilson"


@given(st.lists(CREDITS, min_size=2, max_size=60).filter(lambda credits: len(set(credits)) > 1))
def test_the_error_of_a_proportion_is_that_of_a_sample_mean(credits):
    estimate = proportion(credits, names(len(credits)))
    assert estimate.se == pytest.approx(np.std(credits, ddof=1) / math.sqrt(len(credits)))
    assert estimate.note is None


@given(samples())
def test_items_that_share_clusters_get_the_clustered_error_with_t(sample):
    values, _, clusters = sample
    if len(set(clusters)) == len(values):
        values, clusters = values * 2, clusters * 2
    estimate = proportion(values, clusters)
    error, count = ols(values, clusters), len(set(clusters))
    assert estimate.value == pytest.approx(np.mean(values))
    if error > 1e-9:
        assert (estimate.se, estimate.method, estimate.clusters) == (pytest.approx(error), "clustered", count)
        half = student.ppf(0.975, count - 1) * error
        assert estimate.low == pytest.approx(max(0, estimate.value - half))
        assert estimate.high == pytest.approx(min(1, estimate.value + half))


def test_one_cluster_alone_has_no_error():
    estimate = proportion([1.0, 0.0, 1.0], ["a"] * 3)
    assert estimate.value == pytest.approx(2 / 3)
    assert (estimate.se, estimate.low, estimate.high) == (None, None, None)
    assert "one cluster" in estimate.note


def test_wilsons_interval_by_its_formula():
    n, p, z = 52, 32 / 52, 1.959963984540054
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    estimate = proportion([1.0] * 32 + [0.0] * 20, names(52))
    assert (estimate.low, estimate.high) == pytest.approx((centre - half, centre + half))


@given(samples())
def test_the_macro_mean_and_its_error_stratum_by_stratum(sample):
    values, strata, clusters = sample
    estimate = stratified_macro_mean(values, strata, clusters)
    groups = sorted(set(strata))
    parts = [[i for i, s in enumerate(strata) if s == group] for group in groups]
    assert estimate.value == pytest.approx(np.mean([np.mean([values[i] for i in part]) for part in parts]))
    errors = [ols([values[i] for i in part], [clusters[i] for i in part]) for part in parts]
    assert estimate.se == pytest.approx(math.sqrt(sum(error**2 for error in errors)) / len(groups), abs=1e-9)
    freedoms = [len({clusters[i] for i in part}) - 1 for part in parts]
    own = [error**2 for error in errors]
    freedom = sum(own) ** 2 / sum(share**2 / df for share, df in zip(own, freedoms, strict=True))
    half = student.ppf(0.975, freedom) * estimate.se
    assert estimate.low == pytest.approx(max(0, estimate.value - half))
    assert estimate.high == pytest.approx(min(1, estimate.value + half))
    assert (estimate.n, estimate.clusters) == (len(values), len(set(clusters)))


def test_independent_items_give_the_formula_with_proportions():
    rng = np.random.default_rng(0)
    values = (rng.random(67 * 30) < np.repeat(rng.uniform(0.2, 0.9, 67), 30)).astype(float)
    strata = np.repeat(names(67), 30)
    p = values.reshape(67, 30).mean(1)
    estimate = stratified_macro_mean(values, strata, names(len(values)))
    assert estimate.value == pytest.approx(p.mean())
    assert estimate.se == pytest.approx(math.sqrt((p * (1 - p) / 29).sum()) / 67)


def test_strata_count_alike_whatever_their_size():
    estimate = stratified_macro_mean([1.0, 0.0, *[1.0] * 60, *[0.0] * 20], ["a"] * 2 + ["b"] * 80, names(82))
    assert estimate.value == pytest.approx((0.5 + 0.75) / 2)


def test_a_data_set_doubled_within_its_clusters_keeps_its_error():
    values, strata = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0], list("aaaabbbb")
    once = stratified_macro_mean(values, strata, names(8))
    twice = stratified_macro_mean(values * 2, strata * 2, names(8) * 2)
    assert (twice.value, twice.se) == (pytest.approx(once.value), pytest.approx(once.se))
    assert (once.n, twice.n, once.clusters, twice.clusters) == (8, 16, 8, 8)


def test_the_order_of_items_changes_nothing():
    rng = np.random.default_rng(1)
    values, strata, clusters = rng.integers(0, 2, 40).astype(float), np.repeat(names(4), 10), np.repeat(names(20), 2)
    order = rng.permutation(40)
    a = stratified_macro_mean(values, strata, clusters)
    b = stratified_macro_mean(values[order], strata[order], clusters[order])
    assert (a.value, a.se, a.low, a.high) == pytest.approx((b.value, b.se, b.low, b.high))


def test_a_wider_level_gives_a_wider_interval():
    widths = []
    for level in (0.8, 0.95, 0.99):
        estimate = stratified_macro_mean([1, 0, 1, 1, 0, 1, 0, 0], list("aaaabbbb"), names(8), level)
        widths.append(estimate.high - estimate.low)
    assert widths == sorted(widths)
    assert len(set(widths)) == 3


def test_intervals_stay_between_nothing_and_everything():
    estimate = stratified_macro_mean([1, 1, 1, 0, 1, 1, 1, 1], list("aaaabbbb"), names(8))
    assert estimate.high == 1.0


# What cannot be estimated is None with a reason, never 0 (design, section 3; statistics.md, section 12 e).


@pytest.mark.parametrize("function", [lambda: proportion([], []), lambda: stratified_macro_mean([], [], [])])
def test_no_items_give_nothing(function):
    estimate = function()
    assert (estimate.value, estimate.se, estimate.low, estimate.high, estimate.n) == (None, None, None, None, 0)
    assert estimate.note == "no items"


def test_one_item_has_an_interval_but_no_error():
    estimate = proportion([1.0], ["a"])
    assert (estimate.value, estimate.se) == (1.0, None)
    assert estimate.low < 0.3
    assert "one item" in estimate.note


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_proportion_of_equal_items_has_an_interval_but_no_error(value):
    estimate = proportion([value] * 30, names(30))
    assert estimate.value == value
    assert estimate.se is None
    assert estimate.note
    assert 0.1 < estimate.high - estimate.low < 0.2


@pytest.mark.parametrize("count", [1, 2, 5, 30, 49, 200])
def test_an_interval_holds_its_own_value_at_both_ends(count):
    """Also after rounding: a perfect score lies within its interval."""
    for value in (0.0, 1.0):
        estimate = proportion([value] * count, names(count))
        assert 0 <= estimate.low <= value <= estimate.high <= 1


def test_a_stratum_of_one_cluster_gives_no_error_and_says_so():
    estimate = stratified_macro_mean([1, 0, 1, 0, 1], list("aaabb"), ["1", "2", "3", "4", "4"])
    assert estimate.value == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert (estimate.se, estimate.low, estimate.high) == (None, None, None)
    assert "1 of 2 subsets" in estimate.note


def test_equal_items_everywhere_give_no_error_and_say_so():
    estimate = stratified_macro_mean([1, 1, 0, 0], list("aabb"), names(4))
    assert estimate.value == 0.5
    assert (estimate.se, estimate.low, estimate.high) == (None, None, None)
    assert "equal" in estimate.note
