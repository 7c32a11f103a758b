"""Global PIQA: the mean per token decides, and any solution may be the right one (protocol.md, 3.7; D35)."""

from __future__ import annotations

import math

import pytest
from lines import answered, assert_refused, decoded, outcomes, scores, source, without

from babyeval.errors import ModelError
from babyeval.registry import get_task
from babyeval.types import Span

PARALLEL, OTHER = "global_piqa_parallel", "global_piqa_nonparallel"
TWO = {
    "prompt": "To keep soup warm,",
    "solution0": "leave the lid off.",
    "solution1": "put the lid on the pot.",
    "label": 1,
    "example_id": "mine-1",
}
FOUR = {**TWO, "solution2": "add ice.", "solution3": "sing to it.", "label": 2}


def test_solutions_are_scored_after_the_prompt_with_their_space():
    item = decoded(PARALLEL, FOUR)
    prompt = FOUR["prompt"]
    assert item.spans == tuple(Span(f"{prompt} {FOUR[f'solution{n}']}", len(prompt)) for n in range(4))
    assert item.spans[2].text[item.spans[2].start :] == " add ice."
    assert (item.gold, item.subset, item.meta) == (2, PARALLEL, {"example_id": "mine-1"})
    assert decoded(OTHER, TWO).subset == OTHER


def test_fields_in_another_order_and_empty_columns_change_nothing():
    mixed = dict(reversed(FOUR.items()))
    assert decoded(PARALLEL, mixed).spans == decoded(PARALLEL, FOUR).spans
    assert len(decoded(OTHER, {**TWO, "solution2": None, "solution3": None}).spans) == 2


@pytest.mark.parametrize(("task", "line"), [(PARALLEL, FOUR), (OTHER, TWO)])
@pytest.mark.parametrize("field", ["prompt", "solution0", "solution1", "label", "example_id"])
def test_a_line_without_a_field_is_named(task, line, field, tmp_path):
    message = "candidates|cannot be ranked" if field.startswith("solution") else f"'{field}' is missing"
    other = {**line, "example_id": "mine-2"}
    assert_refused(task, tmp_path, [other, without({**line, "label": 0}, field)], 2, message)


def test_the_number_of_solutions_is_the_cards(tmp_path):
    assert_refused(PARALLEL, tmp_path, [TWO], 1, "has 2 candidates.*has 4")
    assert_refused(OTHER, tmp_path, [FOUR], 1, "has 4 candidates.*has 2")


@pytest.mark.parametrize("label", [2, -1, 7])
def test_a_label_out_of_range_is_named(label, tmp_path):
    second = {**TWO, "label": label, "example_id": "mine-2"}
    assert_refused(OTHER, tmp_path, [TWO, second], 2, f"Candidate {label} of 2 cannot be ranked")


@pytest.mark.parametrize("label", ["1", 1.0, None, True])
def test_a_label_that_is_no_whole_number_is_named(label, tmp_path):
    assert_refused(OTHER, tmp_path, [{**TWO, "label": label}], 1, "not as a whole number")


def test_an_empty_solution_is_named(tmp_path):
    assert_refused(OTHER, tmp_path, [{**TWO, "solution1": ""}], 1, "'solution1' is not a non-empty string")


def test_an_id_declared_twice_is_named_with_both_lines(tmp_path):
    assert_refused(OTHER, tmp_path, [TWO, {**TWO, "example_id": "x"}, {**TWO, "prompt": "To cool soup,"}], 3, "declared twice")
    with pytest.raises(Exception, match=r"line 3; first in .*line 1"):
        get_task(OTHER).items(source(tmp_path, some_file=[TWO, {**TWO, "example_id": "x"}, {**TWO, "prompt": "To cool soup,"}]))


@pytest.mark.parametrize("protocol", ["robust", "babylm-2026"])
def test_the_mean_per_token_decides_and_other_norms_stand_beside_it(protocol):
    """Sums -6 and -4, means -2 and -4, per character (18 + 1 and 23 + 1) -0.316 and -0.167; gold is the second."""
    (outcome,) = outcomes(OTHER, [decoded(OTHER, TWO)], [answered((-1.0, -2.0, -3.0), (-4.0,))], protocol)
    assert outcome.raw == (-2.0, -4.0)
    assert (outcome.value, outcome.prediction) == (0.0, 0)
    assert outcome.variants == {"accuracy_sum": 1.0, "accuracy_per_char": 1.0}
    (turned,) = outcomes(OTHER, [decoded(OTHER, {**TWO, "label": 0})], [answered((-1.0, -2.0, -3.0), (-4.0,))], protocol)
    assert (turned.value, turned.variants) == (1.0, {"accuracy_sum": 0.0, "accuracy_per_char": 0.0})


def test_gold_may_be_any_of_four_and_ties_share():
    rows = answered(-3.0, (-1.0, -1.0), (-0.5, -1.5), -2.0)
    values = [outcomes(PARALLEL, [decoded(PARALLEL, {**FOUR, "label": n})], [rows], "robust")[0] for n in range(4)]
    assert [outcome.value for outcome in values] == [0.0, 0.5, 0.5, 0.0]
    assert {outcome.tied for outcome in values} == {2}
    assert {outcome.prediction for outcome in values} <= {1, 2}


def test_nan_loses_in_2026_and_is_refused_by_robust():
    item, rows = decoded(OTHER, TWO), answered(math.nan, -50.0)
    assert outcomes(OTHER, [item], [rows], "babylm-2026")[0].value == 1.0
    with pytest.raises(ModelError, match="NaN"):
        outcomes(OTHER, [item], [rows], "robust")


@pytest.mark.parametrize(("task", "line", "chance"), [(PARALLEL, FOUR, 25.0), (OTHER, TWO, 50.0)])
def test_all_items_are_one_subset(task, line, chance, tmp_path):
    """D35: officially every item is a subset of its own; the mean is the same."""
    lines = [{**line, "example_id": f"mine-{n}", "label": 0} for n in range(8)]
    items = get_task(task).items(source(tmp_path, eng_latn=lines))
    count = len(items[0].spans)
    rows = [answered(*[-1.0 if i == int(n >= 6) else -2.0 for i in range(count)]) for n in range(8)]
    found = scores(task, items, rows, "robust")
    assert {key[1:] for key in found} == {("", ""), ("uid", task)}
    head = found["accuracy", "", ""]
    assert (head.value, head.n, head.n_clusters, head.estimator, head.chance) == (75.0, 8, 8, "micro", chance)
    assert {score.chance for score in found.values()} == {chance}


def test_they_are_no_part_of_2025():
    assert {get_task(name).card.protocols for name in (PARALLEL, OTHER)} == {("robust", "babylm-2026")}
