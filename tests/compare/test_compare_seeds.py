"""What is a replication of a training condition, and what so many of them can carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from statistics import fmean, variance

import numpy as np
import pytest
from scipy.stats import ttest_ind
from stored import fitted, ranking, trajectory

import babyeval
from babyeval.comparison.conditions import least_p
from babyeval.comparison.contrasts import parse_contrast
from babyeval.comparison.latex import latex_table
from babyeval.errors import UsageError


def credits_of(right: int, subsets: int = 12, items: int = 50) -> dict[str, list[float]]:
    """Subsets of which so many items are right, with a difference between them."""
    return {f"s{g}": [1.0] * (right + g % 2) + [0.0] * (items - right - g % 2) for g in range(subsets)}


def trained(root: Path, condition: str, rights: Sequence[int], of: Mapping | None = None, **changes) -> list[float]:
    """One model per training seed; their headlines."""
    made = []
    for seed, right in enumerate(rights):
        about = {"condition": condition, "train_seed": seed, **(of or {})}
        made.append(ranking(root, f"{condition}-{seed}", credits_of(right), of=about, **changes).headline.value)
    return made


def noisy(root: Path, condition: str, share: float, seeds: int, subsets: int = 12, **changes) -> None:
    """Models whose seeds and subsets differ at random."""
    for seed in range(seeds):
        rng = np.random.default_rng([int(100 * share), seed])
        credits = {f"s{g}": [float(rng.random() < share) for _ in range(40)] for g in range(subsets)}
        ranking(root, f"{condition}-{seed}", credits, of={"condition": condition, "train_seed": seed}, **changes)


def by_condition(root: Path, *names: str, **options):
    return babyeval.compare(root, *names, by="condition", **options)


@pytest.mark.parametrize("key", ["weights", "digest"])
@pytest.mark.parametrize("other", ["a", "b"])
def test_a_copy_is_no_other_seed_and_no_other_condition(tmp_path, key, other) -> None:
    trained(tmp_path, "a", [30, 31])
    trained(tmp_path, "b", [20, 22])
    ranking(tmp_path, "one", credits_of(33), of={"condition": "a", "train_seed": 7, key: "w"})
    ranking(tmp_path, "two", credits_of(33), of={"condition": other, "train_seed": 8, key: "w"})
    with pytest.raises(UsageError, match="'one' and 'two' are one model") as refused:
        by_condition(tmp_path)
    assert refused.value.where == f"conditions a (seed 7) and {other} (seed 8)"


def test_records_over_checkpoints_hide_no_copy(tmp_path) -> None:
    """Age of acquisition comes first, and its record is of no single checkpoint's weights."""
    for name, right in (("a", 30), ("b", 20)):
        for seed in range(2):
            of = {"condition": name, "train_seed": seed}
            ranking(tmp_path, f"{name}{seed}", credits_of(right), of={**of, "weights": name})
            trajectory(tmp_path, f"{name}{seed}", [1.0, 2.0 + seed, 4.0], [1.0, 2.0, 3.0], ["chck_1M", "main"], **of)
    with pytest.raises(UsageError, match="'a0' and 'a1' are one model"):
        by_condition(tmp_path)


def test_equal_scores_are_those_of_one_model_whatever_its_files(tmp_path) -> None:
    """A checkpoint that was saved again has another digest."""
    trained(tmp_path, "a", [30, 31])
    trained(tmp_path, "b", [20, 22])
    ranking(tmp_path, "again", credits_of(31), of={"condition": "a", "train_seed": 9}, scored_by="a-1")
    with pytest.raises(UsageError, match="'a-1' and 'again' are one model"):
        by_condition(tmp_path)


def test_equal_outcomes_of_different_weights_are_no_copies(tmp_path) -> None:
    trained(tmp_path, "a", [30, 30, 31])
    trained(tmp_path, "b", [20, 22, 20])
    assert by_condition(tmp_path).rows[0].clusters == 6


def test_an_unknown_seed_beside_others_is_refused(tmp_path) -> None:
    trained(tmp_path, "a", [30, 31])
    trained(tmp_path, "b", [20, 22])
    ranking(tmp_path, "a-x", credits_of(33), of={"condition": "a"})
    with pytest.raises(UsageError, match="seed of 'a-x' is not known") as refused:
        by_condition(tmp_path)
    assert "--train-seed" in refused.value.hint


