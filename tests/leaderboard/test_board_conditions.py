"""Conditions on the page: what is a replication, what is tested, and that it is what `babyeval compare` tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from babyeval.leaderboard.build import make_payload
from babyeval.leaderboard.read import read_board
from boards import BLIMP, a_model, bare, credits, ranking, write
from page_support import holm
from scipy.stats import ttest_ind, zscore

from babyeval.comparison.compare import compare
from babyeval.errors import UsageError
from babyeval.records import DataInfo


def payload_of(folder, **choice):
    return make_payload(read_board(folder, **choice), "test")


SEEDS = {"x": [(0, 0.70), (1, 0.72), (2, 0.69)], "y": [(0, 0.80), (1, 0.83), (2, 0.81)], "z": [(0, 0.75), (1, 0.76), (2, 0.77)]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three conditions of three seeds."""
    root, rng = tmp_path_factory.mktemp("trained"), np.random.default_rng(7)
    for name, seeds in SEEDS.items():
        for seed, share in seeds:
            model = a_model(f"{name}-{seed}", condition=name, train_seed=seed)
            write(root, ranking("blimp", model, credits(rng, share, BLIMP, items=50)), bare("wug_adj", model, share))
    write(root, bare("wug_adj", a_model("unknown"), 0.1))
    return root


def test_effects_of_conditions_are_welch_over_seeds(trained):
    found = payload_of(trained).conditions
    assert found.names == ["x", "y", "z"]
    assert not any(note.startswith("No test") for note in found.notes)
    by_id = {model.id: model.name for model in payload_of(trained).models}
    models = {name: [by_id[number] for number in numbers] for name, numbers in found.models.items()}
    assert models == {name: [f"{name}-{seed}" for seed, _ in seeds] for name, seeds in SEEDS.items()}
    values = {name: [point.value for point in cell.points] for name, cell in found.values["wug_adj"].items()}
    assert values == {name: [share for _, share in seeds] for name, seeds in SEEDS.items()}
    effects = {(one.a, one.b, one.column): one for one in found.effects}
    assert len(effects) == 6
    for (a, b, column), one in effects.items():
        values = [[point.value for point in found.values[column][name].points] for name in (a, b)]
        expected = ttest_ind(*values, equal_var=False)
        assert one.difference == pytest.approx(np.mean(values[0]) - np.mean(values[1]))
        assert one.p == pytest.approx(expected.pvalue)
        assert [one.low, one.high] == pytest.approx(list(expected.confidence_interval()))
        assert (one.unit, one.clusters) == ("seeds", 6)
    adjusted = holm([one.p for one in found.effects])
    assert [one.p_adjusted for one in found.effects] == pytest.approx(adjusted)


def test_planned_contrasts_and_pairs_are_the_families_of_compare(tmp_path):
    rng = np.random.default_rng(11)
    for name, middle in (("pretrained", 0.4), ("it_merged", 0.5), ("it_switch_wiki", 0.6), ("it_wiki_switch", 0.55)):
        for seed in range(3):
            model = a_model(f"{name}-{seed}", condition=name, train_seed=seed)
            write(tmp_path, bare("wug_adj", model, middle + rng.normal(0, 0.02)))
    effects = payload_of(tmp_path).conditions.effects
    rows = compare(tmp_path, by="condition").rows
    assert {one.contrast for one in effects} >= {None, "order"}
    shown = {(one.contrast, one.a, one.b): one for one in effects}
    assert len(shown) == len(effects) == len(rows)
    for row in rows:
        one = shown[row.contrast, row.a, row.b]
        found = (one.difference, one.low, one.high, one.p, one.p_adjusted, one.smallest_p, one.mde)
        expected = (row.difference, row.ci_low, row.ci_high, row.p, row.p_adjusted, row.smallest_p, row.mde)
        assert found == pytest.approx(expected)
        assert (one.test, one.unit, one.arms, one.claim) == (row.test, row.unit, (row.seeds_a, row.seeds_b), row.claim)


def test_z_scores_of_conditions(trained):
    found = payload_of(trained).conditions
    for column in ("blimp", "wug_adj"):
        cells = found.values[column]
        expected = zscore([cells[name].mean for name in found.names], ddof=1)
        assert [found.z.values[column][name] for name in found.names] == pytest.approx(expected)
    assert found.z.bound == pytest.approx(2 / math.sqrt(3))
    median = np.median([found.z.values[column]["x"] for column in ("blimp", "wug_adj")])
    assert found.z.summary["all"]["x"].median == pytest.approx(median)


