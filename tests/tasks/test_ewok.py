"""EWoK: four questions of one line, three criteria over them, and twins that are one cluster (protocol.md, 3.3; D6)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lines import answered, assert_refused, decoded, outcomes, scores, source, without

from babyeval.errors import ModelError
from babyeval.protocols import PROTOCOLS
from babyeval.registry import get_task
from babyeval.types import Span

LINE = {
    "Domain": "spatial-relations",
    "Context1": "The lamp hangs over the desk.",
    "Context2": "The lamp lies under the desk.",
    "Target1": "The desk is below the lamp.",
    "Target2": "The desk is above the lamp.",
    "ContextType": "direct",
    "ContextDiff": "antonym",
    "TargetDiff": "concept swap",
}
TWIN = {
    **LINE,
    **{f"{name}{n}": LINE[f"{name}{3 - n}"] for name in ("Context", "Target") for n in (1, 2)},
}
# log p(T1|C1), log p(T2|C1), log p(T1|C2), log p(T2|C2); few values, so that ties are common.
FOUR = st.tuples(*[st.sampled_from([-9.0, -4.0, -3.0, -1.0, -math.inf])] * 4)


def test_both_targets_are_asked_after_both_contexts():
    item = decoded("ewok", LINE)
    c1, c2, t1, t2 = (LINE[key] for key in ("Context1", "Context2", "Target1", "Target2"))
    assert item.spans == tuple(Span(f"{c} {t}", len(c)) for c, t in ((c1, t1), (c1, t2), (c2, t1), (c2, t2)))
    assert [span.text[span.start :] for span in item.spans] == [f" {t}" for t in (t1, t2, t1, t2)]
    assert (item.subset, item.gold) == ("spatial-relations", 0)
    assert item.meta == {"context_type": "direct", "context_contrast": "antonym", "target_contrast": "concept swap"}


@pytest.mark.parametrize("field", LINE)
def test_a_line_without_a_field_is_named(field, tmp_path):
    assert_refused("ewok", tmp_path, [LINE, without(LINE, field)], 2, f"'{field}' is missing")


@pytest.mark.parametrize("value", ["", 7, None])
def test_a_target_that_is_no_text_is_named(value, tmp_path):
    assert_refused("ewok", tmp_path, [{**LINE, "Target2": value}], 1, "'Target2' is not a non-empty string")


def test_twins_are_one_cluster_and_two_items(tmp_path):
    other = {**LINE, "Target1": "The lamp is above the desk."}
    elsewhere = {**LINE, "Domain": "physical-relations"}
    one, twin, another, far = get_task("ewok").items(source(tmp_path, some_file=[LINE, TWIN, other, elsewhere]))
    assert one.cluster == twin.cluster
    assert len({one.cluster, another.cluster, far.cluster}) == 3
    assert one.id != twin.id
    assert [span.text for span in twin.spans] == [one.spans[i].text for i in (3, 2, 1, 0)]


# Sums by hand: 2025 compares the first two, 2026 the first and the third.
@pytest.mark.parametrize(
    ("four", "official_2025", "official_2026", "robust", "both", "targets"),
    [
        ((-1.0, -5.0, -5.0, -1.0), 1.0, 1.0, 1.0, 1.0, 1.0),
        ((-5.0, -1.0, -1.0, -5.0), 0.0, 0.0, 0.0, 0.0, 0.0),
        ((-1.0, -2.0, -3.0, -4.0), 1.0, 1.0, 0.5, 0.0, 0.5),  # the first target is likelier, the first context kinder
        ((-4.0, -2.0, -5.0, -1.0), 0.0, 1.0, 1.0, 1.0, 0.5),  # target frequency hides what contexts show (D6)
        ((-2.0, -2.0, -3.0, -1.0), 1.0, 1.0, 1.0, 1.0, 0.75),  # a tie of targets
        ((-2.0, -3.0, -2.0, -1.0), 1.0, 0.5, 0.75, 0.5, 1.0),  # a tie of contexts
        ((-2.0, -2.0, -2.0, -2.0), 1.0, 0.5, 0.5, 0.25, 0.5),  # nothing tells them apart
    ],
)
def test_each_protocol_asks_its_own_question(four, official_2025, official_2026, robust, both, targets):
    item, rows = decoded("ewok", LINE), answered(*four)
    values = {}
    for protocol in PROTOCOLS:
        (outcome,) = outcomes("ewok", [item], [rows], protocol)
        values[protocol] = outcome.value
        assert outcome.raw == four
        variants = {"accuracy_both_targets": both, "accuracy_targets_compared": targets} if protocol == "robust" else {}
        assert dict(outcome.variants) == variants
    assert values == {"robust": robust, "babylm-2025": official_2025, "babylm-2026": official_2026}


@given(FOUR)
def test_criteria_are_those_of_an_independent_count(four):
    """p[t][c] from the definition: the right context of a target is the one of its own number."""
    p = {(t, c): four[2 * c + t] for c in (0, 1) for t in (0, 1)}

    def beats(right: float, wrong: float) -> float:
        return 0.5 if right == wrong else float(right > wrong)

    contexts = [beats(p[t, t], p[t, 1 - t]) for t in (0, 1)]
    targets = [beats(p[c, c], p[1 - c, c]) for c in (0, 1)]
    item, rows = decoded("ewok", LINE), answered(*four)
    by_protocol = {name: outcomes("ewok", [item], [rows], name)[0] for name in PROTOCOLS}
    robust = by_protocol["robust"]
    assert robust.value == sum(contexts) / 2
    assert robust.variants["accuracy_both_targets"] == contexts[0] * contexts[1]
    assert robust.variants["accuracy_targets_compared"] == sum(targets) / 2
    assert by_protocol["babylm-2025"].value == float(p[0, 0] >= p[1, 0])
    assert by_protocol["babylm-2026"].value == contexts[0]
    assert robust.tied == (2 if 0.5 in contexts else 1)


@given(FOUR)
def test_a_line_and_its_twin_together_give_2026_the_robust_credit(four):
    swapped = tuple(four[i] for i in (3, 2, 1, 0))
    item, twin = decoded("ewok", LINE), decoded("ewok", TWIN)
    both = outcomes("ewok", [item, twin], [answered(*four), answered(*swapped)], "babylm-2026")
    robust = outcomes("ewok", [item, twin], [answered(*four), answered(*swapped)], "robust")
    assert sum(o.value for o in both) / 2 == robust[0].value == robust[1].value


def test_the_prediction_is_one_of_the_candidates_compared():
    item = decoded("ewok", LINE)
    rows = answered(-5.0, -1.0, -2.0, -3.0)
    assert {name: outcomes("ewok", [item], [rows], name)[0].prediction for name in PROTOCOLS} == {
        "robust": 2,
        "babylm-2025": 1,
        "babylm-2026": 2,
    }


def test_nan_wins_loses_or_is_refused():
    """D2."""
    item, rows = decoded("ewok", LINE), answered(math.nan, -1.0, -1.0, -1.0)
    with pytest.raises(ModelError, match="NaN"):
        outcomes("ewok", [item], [rows], "robust")
    for protocol, value in (("babylm-2025", 1.0), ("babylm-2026", 0.0)):
        (outcome,) = outcomes("ewok", [item], [rows], protocol)
        assert (outcome.value, outcome.nan) == (value, True)


def test_the_headline_is_the_mean_over_domains_and_both_targets_have_a_chance_of_their_own():
    lines = [LINE, TWIN, {**LINE, "Domain": "agent-properties"}]
    items = [decoded("ewok", line) for line in lines]
    rows = [answered(-1.0, -5.0, -5.0, -1.0), answered(-1.0, -2.0, -3.0, -4.0), answered(-5.0, -1.0, -1.0, -5.0)]
    found = scores("ewok", items, rows, "robust")
    assert found["accuracy", "", ""].value == pytest.approx((75 + 0) / 2)
    assert found["accuracy_both_targets", "", ""].value == pytest.approx((50 + 0) / 2)
    assert found["accuracy_both_targets", "uid", "spatial-relations"].value == pytest.approx(50)
    assert {metric: score.chance for (metric, _, _), score in found.items()} == {
        "accuracy": 50.0,
        "accuracy_both_targets": 25.0,
        "accuracy_targets_compared": 50.0,
    }
    assert found["accuracy", "uid", "spatial-relations"].n_clusters == 1
    assert {group for _, group, _ in found} == {"", "uid", "context_type", "context_contrast", "target_contrast"}
