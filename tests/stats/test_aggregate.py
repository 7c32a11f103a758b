"""From credits to scores: the headline over strata, every group's values, and the fields that explain them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t
from statsmodels.stats.proportion import proportion_confint

import babyeval
from babyeval.card import TaskCard, load_card
from babyeval.stats.aggregate import accuracy_scores, group_value
from babyeval.types import Item, Outcome, Span

SPANS = (Span("a"), Span("b"))


@pytest.fixture(scope="module")
def card() -> TaskCard:
    import babyeval.tasks.blimp.task as module

    return load_card(Path(module.__file__).parent / "card.toml")


def material(sizes: dict[str, int], seed: int = 0) -> tuple[list[Item], list[Outcome]]:
    rng = np.random.default_rng(seed)
    items, outcomes = [], []
    for n, (subset, size) in enumerate(sizes.items()):
        meta = {"field": "syntax" if n % 2 else "morphology", "linguistics_term": f"term{n % 3}"}
        for i in range(size):
            items.append(Item(f"{subset}-{i}", subset, f"{subset}-{i}", SPANS, 0, meta))
            outcomes.append(Outcome(items[-1].id, float(rng.integers(0, 2)), (-1.0, -2.0), 0))
    return items, outcomes


def test_the_headline_is_the_unweighted_mean_of_the_subsets(card):
    sizes = {"small": 4, "large": 40, "middle": 12}
    items, outcomes = material(sizes)
    head = accuracy_scores(card, items, outcomes)[0]
    credits = [[o.value for i, o in zip(items, outcomes, strict=True) if i.subset == name] for name in sizes]
    assert head.value == pytest.approx(100 * np.mean([np.mean(part) for part in credits]))
    p, n = np.array([np.mean(part) for part in credits]), np.array([len(part) for part in credits])
    assert head.se == pytest.approx(100 * math.sqrt((p * (1 - p) / (n - 1)).sum()) / 3)
    shares = p * (1 - p) / (n - 1)
    half = t.ppf(0.975, shares.sum() ** 2 / (shares**2 / (n - 1)).sum()) * head.se
    assert (head.ci_low, head.ci_high) == pytest.approx((head.value - half, head.value + half))
    assert (head.group, head.subset, head.estimator, head.se_method) == ("", "", "macro", "stratified")
    assert (head.metric, head.unit, head.chance, head.n, head.n_clusters) == ("accuracy", "percent", 50.0, 56, 56)


def test_each_group_reports_the_mean_over_its_items_with_wilsons_interval(card):
    items, outcomes = material({"a": 8, "b": 30, "c": 5, "d": 3})
    scores = accuracy_scores(card, items, outcomes)
    by_key = {(score.group, score.subset): score for score in scores[1:]}
    expected = {("uid", name) for name in "abcd"} | {("field", "syntax"), ("field", "morphology")}
    assert set(by_key) == expected | {("linguistics_term", f"term{n}") for n in range(3)}
    for (key, value), score in by_key.items():
        credits = [o.value for i, o in zip(items, outcomes, strict=True) if group_value(i, key) == value]
        assert score.value == pytest.approx(100 * np.mean(credits))
        low, high = proportion_confint(sum(credits), len(credits), method="wilson")
        assert (score.ci_low, score.ci_high) == pytest.approx((100 * low, 100 * high))
        assert (score.n, score.estimator, score.se_method) == (len(credits), "micro", "wilson")


def test_a_score_is_found_by_metric_group_and_subset(card):
    scores = accuracy_scores(card, *material({"a": 8, "b": 30}))
    assert len({(score.metric, score.group, score.subset) for score in scores}) == len(scores)


def test_one_subset_alone_is_a_proportion(card):
    items, outcomes = material({"only": 20})
    head, *others = accuracy_scores(card, items, outcomes)
    assert (head.estimator, head.se_method, head.group) == ("micro", "wilson", "")
    assert head.value == pytest.approx(next(score.value for score in others if score.group == "uid"))


def test_strata_other_than_the_uid_are_averaged_and_reported(card):
    items, outcomes = material({"a": 10, "b": 10, "c": 40})
    scores = accuracy_scores(card.model_copy(update={"strata": "field", "report": ()}), items, outcomes)
    fields = {score.subset: score.value for score in scores if score.group == "field"}
    assert scores[0].value == pytest.approx(np.mean(list(fields.values())))
    assert {score.group for score in scores} == {"", "field", "uid"}


def test_dependent_items_widen_the_error(card):
    """D33: pairs made from one template are one cluster."""
    items, outcomes = material({"a": 20, "b": 20})
    outcomes = [Outcome(o.item_id, outcomes[i - i % 4].value, o.raw, 0) for i, o in enumerate(outcomes)]
    joined = [Item(i.id, i.subset, f"{i.subset}-{n // 4}", i.spans, 0, i.meta) for n, i in enumerate(items)]
    alone, together = (accuracy_scores(card, these, outcomes)[0] for these in (items, joined))
    assert alone.value == together.value
    assert together.se > 1.8 * alone.se
    assert (alone.n_clusters, together.n_clusters) == (40, 10)


def test_what_is_undefined_is_null_with_a_reason(card):
    items, outcomes = material({"a": 3, "b": 1})
    head = accuracy_scores(card, items, outcomes)[0]
    assert head.value is not None
    assert (head.se, head.ci_low, head.ci_high) == (None, None, None)
    assert "fewer than two" in head.note


def test_a_perfect_subset_has_an_interval_and_no_zero_error(card):
    items, outcomes = material({"a": 30, "b": 30})
    outcomes = [Outcome(o.item_id, 1.0 if i.subset == "a" else o.value, o.raw, 0) for i, o in zip(items, outcomes, strict=True)]
    score = next(s for s in accuracy_scores(card, items, outcomes) if (s.group, s.subset) == ("uid", "a"))
    assert (score.value, score.se) == (100.0, None)
    assert score.ci_low < 90 <= score.ci_high <= 100
    assert score.note


def with_variants(outcomes: list[Outcome]) -> list[Outcome]:
    """One variant turns every credit round, the other leaves out each third item."""
    return [
        Outcome(o.item_id, o.value, o.raw, 0, variants={"turned": 1 - o.value, "some": None if i % 3 == 0 else o.value})
        for i, o in enumerate(outcomes)
    ]


def test_variants_are_metrics_with_the_same_groups(card):
    items, outcomes = material({"a": 9, "b": 30, "c": 6})
    scores = accuracy_scores(card, items, with_variants(outcomes), {"turned": 25.0, "some": None})
    assert len({(score.metric, score.group, score.subset) for score in scores}) == len(scores)
    keys = {metric: [(s.group, s.subset) for s in scores if s.metric == metric] for metric in ("accuracy", "turned", "some")}
    assert keys["accuracy"] == keys["turned"] == keys["some"]
    assert len(keys["accuracy"]) * 3 == len(scores)
    assert (scores[0].metric, scores[0].group) == ("accuracy", ""), "the headline stays the first"
    values = {(s.metric, s.group, s.subset): s.value for s in scores}
    for group, subset in keys["accuracy"]:
        assert values["turned", group, subset] == pytest.approx(100 - values["accuracy", group, subset])
    assert {s.metric: s.chance for s in scores} == {"accuracy": 50.0, "turned": 25.0, "some": 50.0}


def test_items_that_a_variant_does_not_apply_to_are_left_out(card):
    items, outcomes = material({"a": 9, "b": 30, "c": 6})
    scores = accuracy_scores(card, items, with_variants(outcomes))
    found = {(s.group, s.subset): s for s in scores if s.metric == "some"}
    kept = [(i, o) for n, (i, o) in enumerate(zip(items, outcomes, strict=True)) if n % 3]
    assert (found["", ""].n, len(kept)) == (30, 30)
    means = [np.mean([o.value for i, o in kept if i.subset == name]) for name in "abc"]
    assert found["", ""].value == pytest.approx(100 * np.mean(means))
    assert [found["uid", name].value for name in "abc"] == pytest.approx([100 * mean for mean in means])
    assert [found["uid", name].n for name in "abc"] == [6, 20, 4]


def test_a_variant_that_applies_to_nothing_is_null_with_a_reason(card):
    items, outcomes = material({"a": 4, "b": 4})
    outcomes = [Outcome(o.item_id, o.value, o.raw, 0, variants={"never": None}) for o in outcomes]
    (score,) = [s for s in accuracy_scores(card, items, outcomes) if s.metric == "never"]
    assert (score.value, score.n, score.group, score.note) == (None, 0, "", "no items")


def test_a_nested_headline_is_the_mean_of_means_of_means(card):
    """Field a holds two subsets, field b three; neither sizes nor numbers of subsets weigh anything."""
    nested = card.model_copy(update={"strata": "field", "within": "uid", "report": ()})
    sizes = {("a", "u"): 4, ("a", "v"): 40, ("b", "w"): 7, ("b", "x"): 3, ("b", "y"): 16}
    rng = np.random.default_rng(2)
    items, outcomes, cells = [], [], {}
    for (field, subset), size in sizes.items():
        credits = rng.integers(0, 2, size).astype(float)
        cells[field, subset] = credits.mean()
        for i, credit in enumerate(credits):
            items.append(Item(f"{subset}{i}", subset, f"{subset}{i}", SPANS, 0, {"field": field}))
            outcomes.append(Outcome(items[-1].id, credit, (-1.0, -2.0), 0))
    scores = accuracy_scores(nested, items, outcomes)
    by_field = {field: np.mean([mean for (f, _), mean in cells.items() if f == field]) for field in "ab"}
    found = {(s.group, s.subset): s for s in scores}
    assert scores[0].value == pytest.approx(100 * np.mean(list(by_field.values())))
    assert abs(scores[0].value - 100 * np.mean(list(cells.values()))) > 0.5, "else nesting says nothing"
    for field in "ab":
        assert found["field", field].value == pytest.approx(100 * by_field[field])
        assert found["field", field].estimator == "macro"
    assert found["uid", "v"].value == pytest.approx(100 * cells["a", "v"])
    variance = sum(
        (1 / 2 / (2 if field == "a" else 3)) ** 2 * mean * (1 - mean) / (sizes[field, subset] - 1)
        for (field, subset), mean in cells.items()
    )
    assert scores[0].se == pytest.approx(100 * math.sqrt(variance))


def test_the_api_gives_the_same_scores_as_a_count_over_items(tiny_folder, tmp_path):
    """From end to end on the bundled items: what the record says can be counted from its table."""
    import pandas as pd

    (result,) = babyeval.evaluate(tiny_folder("gpt2", "bos"), ["blimp"], split="mini", out=tmp_path)
    (path,) = tmp_path.glob("**/items.parquet")
    table = pd.read_parquet(path)
    assert result.headline.value == pytest.approx(100 * table.groupby("subset").value.mean().mean())
    for score in result.scores[1:]:
        column = "subset" if score.group == "uid" else score.group
        assert score.value == pytest.approx(100 * table[table[column] == score.subset].value.mean())
