"""Means of means and clusters that cross cells, against statsmodels' cluster-robust covariance of cell dummies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from scipy.stats import t

from babyeval.stats.intervals import macro_mean, proportion, stratified_macro_mean

Sample = tuple[list[float], list[str], list[str], list[str]]


def names(count: int) -> list[str]:
    return [str(i) for i in range(count)]


def numbered(labels) -> np.ndarray:
    return np.unique(np.asarray(labels), return_inverse=True)[1]


def reference(values, strata, within, clusters) -> tuple[float, float, float]:
    """Value, error and degrees of freedom: OLS with a dummy for each cell, weights from the definition of a mean of means.

    Each cell's coefficient is stretched by sqrt(C / (C - 1)) for its C clusters; the degrees of freedom
    are Satterthwaite's over the cells' own variances, those of connected cells bounded by their clusters.
    """
    values, strata, within = np.asarray(values, float), np.asarray(strata), np.asarray(within)
    cells = sorted(set(zip(strata.tolist(), within.tolist(), strict=True)))
    dummies = np.column_stack([(strata == s) & (within == w) for s, w in cells]).astype(float)
    of_stratum = [sum(other == s for other, _ in cells) for s, _ in cells]
    weights = np.array([1 / (len(set(strata.tolist())) * count) for count in of_stratum])
    plain = sm.OLS(values, dummies).fit()
    covariance = plain.get_robustcov_results("cluster", groups=numbered(clusters), use_correction=False).cov_params()
    count = np.array([len({c for c, inside in zip(clusters, column, strict=True) if inside}) for column in dummies.T])
    stretched = weights * np.sqrt(count / (count - 1))
    own = stretched**2 * np.diag(covariance)
    table = np.array([np.bincount(numbered(clusters), column, len(set(clusters))) for column in dummies.T])
    inverse = 0.0
    for part in range((parts := connected_components(table @ table.T))[0]):
        inside = parts[1] == part
        share, alone = (stretched * inside) @ covariance @ (stretched * inside), own[inside]
        cells_df = alone.sum() ** 2 / (alone**2 / (count[inside] - 1)).sum() if alone.sum() > 1e-18 else math.inf
        inverse += share**2 / min(cells_df, (table[inside].sum(axis=0) > 0).sum() - 1)
    variance = max(float(stretched @ covariance @ stretched), 0.0)
    return float(weights @ plain.params), math.sqrt(variance), variance**2 / inverse if inverse > 0 else math.inf


@st.composite
def crossing(draw: st.DrawFn) -> Sample:
    """Cells within strata; a cluster may lie in several cells and strata; each cell has two clusters of its own at least."""
    cells = [(f"s{s}", f"w{w}") for s in range(draw(st.integers(1, 3))) for w in range(draw(st.integers(1, 3)))]
    credit = st.sampled_from([0.0, 1.0, 0.5])
    rows = []
    for n, (s, w) in enumerate(cells):
        rows += [(draw(credit), s, w, f"own{n}a"), (draw(credit), s, w, f"own{n}b")]
        for _ in range(draw(st.integers(0, 5))):
            rows.append((draw(credit), s, w, f"c{draw(st.integers(0, 4))}"))
    values, strata, within, clusters = zip(*draw(st.permutations(rows)), strict=True)
    return list(values), list(strata), list(within), list(clusters)


@given(crossing())
def test_value_and_error_are_those_of_cell_dummies(sample):
    values, strata, within, clusters = sample
    estimate = stratified_macro_mean(values, strata, clusters, within=within)
    value, error, freedom = reference(values, strata, within, clusters)
    assert estimate.value == pytest.approx(value)
    assert (estimate.n, estimate.clusters) == (len(values), len(set(clusters)))
    if error > 1e-9:
        assert estimate.se == pytest.approx(error)
        half = t.ppf(0.975, freedom) * error
        assert (estimate.low, estimate.high) == (pytest.approx(max(0, value - half)), pytest.approx(min(1, value + half)))


def test_connected_cells_have_one_factor_for_all_clusters():
    rng = np.random.default_rng(3)
    stories = np.repeat(np.arange(30), 6)
    within = np.tile(names(6), 30)
    values = (rng.random(180) < 0.3 + 0.4 * (stories % 2)).astype(float)
    dummies = np.column_stack([within == w for w in names(6)]).astype(float)
    fit = sm.OLS(values, dummies).fit().get_robustcov_results("cluster", groups=stories, use_correction=False)
    plain = math.sqrt(np.full(6, 1 / 6) @ fit.cov_params() @ np.full(6, 1 / 6))
    estimate = stratified_macro_mean(values, ["all"] * 180, [str(s) for s in stories], within=within)
    assert estimate.se == pytest.approx(plain * math.sqrt(30 / 29))


def test_the_value_is_a_mean_of_means_with_weights_by_hand():
    """Cells a/x (1, 0), a/y (1, 1, 1, 0) and b/x (0, 0, 0, 1): ((1/2 + 3/4) / 2 + 1/4) / 2."""
    values = [1, 0, 1, 1, 1, 0, 0, 0, 0, 1]
    estimate = stratified_macro_mean(values, list("aaaaaabbbb"), names(10), within=list("xxyyyyxxxx"))
    assert estimate.value == pytest.approx(((1 / 2 + 3 / 4) / 2 + 1 / 4) / 2)
    # Each cell adds weight squared times p (1 - p) / (n - 1): weights 1/4, 1/4, 1/2.
    variance = (1 / 4) ** 2 * (1 / 4) / 1 + (1 / 4) ** 2 * (3 / 16) / 3 + (1 / 2) ** 2 * (3 / 16) / 3
    assert estimate.se == pytest.approx(math.sqrt(variance))


def test_a_cluster_that_crosses_strata_by_hand():
    """Cells a (1, 0) and b (1, 0) of two clusters: deviations of 1/4 + 1/4 and the opposite; with 2 / (2 - 1)."""
    estimate = stratified_macro_mean([1, 0, 1, 0], list("aabb"), ["p", "q", "p", "q"])
    assert estimate.se == pytest.approx(math.sqrt(2 * (0.25**2 + 0.25**2)))
    opposed = stratified_macro_mean([1, 0, 0, 1], list("aabb"), ["p", "q", "p", "q"])
    assert (opposed.value, opposed.se) == (0.5, None), "what one cell gains the other loses"
    assert opposed.note


def test_clusters_in_all_strata_count_once():
    """Five stories, asked about in three strata: 4 degrees of freedom, not the 12 of fifteen stories."""
    rng = np.random.default_rng(18)
    values, strata, stories = rng.random(60).tolist(), np.repeat(list("abc"), 20).tolist(), names(5) * 12
    crossed = macro_mean(values, strata, stories)
    apart = macro_mean(values, strata, [s + c for s, c in zip(strata, stories, strict=True)])
    assert crossed.freedom == pytest.approx(4)
    assert 4 < apart.freedom <= 12


@given(crossing())
def test_clusters_that_do_not_cross_give_the_sum_over_strata(sample):
    """The former formula: each stratum's own clustered variance, over the square of their number."""
    values, strata, _, clusters = sample
    clusters = [f"{s}:{c}" for s, c in zip(strata, clusters, strict=True)]
    total = 0.0
    for stratum in set(strata):
        inside = [i for i, s in enumerate(strata) if s == stratum]
        mean = np.mean([values[i] for i in inside])
        sums: dict[str, float] = {}
        for i in inside:
            sums[clusters[i]] = sums.get(clusters[i], 0.0) + values[i] - mean
        total += len(sums) / (len(sums) - 1) * sum(s * s for s in sums.values()) / len(inside) ** 2
    error = math.sqrt(total) / len(set(strata))
    estimate = stratified_macro_mean(values, strata, clusters)
    if error > 1e-9:
        assert estimate.se == pytest.approx(error)


