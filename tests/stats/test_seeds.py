"""The mean over seeds and items: against analysis of variance, statsmodels, a bootstrap, and simulated samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.special import expit
from scipy.stats import nct, norm, t
from sklearn.metrics import f1_score, matthews_corrcoef
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.proportion import proportion_confint

from babyeval.fit.metrics import get_metric
from babyeval.stats.intervals import Estimate, wilson_interval
from babyeval.stats.seeds import (
    blocks_of,
    credit_shares,
    detectable,
    jackknife_shares,
    over_seeds,
    over_seeds_and_items,
    two_way,
)


def sample(n, seeds, *, mean=0.7, item=1.5, seed=0.5, rest=0.5, rng=0):
    """Right and wrong answers of crossed items and seeds, and the share that is expected."""
    draw = np.random.default_rng(rng)
    logit = mean + item * draw.normal(size=(n, 1)) + seed * draw.normal(size=(1, seeds)) + rest * draw.normal(size=(n, seeds))
    return (draw.random((n, seeds)) < expit(logit)).astype(float)


def singles(n):
    return [[i] for i in range(n)]


@pytest.mark.parametrize(("n", "seeds"), [(40, 3), (25, 5)])
def test_variance_is_that_of_a_two_way_analysis(n, seeds):
    y = sample(n, seeds, seed=1.5)
    frame = pd.DataFrame([{"y": y[i, s], "i": i, "s": s} for i in range(n) for s in range(seeds)])
    table = anova_lm(smf.ols("y ~ C(i) + C(s)", frame).fit())
    squares = table["sum_sq"] / table["df"]
    found = two_way(credit_shares(y, singles(n)), y.mean(axis=0))
    assert found.items == pytest.approx(squares["C(i)"] / (n * seeds), rel=1e-10)
    assert found.seeds == pytest.approx((squares["C(s)"] - squares["Residual"]) / (n * seeds), rel=1e-9)
    parts = np.array([squares["C(i)"], squares["C(s)"], squares["Residual"]]) / (n * seeds)
    freedom = found.total**2 / float(np.sum(parts**2 / np.array([n - 1, seeds - 1, (n - 1) * (seeds - 1)])))
    assert found.freedom == pytest.approx(freedom, rel=1e-9)


def test_seeds_that_differ_only_by_their_items_add_nothing():
    y = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])  # equally good, and never right on the same doubtful item
    found = two_way(credit_shares(y, singles(4)), y.mean(axis=0))
    assert found.seeds == 0
    assert found.items == pytest.approx(y.mean(axis=1).var(ddof=1) / 4)


def test_items_written_twice_in_one_cluster_count_once():
    y = sample(30, 4)
    once = two_way(credit_shares(y, singles(30)), y.mean(axis=0))
    twice = two_way(credit_shares(np.repeat(y, 2, axis=0), [[2 * i, 2 * i + 1] for i in range(30)]), y.mean(axis=0))
    assert twice.total == pytest.approx(once.total, rel=1e-12)
    assert twice.freedom == pytest.approx(once.freedom, rel=1e-12)


def test_jackknife_of_accuracy_gives_the_credits_shares():
    y = sample(60, 3)
    gold = [1] * 60
    shares = jackknife_shares(lambda right, said: float(np.mean(np.equal(right, said))), gold, list(y.T.astype(int)), singles(60))
    np.testing.assert_allclose(shares, credit_shares(y, singles(60)), atol=1e-12)


@pytest.mark.parametrize("metric", [f1_score, matthews_corrcoef])
def test_jackknife_agrees_with_a_bootstrap_of_items(metric):
    draw = np.random.default_rng(3)
    gold = (draw.random(300) < 0.6).astype(int)
    said = np.where(draw.random(300) < 0.75, gold, 1 - gold)
    found = over_seeds_and_items(np.array([metric(gold, said)]), jackknife_shares(metric, gold, [said], singles(300)), 300)
    drawn = [metric(gold[rows], said[rows]) for rows in draw.integers(0, 300, (1500, 300))]
    assert found.se == pytest.approx(np.std(drawn), rel=0.12)
    assert found.low == pytest.approx(found.value - t.ppf(0.975, found.clusters - 1) * found.se)
    assert found.clusters <= 100


def test_wilson_interval_is_that_of_statsmodels():
    for right, n in ((8, 10), (0, 52), (52, 52), (80, 139)):
        expected = proportion_confint(right, n, method="wilson")
        assert wilson_interval(right / n, n, norm.ppf(0.975)) == pytest.approx(expected, abs=1e-9)


def test_agreement_on_every_item_has_no_standard_error_but_an_interval():
    y = np.ones((100, 3))
    found = over_seeds_and_items(y.mean(axis=0), credit_shares(y, singles(100)), 100, wilson=True)
    assert (found.value, found.se, found.high) == (1.0, None, 1.0)
    assert 0.9 < found.low < 0.98
    assert "standard error" in found.note


def test_interval_over_seeds_alone_is_a_t_interval():
    values = [61.2, 58.3, 66.0, 63.1]
    found = over_seeds(values, 139, 139)
    expected = t.interval(0.95, 3, loc=np.mean(values), scale=np.std(values, ddof=1) / 2)
    assert (found.low, found.high) == pytest.approx(expected)
    assert over_seeds([61.2], 139, 139).low is None
    assert over_seeds([61.2, 61.2], 139, 139).se is None


def test_detectable_difference_is_that_of_two_independent_models():
    expected = (norm.ppf(0.975) + norm.ppf(0.8)) * np.sqrt(2) * 3.0
    known = Estimate(50.0, 3.0, 40.0, 60.0, "wilson", 139, 139)
    assert detectable(known) == pytest.approx(expected)
    no_error = Estimate(100.0, None, 100 - 6 * norm.ppf(0.975), 100.0, "wilson", 139, 139)
    assert detectable(no_error) == pytest.approx(expected)
    assert detectable(Estimate(None, None, None, None, "wilson", 139, 139)) is None
    few = detectable(replace(known, freedom=2.3))  # of either model: 4.6 degrees of freedom for the difference
    shift = few / (np.sqrt(2) * 3.0)
    power = nct.sf(t.ppf(0.975, 4.6), 4.6, shift) + nct.cdf(-t.ppf(0.975, 4.6), 4.6, shift)
    assert power == pytest.approx(0.8, abs=1e-4)


def test_one_cluster_has_no_interval():
    y = sample(20, 3)
    found = over_seeds_and_items(y.mean(axis=0), credit_shares(y, blocks_of(["one"] * 20)), 20, wilson=True)
    assert (found.se, found.low, found.note) == (None, None, "one cluster has no standard error")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "seeds", "mean", "spread"), [(52, 3, 0.3, 0.3), (139, 5, 0.3, 0.3), (139, 3, 3.0, 0.0), (204, 5, 1.5, 0.8)]
)
def test_interval_covers_the_mean_of_other_seeds_and_items(n, seeds, mean, spread):
    draw = np.random.default_rng(5)
    truth = float(expit(mean + 1.5 * draw.normal(size=10**6) + np.hypot(spread, 1.0) * draw.normal(size=10**6)).mean())
    covered, rounds = 0, 2000
    for k in range(rounds):
        y = sample(n, seeds, mean=mean, seed=spread, rest=1.0, rng=1000 + k)
        found = over_seeds_and_items(y.mean(axis=0), credit_shares(y, singles(n)), n, wilson=True)
        covered += found.low <= truth <= found.high
    print(f"n={n} seeds={seeds} mean={mean} spread={spread}: held {covered / rounds}")
    # Where seeds add nothing, their variance is over-estimated, since it is never below 0: the interval is too wide.
    assert 0.93 <= covered / rounds <= (0.97 if spread else 0.98)


@pytest.mark.parametrize(
    "blocks", [[[0, 1, 2]], [[i] for i in range(40)], [[3 * i, 3 * i + 1, 3 * i + 2] for i in range(13)] + [[39]]]
)
def test_f1_without_a_block_is_that_of_the_items_left(blocks):
    rng = np.random.default_rng(5)
    gold, said, f1 = rng.integers(2, size=40), rng.integers(2, size=40), get_metric("f1")
    slowly = jackknife_shares(f1, gold, [said, 1 - said], blocks)
    np.testing.assert_allclose(jackknife_shares(f1, gold, [said, 1 - said], blocks, f1.without), slowly, rtol=0, atol=1e-12)
