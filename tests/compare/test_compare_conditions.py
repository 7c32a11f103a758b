"""Training conditions compared: seeds are the unit, contrasts are planned, z-scores are a scale to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, median

import numpy as np
import pytest
from scipy.stats import ttest_ind, zscore
from stored import fitted, ranking

import babyeval
from babyeval.comparison.figure import write_box_plots
from babyeval.errors import UsageError


def credits_of(right: int, subsets: int = 12, items: int = 50) -> dict[str, list[float]]:
    """Subsets of which so many items are right, with a difference between them."""
    return {f"s{g}": [1.0] * (right + g % 2) + [0.0] * (items - right - g % 2) for g in range(subsets)}


def trained(root: Path, condition: str, rights: Sequence[int], *, first: int = 0, task: str = "blimp") -> list[float]:
    """One model per training seed; their headlines."""
    made = []
    for seed, right in enumerate(rights, first):
        of = {"condition": condition, "train_seed": seed}
        made.append(ranking(root, f"{condition}-seed_{seed}", credits_of(right), task=task, of=of).headline.value)
    return made


def by_condition(root: Path, *names: str, **options):
    return babyeval.compare(root, *names, by="condition", **options)


def test_conditions_are_compared_by_welch_over_their_seeds(tmp_path) -> None:
    a, b = trained(tmp_path, "wiki", [30, 33, 35]), trained(tmp_path, "switchboard", [24, 26, 29, 25])
    (row,) = by_condition(tmp_path, "wiki", "switchboard").rows
    expected = ttest_ind(a, b, equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert [row.difference, row.ci_low, row.ci_high, row.p] == pytest.approx([fmean(a) - fmean(b), low, high, expected.pvalue])
    assert (row.unit, row.clusters, row.a, row.b) == ("seeds", 7, "wiki", "switchboard")
    own, sums = sum(a), [sum(part) for part in combinations([*a, *b], 3)]
    above, below = sum(s >= own - 1e-9 for s in sums), sum(s <= own + 1e-9 for s in sums)
    assert row.p_permutation == pytest.approx(min(1, 2 * min(above, below) / 35))
    assert row.smallest_p == pytest.approx(2 / 35)
    assert "other seeds" in row.claim


def test_one_seed_supports_no_claim_about_a_condition(tmp_path) -> None:
    trained(tmp_path, "a", [30, 31, 32])
    trained(tmp_path, "b", [20])
    report = by_condition(tmp_path)
    (row,) = report.rows
    assert (row.p, row.ci_low, row.p_adjusted) == (None, None, None)
    assert row.difference == pytest.approx(22.0)
    assert "one training seed shows no condition" in row.claim
    assert "is better" not in report.paragraphs[0]
    with pytest.raises(UsageError, match="one seed") as refused:
        babyeval.compare(tmp_path, level="seeds")
    assert "b: 1 seed" in refused.value.where


def test_the_level_of_seeds_is_the_claim_about_conditions(tmp_path) -> None:
    trained(tmp_path, "a", [30, 31, 32])
    trained(tmp_path, "b", [20, 22, 24])
    assert babyeval.compare(tmp_path, "a", "b", level="seeds").rows == by_condition(tmp_path, "a", "b").rows


def test_the_mixed_model_widens_the_claim_to_subsets(tmp_path) -> None:
    rng = np.random.default_rng(1)
    for condition, share in (("a", 0.7), ("b", 0.5)):
        for seed in range(3):
            credits = {f"s{g}": [float(rng.random() < share) for _ in range(20)] for g in range(12)}
            ranking(tmp_path, f"{condition}{seed}", credits, of={"condition": condition, "train_seed": seed})
    (plain,), (wide,) = by_condition(tmp_path).rows, by_condition(tmp_path, level="subsets").rows
    assert wide.difference == pytest.approx(plain.difference)
    assert "subsets like these" in wide.claim
    assert wide.test != plain.test
    assert wide.p is not None


def test_planned_contrasts_of_class_it_are_found_by_name(tmp_path) -> None:
    values = {
        name: trained(tmp_path, name, rights)
        for name, rights in {"it_switch_wiki": [30, 32, 31], "it_wiki_switch": [28, 29, 31], "it_merged": [25, 24, 27]}.items()
    }
    rows = by_condition(tmp_path).rows
    pairs, contrasts = [row for row in rows if row.contrast is None], [row for row in rows if row.contrast]
    assert len(pairs) == 2  # the pair that is a contrast is tested once
    assert [row.contrast for row in contrasts] == ["sequential against merged", "order"]
    assert [row.a for row in contrasts] == ["the mean of it_switch_wiki and it_wiki_switch", "it_switch_wiki"]
    means = {name: fmean(part) for name, part in values.items()}
    assert contrasts[0].difference == pytest.approx((means["it_switch_wiki"] + means["it_wiki_switch"]) / 2 - means["it_merged"])
    assert contrasts[1].p == pytest.approx(ttest_ind(values["it_switch_wiki"], values["it_wiki_switch"], equal_var=False).pvalue)
    assert contrasts[0].family == "2 tests (1 score x 2 planned contrasts)"
    assert pairs[0].family == "2 tests (1 score x 2 pairs)"


def test_a_contrast_may_be_asked_for(tmp_path) -> None:
    for name, rights in (("a", [30, 31]), ("b", [29, 27]), ("c", [20, 22])):
        trained(tmp_path, name, rights)
    (row,) = [row for row in by_condition(tmp_path, contrasts=["a, c against b"]).rows if row.contrast]
    assert (row.contrast, row.a, row.b, row.clusters) == ("a, c against b", "the mean of a and c", "b", 6)
    for wrong, said in (("a over b", "no contrast"), ("a against d", "'d', which is not compared"), ("a,a against b", "once")):
        with pytest.raises(UsageError) as refused:
            by_condition(tmp_path, contrasts=[wrong])
        assert said in str(refused.value)


def test_conditions_that_do_not_exist_and_seeds_that_occur_twice_are_refused(tmp_path) -> None:
    ranking(tmp_path / "none", "a", credits_of(20))
    with pytest.raises(UsageError, match="which condition"):
        by_condition(tmp_path / "none")
    trained(tmp_path, "a", [30, 31])
    trained(tmp_path, "b", [20, 22])
    with pytest.raises(UsageError, match="no condition 'wiky'") as refused:
        by_condition(tmp_path, "wiky", "a")
    assert refused.value.where == "there is a (2 models), b (2 models)"
    ranking(tmp_path, "copy", credits_of(30), of={"condition": "a", "train_seed": 1})
    with pytest.raises(UsageError, match="training seed 1") as refused:
        by_condition(tmp_path)
    assert refused.value.where == "a-seed_1 and copy"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"by": "size"}, "no comparison by 'size'"),
        ({"by": "condition", "level": "items"}, "no replications"),
        ({"by": "condition", "correction": "maxt"}, "max-T"),
        ({"level": "words"}, "no level"),
        ({"correction": "bonferroni"}, "no correction"),
        ({"contrasts": ["a against b"]}, "--by condition"),
        ({"by": "condition", "baseline": "z"}, "'z'"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, options, said) -> None:
    trained(tmp_path, "a", [30, 31])
    trained(tmp_path, "b", [20, 22])
    with pytest.raises(UsageError) as refused:
        babyeval.compare(tmp_path, **options)
    assert said in str(refused.value)


def three_conditions(root: Path) -> Mapping[str, Mapping[str, list[float]]]:
    """Two tasks of one family, a fine-tuned task, and one that tells nothing."""
    values: dict[str, dict[str, list[float]]] = {}
    gold = [i % 2 for i in range(50)]
    for name, right in (("a", 20), ("b", 26), ("c", 35)):
        values.setdefault("blimp", {})[name] = trained(root, name, [right, right + 1])
        values.setdefault("blimp_supplement", {})[name] = trained(root, name, [45 - right, 45 - right], task="blimp_supplement")
        trained(root, name, [20 + (right == 26), 24], task="ewok")
        for seed in (0, 1):
            wrong = 50 - right
            labels = {s: [1 - g if i < wrong - (seed and s == 1) else g for i, g in enumerate(gold)] for s in (1, 2)}
            of = {"condition": name, "train_seed": seed}
            fitted(root, f"{name}-seed_{seed}", labels, gold, of=of)
            values.setdefault("rte", {}).setdefault(name, []).append(2.0 * right + seed)
    return values


def test_z_scores_are_those_of_scipy_and_families_count_once(tmp_path) -> None:
    values = three_conditions(tmp_path)
    z = by_condition(tmp_path).z
    assert z is not None
    frame = z.to_frame().pivot_table(index="condition", columns="task", values="z")
    expected = {task: zscore([fmean(values[task][name]) for name in "abc"], ddof=1) for task in values}
    for task, column in expected.items():
        assert frame[task].tolist() == pytest.approx(list(column))
    assert "ewok" in z.found.left_out  # its seeds differ more than its conditions
    assert z.bound == pytest.approx(2 / 3**0.5)
    _, lines = z.table()
    shown = {(group, condition): float(cell) for group, condition, cell, *_ in lines}
    assert [group for group, condition in shown if condition == "a"] == ["zero-shot", "fine-tuning", "all"]
    for i, name in enumerate("abc"):
        blimp, rte = (expected["blimp"][i] + expected["blimp_supplement"][i]) / 2, expected["rte"][i]
        by_hand = {"zero-shot": blimp, "fine-tuning": rte, "all": median([blimp, rte])}
        assert {group: shown[group, name] for group in by_hand} == pytest.approx(by_hand, abs=0.006)


def test_box_plots_show_every_condition_and_the_bound(tmp_path) -> None:
    three_conditions(tmp_path)
    z = by_condition(tmp_path).z
    assert z is not None
    for name in ("box.svg", "again.svg", "box.pdf", "box.png"):
        write_box_plots(z, tmp_path / name)
    drawn = (tmp_path / "box.svg").read_text()
    assert drawn == (tmp_path / "again.svg").read_text()
    for word in ("K = 3", "1.155", "zero-shot", "fine-tuning", ">a<", ">b<", ">c<"):
        assert word in drawn
    assert "<pattern" in drawn  # hatches, for those who see no colours
    assert (tmp_path / "box.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "box.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw_is_refused(tmp_path) -> None:
    for name in "ab":
        trained(tmp_path, name, [20, 20])
    z = by_condition(tmp_path).z
    assert z is not None
    with pytest.raises(UsageError, match="nothing to draw"):
        write_box_plots(z, tmp_path / "box.svg")
    assert not (tmp_path / "box.svg").exists()