def test_one_seed_carries_no_test(tmp_path):
    for name, value in (("x", 60.0), ("y", 70.0)):
        write(tmp_path, bare("blimp", a_model(name, condition=name, train_seed=0), value))
    found = payload_of(tmp_path).conditions
    (effect,) = found.effects
    assert (effect.difference, effect.p, effect.low) == (-10.0, None, None)
    assert "one seed" in effect.note
    assert found.correction is None


def study(folder, conditions, **about):
    """Models of so many seeds per condition; a value is the condition's and a little noise."""
    rng = np.random.default_rng(11)
    for place, (name, seeds) in enumerate(conditions.items()):
        for seed in range(seeds):
            model = a_model(f"{name}-{seed}", condition=name, train_seed=seed, **about)
            write(folder, bare("wug_adj", model, 0.3 + place / 5 + rng.normal(0, 0.005)))


@pytest.mark.parametrize(
    "conditions",
    [{"x": 3, "y": 5}, {"x": 4, "y": 5}, dict.fromkeys(("pretrained", "it_merged", "it_switch_wiki", "it_wiki_switch"), 3)],
)
def test_the_verdict_is_that_of_compare(tmp_path, conditions):
    study(tmp_path, conditions)
    effects = {(one.contrast, one.a, one.b): one for one in payload_of(tmp_path).conditions.effects}
    rows = compare(tmp_path, by="condition").rows
    assert {key: one.verdict for key, one in effects.items()} == {
        (row.contrast, row.a, row.b): row.p_adjusted is not None and not row.out_of_reach for row in rows
    }
    assert any(one.p < 0.001 for one in effects.values())
    assert all(one.verdict for one in effects.values()) == (min(conditions.values()) >= 4)
    if min(conditions.values()) < 4:  # although the least p by exchange would allow one
        assert any(one.smallest_p < 0.05 and not one.verdict for one in effects.values())


def test_seeds_of_tuning_may_recur_from_parent_to_parent(tmp_path):
    rng = np.random.default_rng(3)
    for place, name in enumerate("xy"):
        for parent in "pqrs":
            for seed in (0, 1):
                model = a_model(f"{name}{parent}{seed}", condition=name, train_seed=seed, parent_digest=name * 32 + parent * 32)
                write(tmp_path, bare("wug_adj", model, 0.4 + place / 20 + rng.normal(0, 0.02)))
    found = payload_of(tmp_path).conditions
    assert not any("No test" in note for note in found.notes)
    (effect,), (row,) = found.effects, compare(tmp_path, by="condition").rows
    assert (effect.difference, effect.p, effect.arms) == (pytest.approx(row.difference), pytest.approx(row.p), (4, 4))
    cell = found.values["wug_adj"]["x"]
    points = {point.model: point.value for point in cell.points}
    by_name = {model.id: model.name for model in payload_of(tmp_path).models}
    means = [
        np.mean([value for number, value in points.items() if by_name[number].startswith(f"x{parent}")]) for parent in "pqrs"
    ]
    assert (len(points), cell.units) == (8, 4)
    assert (cell.mean, cell.sd) == (pytest.approx(np.mean(means)), pytest.approx(np.std(means, ddof=1)))


def refused_by_compare(folder):
    with pytest.raises(UsageError):
        compare(folder, by="condition")


def test_copies_are_no_replications(tmp_path):
    study(tmp_path, {"x": 2, "y": 3, "z": 3})
    write(tmp_path, bare("wug_adj", a_model("x-2", condition="x", train_seed=2, weights=a_model("x-1").weights), 0.3))
    refused_by_compare(tmp_path)
    found = payload_of(tmp_path).conditions
    assert [(one.a, one.b) for one in found.effects] == [("y", "z")]
    assert any(note.startswith("No test of x: 'x-1' and 'x-2' are one model") for note in found.notes)


def test_a_copy_in_another_condition_leaves_both_untested(tmp_path):
    study(tmp_path, {"x": 2, "y": 3})
    write(tmp_path, bare("wug_adj", a_model("x-2", condition="x", train_seed=2, weights=a_model("y-1").weights), 0.3))
    refused_by_compare(tmp_path)
    found = payload_of(tmp_path).conditions
    assert found.effects == []
    assert any(note.startswith("No test of x and y: ") for note in found.notes)


def test_an_unknown_seed_may_repeat_another(tmp_path):
    study(tmp_path, {"x": 2, "y": 2})
    write(tmp_path, bare("wug_adj", a_model("x-unknown", condition="x"), 0.3))
    refused_by_compare(tmp_path)
    found = payload_of(tmp_path).conditions
    assert found.effects == []
    assert "No test of x: the training seed of x-unknown is not known, and may repeat another." in found.notes