def test_a_model_of_two_conditions_or_seeds_is_refused(tmp_path) -> None:
    trained(tmp_path, "a", [30, 31])
    trained(tmp_path, "b", [20, 22])
    about = {"condition": "b", "train_seed": 0, "digest": "a-0@main"}
    ranking(tmp_path, "a-0", credits_of(10), task="ewok", of=about)
    with pytest.raises(UsageError, match="'a-0' at revision 'main' name several") as refused:
        by_condition(tmp_path)
    assert "condition a, seed 0: blimp (robust)" in refused.value.where
    assert "condition b, seed 0: ewok (robust)" in refused.value.where


def test_parents_are_the_unit_where_several_seeds_go_on_from_each(tmp_path) -> None:
    """Twelve models, six independent values: those of six parents."""
    means: dict[str, list[float]] = {}
    for condition, starts in (("a", [30, 34, 29]), ("b", [24, 20, 26])):
        for i, right in enumerate(starts):
            values = []
            for seed in range(2):  # seeds of tuning recur from parent to parent
                of = {"condition": condition, "train_seed": seed, "parent_digest": f"{condition}{i}"}
                values.append(ranking(tmp_path, f"{condition}-{i}-{seed}", credits_of(right + seed), of=of).headline.value)
            means.setdefault(condition, []).append(fmean(values))
    report = by_condition(tmp_path)
    (row,) = report.rows
    assert row.p == pytest.approx(ttest_ind(means["a"], means["b"], equal_var=False).pvalue)
    assert (row.clusters, row.seeds_a, row.seeds_b, row.smallest_p) == (6, 3, 3, pytest.approx(0.1))
    assert "a: 6 models from 3 checkpoints, averaged within each" in row.note
    assert "conditional" not in row.claim
    # Models of one parent are 30.5 and 31.5 of 50 right and so on: 2 points apart. Parents' means: 62, 70, 60.
    within, between = 2.0, variance([62.0, 70.0, 60.0]) - 2.0 / 2
    said = f"standard deviation between checkpoints {between**0.5:.2f}, between models of one {within**0.5:.2f}"
    assert said in row.note
    assert any(line.startswith("a: 6 training seeds from 3 checkpoints") for line in report.choices)
    (wide,) = by_condition(tmp_path, level="subsets").rows
    assert wide.clusters == 6
    assert report.z is not None
    assert report.z.means["blimp"]["a"] == pytest.approx(fmean(means["a"]))


def test_seeds_that_go_on_from_one_checkpoint_speak_of_it_alone(tmp_path) -> None:
    a = trained(tmp_path, "a", [30, 31, 33, 30], {"parent_digest": "P"})
    b = trained(tmp_path, "b", [20, 22, 21, 24], {"parent_digest": "P"})
    for level in (None, "subsets"):
        (row,) = by_condition(tmp_path, level=level).rows
        assert row.claim.endswith("conditional on the parent checkpoint of a and of b")
        assert "all 4 models of a go on from one checkpoint" in row.note
    (row,) = by_condition(tmp_path).rows
    assert row.p == pytest.approx(ttest_ind(a, b, equal_var=False).pvalue)
    trained(tmp_path, "c", [28, 26, 27, 25])
    (row,) = by_condition(tmp_path, "a", "c").rows
    assert row.claim.endswith("conditional on the parent checkpoint of a")


def test_three_seeds_a_side_are_no_verdict(tmp_path) -> None:
    """The exact permutation of 3 against 3 seeds cannot go below .1, however small Welch's p is."""
    noisy(tmp_path, "a", 0.9, 3)
    noisy(tmp_path, "b", 0.5, 3)
    for level in (None, "subsets"):
        report = by_condition(tmp_path, level=level)
        (row,) = report.rows
        assert row.p_adjusted < 0.01
        assert row.smallest_p == pytest.approx(0.1)
        for said in (*report.paragraphs, row.sentence):
            assert "is better" not in said
            assert "no verdict" in said
            assert "an exchange of 3 against 3 seeds cannot give p below .100" in said
        assert "dagger" in latex_table(report)
        assert any("gives no p below .100" in line for line in report.warnings)


def test_five_seeds_a_side_are_one(tmp_path) -> None:
    noisy(tmp_path, "a", 0.9, 5)
    noisy(tmp_path, "b", 0.5, 5)
    report = by_condition(tmp_path)
    assert "a is better than b on blimp" in report.paragraphs[0]
    assert "no verdict" not in report.paragraphs[0]
    assert report.rows[0].sentence.count("10 seeds") == 1
    assert report.warnings == ()


