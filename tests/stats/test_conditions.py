"""Two conditions over seeds: against scipy, brute force, and REML by search."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.optimize import minimize
from scipy.stats import f_oneway, permutation_test, t, ttest_ind
from statsmodels.stats.anova import anova_lm

from babyeval.errors import UsageError
from babyeval.stats.conditions import compare_conditions, mixed_model, seed_variance


@pytest.mark.parametrize("sizes", [(5, 5), (3, 6), (2, 4)])
def test_welch_and_permutation_are_those_of_scipy(sizes):
    rng = np.random.default_rng(1)
    a, b = rng.normal(61, 1, sizes[0]), rng.normal(60, 3, sizes[1])
    found, known = compare_conditions(a, b, n=100), ttest_ind(a, b, equal_var=False)
    low, high = known.confidence_interval()
    assert (found.p, found.freedom, found.low, found.high) == pytest.approx((known.pvalue, known.df, low, high), abs=1e-10)
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert found.difference / found.se == pytest.approx(known.statistic)
    exact = permutation_test((a, b), lambda x, y, axis: x.mean(axis) - y.mean(axis), vectorized=True, n_resamples=np.inf)
    assert found.p_permutation == pytest.approx(exact.pvalue, abs=1e-12)
    assert (found.unit, found.n, found.clusters) == ("seeds", 100, sum(sizes))


@pytest.mark.parametrize(("count", "least"), [(3, 0.1), (4, 2 / 70), (5, 2 / 252)])
def test_least_p_of_few_seeds(count, least):
    """Three seeds against three can never reach .05, and the note says so."""
    found = compare_conditions([float(i) for i in range(count)], [100.0 + i for i in range(count)])
    assert found.p_permutation == found.smallest_p == pytest.approx(least)
    assert ("cannot give p below 0.1" in (found.note or "")) == (count == 3)


def test_permutation_counts_equal_sums_as_equal():
    """Decimals are not exact in binary: 70.1 + 70.4 and 70.2 + 70.3 must be the same sum."""
    a, b = [70.1, 70.4, 70.5], [70.2, 70.3, 70.3]
    tenths = [round(10 * x) for x in (*a, *b)]
    sums = [sum(tenths[i] for i in chosen) for chosen in combinations(range(6), 3)]
    own = sum(tenths[:3])
    known = min(1, 2 * min(np.mean([s >= own for s in sums]), np.mean([s <= own for s in sums])))
    assert compare_conditions(a, b).p_permutation == pytest.approx(known)


def test_size_of_the_permutation_by_enumeration():
    """Over all labellings of ten values, 12 of 252 have p <= .05: the largest even number that may."""
    values = np.random.default_rng(2).normal(size=10)
    hits = 0
    for chosen in combinations(range(10), 5):
        rest = [i for i in range(10) if i not in chosen]
        hits += compare_conditions(values[list(chosen)], values[rest]).p_permutation <= 0.05
    assert hits == 12


def test_ten_against_ten_seeds_are_enumerated():
    """All 184,756 arrangements; for whole values, sets of each sum can be counted instead."""
    rng = np.random.default_rng(4)
    a, b = rng.integers(55, 66, 10), rng.integers(56, 68, 10)
    found, own = compare_conditions(a, b), int(a.sum())
    ways = np.zeros((11, 20 * 70), object)  # ways[k, s]: how many sets of k values add up to s
    ways[0, 0] = 1
    for value in (*a.tolist(), *b.tolist()):
        ways[1:, value:] = ways[1:, value:] + ways[:-1, :-value]
    total = math.comb(20, 10)
    assert sum(ways[10]) == total
    assert found.p_permutation == pytest.approx(2 * min(sum(ways[10, own:]), sum(ways[10, : own + 1])) / total)
    assert found.smallest_p == 2 / total


def test_many_seeds_are_drawn_reproducibly():
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.5, 1, 15), rng.normal(0, 1, 15)
    found = compare_conditions(a, b)
    assert found.p_permutation == compare_conditions(a, b).p_permutation
    assert found.p_permutation == pytest.approx(ttest_ind(a, b).pvalue, abs=0.02)
    assert found.smallest_p == pytest.approx(2 / 10_000)


def test_labels_only_turn_the_sign():
    a, b = [61.0, 62.5, 60.0], [58.0, 59.0, 61.0, 60.5]
    one, other = compare_conditions(a, b), compare_conditions(b, a)
    assert (one.difference, one.low, one.p, one.p_permutation) == pytest.approx(
        (-other.difference, -other.high, other.p, other.p_permutation)
    )


@pytest.mark.parametrize(
    ("a", "b", "difference", "reason"),
    [
        ([60.0], [58.0, 59.0], 1.5, "one seed"),
        ([], [58.0, 59.0], None, "no seed"),
        ([60.0, math.nan], [58.0, 59.0], None, "not finite"),
        ([60.1, 60.1, 60.1], [60.1, 60.1, 60.1], 0.0, "do not differ"),
    ],
)
def test_undefined_comparisons_say_why(a, b, difference, reason):
    found = compare_conditions(a, b)
    assert found.difference == (None if difference is None else pytest.approx(difference))
    assert (found.se, found.low, found.high, found.p, found.mde, found.p_permutation) == (None,) * 6
    assert reason in found.note


def test_conditions_whose_seeds_agree_keep_their_permutation():
    found = compare_conditions([1.0] * 4, [2.0] * 4)
    assert (found.p, found.se, found.p_permutation) == (None, None, pytest.approx(2 / 70))


def test_one_side_without_spread_is_welch_still():
    a, b = [1.0, 1.0, 1.0], [2.0, 2.5, 3.5]
    assert compare_conditions(a, b).p == pytest.approx(ttest_ind(a, b, equal_var=False).pvalue, abs=1e-10)


def cells(rng, seeds, subsets, *, seed=0.5, pair=0.5, rest=0.3):
    rows = []
    subset, effect = rng.normal(size=subsets), pair * rng.normal(size=(2, subsets))
    for c, count in enumerate(seeds):
        for s in range(count):
            own = seed * rng.normal()
            values = 60 + subset + effect[c] + own + rest * rng.normal(size=subsets)
            rows += [("ab"[c], s, f"g{g}", value) for g, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["condition", "seed", "subset", "value"])


def reml(frame):
    """Estimate and error by REML of the model as it is written, with seeds and rest of each condition: no closed form."""
    a = (frame.condition == "a").to_numpy(float)
    fixed = np.column_stack([np.ones(len(frame)), a, pd.get_dummies(frame.subset, drop_first=True).to_numpy(float)])
    seed, pair = (pd.get_dummies(frame.condition + frame[name].astype(str)).to_numpy(float) for name in ("seed", "subset"))
    seeds, rests = [np.diag(side) @ seed @ seed.T @ np.diag(side) for side in (a, 1 - a)], [np.diag(a), np.diag(1 - a)]
    parts, y = np.array([*seeds, pair @ pair.T, *rests]), frame.value.to_numpy() - frame.value.mean()

    def fit(log_variances):
        inverse = np.linalg.inv(np.tensordot(np.exp(log_variances), parts, 1))
        covariance = np.linalg.inv(fixed.T @ inverse @ fixed)
        effects = covariance @ fixed.T @ inverse @ y
        residual = y - fixed @ effects
        logs = -np.linalg.slogdet(inverse)[1] - np.linalg.slogdet(covariance)[1]
        return logs + residual @ inverse @ residual, effects[1], math.sqrt(covariance[1, 1])

    found = minimize(lambda x: fit(x)[0], np.log([0.3, 0.3, 0.3, 0.1, 0.1]), method="L-BFGS-B", bounds=[(-9, 5)] * 5)
    return found.x, *fit(found.x)[1:]


@pytest.mark.parametrize(("seeds", "draw"), [((3, 3), 6), ((2, 4), 2), ((4, 3), 4)])
def test_mixed_model_is_that_of_reml(seeds, draw):
    frame = cells(np.random.default_rng(draw), seeds, 6, seed=0.9, pair=0.9)
    found, (variances, difference, se) = mixed_model(frame), reml(frame)
    assert variances.min() > -5, "inside: at its bounds REML has no closed form"
    assert found.difference == pytest.approx(difference, rel=1e-6)
    assert found.se == pytest.approx(se, rel=2e-3)
    assert "estimated as 0" not in (found.note or "")
    assert found.p == pytest.approx(2 * t.sf(abs(found.difference) / found.se, found.freedom))
    assert (found.unit, found.clusters) == ("seeds", sum(seeds))


def test_mixed_model_by_its_mean_squares():
    """Error and degrees of freedom from an analysis of variance of each condition."""
    frame = cells(np.random.default_rng(3), (3, 5), 8, pair=1.0)
    found, subsets = mixed_model(frame), 8
    terms, wide = [], frame.pivot_table(index="condition", columns="subset", values="value")
    for _, part in frame.groupby("condition"):
        table, count = anova_lm(smf.ols("value ~ C(seed) + C(subset)", part).fit()), part.seed.nunique()
        squares = table.sum_sq / table.df
        terms += [(squares["C(seed)"] / count / subsets, count - 1)]
        terms += [(-squares["Residual"] / count / subsets, table.df["Residual"])]
    terms += [((wide.loc["a"] - wide.loc["b"]).var() / subsets, subsets - 1)]
    variance = sum(term for term, _ in terms)
    assert found.se == pytest.approx(math.sqrt(variance))
    assert found.freedom == pytest.approx(variance**2 / sum(term**2 / df for term, df in terms))


@pytest.mark.parametrize("sizes", [(4, 4), (2, 5)])
def test_mixed_model_where_all_subsets_act_alike_is_welchs_test(sizes):
    """Without a variance of condition x subset, the error is that of seed means; with one it is larger."""
    alike = 0
    for draw in range(8):
        frame = cells(np.random.default_rng(draw), sizes, 5, pair=0.0, seed=2.0, rest=1.0)
        found, means = mixed_model(frame), frame.groupby(["condition", "seed"]).value.mean()
        known = ttest_ind(means["a"], means["b"], equal_var=False)
        if "condition x subset is estimated as 0" in (found.note or ""):
            alike += 1
            assert (found.p, found.freedom) == pytest.approx((known.pvalue, known.df))
        else:
            assert abs(found.difference / found.se) < abs(known.statistic)
    assert 0 < alike < 8


def test_mixed_model_with_few_seeds_says_what_they_cannot_show():
    found = mixed_model(cells(np.random.default_rng(9), (2, 6), 6))
    assert found.smallest_p == pytest.approx(2 / 28)
    assert "with 2 against 6 seeds a permutation cannot give p below 0.071" in found.note
    many = mixed_model(cells(np.random.default_rng(9), (5, 6), 6, pair=1.0))
    assert (many.smallest_p, many.note) == (pytest.approx(2 / 462), None)


def test_few_seeds_say_so_even_where_a_permutation_could_reach_below():
    """Of two against eight seeds each arrangement has a chance of 1 in 45, and Welch's test is far off its size."""
    found = compare_conditions([61.0, 63.0], [50.0 + i for i in range(8)])
    assert found.smallest_p == pytest.approx(2 / 45)
    assert "with 2 against 8 seeds p rests on normality" in found.note


