"""Simulation: how often tests of conditions and of many tasks reject where nothing is there (statistics.md, section 0)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import ttest_1samp, ttest_ind

from babyeval.stats.conditions import compare_conditions, mixed_model
from babyeval.stats.designs import contrast, factorial
from babyeval.stats.multiple import max_t
from babyeval.stats.pairs import mcnemar

REPLICATIONS = 2000
LOW, HIGH = 0.03, 0.07

pytestmark = pytest.mark.slow


def scores(rng, *, seed, pair, mirrored=False, seeds=5, subsets=67, items=50):
    """Accuracies of two equal conditions, (condition, seed, subset); spreads on the logit scale.

    Mirrored, what helps one condition on a subset helps the other on its twin: the two have the same expected mean over
    these exact subsets. Otherwise they have it only over all the subsets that there might be.
    """
    subset, effect = rng.normal(1, 1, subsets), pair * rng.normal(size=(2, subsets))
    if mirrored:
        half = subsets // 2
        subset[half : 2 * half] = subset[:half]
        effect[0, half : 2 * half], effect[1, : 2 * half] = effect[1, :half], np.concatenate([effect[1, :half], effect[0, :half]])
        effect[:, 2 * half :] = 0
    logit = subset + effect[:, None] + seed * rng.normal(size=(2, seeds, 1))
    return rng.binomial(items, expit(logit)) / items


def test_mirrored_conditions_have_the_same_mean():
    """The helper above is what it says: with many items and no seed variance, means agree."""
    a, b = scores(np.random.default_rng(0), seed=0, pair=1.0, mirrored=True, seeds=40, items=100_000).mean(axis=(1, 2))
    assert a == pytest.approx(b, abs=1e-4)


@pytest.mark.parametrize(("seed", "pair"), [(0, 0), (0.15, 0), (0.15, 0.3)])
def test_welch_on_seed_means(seed, pair):
    """Five seeds each; where the null is that of these exact subsets, an interaction does no harm."""
    rng = np.random.default_rng(1)
    rejected = permuted = missed = 0
    for _ in range(REPLICATIONS):
        found = compare_conditions(*scores(rng, seed=seed, pair=pair, mirrored=True).mean(axis=2))
        rejected += found.p < 0.05
        permuted += found.p_permutation <= 0.05
        missed += not found.low <= 0 <= found.high
    print(f"Welch, seed sd {seed}, interaction {pair}: {rejected / REPLICATIONS}, permutation {permuted / REPLICATIONS}")
    assert LOW <= rejected / REPLICATIONS <= HIGH
    assert missed == rejected, "coverage is one minus the size"
    assert LOW <= permuted / REPLICATIONS <= HIGH, "12 of 252 by enumeration"


def test_subsets_cannot_stand_for_seeds():
    """With seeds averaged, t over subsets takes the spread of seeds for an effect of the condition."""
    rng = np.random.default_rng(2)
    rejected = 0
    for _ in range(REPLICATIONS):
        a, b = scores(rng, seed=0.15, pair=0).mean(axis=1)
        rejected += ttest_1samp(a - b, 0).pvalue < 0.05
    print(f"t over subsets: {rejected / REPLICATIONS}")
    assert rejected / REPLICATIONS > 0.4


def test_one_seed_cannot_stand_for_a_condition():
    """One model of each condition: tests of their items or subsets take the luck of two seeds for an effect."""
    rng = np.random.default_rng(8)
    by_items = by_subsets = 0
    for _ in range(REPLICATIONS):
        logit = rng.normal(1, 1, (1, 67, 1)) + 0.15 * rng.normal(size=(2, 1, 1))
        credits = (rng.random((2, 67, 50)) < expit(logit)).astype(float)
        by_items += mcnemar(*credits.reshape(2, -1).tolist()).p < 0.05
        by_subsets += ttest_1samp(np.diff(credits.mean(axis=2), axis=0)[0], 0).pvalue < 0.05
        assert compare_conditions([credits[0].mean()], [credits[1].mean()]).p is None
    print(f"one seed each: McNemar {by_items / REPLICATIONS}, t over subsets {by_subsets / REPLICATIONS}")
    assert min(by_items, by_subsets) / REPLICATIONS > 0.4


def cells(values):
    conditions, seeds, subsets = (index.ravel() for index in np.indices(values.shape))
    return pd.DataFrame({"condition": conditions, "seed": seeds, "subset": subsets, "value": values.ravel()})


@pytest.mark.parametrize(("seed", "pair"), [(0.15, 0), (0.15, 0.3), (0, 0.3)])
def test_mixed_model_for_other_subsets(seed, pair):
    """Where the claim is about phenomena like these, subsets are drawn as well, which Welch on seed means leaves out."""
    rng = np.random.default_rng(3)
    rejected = welch = missed = 0
    for _ in range(REPLICATIONS):
        values = scores(rng, seed=seed, pair=pair)
        found = mixed_model(cells(values))
        rejected += found.p < 0.05
        missed += not found.low <= 0 <= found.high
        welch += compare_conditions(*values.mean(axis=2)).p < 0.05
    print(f"mixed model, seed sd {seed}, interaction {pair}: {rejected / REPLICATIONS}, Welch {welch / REPLICATIONS}")
    assert LOW <= rejected / REPLICATIONS <= HIGH
    assert missed == rejected, "coverage is one minus the size"
    if not seed:
        assert welch / REPLICATIONS > 0.2, "seeds do not show how conditions differ over subsets"


def test_mixed_model_where_nothing_varies():
    """Variances are not below 0, so that the test is on the safe side."""
    rng = np.random.default_rng(4)
    rejected = sum(mixed_model(cells(scores(rng, seed=0, pair=0))).p < 0.05 for _ in range(REPLICATIONS))
    print(f"mixed model, no variance: {rejected / REPLICATIONS}")
    assert rejected / REPLICATIONS <= HIGH


def unbalanced(rng, seeds, spreads, *, pair=0.0, subsets=12):
    """Two equal conditions with different numbers of seeds, which vary differently: rows of `cells`."""
    subset = rng.normal(size=subsets)
    tables = [
        subset + pair * rng.normal(size=subsets) + spread * rng.normal(size=(count, 1)) + rng.normal(size=(count, subsets))
        for count, spread in zip(seeds, spreads, strict=True)
    ]
    rows = [cells(table[None]).assign(condition=name) for name, table in zip("ab", tables, strict=True)]
    return pd.concat(rows), [table.mean(axis=1) for table in tables]


@pytest.mark.parametrize(
    ("seeds", "spreads", "pair"),
    [((3, 5), (0.5, 0.5), 0.0), ((4, 8), (2, 0.5), 0.0), ((4, 8), (2, 0.5), 1.0), ((6, 4), (0.5, 2), 0.0), ((3, 3), (1, 2), 1.0)],
)
def test_mixed_model_of_unequal_conditions(seeds, spreads, pair):
    rng = np.random.default_rng(9)
    rejected = sum(mixed_model(unbalanced(rng, seeds, spreads, pair=pair)[0]).p < 0.05 for _ in range(REPLICATIONS))
    print(f"mixed model, {seeds} seeds of sd {spreads}, interaction {pair}: {rejected / REPLICATIONS}")
    assert rejected / REPLICATIONS <= HIGH


@pytest.mark.parametrize("pair", [0.0, 1.0])
@pytest.mark.parametrize(("seeds", "subsets"), [((2, 2), 3), ((2, 3), 4), ((3, 3), 3), ((3, 3), 5)])
def test_mixed_model_of_few_seeds_and_subsets(seeds, subsets, pair):
    """Where terms that are taken off leave little, degrees of freedom have a floor, which must not cost the test its size."""
    rng = np.random.default_rng(11)
    rejected = floor = 0
    for _ in range(REPLICATIONS):
        found = mixed_model(unbalanced(rng, seeds, (0.3, 0.3), pair=pair, subsets=subsets)[0])
        rejected, floor = rejected + (found.p < 0.05), floor + (found.freedom == min(*seeds, subsets) - 1)
    print(
        f"mixed model, {seeds} seeds x {subsets} subsets, interaction {pair}: {rejected / REPLICATIONS}, floor {floor / REPLICATIONS}"
    )
    assert rejected / REPLICATIONS <= HIGH
    assert floor > 0


def crossed(rng, *, parents=4, parent=1.0, own=0.3):
    """Two sizes in two curricula each; the models of a size go on from its parents, and nothing differs but by chance."""
    return {
        f"{size}{order}": start + own * rng.normal(size=parents)
        for size in "sl"
        for start in [parent * rng.normal(size=parents)]
        for order in "xy"
    }


def test_contrast_of_conditions_that_share_parents():
    rng = np.random.default_rng(12)
    weights = {"sx": 0.5, "sy": 0.5, "lx": -0.5, "ly": -0.5}
    origins = {name: [f"{name[0]}{i}" for i in range(4)] for name in weights}
    rejected = blind = 0
    for _ in range(REPLICATIONS):
        groups = crossed(rng)
        rejected += contrast(groups, weights, parents=origins).p < 0.05
        blind += contrast(groups, weights).p < 0.05
    print(f"contrast over shared parents: {rejected / REPLICATIONS}, taken for independent {blind / REPLICATIONS}")
    assert LOW <= rejected / REPLICATIONS <= HIGH
    assert blind / REPLICATIONS > 0.1


def test_factors_between_and_within_shared_parents():
    """Size is between parents, order and interaction within them; alone, size has its parents for replications."""
    rng = np.random.default_rng(13)
    blind = alone = within = 0
    for _ in range(REPLICATIONS):
        rows = [(name[0], name[1], f"{name[0]}{i}", v) for name, part in crossed(rng).items() for i, v in enumerate(part)]
        frame = pd.DataFrame(rows, columns=["size", "order", "seed", "value"])
        size, *others = factorial(frame, ["size", "order"], shared=True).effects
        assert size.p is None
        within += max(effect.p < 0.05 for effect in others)
        blind += factorial(frame, ["size", "order"]).effects[0].p < 0.05
        alone += factorial(frame, ["size"], shared=True).effects[0].p < 0.05
    shares = [count / REPLICATIONS for count in (blind, alone, within)]
    print("size beside order {}, size alone {}, order or interaction {}".format(*shares))
    assert shares[0] > 0.1
    assert LOW <= shares[1] <= HIGH
    assert shares[2] <= HIGH


def test_two_seeds_against_six_are_too_few():
    """Here no t test holds its size, as the note says; the mixed model does no worse than Welch's."""
    rng = np.random.default_rng(10)
    rejected = welch = common = 0
    for _ in range(REPLICATIONS):
        frame, means = unbalanced(rng, (2, 6), (2, 0.5))
        found = mixed_model(frame)
        rejected, welch = rejected + (found.p < 0.05), welch + (compare_conditions(*means).p < 0.05)
        common += ttest_ind(*means).pvalue < 0.05
        assert "cannot give p below 0.071" in found.note
    print(f"2 against 6 seeds: mixed {rejected / REPLICATIONS}, Welch {welch / REPLICATIONS}, common {common / REPLICATIONS}")
    assert HIGH < welch / REPLICATIONS < 0.15
    assert rejected <= welch + 0.01 * REPLICATIONS
    assert common / REPLICATIONS > 0.2, "a variance that both conditions share would not do"