@pytest.mark.parametrize(
    ("correction", "said"),
    [("holm", "Holm-adjusted over 3 tests none below"), ("bh", None), ("by", "Benjamini-Yekutieli-adjusted")],
)
def test_what_cannot_be_confirmed_is_told_of_the_correction_in_use(tmp_path, correction, said) -> None:
    """Five against five can give .0079: times three it passes, four against four .0286 times three does not."""
    for name, share in (("a", 0.9), ("b", 0.7), ("c", 0.5)):
        noisy(tmp_path, name, share, 4)
    warnings = by_condition(tmp_path, correction=correction).warnings
    assert [said in line for line in warnings] == [True] if said else warnings == ()


def test_contrasts_have_the_caveat_too(tmp_path) -> None:
    for name, share in (("a", 0.9), ("b", 0.85), ("c", 0.5)):
        noisy(tmp_path, name, share, 2)
    report = by_condition(tmp_path, contrasts=["a,b against c"])
    (row,) = [row for row in report.rows if row.contrast]
    assert row.smallest_p == pytest.approx(2 * 24 * 2 / 720)
    assert row.out_of_reach
    assert "is better" not in " ".join(report.paragraphs)
    assert (row.seeds_a, row.seeds_b) == (4, 2)


@pytest.mark.parametrize(("least", "most"), [(2, 8), (3, 6)])
def test_few_seeds_are_no_verdict_however_many_the_others_have(tmp_path, least, most) -> None:
    """A permutation of 2 against 8 could reach .044, but Welch's test is far off its size there."""
    trained(tmp_path, "a", [40, 41, 40][:least])
    trained(tmp_path, "b", [20, 21, 20, 22, 20, 19, 21, 20][:most])
    report = by_condition(tmp_path)
    (row,) = report.rows
    assert row.p < 0.05
    assert row.smallest_p < 0.05
    assert row.fewest_seeds == least
    assert "is better" not in report.paragraphs[0]
    assert f"no verdict: p rests on normality, which so few seeds cannot show ({least} in the smallest" in report.paragraphs[0]
    assert any("fewer than 4 seeds of a condition carry no verdict" in line for line in report.warnings)
    assert "dagger" in latex_table(report)


def test_every_condition_of_a_contrast_needs_its_seeds(tmp_path) -> None:
    """Six against three could be exchanged in 84 ways, but no condition has more than three."""
    for name, rights in (("a", [40, 41, 42]), ("b", [41, 41, 40]), ("c", [20, 21, 22])):
        trained(tmp_path, name, rights)
    report = by_condition(tmp_path, contrasts=["a,b against c"])
    (row,) = [row for row in report.rows if row.contrast]
    assert row.p < 0.05
    assert row.smallest_p == pytest.approx(2 / 84)
    assert row.out_of_reach
    assert "no permutation is run of three or more conditions" in row.note
    assert "is better" not in " ".join(report.paragraphs)


def test_a_difference_that_was_not_found_by_few_seeds_could_have_been_no_verdict(tmp_path) -> None:
    trained(tmp_path, "a", [30, 35, 28])
    trained(tmp_path, "b", [29, 33, 30])
    report = by_condition(tmp_path)
    for said in (report.rows[0].sentence, *report.paragraphs):
        assert "fewer than 4 seeds of a condition carry no verdict at any difference" in said


def test_a_contrast_averages_within_the_parents_of_a_side(tmp_path) -> None:
    """Two curricula of each of two sizes, whose models go on from the size's four parents."""
    values = {}
    for size, starts in (("small", [20, 24, 26, 21]), ("large", [30, 27, 33, 29])):
        for i, order in enumerate("xy"):
            for seed, right in enumerate(starts):
                of = {"condition": f"{size}_{order}", "train_seed": seed, "parent_digest": f"{size}{seed}"}
                made = ranking(tmp_path, f"{size}-{order}-{seed}", credits_of(right + (i + seed) % 2), of=of)
                values.setdefault(size, {}).setdefault(seed, []).append(made.headline.value)
    report = by_condition(tmp_path, contrasts=["small_x,small_y against large_x,large_y"])
    (row,) = [row for row in report.rows if row.contrast]
    small, large = ([fmean(part) for part in values[size].values()] for size in ("small", "large"))
    known = ttest_ind(small, large, equal_var=False)
    assert (row.p, row.freedom) == pytest.approx((known.pvalue, known.df))
    assert (row.clusters, row.seeds_a, row.seeds_b, row.fewest_seeds) == (8, 4, 4, 4)
    assert row.smallest_p == pytest.approx(2 / 70)
    assert "small_x and small_y go on from the same 4 checkpoints, which are the unit" in row.note