def test_mixed_model_whose_terms_nearly_cancel_has_the_degrees_of_freedom_of_its_smallest_part():
    """What is taken off leaves a small variance, for which Satterthwaite's number is far below one and no power can be had."""
    rng = np.random.default_rng(325)
    values = np.stack([rng.normal(size=(3, 3)), rng.normal(size=(3, 3))])
    c, s, g = (index.ravel() for index in np.indices(values.shape))
    found = mixed_model(pd.DataFrame({"condition": c, "seed": s, "subset": g, "value": values.ravel()}))
    assert found.freedom == 2
    assert found.p == pytest.approx(2 * t.sf(abs(found.difference) / found.se, 2))


def test_intervals_of_conditions_move_with_the_effect():
    """So that what they hold at a difference of 0, they hold at any."""
    frame = cells(np.random.default_rng(10), (3, 4), 6)
    moved = mixed_model(frame.assign(value=frame.value + 5.0 * (frame.condition == "a")))
    found = mixed_model(frame)
    assert (moved.low, moved.high, moved.se) == pytest.approx((found.low + 5, found.high + 5, found.se))


def test_order_of_cells_does_not_matter_and_labels_turn_the_sign():
    frame = cells(np.random.default_rng(12), (3, 4), 6)
    found, turned = mixed_model(frame), mixed_model(frame.iloc[::-1])
    assert (found.difference, found.se, found.freedom) == pytest.approx((-turned.difference, turned.se, turned.freedom))


