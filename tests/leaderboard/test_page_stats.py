"""The statistics of the browser against scipy, statsmodels and babyeval's own."""

from __future__ import annotations

import random

import pytest


@pytest.fixture(scope="module")
def page(chromium, site):
    window = chromium.new_page()
    window.goto(site)
    yield window
    window.close()


def test_t_distribution_is_scipys(page):
    from scipy.stats import t

    cases = [(x, freedom) for x in (0.0, 0.01, 0.7, 1.96, 3.5, 12.0, 60.0) for freedom in (1, 2, 9, 10, 66, 500)]
    found = page.evaluate("cases => cases.map(([x, f]) => BE.stats.tTwoSided(x, f))", cases)
    assert found == pytest.approx([2 * t.sf(x, freedom) for x, freedom in cases], rel=1e-9, abs=1e-15)
    levels = [(level, freedom) for level in (0.8, 0.95, 0.99) for freedom in (1, 4, 9, 66, 1000)]
    found = page.evaluate("cases => cases.map(([level, f]) => BE.stats.tCritical(level, f))", levels)
    assert found == pytest.approx([t.ppf((1 + level) / 2, freedom) for level, freedom in levels], rel=1e-9)


def test_special_functions_are_scipys(page):
    from scipy.special import betainc, gammaln
    from scipy.stats import norm

    beta = [(x, a, b) for x in (0.0, 1e-6, 0.2, 0.5, 0.97, 1.0) for a in (0.5, 3, 33.5) for b in (0.5, 7)]
    found = page.evaluate("cases => cases.map(([x, a, b]) => BE.stats.betaInc(x, a, b))", beta)
    assert found == pytest.approx([betainc(a, b, x) for x, a, b in beta], rel=1e-9, abs=1e-14)
    points = [0.1, 0.5, 1, 2.5, 33.5, 800]
    assert page.evaluate("xs => xs.map(BE.stats.logGamma)", points) == pytest.approx(list(gammaln(points)), rel=1e-11, abs=1e-12)
    points = [-40, -9, -3.01, -2.99, -0.3, 0, 0.3, 1.96, 3.5, 40]
    assert page.evaluate("xs => xs.map(BE.stats.normalCdf)", points) == pytest.approx(
        list(norm.cdf(points)), rel=1e-9, abs=1e-300
    )


@pytest.mark.parametrize("count", [2, 3, 11, 67])
def test_subset_test_is_scipys_t_and_babyevals_power(page, count):
    from scipy.stats import ttest_1samp

    from babyeval.stats.power import minimum_detectable

    rng = random.Random(count)  # noqa: S311
    differences = [rng.gauss(1, 4) for _ in range(count)]
    found = page.evaluate("d => BE.stats.subsetTest(d)", differences)
    expected = ttest_1samp(differences, 0)
    low, high = expected.confidence_interval(0.95)
    assert [found["p"], found["low"], found["high"]] == pytest.approx([expected.pvalue, low, high], rel=1e-9)
    assert found["difference"] == pytest.approx(sum(differences) / count)
    assert found["mde"] == pytest.approx(minimum_detectable(found["se"], count - 1), rel=1e-6)


@pytest.mark.parametrize(("differences", "difference"), [([], None), ([2.0], 2.0), ([1.5, 1.5, 1.5], 1.5), ([0.0, 0.0], 0.0)])
def test_subset_test_without_an_error_is_undefined_and_says_why(page, differences, difference):
    found = page.evaluate("d => BE.stats.subsetTest(d)", differences)
    assert found["difference"] == difference
    assert found["p"] is None
    assert found["low"] is None
    assert found["note"]


P_VALUES = {0.0004: "< 0.001", 0.032: "0.032", 0.0496: "0.0496", 0.04994: "0.0499", 0.04996: "< 0.05", 0.05: "0.0500",
            0.0549: "0.0549", 0.0551: "0.055", 0.9994: "0.999", 0.9996: "1"}  # fmt: skip


def test_p_values_are_written_as_compare_does_and_never_rounded_over_the_threshold(page):
    from babyeval.comparison.sentences import equals, p_value

    found = page.evaluate("ps => ps.map(p => [BE.pValue(p), BE.equals(p)])", list(P_VALUES))
    assert [shown for shown, _ in found] == list(P_VALUES.values())
    assert [[shown.replace("0.", "."), behind.replace("0.", ".")] for shown, behind in found] == [
        [p_value(p), equals(p)] for p in P_VALUES
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (119.4, "1 min 59 s"),
        (119.7, "2 min 0 s"),
        (3599.4, "59 min 59 s"),
        (3599.9, "1 h 0 min"),
        (7169.0, "1 h 59 min"),
        (7170.0, "2 h 0 min"),
        (None, "–"),
    ],
)
def test_times_are_rounded_before_they_are_divided(page, seconds, text):
    assert page.evaluate("BE.seconds", seconds) == text


def test_holm_is_statsmodels_and_leaves_out_what_has_no_p(page):
    from statsmodels.stats.multitest import multipletests

    values = [0.042, 0.001, 0.06, 0.008, 0.205, 0.039, 0.041, 0.074]
    found = page.evaluate("p => BE.stats.holm(p)", [None, *values, None])
    assert found[0] is None
    assert found[-1] is None
    assert found[1:-1] == pytest.approx(list(multipletests(values, method="holm")[1]), rel=1e-12)


def test_ranks_share_ties_and_turn_with_the_direction(page):
    from scipy.stats import rankdata

    values = [3.0, 1.0, 3.0, 2.0, 9.5, 1.0]
    assert page.evaluate("v => BE.stats.ranks(v, true)", values) == list(rankdata([-v for v in values]))
    assert page.evaluate("v => BE.stats.ranks(v, false)", values) == list(rankdata(values))
