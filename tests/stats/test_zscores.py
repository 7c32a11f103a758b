"""z-scores across conditions: against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata, zscore

from babyeval.errors import UsageError
from babyeval.stats.zscores import z_bound, z_scores

CONDITIONS = ["a", "b", "c", "d"]


def table(**columns):
    return pd.DataFrame(columns, index=CONDITIONS[: len(next(iter(columns.values())))], dtype=float)


@pytest.mark.parametrize("ddof", [0, 1])
def test_scores_and_ranks_are_those_of_scipy(ddof):
    values = np.random.default_rng(1).normal(60, 5, (4, 3))
    found = z_scores(pd.DataFrame(values, CONDITIONS, ["x", "y", "z"]), ddof=ddof)
    np.testing.assert_allclose(found.z, zscore(values, ddof=ddof), atol=1e-10)
    np.testing.assert_array_equal(found.ranks, rankdata(-values, axis=0))
    assert (found.conditions, found.ddof, list(found.unchecked)) == (4, ddof, ["x", "y", "z"])


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("k", [2, 3, 5, 6])
def test_bound_is_reached_by_one_that_differs(k, ddof):
    assert z_bound(k, ddof) == pytest.approx(zscore([1.0] + [0.0] * (k - 1), ddof=ddof).max())


def test_published_bounds():
    assert [round(z_bound(k), 3) for k in (3, 4, 5)] == [1.155, 1.5, 1.789]
    assert z_bound(1) is None


def test_less_may_be_better():
    found = z_scores(table(loss=[1, 2, 3]), higher_is_better={"loss": False})
    assert found.z["loss"].tolist() == [1, 0, -1]
    assert found.ranks["loss"].tolist() == [1, 2, 3]


def test_tasks_that_say_nothing_are_left_out_with_a_reason():
    values = table(good=[60, 65, 70], chance=[50, 50.1, 50.2], same=[61.3] * 3, hole=[1, math.nan, 2], blind=[1, 2, 3])
    errors = table(good=[1, 1, 1], chance=[1, 1, 1], same=[1, 1, 1], hole=[1, 1, 1], blind=[1, math.nan, 1])
    found = z_scores(values, errors)
    assert list(found.z) == list(found.ranks) == ["good", "blind"]
    assert found.unchecked == ["blind"]
    reasons = {"chance": "mean standard error of 1", "same": "all conditions are equal", "hole": "no value for b"}
    assert set(found.left_out) == set(reasons)
    assert all(reason in found.left_out[task] for task, reason in reasons.items())
    assert "good" in z_scores(values, errors, k=6).left_out, "a spread of 5 is no more than six errors of 1"
    assert "good" not in z_scores(values, errors, k=4.9).left_out


def test_one_condition_has_nothing_to_be_compared_with():
    found = z_scores(table(x=[60]))
    assert found.z.shape == (1, 0)
    assert found.bound is None
    assert "one condition" in found.left_out["x"]


def test_families_are_averaged_before_the_median():
    """Two tasks of one family count as one: else they would hold the median."""
    values = table(blimp=[1, 2, 3], supplement=[1, 2, 3], ewok=[3, 2, 1], wug=[2, 1, 3])
    together = z_scores(values, families={"blimp": "grammar", "supplement": "grammar"}).summary()
    alone = z_scores(values).summary()
    assert together.loc["a", "median"] == pytest.approx(np.median([-1, 1, 0]))
    assert alone.loc["a", "median"] == pytest.approx(np.median([-1, -1, 1, 0]))
    assert together["values"].tolist() == [3, 3, 3]
    assert together.loc["a", ["q1", "q3", "iqr"]].tolist() == pytest.approx([*np.quantile([-1, 1, 0], [0.25, 0.75]), 1.0])
    assert together.loc["c", "mean_rank"] == pytest.approx(np.mean([1, 3, 1]))


def test_summary_of_some_tasks():
    found = z_scores(table(x=[1, 2, 3], y=[3, 2, 1], flat=[1, 1, 1]))
    assert found.summary(["x", "flat"])["median"].tolist() == [-1, 0, 1]
    nothing = found.summary(["flat"])
    assert nothing["median"].isna().all()
    assert nothing["values"].tolist() == [0, 0, 0]


def test_chance_corrected_scores_of_every_task_with_a_chance():
    found = z_scores(
        table(x=[50, 75, 100], flat=[25, 25, 25], rho=[0, 0.1, 0.2]), chance={"x": 50, "flat": 25}, best={"x": 100, "flat": 100}
    )
    assert found.corrected["x"].tolist() == [0, 0.5, 1]
    assert list(found.corrected) == ["x", "flat"]


def test_effects_against_a_baseline():
    values, errors = table(x=[60, 66, 63], loss=[2, 1, 3]), table(x=[3, 4, 0.1], loss=[0.3, 0.4, 0.1])
    found = z_scores(values, errors, higher_is_better={"loss": False}, baseline="a")
    assert list(found.effects.index) == ["b", "c"]
    assert found.effects.loc["b"].tolist() == pytest.approx([6 / 5, 1 / 0.5])
    assert z_scores(values).effects is None


def test_wrong_use_is_an_error_that_says_what_there_is():
    with pytest.raises(UsageError) as error:
        z_scores(table(x=[1, 2]), baseline="q")
    assert error.value.hint == "Conditions: a, b."
    with pytest.raises(UsageError):
        z_scores(table(x=[1, 2]), ddof=2)
