"""COMPS: one property after two concepts (protocol.md, section 3.6)."""

from __future__ import annotations

import math

import pytest
from lines import answered, assert_refused, decoded, outcomes, scores, source, without

from babyeval.errors import ModelError
from babyeval.protocols import PROTOCOLS
from babyeval.registry import get_task
from babyeval.types import Span

LINE = {
    "property_phrase": "can be poured.",
    "prefix_acceptable": "Lemonade",
    "prefix_unacceptable": "A doorknob",
}


def test_the_property_is_scored_after_each_concept_without_the_space():
    item = decoded("comps", LINE, "comps_base")
    assert item.spans == (Span("Lemonade can be poured.", 9), Span("A doorknob can be poured.", 11))
    assert {span.text[span.start :] for span in item.spans} == {"can be poured."}
    assert item.gold == 0


@pytest.mark.parametrize(
    ("stem", "uid"),
    [
        ("comps_base", "base"),
        ("comps_wugs", "wugs"),
        ("comps_wugs_dist-before", "wugs_dist_before"),
        ("comps_wugs_dist-in-between", "wugs_dist_in_between"),
    ],
)
def test_the_official_files_name_the_uid(stem, uid):
    assert decoded("comps", LINE, stem).subset == uid


def test_pairs_about_one_property_are_one_cluster_in_all_files(tmp_path):
    other = {**LINE, "prefix_unacceptable": "A brick"}
    apart = {**LINE, "property_phrase": "can be stirred."}
    items = get_task("comps").items(source(tmp_path, comps_base=[LINE, other, apart], comps_wugs=[LINE]))
    assert items[0].cluster == items[1].cluster == items[3].cluster != items[2].cluster
    assert len({item.id for item in items}) == 4


@pytest.mark.parametrize("field", LINE)
def test_a_line_without_a_field_is_named(field, tmp_path):
    assert_refused("comps", tmp_path, [LINE, LINE, without(LINE, field)], 3, f"'{field}' is missing")


def test_an_empty_phrase_is_named(tmp_path):
    assert_refused("comps", tmp_path, [{**LINE, "property_phrase": ""}], 1, "'property_phrase' is not a non-empty string")


def test_sums_decide_and_ties_follow_the_protocol():
    item = decoded("comps", LINE)
    rows = [answered((-1.0, -2.0), (-2.5,)), answered((-1.0, -1.0), (-2.0,)), answered(-1.0, -9.0)]
    values = {name: [o.value for o in outcomes("comps", [item] * 3, rows, name)] for name in PROTOCOLS}
    assert values == {"robust": [0.0, 0.5, 1.0], "babylm-2025": [0.0, 1.0, 1.0], "babylm-2026": [0.0, 0.5, 1.0]}


def test_nan_wins_loses_or_is_refused():
    item, rows = decoded("comps", LINE), answered(-1.0, math.nan)
    with pytest.raises(ModelError, match="NaN"):
        outcomes("comps", [item], [rows], "robust")
    assert outcomes("comps", [item], [rows], "babylm-2025")[0].value == 0.0
    assert outcomes("comps", [item], [rows], "babylm-2026")[0].value == 1.0


def test_the_headline_is_the_mean_over_files():
    lines = [{**LINE, "property_phrase": f"can be poured {n} times."} for n in range(4)]
    items = [decoded("comps", line, "comps_base") for line in lines] + [decoded("comps", lines[0], "comps_wugs")]
    rows = [answered(-1.0, -2.0)] * 3 + [answered(-2.0, -1.0)] * 2
    found = scores("comps", items, rows, "robust")
    assert found["accuracy", "", ""].value == pytest.approx((75 + 0) / 2)
    assert {key[1:]: score.value for key, score in found.items() if key[1]} == {("uid", "base"): 75, ("uid", "wugs"): 0}
    assert found["accuracy", "", ""].chance == 50