def test_a_condition_scored_in_several_ways_has_no_test(tmp_path):
    study(tmp_path, {"x": 2, "y": 2})
    write(tmp_path, bare("wug_adj", a_model("x-2", condition="x", train_seed=2), 0.3, backend="mlm"))
    refused_by_compare(tmp_path)
    found = payload_of(tmp_path).conditions
    assert found.effects == []
    assert any("were scored in several ways" in note for note in found.notes)


def points_of(found, condition):
    return [point.value for point in found.values["wug_adj"][condition].points]


def test_two_models_of_one_seed_leave_their_condition_untested(tmp_path):
    study(tmp_path, {"x": 2, "y": 2, "z": 2})
    write(tmp_path, bare("wug_adj", a_model("x-again", condition="x", train_seed=0), 0.9))
    refused_by_compare(tmp_path)
    found = payload_of(tmp_path).conditions
    assert [(one.a, one.b) for one in found.effects] == [("y", "z")]
    assert "No test of x: x-0 and x-again have the same training seed." in found.notes
    assert len(points_of(found, "x")) == 3
    assert 0.9 in points_of(found, "x")


@pytest.mark.parametrize("elsewhere", [{"task": "blimp"}, {"protocol": "babylm-2025"}])
@pytest.mark.parametrize("origin", [{"condition": "y", "train_seed": 0}, {"condition": "x", "train_seed": 7}])
def test_a_model_of_two_origins_leaves_both_untested(tmp_path, origin, elsewhere):
    study(tmp_path, {"x": 2, "y": 2, "z": 2})
    about = {"task": "wug_adj", **elsewhere}
    write(tmp_path, bare(about.pop("task"), a_model("x-0", **origin), 0.3, **about))
    refused_by_compare(tmp_path)
    found = payload_of(tmp_path).conditions
    both = origin["condition"] == "y"
    assert {(one.a, one.b) for one in found.effects} == ({("y", "z")} if not both else set())
    (told,) = [note for note in found.notes if note.startswith("No test")]
    assert told.startswith(f"No test of {'x and y' if both else 'x'}: The records of 'x-0' at revision 'main' name several")
    assert sum(len(points_of(found, name)) for name in "xyz") == 6


def test_models_that_were_all_scored_in_two_ways_have_no_test(tmp_path):
    study(tmp_path, {"x": 2, "y": 2, "z": 2})
    for seed in (0, 1):
        for backend in ("mlm", "mlm-word-l2r"):
            write(
                tmp_path, bare("wug_adj", a_model(f"m-{seed}", condition="m", train_seed=seed), 0.3 + seed / 9, backend=backend)
            )
    refused_by_compare(tmp_path)
    found = payload_of(tmp_path).conditions
    assert {(one.a, one.b) for one in found.effects} == {("x", "y"), ("x", "z"), ("y", "z")}
    told = "No test of m: its models were scored in several ways, and are shown as m-0 (mlm) and m-1 (mlm)."
    assert told in found.notes
    assert len(points_of(found, "m")) == 2


def test_other_scoring_and_values_near_chance_are_told_of_as_by_compare(tmp_path):
    for name, backend in (("x", "causal"), ("y", "mlm"), ("z", "causal")):
        for seed in range(2):
            model = a_model(f"{name}-{seed}", condition=name, train_seed=seed)
            write(tmp_path, bare("blimp", model, (90.0 if name == "z" else 50.0) + seed, backend=backend))
    notes = {(one.a, one.b): one.note for one in payload_of(tmp_path).conditions.effects}
    assert notes == {(row.a, row.b): row.note for row in compare(tmp_path, by="condition").rows}
    assert "scored in different ways: x as causal, y as mlm" in notes["x", "y"]
    assert "near chance" in notes["x", "y"]
    assert "near chance" not in notes["x", "z"]
    assert "different ways" not in notes["x", "z"]


@pytest.mark.parametrize("all_of_them", [False, True])
def test_what_was_not_measured_alike_is_told_of(tmp_path, all_of_them):
    for place, name in enumerate("xy"):
        for seed in range(2):
            model = a_model(f"{name}-{seed}", condition=name, train_seed=seed)
            data = DataInfo(split="full", digest="de"[place] * 64, files=())
            write(tmp_path, bare("wug_adj", model, 0.3, data=data))
            if not all_of_them:
                write(tmp_path, bare("wug_past", model, 0.3 + place / 5 + seed / 50))
    found = payload_of(tmp_path).conditions
    assert "Not compared, since not measured alike: wug_adj." in found.notes
    assert {one.column for one in found.effects} == (set() if all_of_them else {"wug_past"})
    nothing = "No task has scores of these conditions that could be compared: there are no z-scores."
    assert (nothing in found.notes) == all_of_them
    assert not any("tells the conditions apart" in note for note in found.notes)
