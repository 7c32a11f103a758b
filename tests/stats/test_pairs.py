"""Comparisons of two checkpoints against scipy, statsmodels, and what has no answer."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, permutation_test, t, ttest_1samp, ttest_rel
from statsmodels.stats.power import TTestPower

from babyeval.stats.intervals import stratified_macro_mean
from babyeval.stats.pairs import held_out_test, stratified_paired_test, subset_mean_test

CREDITS = st.sampled_from([0.0, 1.0, 0.5])


def names(count: int) -> list[str]:
    return [str(i) for i in range(count)]


def undefined(found):
    return (found.se, found.low, found.high, found.p, found.mde) == (None,) * 5


def clustered(values, groups):
    """Error of a mean by clusters of rows, with the factor C / (C - 1)."""
    fit = sm.OLS(np.asarray(values), np.ones(len(values))).fit()
    plain = fit.get_robustcov_results("cluster", groups=groups, use_correction=False)
    count = len(set(groups))
    return float(plain.bse[0]) * math.sqrt(count / (count - 1))


@pytest.mark.parametrize(("count", "level"), [(2, 0.95), (5, 0.9), (67, 0.95), (67, 0.99)])
def test_subset_means_are_tested_as_by_scipy(count, level):
    differences = np.random.default_rng(count).normal(1.0, 4.0, count)
    found, expected = subset_mean_test(differences.tolist(), 13_400, level), ttest_1samp(differences, 0)
    interval = expected.confidence_interval(level)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-10)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-10)
    assert found.difference == pytest.approx(differences.mean(), abs=1e-12)
    assert found.se == pytest.approx(differences.std(ddof=1) / math.sqrt(count), abs=1e-12)
    assert (found.freedom, found.unit, found.clusters, found.n) == (count - 1, "subsets", count, 13_400)
    assert found.mde == pytest.approx(
        TTestPower().solve_power(nobs=count, alpha=1 - level, power=0.8) * differences.std(ddof=1), rel=1e-4
    )


def test_sign_flips_stand_beside_subset_means():
    differences = np.random.default_rng(3).normal(1.0, 2.0, 11)
    found = subset_mean_test(differences.tolist(), 100)
    expected = permutation_test(
        (differences,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=math.inf, vectorized=True
    )
    assert found.p_permutation == pytest.approx(expected.pvalue, abs=1e-12)
    assert (found.smallest_p, found.note) == (2 / 2**11, None)
    few = subset_mean_test([1.0, 2.0, 3.0, 4.0, 5.0], 100)
    assert few.smallest_p == few.p_permutation == 0.0625
    assert "0.0625" in few.note


@given(st.lists(st.floats(-50, 50), min_size=3, max_size=20).filter(lambda values: np.ptp(values) > 0.01))
def test_turning_the_pair_round_turns_the_sign(values):
    one, other = subset_mean_test(values, 9), subset_mean_test([-value for value in values], 9)
    assert (one.p, one.se, one.p_permutation) == pytest.approx((other.p, other.se, other.p_permutation), abs=1e-12)
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low), abs=1e-9)


@pytest.mark.parametrize(
    ("differences", "difference", "reason"),
    [
        ([], None, "no subsets"),
        ([3.0], 3.0, "one subset"),
        ([2.5] * 12, 2.5, "the same"),
        ([0.1] * 12, 0.1, "the same"),
        ([0.0] * 12, 0.0, "the same"),
        ([1.0, math.nan, 2.0], None, "not finite"),
    ],
)
def test_subset_means_without_a_test(differences, difference, reason):
    found = subset_mean_test(differences, 24)
    assert undefined(found)
    assert found.difference == pytest.approx(difference) if difference is not None else found.difference is None
    assert reason in found.note


@given(st.lists(st.tuples(CREDITS, CREDITS), min_size=3, max_size=60).filter(lambda rows: len({a - b for a, b in rows}) > 1))
def test_one_stratum_of_single_items_is_a_paired_t_test(rows):
    a, b = zip(*rows, strict=True)
    found, expected = stratified_paired_test(a, b, ["all"] * len(a), names(len(a))), ttest_rel(a, b)
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue, abs=1e-10)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-10)
    assert (found.freedom, found.test) == (pytest.approx(expected.df), "paired t")


def test_clusters_of_one_stratum_are_those_of_a_regression():
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(30), rng.integers(1, 6, 30))
    a, b = (rng.random((2, len(groups))) < 0.3 + 0.4 * rng.random(30)[groups]).astype(float)
    found = stratified_paired_test(a, b, ["all"] * len(a), [str(g) for g in groups])
    se = clustered(a - b, groups)
    assert found.se == pytest.approx(se, rel=1e-10)
    assert found.p == pytest.approx(2 * t.sf(abs(np.mean(a - b)) / se, 29), abs=1e-10)
    assert (found.clusters, found.test, found.unit) == (30, "clustered paired t", "items")


def test_equal_clusters_are_a_t_test_of_their_means():
    d = np.random.default_rng(7).choice([-1.0, 0.0, 1.0], (12, 5))
    found = stratified_paired_test(d.ravel(), np.zeros(60), ["all"] * 60, np.repeat(names(12), 5).tolist())
    assert found.p == pytest.approx(ttest_1samp(d.mean(axis=1), 0).pvalue, abs=1e-10)


def test_strata_are_fixed_and_weigh_the_same():
    rng = np.random.default_rng(5)
    sizes = (80, 30, 150, 12, 60)
    parts = [rng.choice([-1.0, 0.0, 1.0], size, p=[0.1, 0.6, 0.3]) for size in sizes]
    strata = np.repeat(names(5), sizes).tolist()
    values = np.concatenate(parts)
    found = stratified_paired_test(values, np.zeros(len(values)), strata, names(len(values)))
    shares = np.array([part.var(ddof=1) / len(part) for part in parts]) / 25
    freedom = shares.sum() ** 2 / sum(share**2 / (size - 1) for share, size in zip(shares, sizes, strict=True))
    mean, se = np.mean([part.mean() for part in parts]), math.sqrt(shares.sum())
    assert (found.difference, found.se, found.freedom) == pytest.approx((mean, se, freedom), rel=1e-10)
    assert found.p == pytest.approx(2 * t.sf(abs(mean) / se, freedom), abs=1e-10)
    assert (found.low, found.high) == pytest.approx(t.interval(0.95, freedom, mean, se), abs=1e-10)
    assert found.test == "stratified paired t"


def test_it_is_the_error_of_a_single_models_score_without_its_bounds():
    values = np.random.default_rng(2).random(40)
    rows = (["a", "b"] * 20, np.repeat(names(20), 2).tolist())
    within = (["x"] * 20) + (["y"] * 20)
    found = stratified_paired_test(values, np.zeros(40), *rows, within)
    score = stratified_macro_mean(values, *rows, within=within)
    assert (found.difference, found.se, found.low, found.high) == pytest.approx((score.value, score.se, score.low, score.high))
    scaled = stratified_paired_test(-100 * values, np.zeros(40), *rows, within)
    assert (scaled.low, scaled.high) == pytest.approx((-100 * score.high, -100 * score.low))
    assert scaled.p == pytest.approx(found.p)


@pytest.mark.parametrize(
    ("a", "strata", "clusters", "reason"),
    [
        ([], [], [], "no items"),
        ([1, 0, 1, 1], list("aabb"), list("1122"), "fewer than two independent clusters"),
        ([1, 1, 1, 1], list("aabb"), list("1234"), "equal"),
        ([1, math.nan, 1, math.inf], list("aabb"), list("1234"), "2 of 4 items have no finite value"),
    ],
)
def test_items_without_a_test(a, strata, clusters, reason):
    found = stratified_paired_test(a, [0.0] * len(a), strata, clusters)
    assert undefined(found)
    assert reason in found.note


def test_few_clusters_have_their_sign_flips_beside_them():
    """Five stories in three strata: what a story adds to the mean of the strata's means is flipped."""
    rng = np.random.default_rng(19)
    values = rng.choice([-1.0, 0.0, 1.0], (3, 4, 5), p=[0.1, 0.3, 0.6])
    stories = np.tile(np.arange(5), 12)
    strata = np.repeat(list("abc"), 20).tolist()
    found = stratified_paired_test(values.ravel(), np.zeros(60), strata, stories.astype(str).tolist())
    expected = permutation_test(
        (values.mean(axis=(0, 1)),), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=math.inf
    )
    assert found.p_permutation == pytest.approx(expected.pvalue, abs=1e-12)
    assert (found.smallest_p, found.clusters, found.freedom) == (0.0625, 5, pytest.approx(4))
    assert "only 5 independent clusters" in found.note
    many = stratified_paired_test(rng.normal(size=30), np.zeros(30), ["all"] * 30, names(30))
    assert (many.p_permutation, many.note) == (None, None)


