"""BLiMP and its supplement: how a line of the official files becomes an item, and how many there are."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from babyeval.data.jsonl import Record
from babyeval.data.lookup import find_data
from babyeval.errors import DataError
from babyeval.registry import get_task
from babyeval.types import Item, Span

LINE = {
    "sentence_good": "The dogs bark.",
    "sentence_bad": "The dogs barks.",
    "field": "morphology",
    "linguistics_term": "agreement",
    "UID": "some_agreement",
}


def decoded(task: str, content: dict, stem: str = "some_file"):
    return get_task(task).decode(Record(content, f"{stem}.jsonl, line 1", stem))


def test_blimp_scores_both_sentences_whole_and_the_good_one_is_gold():
    item = decoded("blimp", LINE)
    assert item.spans == (Span("The dogs bark."), Span("The dogs barks."))
    assert (item.subset, item.gold) == ("some_agreement", 0)
    assert item.meta == {"field": "morphology", "linguistics_term": "agreement"}


def test_blimp_renames_one_field_as_the_official_code_does():
    assert decoded("blimp", {**LINE, "field": "syntax_semantics"}).meta["field"] == "syntax/semantics"


@pytest.mark.parametrize("field", ["sentence_good", "sentence_bad", "UID", "field", "linguistics_term"])
def test_blimp_needs_all_of_its_fields(field):
    with pytest.raises(DataError, match=f"'{field}' is missing"):
        decoded("blimp", {key: value for key, value in LINE.items() if key != field})


def test_supplement_takes_its_uid_from_the_files_name():
    item = decoded("blimp_supplement", {"sentence_good": "a", "sentence_bad": "b"}, "hypernym")
    assert (item.subset, item.spans, item.gold) == ("hypernym", (Span("a"), Span("b")), 0)
    assert item.meta == {"field": "supplement", "linguistics_term": "supplement"}


@pytest.mark.parametrize("field", ["template", "row", "quad"])
def test_supplement_pairs_of_one_template_are_one_cluster(field):
    one, two, other = (
        decoded("blimp_supplement", {"sentence_good": text, "sentence_bad": "b", field: number}, "hypernym")
        for text, number in (("x", 1), ("y", 1), ("z", 2))
    )
    assert one.cluster == two.cluster != other.cluster
    assert one.id != two.id


# protocol.md, section 2.
SIZES = {
    ("blimp", "full"): (67, 59_875, 681, 986),
    ("blimp", "fast"): (67, 13_400, 200, 200),
    ("blimp_supplement", "full"): (5, 5_218, 64, 3_867),
    ("blimp_supplement", "fast"): (5, 250, 50, 50),
}


@pytest.fixture(scope="module")
def official(shared):
    """Items of an official set, each read once."""

    @cache
    def items(name: str, split: str) -> list[Item]:
        task = get_task(name)
        return task.items(find_data(task.card, task.home, split, shared / "evaluation_data"))

    return items


@pytest.mark.parametrize(("name", "split"), SIZES)
def test_the_official_files_hold_what_they_should(name, split, official):
    items = official(name, split)
    sizes = Counter(item.subset for item in items)
    assert (len(sizes), len(items), min(sizes.values()), max(sizes.values())) == SIZES[name, split]
    assert len({item.id for item in items}) == len(items)
    assert all(len(item.spans) == 2 and item.gold == 0 for item in items)
    assert {span.start for item in items for span in item.spans} == {0}


def test_the_official_files_hold_exact_duplicates(official):
    """Which is why ids carry a number; they are one cluster."""
    items = official("blimp_supplement", "full")
    twins = [item for item in items if not item.id.endswith("-0")]
    assert {item.subset for item in twins} == {"hypernym"}
    clusters = {item.id: item.cluster for item in items}
    assert all(clusters[item.id[:-1] + "0"] == item.cluster for item in twins)


@pytest.mark.parametrize("name", ["blimp", "blimp_supplement"])
def test_the_bundled_files_are_whole_and_none_of_theirs(name, official):
    task = get_task(name)
    items = task.items(find_data(task.card, task.home, "mini", None))
    assert len({item.subset for item in items}) >= 8
    assert len({item.id for item in items}) == len(items) >= 80
    assert all(item.subset.startswith("mini_") for item in items)
    theirs = {span.text for item in official(name, "full") for span in item.spans}
    assert not theirs & {span.text for item in items for span in item.spans}