def test_a_parent_that_is_compared_itself_is_one_of_its_own(tmp_path) -> None:
    """The parent and what went on from it, on one side: four parents, not eight models."""
    starts = [20, 24, 26, 21]
    base, tuned = trained(tmp_path, "base", starts), []
    for seed, right in enumerate(starts):
        of = {"condition": "tuned", "train_seed": seed, "parent_digest": f"base-{seed}@main"}
        tuned.append(ranking(tmp_path, f"tuned-{seed}", credits_of(right + 1 + seed % 2), of=of).headline.value)
    other = trained(tmp_path, "other", [30, 27, 33, 29])
    (row,) = [row for row in by_condition(tmp_path, contrasts=["base,tuned against other"]).rows if row.contrast]
    means = [(x + y) / 2 for x, y in zip(base, tuned, strict=True)]
    assert row.p == pytest.approx(ttest_ind(means, other, equal_var=False).pvalue)


@pytest.mark.parametrize("again", ["a,b against c", "b, a against c", "c against a,b"])
def test_a_contrast_is_asked_for_once(tmp_path, again) -> None:
    for name, rights in (("a", [30, 31]), ("b", [29, 27]), ("c", [20, 22])):
        trained(tmp_path, name, rights)
    with pytest.raises(UsageError, match="ask the same") as refused:
        by_condition(tmp_path, contrasts=["a,b against c", again])
    assert refused.value.where == f"'a,b against c' and '{again}'"


def test_two_seeds_a_side(tmp_path) -> None:
    a, b = trained(tmp_path, "a", [30, 32]), trained(tmp_path, "b", [20, 21])
    (row,) = by_condition(tmp_path).rows
    assert row.smallest_p == pytest.approx(1 / 3)
    expected = ttest_ind(a, b, equal_var=False)
    assert (row.p, row.freedom) == pytest.approx((expected.pvalue, expected.df))
    assert row.se == pytest.approx(abs(row.difference / expected.statistic))


@pytest.mark.parametrize("groups", [((1.0, 2), (-1.0, 3)), ((0.5, 1), (0.5, 2), (-1.0, 2)), ((0.5, 2), (0.5, 2), (-1.0, 1))])
def test_the_least_p_is_that_of_all_arrangements(groups) -> None:
    """Seeds without ties in their sums: the largest is reached by as many arrangements as give the same weights."""
    weights = [weight / size for weight, size in groups for _ in range(size)]
    values = [2.0**i for i in range(len(weights))]
    sums = [round(sum(w * v for w, v in zip(order, values, strict=True)), 9) for order in permutations(weights)]
    share = sums.count(max(sums)) / len(sums)
    found = least_p({i: w for i, (w, _) in enumerate(groups)}, {i: n for i, (_, n) in enumerate(groups)})
    assert found == pytest.approx(2 * share)


def test_one_seed_is_no_condition_at_any_level(tmp_path) -> None:
    noisy(tmp_path, "a", 0.8, 1)
    noisy(tmp_path, "b", 0.5, 1)
    for level in (None, "subsets"):
        (row,) = by_condition(tmp_path, level=level).rows
        assert row.p is None
        assert "one training seed shows no condition" in row.claim


def test_few_subsets_and_tasks_without_any_are_told(tmp_path) -> None:
    gold = [i % 2 for i in range(30)]
    for name, share in (("a", 0.8), ("b", 0.5)):
        noisy(tmp_path, name, share, 3, subsets=5, task="blimp_supplement")
        for seed in range(3):
            labels = {s: [g if i % (4 + seed) else 1 - g for i, g in enumerate(gold)] for s in (1, 2)}
            fitted(tmp_path, f"{name}-{seed}", labels, gold, of={"condition": name, "train_seed": seed})
    supplement, rte = by_condition(tmp_path, level="subsets").rows
    assert "5 subsets are few" in supplement.note
    assert "the task leaves no choice of level" in rte.note
    assert "exact items" in by_condition(tmp_path).rows[0].claim


def test_a_contrast_of_three_says_that_its_level_is_fixed(tmp_path) -> None:
    for name, share in (("it_switch_wiki", 0.9), ("it_wiki_switch", 0.8), ("it_merged", 0.6), ("it_merged_100m", 0.7)):
        noisy(tmp_path, name, share, 3)
    rows = {row.contrast: row for row in by_condition(tmp_path, level="subsets").rows if row.contrast}
    assert list(rows) == ["sequential against merged", "order", "size"]
    assert "exact items at any level" in rows["sequential against merged"].note
    assert "subsets like these" in rows["order"].claim


