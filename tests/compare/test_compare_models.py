"""Two checkpoints compared from records: the test that a task's kind asks for, against scipy and plain arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev, variance

import numpy as np
import pytest
from scipy.stats import binomtest, pearsonr, spearmanr, ttest_1samp
from stored import MEASURES, fitted, ranking, rating, reading, reported, trajectory

import babyeval
from babyeval.comparison.many import Many
from babyeval.comparison.report import ComparisonRow
from babyeval.errors import UsageError
from babyeval.store import ResultStore


def draws(seed: int, subsets: int, items: int, share: float) -> dict[str, list[float]]:
    """Credits of 0 and 1."""
    rng = np.random.default_rng(seed)
    return {f"s{g}": [float(rng.random() < share) for _ in range(items)] for g in range(subsets)}


def only(root: Path, *names: str, **options) -> ComparisonRow:
    (row,) = babyeval.compare(root, *names, **options).rows
    return row


def test_twelve_subsets_are_compared_by_t_over_their_mean_differences(tmp_path) -> None:
    a, b = draws(1, 12, 20, 0.7), draws(2, 12, 20, 0.6)
    ranking(tmp_path, "a", a)
    ranking(tmp_path, "b", b, shuffled=True)  # rows join by item, not by place
    row = only(tmp_path, "a", "b")
    differences = [100 * (fmean(a[s]) - fmean(b[s])) for s in a]
    expected = ttest_1samp(differences, 0)
    low, high = expected.confidence_interval(0.95)
    assert (row.unit, row.clusters, row.n, row.test) == ("subsets", 12, 240, "t over subset means")
    assert [row.difference, row.ci_low, row.ci_high] == pytest.approx([fmean(differences), low, high])
    assert row.p == pytest.approx(expected.pvalue)
    assert row.p_adjusted == pytest.approx(row.p)  # one test
    assert row.difference == pytest.approx(row.value_a - row.value_b)
    assert (row.wins, row.losses, row.ties) == tuple(
        sum(f(d) for d in differences) for f in ((lambda d: d > 0), (lambda d: d < 0), (lambda d: d == 0))
    )
    assert "subsets like these" in row.claim


def test_five_subsets_are_compared_over_their_items_and_the_claim_is_weaker(tmp_path) -> None:
    a, b = draws(1, 5, 30, 0.7), draws(2, 5, 30, 0.6)
    ranking(tmp_path, "a", a, task="blimp_supplement")
    ranking(tmp_path, "b", b, task="blimp_supplement")
    row = only(tmp_path, "a", "b")
    by_subset = [[x - y for x, y in zip(a[s], b[s], strict=True)] for s in a]
    se = 100 * sum(variance(part) / len(part) for part in by_subset) ** 0.5 / 5
    assert row.unit == "items"
    assert row.clusters == 150
    assert row.difference == pytest.approx(100 * fmean(map(fmean, by_subset)))
    assert (row.ci_high - row.ci_low) / 2 == pytest.approx(1.98 * se, rel=0.01)  # t with about 140 degrees of freedom
    assert "these exact subsets" in row.claim


def test_the_level_can_be_chosen(tmp_path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        ranking(tmp_path, name, draws(seed, 12, 20, 0.6))
        ranking(tmp_path, name, draws(seed, 5, 20, 0.6), task="blimp_supplement")
    items = babyeval.compare(tmp_path, "a", "b", level="items").rows
    assert [row.unit for row in items] == ["items", "items"]
    assert all("these exact subsets" in row.claim for row in items)
    subsets = babyeval.compare(tmp_path, "a", "b", level="subsets").rows
    assert [(row.unit, row.clusters) for row in subsets] == [("subsets", 12), ("subsets", 5)]


def test_one_independent_set_is_compared_by_exact_mcnemar(tmp_path) -> None:
    a, b = [1.0] * 18 + [0.0] * 6 + [1.0] * 20, [0.0] * 18 + [1.0] * 6 + [1.0] * 20
    ranking(tmp_path, "a", {"x": a}, task="global_piqa_parallel")
    ranking(tmp_path, "b", {"x": b}, task="global_piqa_parallel")
    row = only(tmp_path, "a", "b")
    assert row.test == "exact McNemar"
    assert row.p == pytest.approx(binomtest(6, 24, 0.5).pvalue)
    assert row.difference == pytest.approx(100 * 12 / 44)
    assert (row.wins, row.losses, row.ties) == (18, 6, 20)


def test_twins_are_one_cluster(tmp_path) -> None:
    a = {"s": [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]}
    b = {"s": [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]}
    twins = {"s": [f"pair-{i // 2}" for i in range(8)]}
    for name, credits in (("a", a), ("b", b)):
        ranking(tmp_path, name, credits, task="global_piqa_parallel", clusters=twins)
    row = only(tmp_path, "a", "b")
    assert (row.clusters, row.n) == (4, 8)
    assert row.p == pytest.approx(1.0)  # one pair for each, and two without a difference


def test_correlations_with_the_same_ratings(tmp_path) -> None:
    rng = np.random.default_rng(3)
    gold = [rng.random() for _ in range(40)]
    near, far = [g + rng.normal(0, 0.05) for g in gold], [rng.random() for _ in gold]
    rating(tmp_path, "near", near, gold)
    rating(tmp_path, "far", far, gold)
    row = only(tmp_path, "near", "far")
    expected = spearmanr(near, gold).statistic - spearmanr(far, gold).statistic
    assert row.difference == pytest.approx(expected)
    assert row.ci_low > 0
    assert row.p < 0.01
    assert (row.unit_of_value, row.unit, row.wins) == ("correlation", "items", None)


def test_ages_of_acquisition_are_compared_over_the_words_that_both_have(tmp_path) -> None:
    rng = np.random.default_rng(4)
    gold = [rng.random() for _ in range(30)]
    ages = [g + rng.normal(0, 0.1) for g in gold]
    trajectory(tmp_path, "a", ages, gold, ["chck_1M", "chck_2M"])
    trajectory(tmp_path, "b", [None, None, *[rng.random() for _ in gold[2:]]], gold, ["chck_1M", "chck_2M"])
    row = only(tmp_path, "a", "b")
    assert (row.task, row.n) == ("aoa", 28)
    assert row.difference == pytest.approx(row.value_a - row.value_b)  # over the same words, as the headlines are not
    assert row.value_a == pytest.approx(pearsonr(ages[2:], gold[2:]).statistic)
    assert f"{pearsonr(ages, gold).statistic:.3f}" in row.note
    assert "28 words" in row.note


def test_reading_is_compared_by_held_out_likelihoods_in_both_parts(tmp_path) -> None:
    rng = np.random.default_rng(5)
    sentences = [f"sentence-{i // 4}" for i in range(48)]
    gains = {name: {m: [rng.normal(mean, 0.1) for _ in sentences] for m in MEASURES} for name, mean in (("a", 0.2), ("b", 0.0))}
    for name, gain in gains.items():
        reading(tmp_path, name, gain, sentences)
    eye, self_paced = babyeval.compare(tmp_path, "a", "b").rows
    assert [eye.label, self_paced.label] == ["reading eye_tracking", "reading self_paced"]
    assert self_paced.value_a == pytest.approx(fmean(gains["a"][MEASURES[-1]]))
    expected = fmean(fmean(gains["a"][m]) - fmean(gains["b"][m]) for m in MEASURES[:4])
    assert eye.difference == pytest.approx(expected)
    assert (eye.unit_of_value, eye.clusters, eye.n) == ("nats", 12, 48)
    assert eye.p < 0.001


def test_reading_without_held_out_likelihoods_has_a_difference_and_no_test(tmp_path) -> None:
    for name in "ab":
        reading(tmp_path, name, {}, ["s"] * 4, protocol="babylm-2025")
    rows = babyeval.compare(tmp_path, "a", "b").rows
    assert [row.p for row in rows] == [None, None]
    assert all("--protocol robust" in row.note for row in rows)
    assert rows[0].difference == 0.0


def test_fine_tuned_models_are_compared_over_seeds_and_items(tmp_path) -> None:
    rng = np.random.default_rng(6)
    gold = [i % 2 for i in range(60)]

    def predicted(right: float) -> list[int]:
        return [g if rng.random() < right else 1 - g for g in gold]

    values = {}
    for name, right in (("a", 0.9), ("b", 0.6)):
        labels = {seed: predicted(right) for seed in (1, 2, 3)}
        values[name] = fmean(100 * fmean(x == y for x, y in zip(part, gold, strict=True)) for part in labels.values())
        fitted(tmp_path, name, labels, gold, hyper=name)
    row = only(tmp_path, "a", "b")
    assert row.difference == pytest.approx(values["a"] - values["b"])
    assert row.p < 0.05
    assert "fine-tuned with other seeds" in row.claim
    assert "3 and 3 fine-tuning seeds" in row.note
    assert "different hyper-parameters" in row.note


def test_f1_of_fine_tuned_models(tmp_path) -> None:
    gold = [1, 1, 1, 0, 0, 0, 1, 0] * 5
    for name, wrong in (("a", 2), ("b", 11)):
        labels = {seed: [1 - g if i < wrong + seed else g for i, g in enumerate(gold)] for seed in (1, 2)}
        fitted(tmp_path, name, labels, gold, task="mrpc")
    row = only(tmp_path, "a", "b")

    def f1(wrong: int) -> float:
        said = [1 - g if i < wrong else g for i, g in enumerate(gold)]
        hit = sum(x and y for x, y in zip(said, gold, strict=True))
        return 200 * hit / (sum(said) + sum(gold))

    assert row.metric == "f1"
    assert row.difference == pytest.approx(fmean(f1(w) for w in (3, 4)) - fmean(f1(w) for w in (12, 13)))
    assert row.difference == pytest.approx(row.value_a - row.value_b)
    assert row.p is not None


def test_swapping_the_models_turns_the_signs(tmp_path) -> None:
    ranking(tmp_path, "a", draws(1, 12, 10, 0.7))
    ranking(tmp_path, "b", draws(2, 12, 10, 0.5))
    one, other = only(tmp_path, "a", "b"), only(tmp_path, "b", "a")
    assert [-other.difference, -other.ci_high, -other.ci_low] == pytest.approx([one.difference, one.ci_low, one.ci_high])
    assert (other.p, other.losses, other.wins) == pytest.approx((one.p, one.wins, one.losses))


def brute_holm(p: Sequence[float]) -> list[float]:
    order = sorted(range(len(p)), key=p.__getitem__)
    worst, adjusted = 0.0, [0.0] * len(p)
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = worst
    return adjusted


def test_three_models_are_all_pairs_in_one_family(tmp_path) -> None:
    for seed, name in enumerate("abc"):
        ranking(tmp_path, name, draws(seed, 12, 20, 0.4 + 0.2 * seed))
        ranking(tmp_path, name, draws(seed, 5, 20, 0.4 + 0.1 * seed), task="blimp_supplement")
    report = babyeval.compare(tmp_path)
    assert [(row.a, row.b) for row in report.rows[::2]] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [row.p_adjusted for row in report.rows] == pytest.approx(brute_holm([row.p for row in report.rows]))
    assert {row.family for row in report.rows} == {"6 tests (2 scores x 3 pairs)"}
    assert len(report.paragraphs) == 3
    against = babyeval.compare(tmp_path, baseline="b").rows
    assert {(row.a, row.b) for row in against} == {("a", "b"), ("c", "b")}


def test_max_t_adjusts_what_has_signs_and_says_what_has_none(tmp_path) -> None:
    rng = np.random.default_rng(0)
    gold = [rng.random() for _ in range(20)]
    for name, seed, share in (("a", 1, 0.9), ("b", 2, 0.5)):
        ranking(tmp_path, name, draws(seed, 12, 20, share))
        ranking(tmp_path, name, draws(seed, 5, 20, share), task="blimp_supplement")
        rating(tmp_path, name, [rng.random() for _ in gold], gold)
    report = babyeval.compare(tmp_path, correction="maxt")
    blimp, supplement, wug = report.rows
    assert "not in the family, so that their p-values are not adjusted: wug_adj (" in report.paragraphs[0]
    assert blimp.p_adjusted < 0.01
    assert supplement.p_adjusted < 0.01
    assert wug.p is not None
    assert wug.p_adjusted is None
    assert "no signs to flip" in wug.note
    assert blimp.family.startswith("2 tests")


@pytest.mark.parametrize("level", [None, "items"])
def test_equal_models_have_no_test_and_a_reason(tmp_path, level) -> None:
    for name in "ab":
        ranking(tmp_path, name, draws(1, 12, 10, 0.5))
    row = only(tmp_path, "a", "b", level=level)
    assert row.difference == 0.0
    assert (row.p, row.ci_low, row.mde, row.p_adjusted) == (None, None, None, None)
    assert row.note
    assert "no test supports" in row.sentence


def test_rounded_scores_without_items_have_no_test(tmp_path) -> None:
    ranking(tmp_path, "a", draws(1, 12, 10, 0.5))
    report = reported(tmp_path, "b", 50.0)
    row = only(tmp_path, "a", "b")
    assert row.difference == pytest.approx(row.value_a - report.headline.value)
    assert (row.p, row.test, row.claim) == (None, "none", "nothing: there is no test")
    assert "rounded scores without items" in row.note


def test_a_table_that_was_changed_is_not_used(tmp_path) -> None:
    ranking(tmp_path, "a", draws(1, 12, 10, 0.5))
    ranking(tmp_path, "b", draws(2, 12, 10, 0.5))
    (table,) = tmp_path.glob("b/**/items.parquet")
    table.write_bytes(table.read_bytes() + b"x")
    assert "is not the one that was written" in only(tmp_path, "a", "b").note
    table.unlink()
    assert "is not there" in only(tmp_path, "a", "b").note


def test_items_that_do_not_join_are_refused_with_counts(tmp_path) -> None:
    ranking(tmp_path, "a", {"s": [1.0, 0.0, 1.0], "t": [1.0, 0.0]})
    ranking(tmp_path, "b", {"s": [1.0, 0.0], "t": [1.0, 0.0, 1.0]})
    with pytest.raises(UsageError, match=r"4 are in both tables, 1 only in that of 'a', 1 only in that of 'b'"):
        babyeval.compare(tmp_path, "a", "b")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "different versions of the task (version 1: a; version 2: b)"),
        ({"data": "e" * 64}, "different data (dddddddddddd: a; eeeeeeeeeeee: b)"),
        ({"protocol_version": 2}, "different versions of the protocol"),
        ({"made": {"scoring_version": 9}}, "different versions of scoring (version 1: a; version 9: b)"),
        ({"made": {"task_code": "zzz"}}, "different code of the task (yyy: a; zzz: b)"),
    ],
)
def test_what_was_not_measured_alike_is_refused(tmp_path, change, said) -> None:
    ranking(tmp_path, "a", draws(1, 12, 10, 0.5), made={"task_code": "yyy"})
    ranking(tmp_path, "b", draws(2, 12, 10, 0.5), **change)
    for name in "ab":
        ranking(tmp_path, name, draws(1, 5, 10, 0.5), task="blimp_supplement")
    with pytest.raises(UsageError) as refused:
        babyeval.compare(tmp_path, "a", "b")
    assert said in refused.value.where
    assert "--tasks blimp_supplement" in refused.value.hint
    assert len(babyeval.compare(tmp_path, "a", "b", tasks="blimp_supplement").rows) == 1


def test_sentences_name_test_unit_family_and_what_would_have_been_found(tmp_path) -> None:
    ranking(tmp_path, "a", draws(1, 12, 30, 0.9))
    ranking(tmp_path, "b", draws(2, 12, 30, 0.4))
    for name, seed in (("a", 3), ("b", 4)):
        ranking(tmp_path, name, draws(seed, 5, 30, 0.5), task="blimp_supplement")
    report = babyeval.compare(tmp_path, "a", "b")
    blimp, supplement = report.rows
    assert supplement.p_adjusted > 0.05
    (said,) = report.paragraphs
    assert "a is better than b on blimp (+" in said
    assert "no difference between a and b was found on blimp_supplement" in said
    assert f"found with 80% power (unadjusted 5% level): blimp_supplement {supplement.mde:.2f} points" in said
    assert "t over subset means (unit subsets" in said
    assert "Holm-adjusted over the family of 2 tests (2 scores x 1 pair)" in said
    assert "80% power" not in blimp.sentence
    assert f"at least {supplement.mde:.2f} points" in supplement.sentence


def test_models_that_are_the_same_are_told(tmp_path) -> None:
    for name in "ab":
        ranking(tmp_path, name, draws(1, 12, 10, 0.5), of={"weights": "w"})
    assert "a and b have the same weights" in babyeval.compare(tmp_path).warnings


def test_the_report_as_a_table(tmp_path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        ranking(tmp_path, name, draws(seed, 12, 10, 0.5))
    frame = babyeval.compare(tmp_path).to_frame()
    assert list(frame.columns) == list(ComparisonRow.model_fields)
    assert len(frame) == 1


def test_spreads_are_those_of_the_items(tmp_path) -> None:
    """The more items disagree, the wider the interval, at the same difference."""
    base = {f"s{g}": [1.0, 0.0, 1.0, 0.0, 0.0, 0.0] for g in range(5)}
    calm = {f"s{g}": [0.0, 0.0, 1.0, 0.0, 0.0, 0.0] for g in range(5)}
    wild = {f"s{g}": [0.0, 1.0, 0.0, 0.0, 0.0, 0.0] for g in range(5)}
    for name, credits in (("base", base), ("calm", calm), ("wild", wild)):
        ranking(tmp_path, name, credits, task="blimp_supplement")
    rows = [only(tmp_path, "base", other) for other in ("calm", "wild")]
    assert rows[0].difference == pytest.approx(rows[1].difference)
    widths = [row.ci_high - row.ci_low for row in rows]
    assert all(x < y for x, y in pairwise(widths))
    assert stdev(widths) > 0


@pytest.mark.parametrize("task", ["blimp", "blimp_supplement", "global_piqa_parallel"])  # 12 subsets, 5, and none
@pytest.mark.parametrize("higher", [True, False])
def test_wins_are_counted_where_the_first_is_better(tmp_path, task, higher) -> None:
    subsets = {"blimp": 12, "blimp_supplement": 5, "global_piqa_parallel": 1}[task]
    drawn = [draws(seed, subsets, 60, 0.6) for seed in (1, 2)]
    store, records = ResultStore(tmp_path), []
    for name, credits in zip("ab", drawn, strict=True):
        made = ranking(tmp_path, name, credits, task=task)
        records.append(made.model_copy(update={"task": made.task.model_copy(update={"higher_is_better": higher})}))
        store.write(records[-1], None)
    pairs = [(fmean(drawn[0][s]), fmean(drawn[1][s])) for s in drawn[0]]
    pairs = pairs if subsets > 1 else list(zip(*(one["s0"] for one in drawn), strict=True))
    above, below = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    assert above != below
    expected = (above, below, len(pairs) - above - below) if higher else (below, above, len(pairs) - above - below)
    row = only(tmp_path, "a", "b")
    assert (row.wins, row.losses, row.ties) == expected
    (many,) = Many(store).compare(*records)
    assert many.counts == expected
    assert (row.difference > 0) is (sum(a - b for a, b in pairs) > 0)  # a difference keeps its direction
