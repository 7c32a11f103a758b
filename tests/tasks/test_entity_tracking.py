"""Entity tracking: five continuations, the 2026 filter, and a headline of means of means (protocol.md, 3.4; D5, D29)."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import pytest
from lines import Line, answered, assert_refused, decoded, outcomes, scores, source, without

from babyeval.data.jsonl import Record
from babyeval.data.lookup import find_data
from babyeval.errors import ModelError
from babyeval.protocols import PROTOCOLS
from babyeval.records import Score
from babyeval.registry import get_task
from babyeval.types import Item, Row, Span

TASK = "entity_tracking"
LINE = {
    "sample_id": 42,
    "example_id": 0,
    "numops": 3,
    "input_prefix": "Tin 1 holds the spoon, Tin 2 holds the ring. I put the ring into Tin 1. Tin 1 holds ",
    "options": ["the spoon and the ring.", "the ring.", "the spoon.", "the cup.", "the spoon and the cup."],
}
EMPTY = {**LINE, "options": [*LINE["options"][:4], "nothing."]}


def test_options_follow_the_story_without_a_space():
    item = decoded(TASK, LINE, "regular")
    story = LINE["input_prefix"]
    assert item.spans == tuple(Span(story + option, len(story)) for option in LINE["options"])
    assert [span.text[span.start :] for span in item.spans] == LINE["options"]
    assert (item.subset, item.gold, item.cluster) == ("regular_3_ops", 0, "regular:42")
    assert item.meta == {"split": "regular", "nothing": "no"}


@pytest.mark.parametrize("option", ["nothing.", "Tin 2 has nothing in it.", "nothingness."])
def test_an_option_with_the_word_nothing_anywhere_is_noticed(option):
    line = {**LINE, "options": [option, *LINE["options"][1:]]}
    assert decoded(TASK, line).meta["nothing"] == "yes"


def test_questions_along_one_story_are_one_cluster(tmp_path):
    later = {**LINE, "numops": 4, "example_id": 1}
    other = {**LINE, "sample_id": 43, "example_id": 2}
    items = get_task(TASK).items(source(tmp_path, regular=[LINE, later, other], ambiref=[LINE]))
    assert [item.cluster for item in items] == ["regular:42", "regular:42", "regular:43", "ambiref:42"]
    assert [item.subset for item in items] == ["regular_3_ops", "regular_4_ops", "regular_3_ops", "ambiref_3_ops"]


def test_a_line_may_name_its_split_and_lack_a_story():
    item = decoded(TASK, {**without(LINE, "sample_id"), "split": "mini_moves"}, "mini")
    assert (item.subset, item.meta["split"]) == ("mini_moves_3_ops", "mini_moves")
    assert item.cluster != decoded(TASK, {**without(LINE, "sample_id"), "split": "mini_moves", "numops": 4}, "mini").cluster


@pytest.mark.parametrize("field", ["input_prefix", "options", "numops", "example_id"])
def test_a_line_without_a_field_is_named(field, tmp_path):
    second = without({**LINE, "example_id": 1}, field)
    assert_refused(TASK, tmp_path, [LINE, second], 2, f"'{field}' is missing")


@pytest.mark.parametrize("options", ["the ring.", {"0": "the ring."}, ["a", "b", "c", "d", ""], ["a", "b", "c", "d", 5], None])
def test_options_that_are_no_texts_are_named(options, tmp_path):
    assert_refused(TASK, tmp_path, [{**LINE, "options": options}], 1, "not a list of non-empty strings")


@pytest.mark.parametrize("count", [2, 4, 6])
def test_every_item_has_five_options(count, tmp_path):
    second = {**LINE, "example_id": 1, "options": [f"the thing {n}." for n in range(count)]}
    assert_refused(TASK, tmp_path, [LINE, second], 2, f"has {count} candidates.*has 5")


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_options_cannot_be_ranked(count, tmp_path):
    assert_refused(TASK, tmp_path, [{**LINE, "options": LINE["options"][:count]}], 1, f"of {count} cannot be ranked")


def test_an_example_is_declared_once_in_each_file(tmp_path):
    assert_refused(TASK, tmp_path, [LINE, {**LINE, "example_id": 1}, {**LINE, "numops": 5}], 3, "declared twice")
    assert len(get_task(TASK).items(source(tmp_path, regular=[LINE], ambiref=[LINE]))) == 2


# Sums: the second wins; means per token: the first and the last tie; per character (23, 9, 10, 8, 22): the first.
ROWS = answered((-1.0, -1.0, -1.0, -1.0), (-1.5, -1.5), -9.0, -9.0, (-1.0,) * 6)


@pytest.mark.parametrize(
    ("protocol", "per_token"),
    [("robust", 0.5), ("babylm-2025", 1.0), ("babylm-2026", 0.5)],
)
def test_sums_decide_and_other_norms_stand_beside_them(protocol, per_token):
    """D5: sums favour short options."""
    (outcome,) = outcomes(TASK, [decoded(TASK, LINE)], [ROWS], protocol)
    assert outcome.raw == (-4.0, -3.0, -9.0, -9.0, -6.0)
    assert (outcome.value, outcome.prediction, outcome.tied) == (0.0, 1, 1)
    expected = {"accuracy_per_token": per_token, "accuracy_per_char": 1.0}
    assert dict(outcome.variants) == expected | ({"accuracy_without_nothing": 0.0} if protocol == "robust" else {})


def test_the_variant_without_nothing_leaves_such_items_out():
    kept, left = outcomes(TASK, [decoded(TASK, LINE), decoded(TASK, EMPTY)], [ROWS] * 2, "robust")
    assert kept.variants["accuracy_without_nothing"] == kept.value
    assert left.variants["accuracy_without_nothing"] is None


def test_2026_alone_drops_what_holds_nothing():
    task = get_task(TASK)
    kept = {name: [task.keeps(decoded(TASK, line), p) for line in (LINE, EMPTY)] for name, p in PROTOCOLS.items()}
    assert kept == {"robust": [True, True], "babylm-2025": [True, True], "babylm-2026": [True, False]}


def test_ties_among_five():
    rows = answered(-1.0, -2.0, -1.0, -1.0, -3.0)
    values = {name: outcomes(TASK, [decoded(TASK, LINE)], [rows], name)[0] for name in PROTOCOLS}
    assert {name: o.value for name, o in values.items()} == pytest.approx(
        {"robust": 1 / 3, "babylm-2025": 1, "babylm-2026": 1 / 3}
    )
    assert {o.tied for o in values.values()} == {3}


def test_nan_wins_loses_or_is_refused():
    item, rows = decoded(TASK, LINE), answered(-1.0, -2.0, math.nan, -1.5, -3.0)
    with pytest.raises(ModelError, match="NaN"):
        outcomes(TASK, [item], [rows], "robust")
    (old,), (new,) = (outcomes(TASK, [item], [rows], name) for name in ("babylm-2025", "babylm-2026"))
    assert (old.value, old.prediction, old.nan) == (0.0, 2, True)
    assert (new.value, new.prediction, new.nan) == (1.0, 0, True)


# Accuracy by split and number of operations: (right, wrong); the third entry of a line says whether an option holds "nothing".
TABLE = [
    ("regular", 0, [1, 1, 1, 0]),  # 75
    ("regular", 1, [1, 0]),  # 50
    ("ambiref", 0, [0, 0, 0, 0, 1]),  # 20
    ("ambiref", 1, [1]),  # 100
    ("ambiref", 2, [0, 0, 0]),  # 0
    ("move_contents", 0, [1, 0, 0, 0]),  # 25
]
RIGHT, WRONG = answered(-1.0, *[-2.0] * 4), answered(-3.0, *[-2.0] * 4)


def material() -> tuple[list[Item], list[list[Row]]]:
    items, rows = [], []
    for split, numops, credits in TABLE:
        for n, right in enumerate(credits):
            base: Line = EMPTY if n == 0 else LINE
            line = {**base, "numops": numops, "sample_id": f"{split}{numops}{n}", "example_id": len(items)}
            items.append(decoded(TASK, line, split))
            rows.append(RIGHT if right else WRONG)
    return items, rows


def values(found: dict[tuple[str, str, str], Score], metric: str = "accuracy") -> dict[tuple[str, str], float | None]:
    return {key[1:]: score.value for key, score in found.items() if key[0] == metric}


def test_the_headline_is_the_mean_of_split_means_of_uid_means():
    found = values(scores(TASK, *material(), "robust"))
    assert [found["split", name] for name in ("regular", "ambiref", "move_contents")] == pytest.approx([62.5, 40.0, 25.0])
    assert found["", ""] == pytest.approx((62.5 + 40 + 25) / 3)
    assert found["uid", "ambiref_0_ops"] == pytest.approx(20)
    assert found["uid", "regular_0_ops"] == pytest.approx(75)
    assert len(found) == 1 + 3 + 6


def test_variants_are_averaged_in_the_same_way():
    """Without the first item of each cell: 2/3 and 0; 1/4 and 0, the middle cell gone; 0."""
    found = values(scores(TASK, *material(), "robust"), "accuracy_without_nothing")
    assert found["", ""] == pytest.approx(100 * ((2 / 3 + 0) / 2 + (1 / 4 + 0) / 2 + 0) / 3)
    assert ("uid", "ambiref_1_ops") not in found
    assert found["split", "ambiref"] == pytest.approx(100 * (1 / 4 + 0) / 2)


def test_the_order_of_lines_changes_no_score():
    """D29: the official calculator needs lines sorted by their number of operations."""
    items, rows = material()
    order = list(range(len(items)))
    random.Random(0).shuffle(order)  # noqa: S311
    shuffled = scores(TASK, [items[i] for i in order], [rows[i] for i in order], "robust")
    assert values(shuffled) == pytest.approx(values(scores(TASK, items, rows, "robust")))


def test_one_split_alone_is_the_mean_of_its_uids():
    """As in the official fast set."""
    items, rows = material()
    found = scores(TASK, items[:6], rows[:6], "babylm-2025")
    assert values(found)["", ""] == pytest.approx(62.5)
    assert found["accuracy", "", ""].estimator == "macro"


# protocol.md, section 2: items by number of operations, in 2025 and after the filter of 2026.
SIZES = {
    "regular": ((606, 607, 606, 606, 568, 159), (517, 409, 405, 425, 388, 94)),
    "ambiref": ((607, 607, 604, 604, 615, 187), (508, 428, 413, 409, 434, 123)),
    "move_contents": ((605, 606, 605, 606, 529, 156), (516, 437, 399, 406, 353, 116)),
}


@pytest.fixture(scope="module")
def official(shared: Path) -> list[Item]:
    """The whole set, read from its locked archive in memory with the password that the card publishes."""
    task = get_task(TASK)
    return task.items(find_data(task.card, task.home, "full", shared / "evaluation_data"))


@pytest.mark.parametrize(
    ("protocol", "year", "total"), [("babylm-2025", 0, 9_483), ("babylm-2026", 1, 6_780), ("robust", 0, 9_483)]
)
def test_the_official_archive_holds_what_it_should(official, protocol, year, total):
    task = get_task(TASK)
    kept = [item for item in official if task.keeps(item, PROTOCOLS[protocol])]
    expected = {f"{split}_{n}_ops": size for split, sizes in SIZES.items() for n, size in enumerate(sizes[year])}
    assert Counter(item.subset for item in kept) == expected
    assert len(kept) == total == sum(expected.values())


def test_the_official_items_have_ids_of_their_own_and_stories_in_common(official):
    assert len({item.id for item in official}) == len(official)
    assert len({item.cluster for item in official}) < len(official) / 4
    assert all(len(item.spans) == 5 and item.gold == 0 for item in official)


def test_the_fast_set_is_the_regular_split(official, shared):
    task = get_task(TASK)
    found = find_data(task.card, task.home, "fast", shared / "evaluation_data")
    fast = task.items(found)
    assert found.split == "fast"
    assert fast == [item for item in official if item.meta["split"] == "regular"]


def test_a_record_of_the_archive_is_named_with_its_member(shared):
    """Errors in a locked file name archive, member and line."""
    from babyeval.data.jsonl import read_jsonl

    task = get_task(TASK)
    (file,) = find_data(task.card, task.home, "fast", shared / "evaluation_data").files
    record = next(iter(read_jsonl(file)))
    assert isinstance(record, Record)
    assert record.stem == "regular"
    assert record.where.endswith("regular.jsonl, line 1")
    assert "entity_tracking.zip" in record.where