def test_latex_names_contrasts(tmp_path) -> None:
    for name, rights in (("a", [30, 31]), ("b", [29, 27]), ("c", [20, 22])):
        trained(tmp_path, name, rights)
    out = latex_table(by_condition(tmp_path, contrasts=["a, c against b"]))
    assert "{A: the mean of a and c; B: b}" in out


def test_a_contrast_names_conditions_with_commas() -> None:
    found = parse_contrast("early, late,both against none", ["early, late", "both", "none"])
    assert (found.plus, found.minus) == (("early, late", "both"), ("none",))


def test_a_seed_without_a_record_is_told_in_pairs_and_contrasts(tmp_path) -> None:
    for name, rights in (("a", [30, 31, 33]), ("b", [20, 22, 21]), ("c", [25, 27, 24])):
        trained(tmp_path, name, rights)
        trained(tmp_path, name, rights if name != "a" else rights[:2], task="ewok")
    rows = [row for row in by_condition(tmp_path, contrasts=["a,b against c"]).rows if row.task == "ewok"]
    assert [bool(row.note and "without a-2, which has no value" in row.note) for row in rows] == [True, True, False, True]
    assert rows[-1].clusters == 8


def test_a_condition_without_a_task_is_told_in_its_contrast(tmp_path) -> None:
    for name, rights in (("a", [30, 31, 33]), ("b", [20, 22, 21]), ("c", [25, 27, 24])):
        trained(tmp_path, name, rights)
        if name != "c":
            trained(tmp_path, name, rights, task="ewok")
    report = by_condition(tmp_path, contrasts=["a,b against c"])
    (row,) = [row for row in report.rows if row.contrast and row.task == "ewok"]
    assert (row.difference, row.p) == (None, None)
    assert "no value of c" in row.note
    assert "ewok: no record of c" in report.warnings


def test_ways_of_scoring_are_not_mixed_within_a_condition(tmp_path) -> None:
    trained(tmp_path, "a", [30, 31])
    trained(tmp_path, "b", [20, 22], backend="causal-corrected")
    assert by_condition(tmp_path).rows[0].note.count("scored in different ways") == 0
    ranking(tmp_path, "a-x", credits_of(33), of={"condition": "a", "train_seed": 9}, backend="mntp")
    with pytest.raises(UsageError, match="'a' were scored in several ways") as refused:
        by_condition(tmp_path)
    assert refused.value.where == "blimp: causal: a-0, a-1; mntp: a-x"


def test_ways_of_scoring_that_differ_between_conditions_are_told(tmp_path) -> None:
    trained(tmp_path, "a", [30, 31])
    trained(tmp_path, "b", [20, 22], backend="mntp")
    (row,) = by_condition(tmp_path).rows
    assert "scored in different ways: a as causal, b as mntp" in row.note


def test_confounds_of_fine_tuning_are_told(tmp_path) -> None:
    gold = [i % 2 for i in range(30)]
    for name, step in (("a", 5), ("b", 3)):
        for seed in range(2):
            labels = {s: [1 - g if i % step == 0 and i > seed else g for i, g in enumerate(gold)] for s in (1, 2)}
            note = (
                "2 of 5 seeds diverged and are left out; 30 items cannot separate models that are closer" if name == "a" else None
            )
            of = {"condition": name, "train_seed": seed}
            fitted(tmp_path, f"{name}-{seed}", labels, gold, of=of, hyper=name, note=note)
    for row in (*by_condition(tmp_path).rows, *babyeval.compare(tmp_path, "a-0", "b-0").rows):
        assert "different hyper-parameters" in row.note
        assert "2 of 5 seeds diverged" in row.note
        assert "cannot separate" not in row.note


def test_only_the_sides_of_a_row_say_how_it_was_scored(tmp_path) -> None:
    """A model may bear the name of another one's condition."""
    ranking(tmp_path, "wiki", credits_of(30))
    ranking(tmp_path, "x", credits_of(28))
    ranking(tmp_path, "y", credits_of(20), of={"condition": "wiki"}, backend="mntp")
    row = next(row for row in babyeval.compare(tmp_path).rows if (row.a, row.b) == ("wiki", "x"))
    assert row.backend == "causal"
    assert row.note is None or "different ways" not in row.note
