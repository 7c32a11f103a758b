"""McNemar's test and the interval beside it, and two fine-tuned models with several seeds."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, multinomial, norm, t, ttest_ind, ttest_rel
from sklearn.metrics import f1_score
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar as reference

from babyeval.stats.pairs import fits_test, mcnemar, tango_interval
from babyeval.stats.power import mcnemar_detectable, minimum_detectable
from babyeval.stats.seeds import credit_shares, jackknife_shares, two_way, two_way_difference


def credits(both, won, lost, neither):
    return [1] * (both + won) + [0] * (lost + neither), [1] * both + [0] * won + [1] * lost + [0] * neither


@given(st.integers(0, 30), st.integers(0, 20), st.integers(0, 20), st.integers(1, 30))
def test_p_is_that_of_statsmodels(both, won, lost, neither):
    found = mcnemar(*credits(both, won, lost, neither))
    n = both + won + lost + neither
    assert found.difference == pytest.approx((won - lost) / n)
    assert found.low <= found.difference <= found.high
    if won + lost:
        assert found.p == pytest.approx(reference([[both, won], [lost, neither]], exact=True).pvalue, abs=1e-10)
    else:
        assert (found.p, found.se) == (None, None)
        assert "same items" in found.note


def test_published_values():
    """statistics.md, section 2; and complete responses before and after therapy (Cavo et al. 2012), as published by
    Fagerland, Lydersen and Laake: Tango's interval -.1240 to -.0054 and an exact p of .052479.
    """
    assert mcnemar(*credits(20, 30, 12, 40)).p == pytest.approx(0.00792, abs=5e-6)
    found = mcnemar(*credits(59, 6, 16, 80))
    assert (found.difference, found.low, found.high) == pytest.approx((-0.0621, -0.1240, -0.0054), abs=5e-5)
    assert found.p == pytest.approx(0.052479, abs=5e-7)


def score(won, lost, n, difference):
    """The score statistic with the most likely table found by search."""
    rest = n - won - lost

    def minus_likelihood(q):
        p = q + difference
        parts = ((won, p), (lost, q), (rest, 1 - p - q))
        return -sum(count * math.log(max(chance, 1e-300)) for count, chance in parts if count)

    low, high = max(0.0, -difference), (1 - difference) / 2
    q = minimize_scalar(minus_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
    return (won - lost - n * difference) / math.sqrt(n * (2 * q + difference - difference**2))


@pytest.mark.parametrize(("won", "lost", "n"), [(7, 3, 20), (1, 7, 21), (30, 12, 100), (5, 0, 30), (40, 20, 160)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_ends_of_the_interval_are_just_not_rejected(won, lost, n, level):
    low, high = tango_interval(won, lost, n, level)
    z = norm.ppf((1 + level) / 2)
    assert (score(won, lost, n, low), score(won, lost, n, high)) == pytest.approx((z, -z), abs=1e-4)


@pytest.mark.parametrize("n", [1, 2, 10, 500])
def test_edges_of_the_interval(n):
    low, high = tango_interval(0, 0, n)
    assert -low == high
    assert score(0, 0, n, high) == pytest.approx(-norm.ppf(0.975), abs=1e-4)
    assert tango_interval(n, 0, n)[1] == 1
    assert tango_interval(0, n, n)[0] == -1
    one, other = tango_interval(n, 0, n), tango_interval(0, n, n)
    assert one == pytest.approx((-other[1], -other[0]))
    assert score(n, 0, n, one[0]) == pytest.approx(norm.ppf(0.975), abs=1e-4)


def tables(n):
    return [(won, lost) for won in range(n + 1) for lost in range(n + 1 - won)]


def chance(won, lost, n, p, q):
    return binom.pmf(won + lost, n, p + q) * binom.pmf(won, won + lost, p / (p + q))


def test_coverage_of_the_interval_by_enumeration():
    """All tables of 40 items."""
    n = 40
    ends = {table: tango_interval(*table, n) for table in tables(n)}
    for p, q in ((0.1, 0.1), (0.25, 0.15), (0.3, 0.05), (0.15, 0.25)):
        held = sum(chance(*table, n, p, q) for table, (low, high) in ends.items() if low <= p - q <= high)
        assert 0.93 <= held <= 0.97


def test_size_of_the_exact_test_by_enumeration():
    """Never above its level, and below it for few items that differ, as an exact test of counts is."""
    n = 40
    found = {table: mcnemar(*credits(0, *table, n - sum(table))).p for table in tables(n) if sum(table)}
    for p, least in ((0.05, 0.0), (0.15, 0.015), (0.3, 0.02)):
        size = sum(chance(*table, n, p, p) for table, value in found.items() if value < 0.05)
        assert least <= size <= 0.05


@pytest.mark.parametrize(
    ("won", "lost", "n", "said"), [(5, 0, 103, True), (6, 16, 161, True), (30, 12, 100, False), (7, 5, 90, False)]
)
def test_an_interval_that_excludes_0_beside_a_large_p_says_why(won, lost, n, said):
    found = mcnemar(*credits(0, won, lost, n - won - lost))
    assert (not found.low <= 0 <= found.high and found.p >= 0.05) == said
    assert ("more careful" in (found.note or "")) == said


@pytest.mark.parametrize(("won", "lost", "n"), [(5, 0, 103), (9, 4, 60), (30, 12, 100), (1, 2, 30)])
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_so_many_exact_tests_find_the_least_detectable_difference(won, lost, n, level):
    """By all tables: wins and losses are multinomial, with the share of both that was seen or that the difference takes."""
    found = mcnemar(*credits(0, won, lost, n - won - lost), level).mde
    share = max((won + lost) / n, found)
    p, q = (share + found) / 2, (share - found) / 2
    power = 0.0
    for counts in tables(n):
        if sum(counts) and counts[0] > counts[1] and binomtest(counts[1], sum(counts), 0.5).pvalue < 1 - level:
            power += multinomial.pmf((*counts, n - sum(counts)), n, (p, q, 1 - p - q)) if q > 1e-12 or not counts[1] else 0
    assert power == pytest.approx(0.8, abs=1e-6)


def test_the_least_detectable_difference_is_that_of_the_normal_test_for_many_items_only():
    normal = [minimum_detectable(math.sqrt(share / n)) for share, n in ((0.1, 20_000), (0.05, 100))]
    exact = [mcnemar_detectable(round(share * n), n) for share, n in ((0.1, 20_000), (0.05, 100))]
    assert exact[0] == pytest.approx(normal[0], rel=0.01)
    assert exact[1] > 1.2 * normal[1]
    assert mcnemar_detectable(3, 5) is None, "five items that differ never reach .05"
    assert mcnemar_detectable(0, 100) == pytest.approx(0.0779, abs=1e-4), "8 items at least, of which 6 must differ"


def test_shared_ties_are_left_to_the_paired_t_test():
    a, b = [1, 1, 0.5, 0, 1, 1], [0, 1, 0, 0, 0.5, 1]
    found = mcnemar(a, b)
    assert found.p == pytest.approx(ttest_rel(a, b).pvalue, abs=1e-10)
    assert found.test == "paired t"
    assert "neither 0 nor 1" in found.note


def test_no_items_and_no_numbers_have_no_test():
    for pair, reason in ((([], []), "no items"), (([1, math.nan], [0, 1]), "1 of 2 items")):
        found = mcnemar(*pair)
        assert (found.difference, found.p, found.low) == (None, None, None)
        assert reason in found.note
    all_won = mcnemar([1] * 8, [0] * 8)
    assert (all_won.se, all_won.high, all_won.p) == (None, 1.0, 2 / 2**8)


def sample(rng, n, seeds, mean, spread, item):
    """Right and wrong answers to the same items, of a model with several seeds."""
    logit = mean + item[:, None] + rng.normal(size=(n, 1)) + spread * rng.normal(size=seeds)
    return (rng.random((n, seeds)) < 1 / (1 + np.exp(-logit))).astype(float)


def shares(y):
    return credit_shares(y, [[i] for i in range(len(y))]), y.mean(axis=0)


def rest_and_between(y):
    """Mean squares of seeds and of the rest, per value, from an analysis of variance."""
    frame = pd.DataFrame([{"y": y[i, s], "i": i, "s": s} for i in range(len(y)) for s in range(y.shape[1])])
    table = anova_lm(smf.ols("y ~ C(i) + C(s)", frame).fit())
    squares = table["sum_sq"] / table["df"] / y.size
    return squares["Residual"], squares["C(s)"]


def test_fine_tuned_models_are_compared_as_by_analysis_of_variance():
    rng = np.random.default_rng(14)
    item = rng.normal(size=60)
    a, b = sample(rng, 60, 3, 0.8, 1.5, item), sample(rng, 60, 4, 0.0, 1.5, item)
    found = fits_test(*shares(a), *shares(b), 60)
    d = a.mean(axis=1) - b.mean(axis=1)
    items = d.var(ddof=1) / 60
    total, parts = items, items**2 / 59
    for y in (a, b):
        rest, between = rest_and_between(y)
        assert between > rest
        total += between - rest
        parts += between**2 / (y.shape[1] - 1) + rest**2 / (59 * (y.shape[1] - 1))
    assert (found.difference, found.se) == pytest.approx((d.mean(), math.sqrt(total)), rel=1e-9)
    assert found.freedom == pytest.approx(total**2 / parts, rel=1e-9)
    assert found.p == pytest.approx(2 * t.sf(abs(d.mean()) / math.sqrt(total), found.freedom), abs=1e-10)


def test_seeds_alone_are_welchs_test():
    """Where every item adds the same, only seeds differ."""
    a, b = np.array([0.61, 0.66, 0.64]), np.array([0.55, 0.63, 0.52, 0.60, 0.58])
    found = fits_test(np.zeros((40, 3)), a, np.zeros((40, 5)), b, 40)
    expected = ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval()
    assert (found.p, found.freedom) == pytest.approx((expected.pvalue, expected.df), abs=1e-10)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-10)
    assert found.test == "t over fine-tuning seeds and items"


def test_one_seed_each_is_a_paired_t_test_of_items():
    rng = np.random.default_rng(15)
    item = rng.normal(size=80)
    a, b = sample(rng, 80, 1, 1.0, 0.3, item), sample(rng, 80, 1, 0.0, 0.3, item)
    found = fits_test(*shares(a), *shares(b), 80)
    assert found.p == pytest.approx(ttest_rel(a[:, 0], b[:, 0]).pvalue, abs=1e-10)
    assert found.test == "paired t"
    assert "seed" in found.note


def test_a_difference_to_nothing_is_a_mean():
    y = sample(np.random.default_rng(16), 50, 4, 0.5, 1.0, np.zeros(50))
    one, pair = two_way(*shares(y)), two_way_difference(*shares(y), np.zeros((50, 1)), np.zeros(1))
    assert (pair.items, pair.seeds, pair.freedom) == pytest.approx((one.items, one.seeds, one.freedom))


def test_any_metric_has_shares():
    rng = np.random.default_rng(17)
    gold = (rng.random(300) < 0.6).astype(int)
    said = [np.where(rng.random(300) < right, gold, 1 - gold) for right in (0.8, 0.82, 0.7, 0.72)]
    blocks = [[i] for i in range(300)]
    halves = [jackknife_shares(f1_score, gold, said[k : k + 2], blocks) for k in (0, 2)]
    values = [np.array([f1_score(gold, labels) for labels in said[k : k + 2]]) for k in (0, 2)]
    found = fits_test(halves[0], values[0], halves[1], values[1], 300)
    assert found.difference == pytest.approx(values[0].mean() - values[1].mean())
    drawn = []
    for rows in rng.integers(0, 300, (800, 300)):
        f1 = [f1_score(gold[rows], labels[rows]) for labels in said]
        drawn.append(f1[0] + f1[1] - f1[2] - f1[3])
    items = two_way_difference(halves[0], values[0], halves[1], values[1]).items
    assert math.sqrt(items) == pytest.approx(np.std(drawn) / 2, rel=0.15)


def test_fine_tuned_models_without_a_test():
    y = sample(np.random.default_rng(18), 30, 3, 0.0, 0.0, np.zeros(30))
    part, values = shares(y)
    same = fits_test(part, values, part, values, 30)
    assert same.difference == 0
    single = fits_test(part.sum(axis=0, keepdims=True), values, part[:1], values, 30)
    nan = fits_test(part, values * math.nan, part, values, 30)
    holes = fits_test(part * math.nan, values, part, values, 30)
    none = fits_test(np.zeros((9, 1)), np.ones(1), np.zeros((9, 1)), np.ones(1), 9)
    for found, reason in ((single, "one cluster"), (nan, "not finite"), (holes, "too few items"), (none, "the same")):
        assert (found.p, found.se, found.low) == (None, None, None)
        assert reason in found.note