def test_contrast_of_conditions_with_unequal_variances():
    rng = np.random.default_rng(5)
    weights = {"one": 0.5, "two": 0.5, "three": -1.0}
    rejected = missed = 0
    for _ in range(REPLICATIONS):
        groups = {name: rng.normal(60, sd, 5).tolist() for name, sd in zip(weights, (1, 1, 2), strict=True)}
        found = contrast(groups, weights)
        rejected += found.p < 0.05
        missed += not found.low <= 0 <= found.high
    print(f"contrast: {rejected / REPLICATIONS}")
    assert LOW <= rejected / REPLICATIONS <= HIGH
    assert missed == rejected, "coverage is one minus the size"


def family(rng, *, shared, effect=0.0):
    """Five tasks: three on the same 30 units, correlated; one of 20 and one of 6 units of their own."""
    common = rng.normal(size=30)
    tasks = {
        f"t{i}": dict(enumerate(effect + np.sqrt(shared) * common + np.sqrt(1 - shared) * rng.normal(size=30))) for i in range(3)
    }
    tasks["u"] = {f"u{i}": value for i, value in enumerate(rng.normal(size=20))}
    tasks["v"] = {f"v{i}": value for i, value in enumerate(rng.normal(size=6))}
    return tasks


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_false_positives_of_max_t(shared):
    """The chance of any, where no task has an effect, and where three have one."""
    rng = np.random.default_rng(6)
    any_null = any_rest = 0
    for i in range(REPLICATIONS):
        any_null += any(p <= 0.05 for _, p in max_t(family(rng, shared=shared), draws=399, seed=i).values())
        found = max_t(family(rng, shared=shared, effect=0.8), draws=399, seed=i)
        any_rest += found["u"][1] <= 0.05 or found["v"][1] <= 0.05
    print(f"max-T, correlation {shared}: {any_null / REPLICATIONS}, beside true effects {any_rest / REPLICATIONS}")
    assert LOW <= any_null / REPLICATIONS <= HIGH
    assert any_rest / REPLICATIONS <= HIGH


def _rejected_by_holm(p):
    """How many: the library's procedure collects garbage in each call, which takes minutes here."""
    rejected = 0
    for value in sorted(p):
        if value > 0.05 / (len(p) - rejected):
            break
        rejected += 1
    return rejected


def test_max_t_finds_more_than_holm_among_correlated_tasks():
    rng = np.random.default_rng(7)
    more = holm = 0
    for i in range(REPLICATIONS):
        tasks = {name: task for name, task in family(rng, shared=0.95, effect=0.45).items() if name[0] == "t"}
        found = max_t(tasks, draws=399, seed=i)
        more += sum(p <= 0.05 for _, p in found.values())
        holm += _rejected_by_holm([p for p, _ in found.values()])
    print(f"rejected: max-T {more / 3 / REPLICATIONS}, Holm {holm / 3 / REPLICATIONS}")
    assert more > 1.05 * holm