def test_unequal_strata_and_nested_subsets_flip_what_a_cluster_adds():
    rng = np.random.default_rng(20)
    rows = [("a", "x", 3), ("a", "y", 2), ("b", "x", 4)]
    strata, within, clusters = zip(*[(s, w, c) for s, w, times in rows for c in "pqrst" for _ in range(times)], strict=True)
    values = rng.normal(0.4, 1, len(strata))
    weights = np.array(
        [{"ax": 1 / 4 / 15, "ay": 1 / 4 / 10, "bx": 1 / 2 / 20}[s + w] for s, w in zip(strata, within, strict=True)]
    )
    shares = np.array([sum((weights * values)[np.array(clusters) == name]) for name in "pqrst"])
    found = stratified_paired_test(values, np.zeros(len(values)), strata, clusters, within)
    assert shares.sum() == pytest.approx(found.difference)
    flips = [abs(shares @ signs) >= abs(shares.sum()) - 1e-12 for signs in product((1, -1), repeat=5)]
    assert found.p_permutation == pytest.approx(np.mean(flips))


def test_held_out_likelihood_is_clustered_by_sentence():
    rng = np.random.default_rng(21)
    sentence = np.repeat(np.arange(14), rng.integers(2, 9, 14))
    delta = 0.02 + 0.1 * rng.standard_t(5, len(sentence)) + 0.05 * rng.normal(size=14)[sentence]
    found = held_out_test(delta.tolist(), [f"s{s}" for s in sentence])
    se = clustered(delta, sentence)
    assert (found.difference, found.se) == pytest.approx((delta.mean(), se), rel=1e-10)
    assert found.p == pytest.approx(2 * t.sf(abs(delta.mean()) / se, 13), abs=1e-10)
    sums = np.bincount(sentence, delta)
    expected = permutation_test(
        (sums,), lambda x, axis: x.sum(axis=axis), permutation_type="samples", n_resamples=math.inf, vectorized=True
    )
    assert found.p_permutation == pytest.approx(expected.pvalue, abs=1e-12)
    assert (found.n, found.clusters, found.freedom) == (len(delta), 14, 13)