@given(crossing(), st.randoms(use_true_random=False))
def test_order_and_names_change_nothing(sample, random):
    values, strata, within, clusters = sample
    order = list(range(len(values)))
    random.shuffle(order)
    a = stratified_macro_mean(values, strata, clusters, within=within)
    b = stratified_macro_mean(
        [values[i] for i in order],
        [f"new {strata[i]}" for i in order],
        [f"x{clusters[i]}" for i in order],
        within=[within[i][::-1] for i in order],
    )
    assert (a.value, a.n, a.clusters, a.note) == (pytest.approx(b.value), b.n, b.clusters, b.note)
    assert (a.se is None) == (b.se is None)
    if a.se is not None:
        assert (a.se, a.low, a.high) == (pytest.approx(b.se), pytest.approx(b.low), pytest.approx(b.high))


@given(crossing())
def test_one_subset_in_each_stratum_is_no_nesting(sample):
    values, strata, _, clusters = sample
    plain = stratified_macro_mean(values, strata, clusters)
    assert stratified_macro_mean(values, strata, clusters, within=["only"] * len(values)) == plain
    assert stratified_macro_mean(values, strata, clusters, within=strata) == plain


def test_a_cell_of_one_cluster_gives_no_error_and_says_so():
    estimate = stratified_macro_mean([1, 0, 1, 0, 1], ["a"] * 5, ["1", "2", "3", "1", "1"], within=list("xxxyy"))
    assert estimate.value == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert estimate.se is None
    assert "1 of 2 subsets" in estimate.note


def test_what_rounding_leaves_is_no_error():
    """Clusters of 2 in 7 right do not differ, though their sums of deviations are not exactly 0."""
    values = [1, 1, 0, 0, 0, 0, 0] * 12
    clusters = [str(i // 7) for i in range(84)]
    for estimate in (stratified_macro_mean(values, ["a"] * 42 + ["b"] * 42, clusters), proportion(values, clusters)):
        assert estimate.value == pytest.approx(2 / 7)
        assert (estimate.se, estimate.low, estimate.high) == (None, None, None)
        assert estimate.note
    thirds = proportion([1 / 3] * 7, names(7))  # ties of three
    assert thirds.se is None
    assert thirds.low < 1 / 3 < thirds.high
