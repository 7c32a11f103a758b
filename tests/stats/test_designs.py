"""Contrasts, factors and plans: against statsmodels and scipy."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import ttest_ind
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.power import TTestIndPower

from babyeval.errors import UsageError
from babyeval.stats.conditions import compare_conditions, together_by_parent
from babyeval.stats.designs import PLANNED, contrast, factorial, planned, planned_mde

CLASS_IT = ["it_switch_wiki", "it_wiki_switch", "it_merged"]


def study(sizes=(5, 3, 4), rng=1):
    draw = np.random.default_rng(rng)
    return {name: draw.normal(60 + i, 1 + i, size).tolist() for i, (name, size) in enumerate(zip(CLASS_IT, sizes, strict=True))}


def test_contrast_of_two_is_welch():
    groups = study()
    found = contrast(groups, PLANNED["order"])
    known = ttest_ind(groups["it_switch_wiki"], groups["it_wiki_switch"], equal_var=False)
    assert (found.p, found.freedom) == pytest.approx((known.pvalue, known.df), abs=1e-10)
    assert found.clusters == 8, "seeds of conditions that are not in it do not count"
    pair = compare_conditions(groups["it_switch_wiki"], groups["it_wiki_switch"])
    assert (found.se, found.low, found.mde) == (pair.se, pair.low, pair.mde)


def test_interval_of_a_contrast_moves_with_the_effect():
    groups, weights = study(), PLANNED["sequential against merged"]
    found = contrast(groups, weights)
    moved = contrast({**groups, "it_merged": [value - 4 for value in groups["it_merged"]]}, weights)
    assert (moved.low, moved.high) == pytest.approx((found.low + 4, found.high + 4))


def test_contrast_of_three_by_hand():
    groups = study()
    found = contrast(groups, PLANNED["sequential against merged"])
    parts = [w**2 * np.var(groups[c], ddof=1) / len(groups[c]) for c, w in zip(CLASS_IT, (0.5, 0.5, -1), strict=True)]
    assert found.se == pytest.approx(math.sqrt(sum(parts)))
    freedom = sum(parts) ** 2 / sum(p**2 / (len(groups[c]) - 1) for c, p in zip(CLASS_IT, parts, strict=True))
    assert found.freedom == pytest.approx(freedom)


def parents_of(*letters, count=4):
    """For each condition four parents, of which those of the same letter are the same."""
    return {name: [f"{letter}{i}" for i in range(count)] for name, letter in zip("abcd", letters, strict=True)}


def of_parents(letters, count=4, spread=2.0):
    rng = np.random.default_rng(11)
    own = {letter: spread * rng.normal(size=count) for letter in sorted(set(letters))}
    return {name: 60 + own[letter] + rng.normal(size=count) for name, letter in zip("abcd", letters, strict=True)}


def test_conditions_of_one_side_that_share_parents_are_one_sample_of_them():
    """Two conditions of four parents against two of four others: Welch's test of four means against four."""
    weights = {"a": 0.5, "b": 0.5, "c": -0.5, "d": -0.5}
    groups = of_parents("ppqq")
    found = contrast(groups, weights, parents=parents_of(*"ppqq"))
    known = ttest_ind((groups["a"] + groups["b"]) / 2, (groups["c"] + groups["d"]) / 2, equal_var=False)
    assert (found.p, found.freedom, found.clusters) == pytest.approx((known.pvalue, known.df, 8))
    mixed = contrast(groups, weights, parents=parents_of(*"ppqr"))
    parts = [np.var((groups["a"] + groups["b"]) / 2, ddof=1), *(np.var(groups[name], ddof=1) / 4 for name in "cd")]
    assert mixed.se == pytest.approx(math.sqrt(sum(parts) / 4))
    assert contrast(groups, weights).se < found.se, "twice as many independent values would be too many"


def test_parents_that_are_on_both_sides_cancel():
    groups, weights = of_parents("ppp?"), {"a": 0.5, "b": 0.5, "c": -1.0}
    found = contrast(groups, weights, parents=parents_of(*"ppp?"))
    assert (found.p, found.freedom) == (contrast(groups, weights).p, contrast(groups, weights).freedom)


def test_parents_of_which_a_side_has_more_do_not_cancel():
    """Two thirds of a side against a tenth of the other: what parents add is not taken for independent."""
    assert together_by_parent([0.5, 0.5, -0.1, -0.9], [["p"], ["p"], ["p"], ["q"]]) == [[0, 1], [2], [3]]


def test_contrasts_that_have_no_meaning():
    with pytest.raises(UsageError) as error:
        contrast(study(), {"it_merged": 1, "it_merge": -1})
    assert "it_switch_wiki, it_wiki_switch, it_merged" in error.value.hint
    for weights in ({"it_merged": 1.0}, {"it_merged": 0.0}, {}):
        with pytest.raises(UsageError, match="add up to 0"):
            contrast(study(), weights)


def test_a_condition_of_one_seed_has_no_contrast():
    found = contrast(study((5, 1, 4)), PLANNED["order"])
    assert found.difference is not None
    assert (found.p, found.se, found.mde) == (None, None, None)
    assert "one seed" in found.note