def test_rows_without_a_likelihood_are_left_out_and_counted():
    found = held_out_test([0.1, math.nan, -0.2, 0.4, 0.2], list("abbcd"))
    assert (found.difference, found.n, found.clusters) == (pytest.approx(0.125), 4, 4)
    assert "1 rows" in found.note
    assert "only 4 independent clusters" in found.note
    for delta, reason in (([math.nan] * 3, "no row"), ([0.1, math.inf, 0.2], "finite"), ([0.3] * 3, "the same")):
        none = held_out_test(delta, list("abc"))
        assert undefined(none)
        assert reason in none.note
    assert "one sentence" in held_out_test([0.1, 0.2], ["a", "a"]).note


def test_intervals_move_with_the_effect():
    """So that what they hold at a difference of 0, they hold at any."""
    rng = np.random.default_rng(23)
    delta, sentences = rng.normal(size=60), np.repeat(names(20), 3).tolist()
    for test in (
        lambda d: held_out_test(d.tolist(), sentences),
        lambda d: subset_mean_test(d.tolist(), 60),
        lambda d: stratified_paired_test(d, np.zeros(60), ["a", "b", "c"] * 20, sentences),
    ):
        found, moved = test(delta), test(delta + 7)
        assert (moved.low, moved.high, moved.se) == pytest.approx((found.low + 7, found.high + 7, found.se))


def test_the_least_detectable_difference_is_about_2_8_errors():
    found = subset_mean_test(np.random.default_rng(1).normal(size=67).tolist(), 67)
    assert found.mde / found.se == pytest.approx(norm.ppf(0.975) + norm.ppf(0.8), rel=0.02)


def test_nothing_here_loads_a_model():
    code = (
        "import sys\nfrom babyeval.stats import pairs\n"
        "pairs.subset_mean_test([1.0, 2.0, 4.0], 3)\npairs.mcnemar([1, 1, 0], [0, 1, 1])\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