def test_a_subset_that_a_seed_lacks_is_left_out():
    frame = cells(np.random.default_rng(13), (3, 3), 6)
    frame.loc[2, "value"] = math.nan
    found, known = mixed_model(frame), mixed_model(frame[frame.subset != "g2"])
    assert (found.difference, found.se) == (known.difference, known.se)
    assert "1 subsets" in found.note


def test_undefined_mixed_models_say_why():
    frame = cells(np.random.default_rng(14), (2, 2), 3)
    one_seed, two_subsets = frame[(frame.condition == "a") | (frame.seed == 0)], frame[frame.subset != "g0"]
    for bad, reason in (
        (one_seed, "one seed"),
        (two_subsets, "fewer than three subsets"),
        (frame.assign(value=60.1), "differ"),
        (frame.assign(value=math.nan), "no subset"),
    ):
        found = mixed_model(bad)
        assert (found.se, found.p, found.low) == (None, None, None)
        assert reason in found.note
    with pytest.raises(UsageError, match="two conditions, not 1"):
        mixed_model(frame[frame.condition == "a"])


def test_seed_variance_is_that_of_a_one_way_analysis():
    runs = {"1": [60.0, 61.5, 62.0], "2": [66.0, 64.0, 67.5], "3": [61.0, 63.0, 60.5]}
    found, known = seed_variance(runs), f_oneway(*runs.values())
    assert (found.f, found.p) == pytest.approx((known.statistic, known.pvalue), abs=1e-10)
    within = np.mean([np.var(values, ddof=1) for values in runs.values()])
    means = [np.mean(values) for values in runs.values()]
    assert found.finetuning == pytest.approx(within)
    assert found.pretraining == pytest.approx(np.var(means, ddof=1) - within / 3)


