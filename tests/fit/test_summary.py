"""Scores over seeds: the mean and never the best, with what a reader of it must know."""

from __future__ import annotations

import random
from statistics import fmean, stdev

import pytest
from scipy.stats import norm, t
from sklearn.metrics import f1_score, matthews_corrcoef
from statsmodels.stats.proportion import proportion_confint

from babyeval.fit.summary import Predicted, fit_scores
from babyeval.fit.task import FitTask
from babyeval.registry import get_task

N = 90


def answers(seeds, right=0.7, n=N, labels=2, share=0.5):
    """Right labels, and what seeds say."""
    draw = random.Random(1)  # noqa: S311 - no secret
    gold = [int(draw.random() < share) if labels == 2 else draw.randrange(labels) for _ in range(n)]
    said = {seed: [g if draw.random() < right else (g + 1) % labels for g in gold] for seed in seeds}
    return gold, said


def made(task, gold, said, diverged=(), clusters=None, remarks=()):
    scores, mde = fit_scores(
        get_task(task), Predicted(gold, clusters or [str(i) for i in range(len(gold))], said, diverged), remarks
    )
    return {(score.metric, score.group, score.subset): score for score in scores}, scores, mde


def accuracy(gold, said):
    return 100 * fmean(g == s for g, s in zip(gold, said, strict=True))


def test_headline_is_the_mean_of_all_seeds():
    gold, said = answers(range(1, 6))
    scores, ordered, _ = made("rte", gold, said)
    values = [accuracy(gold, labels) for labels in said.values()]
    headline = ordered[0]
    assert (headline.metric, headline.group, headline.n, headline.chance) == ("accuracy", "", N, 50)
    assert headline.value == pytest.approx(fmean(values))
    assert headline.value < max(values)
    assert [scores["accuracy", "seed", str(k)].value for k in range(1, 6)] == pytest.approx(values)
    assert scores["sd", "seeds", ""].value == pytest.approx(stdev(values))
    assert scores["min", "seeds", ""].value == pytest.approx(min(values))
    assert scores["majority", "seeds", ""].value == pytest.approx(100 * max(gold.count(0), gold.count(1)) / N)
    assert headline.se_method == "wilson, seeds and items"
    over_seeds = scores["accuracy", "covers", "seeds"]
    assert over_seeds.se == pytest.approx(stdev(values) / 5**0.5)
    assert "seeds" in over_seeds.se_method
    over_items = scores["accuracy", "covers", "items"]
    expected = proportion_confint(headline.value / 100 * N, N, method="wilson")
    assert (over_items.ci_low, over_items.ci_high) == pytest.approx([100 * end for end in expected])
    assert len(scores) == len(ordered)


def test_headline_of_mrpc_is_f1_and_other_metrics_stand_beside_it():
    gold, said = answers((1, 2, 3), share=0.66)
    scores, ordered, _ = made("mrpc", gold, said)
    assert ordered[0].metric == "f1"
    assert ordered[0].value == pytest.approx(fmean(100 * f1_score(gold, labels) for labels in said.values()))
    assert ordered[0].ci_low < ordered[0].value < ordered[0].ci_high
    mcc = scores["mcc", "", ""]
    assert (mcc.unit, mcc.chance) == ("correlation", 0)
    assert mcc.value == pytest.approx(fmean(matthews_corrcoef(gold, labels) for labels in said.values()))
    assert scores["accuracy", "", ""].value == pytest.approx(fmean(accuracy(gold, labels) for labels in said.values()))


def test_one_seed_has_wilsons_interval_over_items_and_no_spread():
    gold, said = answers((42,))
    scores, ordered, _ = made("rte", gold, said)
    right = sum(g == s for g, s in zip(gold, said[42], strict=True))
    expected = proportion_confint(right, N, method="wilson")
    assert (ordered[0].ci_low, ordered[0].ci_high) == pytest.approx([100 * end for end in expected])
    assert "one seed shows no spread over seeds: the interval covers items alone" in ordered[0].note
    assert scores["sd", "seeds", ""].value is None
    assert ("accuracy", "covers", "seeds") not in scores


@pytest.mark.parametrize(("seeds", "flagged"), [((1, 2), True), ((1, 2, 3), False)])
def test_fewer_than_three_seeds_are_flagged(seeds, flagged):
    _, ordered, _ = made("rte", *answers(seeds))
    assert ("take at least 3" in ordered[0].note) == flagged


def test_diverged_seeds_are_counted_and_left_out():
    gold, said = answers((1, 3))
    scores, ordered, _ = made("rte", gold, said, diverged=(2,))
    assert scores["diverged", "seeds", ""].value == 1
    assert "1 of 3 seeds diverged and are left out" in ordered[0].note
    assert ordered[0].value == pytest.approx(fmean(accuracy(gold, labels) for labels in said.values()))


