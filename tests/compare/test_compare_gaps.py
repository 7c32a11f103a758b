"""What is not compared is told or refused, and what a row says is what its two sides are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control
from stored import MEASURES, fitted, ranking, rating, reading

import babyeval
from babyeval.comparison.latex import latex_table
from babyeval.comparison.report import CompareReport, ComparisonRow
from babyeval.comparison.sentences import p_value, paragraph, row_sentence
from babyeval.errors import MissingError
from babyeval.records import load_result


def credits_of(seed: int, subsets: int = 12, items: int = 10, share: float = 0.6) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {f"s{g}": [float(rng.random() < share) for _ in range(items)] for g in range(subsets)}


def test_a_named_model_without_a_record_to_compare_is_refused(tmp_path) -> None:
    for seed, name in enumerate("ab"):
        ranking(tmp_path, name, credits_of(seed))
    ranking(tmp_path, "c", credits_of(3), protocol="babylm-2025")
    with pytest.raises(MissingError, match="'c' has no record that could be compared under robust") as refused:
        babyeval.compare(tmp_path, "a", "b", "c", protocol="robust")
    assert refused.value.where == "there is blimp babylm-2025 full"
    report = babyeval.compare(tmp_path, protocol="robust")
    assert len(report.rows) == 1
    assert "c: no record that could be compared under robust" in report.warnings


def test_pairs_without_a_task_are_told(tmp_path) -> None:
    for seed, name in enumerate("abc"):
        ranking(tmp_path, name, credits_of(seed))
        if name != "b":
            ranking(tmp_path, name, credits_of(seed), task="ewok")
    report = babyeval.compare(tmp_path)
    assert [(row.a, row.b) for row in report.rows if row.task == "ewok"] == [("a", "c")]
    assert report.warnings == ("ewok: no record of b",)
    assert report.rows[0].family == "4 tests (2 scores x 3 pairs, as far as there is a test)"


def test_tasks_of_another_protocol_are_told(tmp_path) -> None:
    for seed, name in enumerate("ab"):
        ranking(tmp_path, name, credits_of(seed))
        ranking(tmp_path, name, credits_of(seed), task="ewok", protocol="babylm-2025")
    assert babyeval.compare(tmp_path).warnings == ("ewok: no record under robust",)


def test_conditions_without_a_common_task_are_an_error(tmp_path) -> None:
    for name, task in (("a", "blimp"), ("b", "ewok")):
        for seed in range(2):
            ranking(tmp_path, f"{name}{seed}", credits_of(seed), task=task, of={"condition": name, "train_seed": seed})
    with pytest.raises(MissingError, match="Nothing can be compared") as refused:
        babyeval.compare(tmp_path, by="condition")
    assert "blimp: no record of b; ewok: no record of a" in refused.value.where


def test_a_headline_that_one_seed_lacks_is_told(tmp_path) -> None:
    for name in "ab":
        for seed in range(3):
            of = {"condition": name, "train_seed": seed}
            lacking = (name, seed) == ("a", 0)
            reading(tmp_path, f"{name}{seed}", {}, ["s"] * 4, protocol="babylm-2025", of=of, headlines=1 if lacking else 2)
    eye, self_paced = babyeval.compare(tmp_path, by="condition").rows
    assert eye.note is None or "without" not in eye.note
    assert "without a0, which has no value" in self_paced.note
    eye, self_paced = babyeval.compare(tmp_path, "a0", "b0").rows
    assert (eye.difference, self_paced.difference) == (0.0, None)


def test_latex_of_nothing_is_an_empty_table() -> None:
    assert latex_table(CompareReport((), (), ("Protocol: robust.",))).count(r"\midrule") == 0


def test_credits_that_are_no_numbers_are_not_compared(tmp_path) -> None:
    for seed, name in enumerate("ab"):
        credits = credits_of(seed)
        credits["s0"][0] = float("nan") if name == "a" else 1.0
        ranking(tmp_path, name, credits)
    for level in (None, "items"):
        (row,) = babyeval.compare(tmp_path, level=level).rows
        assert row.p is None
        assert "1 of 120 items have no credit" in row.note


def test_few_subsets_and_families_without_a_choice_of_level(tmp_path) -> None:
    gold = [i % 2 for i in range(30)]
    for seed, name in enumerate("ab"):
        ranking(tmp_path, name, credits_of(seed, 5, 30), task="blimp_supplement")
        rng = np.random.default_rng(seed)
        rating(tmp_path, name, list(rng.random(30)), list(np.linspace(0, 1, 30)))
        labels = {s: [g if rng.random() < 0.7 else 1 - g for g in gold] for s in (1, 2)}
        fitted(tmp_path, name, labels, gold)
    rows = {row.task: row for row in babyeval.compare(tmp_path, level="subsets").rows}
    assert "5 subsets are few" in rows["blimp_supplement"].note
    for task in ("wug_adj", "rte"):
        assert "the task leaves no choice of level" in rows[task].note
    assert all("choice of level" not in (row.note or "") for row in babyeval.compare(tmp_path).rows)


def test_values_that_the_items_do_not_give_are_told(tmp_path) -> None:
    gold = [i % 2 for i in range(20)]
    for name, wrong in (("a", 3), ("b", 6)):
        fitted(tmp_path, name, {1: [1 - g if i < wrong else g for i, g in enumerate(gold)]}, gold)
        rating(tmp_path, name, [float(i * wrong % 7) for i in range(20)], [float(i) for i in range(20)])
    assert all("the items give" not in (row.note or "") for row in babyeval.compare(tmp_path).rows)
    for path in tmp_path.glob("a/**/result.json"):
        text = path.read_text(encoding="utf-8")
        value = load_result(text).headline.value
        path.write_text(text.replace(repr(value), repr(value / 2)), encoding="utf-8")
    rows = babyeval.compare(tmp_path).rows
    assert [row.task for row in rows if "the items give" in (row.note or "")] == ["wug_adj", "rte"]


def test_a_negative_slope_is_told_where_a_model_wins(tmp_path) -> None:
    sentences = [f"sentence-{i // 4}" for i in range(48)]
    rng = np.random.default_rng(5)
    for name, mean in (("a", 0.2), ("b", 0.0)):
        gains = {m: [rng.normal(mean, 0.1) for _ in sentences] for m in MEASURES}
        warning = "warning: surprising words are read faster (negative coefficient) in RTfirstfix" if name == "a" else None
        reading(tmp_path, name, gains, sentences, notes=(warning, None))
    eye, self_paced = babyeval.compare(tmp_path).rows
    assert "a: warning: surprising words are read faster" in eye.note
    assert "faster" not in self_paced.note


def test_ways_of_scoring_and_settings_that_differ_are_told(tmp_path) -> None:
    ranking(tmp_path, "a", credits_of(0))
    ranking(tmp_path, "b", credits_of(1), backend="mntp")
    ranking(tmp_path, "c", credits_of(2), made={"masking": "word-l2r"})
    report = babyeval.compare(tmp_path)
    noted = {(row.a, row.b): "scored in different ways" in (row.note or "") for row in report.rows}
    assert noted == {("a", "b"): True, ("a", "c"): False, ("b", "c"): True}
    assert "Scored with different settings, masking: pll (a); word-l2r (c)." in report.choices


def test_rows_say_which_revisions_they_are_of(tmp_path) -> None:
    ranking(tmp_path, "m", credits_of(0), of={"revision": "chck_2M"})
    ranking(tmp_path, "n", credits_of(1))
    (row,) = babyeval.compare(tmp_path).rows
    assert (row.a, row.revision_a, row.revision_b) == ("m", "chck_2M", "main")
    assert row.freedom == 11
    assert row.se == pytest.approx((row.ci_high - row.ci_low) / 2 / 2.200985)  # t of 11 degrees of freedom


@pytest.mark.parametrize("correction", ["bh", "by"])
def test_false_discovery_rates_are_those_of_scipy(tmp_path, correction) -> None:
    for seed, name in enumerate("abc"):
        ranking(tmp_path, name, credits_of(seed, share=0.5 + 0.1 * seed))
        ranking(tmp_path, name, credits_of(seed, share=0.6 - 0.1 * seed), task="ewok")
    report = babyeval.compare(tmp_path, correction=correction)
    expected = false_discovery_control([row.p for row in report.rows], method=correction)
    assert [row.p_adjusted for row in report.rows] == pytest.approx(list(expected))
    assert {row.family for row in report.rows} == {"6 tests (2 scores x 3 pairs)"}
    named = {"bh": "Benjamini-Hochberg", "by": "Benjamini-Yekutieli"}[correction]
    assert all(f"{named}-adjusted over the family of 6 tests" in said for said in report.paragraphs)


def test_max_t_adjusts_the_p_that_it_prints(tmp_path) -> None:
    for seed, name in enumerate("ab"):
        ranking(tmp_path, name, credits_of(seed, share=0.5 + 0.2 * seed))
        ranking(tmp_path, name, credits_of(seed + 7, 5), task="blimp_supplement")
    for row in babyeval.compare(tmp_path, correction="maxt").rows:
        assert row.p == row.p_permutation
        assert row.p_adjusted >= row.p
        assert row.test.startswith("sign flips (interval: ")


def a_row(**changes) -> ComparisonRow:
    about = {
        "a": "a", "b": "b", "task": "t", "subset": "", "metric": "m", "unit_of_value": "percent", "value_a": 3.0, "value_b": 1.0,
        "higher_is_better": True, "difference": 2.0, "ci_low": 1.0, "ci_high": 3.0, "ci_level": 0.95, "p": 0.001,
        "p_adjusted": 0.001, "correction": "holm", "family": "1 test", "test": "t", "unit": "items", "clusters": 5, "n": 9,
        "mde": 1.5, "p_permutation": None, "smallest_p": None, "wins": 1, "losses": 0, "ties": 0, "claim": "c",
        "protocol": "robust", "split": "full", "backend": "causal",
    }  # fmt: skip
    return ComparisonRow(**{**about, **changes})


def test_the_lower_one_is_better_where_less_is_more() -> None:
    said = paragraph([a_row(higher_is_better=False)])
    assert said.startswith("b is better than a on t (-2.00 points, unadjusted 95% CI -3.00 to -1.00, p = .001)")


def test_sentences_count_clusters_as_what_they_are() -> None:
    assert "5 clusters of items" in row_sentence(a_row())
    assert "9 items" in row_sentence(a_row(clusters=9))
    assert "12 subsets" in row_sentence(a_row(unit="subsets", clusters=12))


@pytest.mark.parametrize(("p", "shown"), [(0.04996, "< .05"), (0.0499, ".0499"), (0.05, ".0500"), (0.05004, ".0500")])
def test_no_p_is_rounded_over_the_threshold(p: float, shown: str) -> None:
    assert p_value(p) == shown


def test_names_with_commas_are_one_name() -> None:
    assert paragraph([a_row(a="x, y", contrast="c")]).startswith("x, y is better than b")