def test_seed_variance_is_unbiased_with_unequal_numbers_of_runs():
    """The coefficient n0 by its definition: the expected between mean square, from the traces of quadratic forms."""
    sizes = [2, 3, 6]
    runs = {str(i): np.random.default_rng(i).normal(3 * i, 1, size) for i, size in enumerate(sizes)}
    z = np.repeat(np.eye(3), sizes, axis=0)
    between = z @ np.linalg.inv(z.T @ z) @ z.T - np.full((11, 11), 1 / 11)
    y = np.concatenate(list(runs.values()))
    found = seed_variance(runs)
    expected = (y @ between @ y / 2 - found.finetuning) / (np.trace(between @ z @ z.T) / 2)
    assert found.pretraining == pytest.approx(expected)


def test_undefined_seed_variances_say_why():
    one = seed_variance({"1": [60.0, 62.0, 64.0]})
    assert (one.pretraining, one.finetuning, one.f) == (None, 4.0, None)
    assert "conditional on this checkpoint" in one.note
    single = seed_variance({"1": [60.0], "2": [62.0]})
    assert (single.pretraining, single.finetuning, single.f) == (None, None, None)
    clipped = seed_variance({"1": [60.0, 64.0], "2": [60.0, 64.0]})
    assert clipped.pretraining == 0
    assert "estimated as 0" in clipped.note
    assert "do not differ" in seed_variance({"1": [60.1] * 3, "2": [61.3] * 3}).note
    assert "not finite" in seed_variance({"1": [60.0, math.nan], "2": [61.0, 62.0]}).note
    assert seed_variance({}).note == "there are no runs"
