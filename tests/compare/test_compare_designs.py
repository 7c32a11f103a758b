"""Designs out of records: factors and their interactions, spreads of seeds, and planned studies, against statsmodels and scipy."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, variance

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import f_oneway, ttest_ind
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower
from stored import fitted, ranking

import babyeval
from babyeval.comparison.designs import parse_factor
from babyeval.errors import UsageError

SIZE = "size=100M:small_a,small_b;140M:large_a,large_b"
ORDER = "order=a:small_a,large_a;b:small_b,large_b"


def studied(root: Path, seeds: int = 3, drop: str = "", **parents: str) -> pd.DataFrame:
    """Four conditions with random credits; their headlines."""
    rows = []
    for i, (size, order) in enumerate((s, o) for s in ("small", "large") for o in "ab"):
        for seed in range(seeds):
            rng, name = np.random.default_rng([i, seed]), f"{size}_{order}-{seed}"
            if name == drop:
                continue
            credits = {f"s{g}": [float(rng.random() < 0.5 + 0.1 * i) for _ in range(20)] for g in range(12)}
            of = {"condition": f"{size}_{order}", "train_seed": seed}
            if parents:
                of["parent_digest"] = f"{parents[size]}{seed}"
            rows.append((size, order, seed, ranking(root, name, credits, of=of).headline.value))
    return pd.DataFrame(rows, columns=["size", "order", "seed", "value"])


@pytest.mark.parametrize(("squares", "drop"), [(2, ""), (2, "large_b-0"), (3, "large_b-0")])
def test_effects_are_those_of_statsmodels(tmp_path, squares, drop) -> None:
    data = studied(tmp_path, drop=drop)
    found = babyeval.compare(tmp_path, by="condition", factors=[SIZE, ORDER], squares=squares).effects
    known = anova_lm(smf.ols("value ~ C(size, Sum) * C(order, Sum)", data).fit(), typ=squares)
    known = known.drop(index=["Residual", "Intercept"], errors="ignore")
    assert [row.term for row in found] == ["size", "order", "size:order"]
    for row, (_, effect) in zip(found, known.iterrows(), strict=True):
        assert (row.squares, row.freedom, row.f, row.p) == pytest.approx(tuple(effect))
    holm = multipletests(known["PR(>F)"], method="holm")[1]
    assert [row.p_adjusted for row in found] == pytest.approx(list(holm))
    assert found[0].n == len(data)
    assert f"blimp: size, F(1, {len(data) - 4}) = {known['F'].iloc[0]:.2f}" in found[0].sentence
    for words in ("unit seeds", "type " + "I" * squares, "Holm-adjusted over 3 tests (1 score x 3 effects)"):
        assert words in found[0].sentence


def test_models_of_one_cell_and_parent_are_one_replication(tmp_path) -> None:
    """Both orders of a size go on from its three parents: a factor of size alone has six values, not twelve."""
    data = studied(tmp_path, small="s", large="l")
    (row,) = babyeval.compare(tmp_path, by="condition", factors=[SIZE]).effects
    means = data.groupby(["size", "seed"])["value"].mean()
    known = f_oneway(means["small"], means["large"])
    assert (row.n, row.residual_freedom) == (6, 4)
    assert (row.f, row.p) == pytest.approx(tuple(known))


def test_a_factor_between_shared_parents_has_no_test(tmp_path) -> None:
    """Both orders of a size go on from its three parents, which are what replicates sizes."""
    studied(tmp_path, small="s", large="l")
    size, order, both = babyeval.compare(tmp_path, by="condition", factors=[SIZE, ORDER]).effects
    assert (size.f, size.p, size.p_adjusted, size.claim) == (None, None, None, "nothing: there is no test")
    assert "no test of size is possible (" in size.sentence
    assert "share parents, which are the replications of size: leave out the other factor" in size.sentence
    assert None not in (order.p, both.p)
    assert order.family == "2 tests (1 score x 2 effects)"


def test_tunings_of_one_parent_are_one_replication_of_a_factor(tmp_path) -> None:
    data = studied(tmp_path, small="s", large="l")
    for seed in range(3):
        of = {"condition": "one", "train_seed": seed, "parent_digest": "P"}
        ranking(tmp_path, f"one-{seed}", {f"s{g}": [float((g + i + seed) % 3 == 0) for i in range(20)] for g in range(12)}, of=of)
    (row,) = babyeval.compare(tmp_path, by="condition", factors=["f=x:small_a;y:one"]).effects
    assert (row.n, row.residual_freedom) == (4, 2), "three parents and one"
    assert "models of one checkpoint are averaged here, and one replication" in row.note
    assert len(data) == 12


def test_effects_say_what_pairs_do(tmp_path) -> None:
    studied(tmp_path)
    gold = [i % 2 for i in range(20)]
    for condition, hyper in (("small_a", "h"), ("large_a", "other")):
        for seed in range(3 - (condition == "large_a")):
            labels = {s: [g if (i + s + seed) % 5 else 1 - g for i, g in enumerate(gold)] for s in (1, 2)}
            of = {"condition": condition, "train_seed": seed}
            fitted(
                tmp_path, f"{condition}-{seed}", labels, gold, of=of, hyper=hyper, backend="mntp" if hyper == "h" else "causal"
            )
    blimp, rte = babyeval.compare(tmp_path, by="condition", factors=["size=100M:small_a;140M:large_a"]).effects
    assert blimp.note == "p rests on normality: fewer than 4 seeds of a condition carry no verdict at any difference"
    assert "training in these ways with other seeds" in blimp.sentence
    for words in ("without large_a-2, which has no value", "different hyper-parameters", "scored in different ways: small_a as mntp; large_a as causal"):  # fmt: skip
        assert words in rte.note


def test_a_score_of_one_level_says_whose_is_lacking(tmp_path) -> None:
    studied(tmp_path)
    for name in ("small_a", "large_a"):
        for seed in range(3):
            rng = np.random.default_rng([ord(name[0]), seed])
            credits = {f"s{g}": [float(rng.random() < 0.6) for _ in range(20)] for g in range(12)}
            ranking(tmp_path, f"{name}-{seed}", credits, of={"condition": name, "train_seed": seed}, task="ewok")
    ewok = babyeval.compare(tmp_path, by="condition", factors=["f=x:small_a,large_a;y:small_b"], tasks="ewok,blimp").effects[-1]
    assert ewok.sentence == "ewok: no test of f is possible (of f one level is left; no value of small_b)."


def test_a_condition_without_a_level_is_left_out_and_named(tmp_path) -> None:
    data = studied(tmp_path)
    report = babyeval.compare(tmp_path, by="condition", factors=["order=one:small_a;other:small_b"])
    assert "large_a and large_b: no level of any factor, and not in the design" in report.warnings
    part = data[data["size"] == "small"].groupby("order")["value"].apply(list)
    assert report.effects[0].p == pytest.approx(ttest_ind(part["a"], part["b"]).pvalue)


def test_one_seed_per_cell_is_no_design_and_no_pilot(tmp_path) -> None:
    studied(tmp_path, seeds=1)
    report = babyeval.compare(tmp_path, by="condition", factors=[SIZE, ORDER], plan=[5])
    assert {(row.f, row.p, row.p_adjusted) for row in report.effects} == {(None, None, None)}
    assert report.effects[0].sentence == "blimp: no test of size is possible (no cell has two seeds)."
    (plan,) = report.plan
    assert (plan.sd, plan.mde) == (None, {5: None})
    assert "no condition has two seeds" in plan.note


def test_a_plan_takes_the_records_as_its_pilot(tmp_path) -> None:
    data = studied(tmp_path)
    (row,) = babyeval.compare(tmp_path, by="condition", plan=[3, 5, 10]).plan
    sd = fmean(data.groupby(["size", "order"])["value"].var()) ** 0.5  # all have three seeds
    assert (row.sd, row.freedom) == (pytest.approx(sd), 8)
    for seeds, least in row.mde.items():
        assert least == pytest.approx(sd * TTestIndPower().solve_power(nobs1=seeds, alpha=0.05, power=0.8), rel=1e-4)
    assert f"standard deviation between seeds of {sd:.2f} points (8 degrees of freedom)" in row.sentence
    assert f"{row.mde[10]:.2f} with 10 seeds each; fewer than 4 seeds of a condition carry no verdict" in row.sentence
    (enough,) = babyeval.compare(tmp_path, by="condition", plan=[5, 10]).plan
    assert "no verdict" not in enough.sentence


def test_a_plan_says_what_is_averaged_in_its_pilot(tmp_path) -> None:
    """The spread of means over three tunings is not that of single ones."""
    gold = [i % 2 for i in range(20)]
    for condition in "ab":
        for seed in range(2):
            rng = np.random.default_rng([ord(condition), seed])
            labels = {k: [g if rng.random() < 0.7 else 1 - g for g in gold] for k in (1, 2, 3)}
            fitted(tmp_path, f"{condition}{seed}", labels, gold, of={"condition": condition, "train_seed": seed})
    (row,) = babyeval.compare(tmp_path, by="condition", plan=[5]).plan
    assert "a value of the pilot is the mean of 3 fine-tuning seeds, of which the study needs as many" in row.note


def test_training_and_fine_tuning_seeds_are_told_apart(tmp_path) -> None:
    gold, runs = [i % 2 for i in range(40)], {}
    for condition, share in (("a", 0.75), ("b", 0.6)):
        for seed in range(3):
            rng = np.random.default_rng([int(share * 100), seed])
            labels = {k: [g if rng.random() < share + 0.06 * seed else 1 - g for g in gold] for k in (1, 2, 3)}
            of = {"condition": condition, "train_seed": seed}
            record = fitted(tmp_path, f"{condition}-{seed}", labels, gold, of=of)
            runs.setdefault(condition, []).append([fit.value for fit in record.fit.fits])
    (row,) = babyeval.compare(tmp_path, "a", "b", by="condition").rows
    for condition, between, within in (("a", row.sd_training_a, row.sd_tuning_a), ("b", row.sd_training_b, row.sd_tuning_b)):
        inner = fmean(map(variance, runs[condition]))
        outer = max(0.0, variance(map(fmean, runs[condition])) - inner / 3)
        assert (between, within) == pytest.approx((outer**0.5, inner**0.5))
        known = f_oneway(*runs[condition])
        assert f"{condition}: standard deviation between training seeds {between:.2f}, between fine-tuning seeds of one {within:.2f}; F(2, 6) = {known.statistic:.2f}" in row.note  # fmt: skip


def test_a_task_without_fine_tuning_has_no_such_spread(tmp_path) -> None:
    studied(tmp_path)
    rows = babyeval.compare(tmp_path, by="condition").rows
    assert {(row.sd_training_a, row.sd_tuning_a, row.note and "standard deviation" in row.note) for row in rows} <= {
        (None, None, False),
        (None, None, None),
    }


@pytest.mark.parametrize(
    "text", ["", "order", "order=", "=a:x;b:y", "order=a:x", "order=a:x;a:y", "order=a:x;b:x", "order=a;b", "order=a:x;b:"]
)
def test_what_is_no_factor(text) -> None:
    with pytest.raises(UsageError, match=r"is no factor|has one level") as refused:
        parse_factor(text, ["x", "y"])
    assert "--factor" in refused.value.hint


def test_factors_that_do_not_fit(tmp_path) -> None:
    studied(tmp_path)
    for factors, words in (
        (["size=1:small_a;2:nobody"], "'nobody', which is not compared"),
        ([SIZE, SIZE], "one name"),
        ([SIZE, "order=a:small_a;b:small_b"], "not of the same conditions"),
    ):
        with pytest.raises(UsageError, match=words):
            babyeval.compare(tmp_path, by="condition", factors=factors)
    with pytest.raises(UsageError, match="type 1"):
        babyeval.compare(tmp_path, by="condition", factors=[SIZE], squares=1)
    with pytest.raises(UsageError, match="Sums of squares are those of factors"):
        babyeval.compare(tmp_path, by="condition", squares=3)
    with pytest.raises(UsageError, match="1 seed finds nothing"):
        babyeval.compare(tmp_path, by="condition", plan=[1])
    with pytest.raises(UsageError, match="--plan is about conditions"):
        babyeval.compare(tmp_path, "small_a-0", "small_b-0", plan=[3])