def test_planned_contrasts_are_those_whose_conditions_are_there():
    assert list(planned([*CLASS_IT, "pretrained"])) == ["sequential against merged", "order"]
    assert list(planned(["it_merged", "it_merged_100m"])) == ["size"]
    assert all(sum(weights.values()) == 0 for weights in PLANNED.values())


def design(*, drop=0, repeats=3):
    rng = np.random.default_rng(4)
    rows = [(size, order, seed, rng.normal()) for size in ("100M", "140M") for order in "xyz" for seed in range(repeats)]
    return pd.DataFrame(rows, columns=["size", "order", "seed", "value"]).iloc[drop:]


@pytest.mark.parametrize("kind", [2, 3])
@pytest.mark.parametrize("drop", [0, 2])
def test_effects_are_those_of_statsmodels(kind, drop):
    data = design(drop=drop)
    known = anova_lm(smf.ols("value ~ C(size, Sum) * C(order, Sum)", data).fit(), typ=kind)
    found = factorial(data, ["size", "order"], kind=kind)
    assert [effect.term for effect in found.effects] == ["size", "order", "size:order"]
    rows = known.drop(index=["Residual", "Intercept"], errors="ignore")
    for effect, (_, row) in zip(found.effects, rows.iterrows(), strict=True):
        assert (effect.squares, effect.freedom, effect.f, effect.p) == pytest.approx(tuple(row), abs=1e-10)
    assert (found.residual * found.freedom, found.freedom) == pytest.approx(tuple(known.loc["Residual"])[:2])


def test_subsets_of_a_seed_are_no_replications():
    data = design()
    many = pd.concat([data.assign(value=data.value + shift) for shift in (-1.0, 0.0, 1.0)])
    for one, other in zip(factorial(many, ["size", "order"]).effects, factorial(data, ["size", "order"]).effects, strict=True):
        assert (one.f, one.p, one.freedom) == pytest.approx((other.f, other.p, other.freedom))


def test_an_effect_between_shared_parents_has_no_test():
    """Both orders of a size go on from its three parents; order and interaction are within parents."""
    data = design().query("order != 'z'")
    data = data.assign(seed=data["size"] + data["seed"].astype(str))
    size, order, both = factorial(data, ["size", "order"], shared=True).effects
    apart = factorial(data, ["size", "order"]).effects
    assert (size.f, size.p) == (None, None)
    assert "replications of size: leave out the other factor" in size.note
    assert [order, both] == list(apart[1:])
    assert size.squares == apart[0].squares
    (alone,) = factorial(data, ["size"], shared=True).effects
    means = data.groupby(["size", "seed"])["value"].mean()
    assert alone.p == pytest.approx(ttest_ind(means["100M"], means["140M"]).pvalue)


def test_parents_that_all_cells_share_cancel_everywhere():
    data = design()
    assert factorial(data, ["size", "order"], shared=True) == factorial(data, ["size", "order"])


def test_designs_that_say_too_little():
    alone = factorial(design(repeats=1), ["size", "order"])
    assert (alone.residual, alone.note) == (None, "no cell has two seeds")
    assert {(effect.f, effect.p) for effect in alone.effects} == {(None, None)}
    main = factorial(design(repeats=2).query("size == '140M' or order != 'x'"), ["size", "order"])
    assert "empty" in main.note
    assert main.effects[-1].freedom == 1, "of the interaction's two degrees of freedom one is lost with the cell"
    assert "do not differ" in factorial(design().assign(value=60.1), ["size", "order"]).note
    assert factorial(design().assign(value=math.nan), ["size"]).note == "fewer than two values"
    one_level = factorial(design().query("size == '140M'"), ["size", "order"])
    assert one_level.note == "of size one level is left"
    assert [effect.p is None for effect in one_level.effects] == [True, False, True]
    with pytest.raises(UsageError) as error:
        factorial(design(), ["curriculum"])
    assert "size, order, seed, value" in error.value.hint


def test_planned_difference_is_that_of_statsmodels():
    pilot = study()
    squares = sum(np.var(values, ddof=1) * (len(values) - 1) for values in pilot.values())
    plans = planned_mde(pilot, [1, 2, 3, 5, 20])
    assert (plans[0].mde, plans[0].pilot_freedom) == (None, 9)
    assert plans[0].sd == pytest.approx(math.sqrt(squares / 9))
    for plan in plans[1:]:
        effect = TTestIndPower().solve_power(nobs1=plan.seeds, alpha=0.05, power=0.8)
        assert plan.mde == pytest.approx(effect * plan.sd, rel=1e-4)


def test_a_pilot_without_spread_plans_nothing():
    for pilot in (
        {},
        {"a": [60.0], "b": [61.0]},
        {"a": [60.0, 60.0]},
        {"a": [61.1] * 3, "b": [70.3] * 3, "c": [0.1] * 3},
        {"a": [60.0, math.nan]},
    ):
        assert [(plan.mde, plan.sd) for plan in planned_mde(pilot, [5])] == [(None, None)]
