"""Decision rules: what ties, NaN and infinities are worth under each protocol (protocol.md, section 1; D1, D2, D3)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyeval.decide import Choice, choose, margin
from babyeval.protocols import PROTOCOLS

NAN, INF = math.nan, math.inf
ROBUST, OFFICIAL_2025, OFFICIAL_2026 = (PROTOCOLS[name] for name in ("robust", "babylm-2025", "babylm-2026"))
# Few values, so that ties are common.
SCORES = st.lists(st.sampled_from([-3.0, -2.5, -1.0, -INF, 0.0]), min_size=2, max_size=5)
WITH_NAN = st.lists(st.sampled_from([-3.0, -1.0, -INF, NAN]), min_size=2, max_size=5)


@given(SCORES)
@pytest.mark.parametrize("protocol", [ROBUST, OFFICIAL_2026])
def test_where_ties_share_the_credits_of_all_possible_golds_sum_to_one(protocol, scores):
    assert sum(choose(scores, gold, protocol).credit for gold in range(len(scores))) == pytest.approx(1)


@given(WITH_NAN)
def test_nan_is_never_worth_more_than_one_item(scores):
    for protocol in PROTOCOLS.values():
        assert sum(choose(scores, gold, protocol).credit for gold in range(len(scores))) == pytest.approx(1)


@given(WITH_NAN, st.integers(0, 4))
def test_2025_chooses_what_the_official_code_chooses(scores, gold):
    """The official code takes the maximum of a tensor: the first of equals, and NaN before everything."""
    gold %= len(scores)
    official = int(np.argmax(scores))  # numpy's rule is the same one
    choice = choose(scores, gold, OFFICIAL_2025)
    assert choice.prediction == official
    assert choice.credit == float(official == gold)


@given(WITH_NAN, st.integers(0, 4))
def test_2026_gives_the_expectation_of_the_official_random_draw(scores, gold):
    gold %= len(scores)
    lowered = [-INF if math.isnan(score) else score for score in scores]
    winners = [i for i, score in enumerate(lowered) if score == max(lowered)]
    draws = [float(winner == gold) for winner in winners]
    assert choose(scores, gold, OFFICIAL_2026).credit == pytest.approx(sum(draws) / len(draws))


@given(SCORES, st.integers(0, 4))
def test_without_ties_and_nan_all_protocols_agree(scores, gold):
    gold %= len(scores)
    if scores.count(max(scores)) == 1:
        choices = {choose(scores, gold, protocol) for protocol in PROTOCOLS.values()}
        assert choices == {Choice(float(scores[gold] == max(scores)), scores.index(max(scores)), 1, False)}


@pytest.mark.parametrize(
    ("scores", "robust", "first", "tied"),
    [
        ([-1.0, -1.0], 0.5, 1.0, 2),
        ([-1.0, -1.0, -1.0], 1 / 3, 1.0, 3),
        ([-1.0, -1.0, -2.0], 0.5, 1.0, 2),
        ([-2.0, -1.0, -1.0], 0.0, 0.0, 2),
        ([-INF, -INF], 0.5, 1.0, 2),
        ([-1.0, -1.0 - 1e-12], 1.0, 1.0, 1),
    ],
)
def test_ties_are_counted_and_shared_or_given_to_the_first(scores, robust, first, tied):
    assert choose(scores, 0, ROBUST).credit == robust
    assert choose(scores, 0, OFFICIAL_2025).credit == first
    assert {choose(scores, 0, protocol).tied for protocol in PROTOCOLS.values()} == {tied}


@pytest.mark.parametrize("scores", [[NAN, -1.0], [-1.0, NAN], [NAN, NAN]])
def test_nan_is_always_noticed(scores):
    assert all(choose(scores, 0, protocol).nan for protocol in PROTOCOLS.values())


def test_nan_wins_in_2025_and_loses_in_2026():
    assert choose([NAN, -1.0], 0, OFFICIAL_2025).credit == 1.0
    assert choose([-1.0, NAN], 0, OFFICIAL_2025).credit == 0.0
    assert choose([NAN, -1.0], 0, OFFICIAL_2026).credit == 0.0
    assert choose([-1.0, NAN], 0, OFFICIAL_2026).credit == 1.0
    assert choose([NAN, NAN], 0, OFFICIAL_2026).credit == 0.5


@given(SCORES.filter(lambda scores: all(map(math.isfinite, scores))), st.integers(0, 4))
def test_the_margins_sign_is_the_decision(scores, gold):
    gold %= len(scores)
    distance = margin(scores, gold)
    assert distance == scores[gold] - max(scores[:gold] + scores[gold + 1 :])
    credit = choose(scores, gold, ROBUST).credit
    assert (distance > 0, distance == 0, distance < 0) == (credit == 1, 0 < credit < 1, credit == 0)


def test_the_gold_candidate_may_stand_anywhere():
    assert [choose([-3.0, -1.0, -2.0], gold, ROBUST).credit for gold in range(3)] == [0.0, 1.0, 0.0]
    assert choose([-3.0, -1.0, -2.0], 2, ROBUST).prediction == 1


# Where ties share the credit, one of the tied candidates is named in submissions: the same one in every run (D3).


def test_the_named_candidate_depends_on_the_item_alone():
    scores = [-2.0, -1.0, -1.0, -1.0]
    named = [choose(scores, 0, ROBUST, f"item {n}").prediction for n in range(300)]
    assert named == [choose(scores, 3, OFFICIAL_2026, f"item {n}").prediction for n in range(300)]
    counts = np.bincount(named, minlength=4)
    assert counts[0] == 0, "a loser is never named"
    assert (np.abs(counts[1:] - 100) < 40).all(), "the others about equally often"


def test_the_named_candidate_is_the_same_in_another_process():
    """Python's own hash would differ; these were drawn once."""
    assert [choose([-1.0, -1.0], 0, ROBUST, name).prediction for name in ("", "a", "b", "c", "d", "e", "f", "g")] == [
        0,
        1,
        1,
        1,
        1,
        1,
        1,
        0,
    ]


@given(SCORES, st.text(max_size=5))
def test_the_name_of_an_item_changes_no_credit(scores, name):
    for protocol in PROTOCOLS.values():
        plain, named = choose(scores, 0, protocol), choose(scores, 0, protocol, name)
        assert (plain.credit, plain.tied, plain.nan) == (named.credit, named.tied, named.nan)
        assert scores[named.prediction] == max(scores)


def test_2025_names_the_first():
    assert {choose([-2.0, -1.0, -1.0], 0, OFFICIAL_2025, f"item {n}").prediction for n in range(20)} == {1}
