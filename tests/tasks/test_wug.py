"""WUG adjectives and past tense: two forms, a rating, and a correlation that may be undefined (protocol.md, 3.5; D31)."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lines import answered, assert_refused, decoded, outcomes, scores, source, without
from scipy.stats import spearmanr

from babyeval.data.lookup import find_data
from babyeval.errors import ModelError
from babyeval.rating import official_share
from babyeval.registry import get_task
from babyeval.types import Item, Span

TASKS = {"wug_adj": "wug_adj_nominalization", "wug_past": "wug_past_tense"}
LINE = {"sentences": "The quality of being florbic: florbicity\tThe quality of being florbic: florbicness", "ratio": 0.25}


@pytest.mark.parametrize(("task", "uid"), TASKS.items())
def test_both_forms_are_scored_whole(task, uid):
    item = decoded(task, LINE)
    assert item.spans == tuple(Span(sentence) for sentence in LINE["sentences"].split("\t"))
    assert (item.subset, item.gold, item.meta) == (uid, 0.25, {})


def test_only_equal_lines_are_one_cluster(tmp_path):
    items = get_task("wug_adj").items(source(tmp_path, some_file=[LINE, {**LINE, "ratio": 0.5}, LINE]))
    assert items[0].cluster == items[2].cluster != items[1].cluster
    assert len({item.id for item in items}) == 3


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("field", LINE)
def test_a_line_without_a_field_is_named(task, field, tmp_path):
    assert_refused(task, tmp_path, [LINE, without(LINE, field)], 2, f"'{field}' is missing")


@pytest.mark.parametrize("ratio", ["0.5", None, True, math.nan, math.inf, [0.5], pytest.param(10**400, id="huge")])
def test_a_ratio_that_is_no_number_is_named(ratio, tmp_path):
    assert_refused("wug_adj", tmp_path, [LINE, {**LINE, "ratio": ratio}], 2, "is no number")


@pytest.mark.parametrize("sentences", ["one form alone", "a\tb\tc", "a\t", "\tb"])
def test_there_are_two_forms(sentences, tmp_path):
    assert_refused("wug_past", tmp_path, [{**LINE, "sentences": sentences}], 1, "forms, not two, or an empty one")


@given(st.floats(-400, 0, width=32), st.floats(-400, 0, width=32))
def test_the_official_share_is_a_float32_softmax(first, second):
    expected = torch.softmax(torch.tensor([first, second], dtype=torch.float32), 0)[0].item()
    assert official_share(first, second) == pytest.approx(expected, abs=2**-24, rel=1e-6)


@pytest.mark.parametrize("margin", [17.5, 18.0, 25.0, 100.0])
@pytest.mark.parametrize("base", [-3.0, -60.0, -300.0])
def test_large_margins_saturate_and_tie(margin, base):
    """All of these are 1 to torch as well, so that the official ranking cannot tell them apart."""
    assert torch.softmax(torch.tensor([base, base - margin]), 0)[0].item() == 1.0
    assert official_share(base, base - margin) == 1.0


@pytest.mark.parametrize("margin", [0.5, 5.0, 10.0, 15.0, 16.0])
def test_margins_below_do_not(margin):
    assert torch.softmax(torch.tensor([-3.0, -3.0 - margin]), 0)[0].item() == pytest.approx(official_share(-3.0, -3.0 - margin))
    assert official_share(-3.0, -3.0 - margin) < 1.0


@pytest.mark.parametrize(("first", "second"), [(math.nan, -1.0), (-1.0, math.nan), (-math.inf, -math.inf)])
def test_what_has_no_softmax_has_no_share(first, second):
    assert math.isnan(torch.softmax(torch.tensor([first, second]), 0)[0].item())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(official_share(first, second))


def test_minus_infinity_alone_is_sure():
    assert (official_share(-math.inf, -5.0), official_share(-5.0, -math.inf)) == (0.0, 1.0)


def rated(*ratings: float) -> list[Item]:
    return [decoded("wug_adj", {**LINE, "sentences": f"x{n}\ty{n}", "ratio": rating}) for n, rating in enumerate(ratings)]


def test_values_are_log_odds_or_shares():
    item, rows = decoded("wug_adj", LINE), answered((-1.0, -2.0), (-5.0, -0.5))
    (robust,), (official,) = (outcomes("wug_adj", [item], [rows], name) for name in ("robust", "babylm-2025"))
    assert (robust.value, robust.raw, robust.prediction, robust.tied) == (2.5, (-3.0, -5.5), 0, 1)
    assert official.value == pytest.approx(1 / (1 + math.exp(-2.5)))
    assert (official.raw, official.prediction) == ((-3.0, -5.5), 0)


@pytest.mark.parametrize("protocol", ["robust", "babylm-2025"])
def test_the_score_is_spearmans_correlation(protocol):
    rng = np.random.default_rng(5)
    ratings, margins = rng.random(40), rng.normal(0, 3, 40)
    rows = [answered(-20.0 + m, -20.0) for m in margins]
    (head,) = scores("wug_adj", rated(*ratings), rows, protocol).values()
    assert head.value == pytest.approx(spearmanr(margins, ratings).statistic)
    assert (head.metric, head.unit, head.chance, head.n, head.estimator) == ("spearman_rho", "correlation", 0.0, 40, "micro")
    assert head.ci_low < head.value < head.ci_high
    assert head.note is None


def test_saturated_shares_tie_in_the_official_correlation_only():
    """Ranks by hand: people 1 2 3 4; log-odds 1 2 3 4; shares 1, then three equal ones of rank 3."""
    items = rated(0.1, 0.2, 0.3, 0.4)
    rows = [answered(-1.0, -1.0 - margin) for margin in (1.0, 20.0, 30.0, 40.0)]
    assert scores("wug_adj", items, rows, "robust")["spearman_rho", "", ""].value == pytest.approx(1)
    official = scores("wug_adj", items, rows, "babylm-2025")["spearman_rho", "", ""].value
    # Pearson of (1, 3, 3, 3) and (1, 2, 3, 4): covariance 3, variances 3 and 5.
    assert official == pytest.approx(3 / math.sqrt(3 * 5))


@pytest.mark.parametrize("protocol", ["robust", "babylm-2025"])
def test_a_constant_model_has_no_correlation(protocol):
    """D31: null with a reason, never 0."""
    (head,) = scores("wug_adj", rated(0.1, 0.5, 0.3, 0.9, 0.2), [answered(-7.0, -9.0)] * 5, protocol).values()
    assert (head.value, head.se, head.ci_low, head.ci_high) == (None, None, None, None)
    assert "model's values are equal" in head.note


def test_equal_ratings_have_no_correlation():
    rows = [answered(-1.0 * n, -3.0) for n in range(1, 6)]
    (head,) = scores("wug_past", rated(*[0.5] * 5), rows, "robust").values()
    assert head.value is None
    assert "human values are equal" in head.note


def test_nan_is_refused_or_leaves_no_correlation():
    items, rows = rated(0.1, 0.2, 0.3, 0.4), [answered(-1.0, -2.0), answered(-1.0, math.nan), *[answered(-3.0, -2.0)] * 2]
    with pytest.raises(ModelError, match="NaN"):
        outcomes("wug_adj", items, rows, "robust")
    found = outcomes("wug_adj", items, rows, "babylm-2025")
    assert [outcome.nan for outcome in found] == [False, True, False, False]
    (head,) = scores("wug_adj", items, rows, "babylm-2025").values()
    assert (head.value, head.note) == (None, "a value is not finite")


def test_they_are_no_part_of_2026():
    assert {get_task(name).card.protocols for name in TASKS} == {("robust", "babylm-2025")}
    assert not any(get_task(name).decides for name in TASKS), "a value is never rounded"


def test_the_official_adjectives_are_two_hundred(shared):
    task = get_task("wug_adj")
    items = task.items(find_data(task.card, task.home, "full", shared / "evaluation_data"))
    assert len(items) == len({item.id for item in items}) == 200
    assert all(len(item.spans) == 2 and 0 <= item.gold <= 1 for item in items)
    assert {item.subset for item in items} == {"wug_adj_nominalization"}