def test_constant_classifier_is_named_with_what_it_can_reach():
    gold = [0] * 32 + [1] * 20
    scores, ordered, _ = made("wsc", gold, {42: [0] * 52})
    assert ordered[0].value == pytest.approx(61.538, abs=1e-3)
    assert "constant: one label for all rows in 1 of 1 seeds (the most frequent label has 61.54% of them)" in ordered[0].note
    assert scores["constant", "seeds", ""].value == 1
    assert scores["mcc", "", ""].value == 0
    assert scores["f1", "", ""].value == 0


def test_each_fit_says_what_its_size_cannot_tell_apart():
    for n in (40, 1000):
        scores, ordered, mde = made("rte", *answers((1, 2, 3), n=n))
        headline = ordered[0]
        normal = 2.801585 * 2**0.5 * headline.se
        assert normal * (1 - 1e-6) <= mde < 1.4 * normal  # few degrees of freedom ask for more
        assert f"{n:,} items and 3 seeds cannot separate models that are closer than {mde:.1f} points" in headline.note
        assert scores["mde", "seeds", ""].value == mde


def test_items_of_one_passage_are_one_cluster():
    gold, said = answers((1, 2, 3))
    _, apart, _ = made("multirc", gold, said)
    twice = {seed: [label for label in labels for _ in (0, 1)] for seed, labels in said.items()}
    clusters = [str(i) for i in range(N) for _ in (0, 1)]
    _, together, _ = made("multirc", [g for g in gold for _ in (0, 1)], twice, clusters=clusters)
    assert (together[0].n, together[0].n_clusters) == (2 * N, N)
    assert (together[0].ci_low, together[0].ci_high) == pytest.approx((apart[0].ci_low, apart[0].ci_high))


def test_one_seed_of_clustered_items_has_wilsons_interval_of_what_they_are_worth():
    """Every item twice is worth half of them: Wilson's interval of so many, with the quantile of a t."""
    gold, said = answers((42,))
    twice = {42: [label for label in said[42] for _ in (0, 1)]}
    clusters = [str(i) for i in range(N) for _ in (0, 1)]
    _, (headline, *_), _ = made("multirc", [g for g in gold for _ in (0, 1)], twice, clusters=clusters)
    share, level = accuracy(gold, said[42]) / 100, 2 * norm.sf(t.ppf(0.975, N - 1))
    expected = proportion_confint(share * (N - 1), N - 1, alpha=level, method="wilson")  # N - 1: the variance is unbiased
    assert (headline.ci_low, headline.ci_high) == pytest.approx([100 * end for end in expected])
    assert headline.se_method == "wilson, items"


@pytest.mark.parametrize("seeds", [(42,), (1, 2, 3)])
def test_nothing_but_right_answers_are_worth_their_clusters(seeds):
    gold = [0, 1] * 60
    _, (headline, *_), _ = made("rte", gold, dict.fromkeys(seeds, gold), clusters=[str(i // 4) for i in range(120)])
    level = 2 * norm.sf(t.ppf(0.975, 29))
    low, _ = proportion_confint(30, 30, alpha=level, method="wilson")
    assert (headline.value, headline.ci_low, headline.ci_high) == (100, pytest.approx(100 * low), 100)


@pytest.mark.parametrize("task", ["mrpc", "qqp"])
@pytest.mark.parametrize("share", [0.5, 0.68])
def test_chance_of_f1_is_that_of_the_reported_labels(task, share):
    gold = [int(i < 100 * share) for i in range(100)]
    _, ordered, _ = made(task, gold, {1: gold, 2: gold[::-1]})
    chances = [score.chance for score in ordered if score.metric == "f1"]
    assert chances == pytest.approx([100 * share / (share + 0.5)] * len(chances))


def test_chance_of_a_metric_that_nobody_guesses_is_the_cards(monkeypatch):
    monkeypatch.setattr(FitTask, "guessed", lambda *_: None)
    _, ordered, _ = made("rte", *answers((1, 2, 3)))
    assert [score.chance for score in ordered if score.group == ""] == [50, None, None]


def test_undefined_metric_is_null_with_a_reason():
    _, ordered, mde = made("mrpc", [0] * 8, {1: [0] * 8, 2: [0] * 8, 3: [1] + [0] * 7})
    assert (ordered[0].value, ordered[0].ci_low, mde) == (None, None, None)
    assert "undefined for 2 of 3 seeds" in ordered[0].note


def test_remarks_join_the_headlines_note():
    _, ordered, _ = made("rte", *answers((1, 2, 3)), remarks=["chosen on the reported file"])
    assert ordered[0].note.endswith("; chosen on the reported file")
    assert [score.note for score in ordered[1:3]] == [None, None]
