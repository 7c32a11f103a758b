"""Task families: items with ids of their own, rankings by sums of log-probabilities, faults that name the line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from babyeval.card import TaskCard
from babyeval.data.jsonl import Record
from babyeval.data.lookup import DataFile, DataSource
from babyeval.errors import DataError, ModelError
from babyeval.families import SpanTask, number_equals
from babyeval.protocols import PROTOCOLS
from babyeval.ranking import Contest, Criterion, RankingTask, normalised, ranking_item, text_cluster
from babyeval.types import Item, Row, Span

CARD = TaskCard(
    name="thing", title="T", version=1, family="ranking", groups=(), summary="s", license="l", citation="c", chance=50,
    data={"mini": {"path": "mini.jsonl", "bundled": True}},
)  # fmt: skip
SPANS = (Span("a b"), Span("a c"))
RECORD = Record({"x": 1}, "f.jsonl, line 7", "f")


def decode(record: Record) -> Item:
    return ranking_item(record, subset=record.text("UID"), spans=[Span(record.text("good")), Span(record.text("bad"))])


def task() -> RankingTask:
    return RankingTask(CARD, Path(), decode)


def item(gold: int = 0, candidates: int = 2) -> Item:
    return Item("i", "u", "i", tuple(Span(f"{n}") for n in range(candidates)), gold)


def rows(*scores: tuple[float, ...]) -> list[Row]:
    return [Row(score) for score in scores]


def test_an_item_is_known_by_its_subset_and_content():
    a = ranking_item(RECORD, subset="u", spans=SPANS)
    assert a.id == f"u-{RECORD.digest}"
    assert (a.subset, a.spans, a.gold, a.meta) == ("u", SPANS, 0, {})
    assert ranking_item(Record({"x": 2}, "", "f"), subset="u", spans=SPANS).id != a.id
    assert ranking_item(RECORD, subset="v", spans=SPANS).id != a.id


def test_by_default_only_duplicates_are_one_cluster():
    a, b = (ranking_item(Record({"x": n}, "", "f"), subset="u", spans=SPANS) for n in (1, 2))
    assert a.cluster != b.cluster
    assert a.cluster == ranking_item(RECORD, subset="u", spans=SPANS).cluster


def test_a_cluster_lies_within_its_subset():
    a, b = (ranking_item(RECORD, subset=name, spans=SPANS, cluster="row=1") for name in ("u", "v"))
    assert (a.cluster, b.cluster) == ("u:row=1", "v:row=1")


@pytest.mark.parametrize(("spans", "gold"), [(SPANS[:1], 0), ((), 0), (SPANS, 2), (SPANS, -1)])
def test_what_cannot_be_ranked_names_its_line(spans, gold):
    with pytest.raises(DataError, match="cannot be ranked") as caught:
        ranking_item(RECORD, subset="u", spans=spans, gold=gold)
    assert caught.value.where == "f.jsonl, line 7"


def test_equal_items_are_numbered_and_all_others_kept():
    names = ["a", "b", "a", "c", "a", "b"]
    items = [Item(name, "u", f"cluster {name}", SPANS, 1, {"k": name}) for name in names]
    numbered = number_equals(iter(items))
    assert [i.id for i in numbered] == ["a-0", "b-0", "a-1", "c-0", "a-2", "b-1"]
    assert [(i.subset, i.cluster, i.spans, i.gold, i.meta) for i in numbered] == [
        (i.subset, i.cluster, i.spans, i.gold, i.meta) for i in items
    ]


def source(tmp_path: Path, *lines: str) -> DataSource:
    path = tmp_path / "set.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return DataSource("mini", (DataFile(path, path.name, "", 0),))


def test_items_come_in_file_order_with_different_ids(tmp_path):
    line = '{"UID": "u", "good": "a", "bad": "b"}'
    other = '{"UID": "u", "good": "b", "bad": "a"}'
    items = task().items(source(tmp_path, line, other, line))
    assert [i.spans[0].text for i in items] == ["a", "b", "a"]
    assert len({i.id for i in items}) == 3
    assert items[0].cluster == items[2].cluster != items[1].cluster


def test_a_malformed_line_is_named(tmp_path):
    with pytest.raises(DataError, match="'bad' is missing") as caught:
        task().items(source(tmp_path, '{"UID": "u", "good": "a", "bad": "b"}', '{"UID": "u", "good": "a"}'))
    assert caught.value.where.endswith("set.jsonl, line 2")


def test_candidates_are_ranked_by_the_sum_of_their_tokens():
    """Not by the mean: longer candidates have more to lose (protocol.md, section 1)."""
    (outcome,) = task().outcomes([item()], [rows((-1.0, -1.0, -1.0), (-2.0,))], PROTOCOLS["robust"])
    assert (outcome.raw, outcome.prediction, outcome.value) == ((-3.0, -2.0), 1, 0.0)
    assert (outcome.item_id, outcome.tied, outcome.nan) == ("i", 1, False)


def test_gold_may_be_any_candidate():
    answers = rows((-3.0,), (-2.0,), (-1.0,))
    outcomes = task().outcomes([item(gold, 3) for gold in range(3)], [answers] * 3, PROTOCOLS["robust"])
    assert [outcome.value for outcome in outcomes] == [0.0, 0.0, 1.0]


def test_nan_names_task_item_and_scores_where_it_is_an_error():
    answers = [rows((-1.0, math.nan), (-2.0,))]
    with pytest.raises(ModelError, match="NaN") as caught:
        task().outcomes([item()], answers, PROTOCOLS["robust"])
    assert "thing, item i" in caught.value.where
    assert "nan, -2.0" in caught.value.where
    for name, value in (("babylm-2025", 1.0), ("babylm-2026", 0.0)):
        (outcome,) = task().outcomes([item()], answers, PROTOCOLS[name])
        assert (outcome.value, outcome.nan) == (value, True)


def test_minus_infinity_is_a_score_like_others():
    (outcome,) = task().outcomes([item()], [rows((-math.inf,), (-900.0,))], PROTOCOLS["robust"])
    assert (outcome.value, outcome.nan) == (0.0, False)


@pytest.mark.parametrize("protocol", PROTOCOLS.values())
def test_a_candidate_without_scored_tokens_is_an_error_under_every_protocol(protocol):
    """Its sum would be 0, which beats everything."""
    with pytest.raises(ModelError, match="no token that can be scored") as caught:
        task().outcomes([item()], [rows((), (-2.0,))], protocol)
    assert "item i" in caught.value.where


def test_margins_are_differences_of_sums():
    assert task().margins([item(), item(1)], [rows((-1.0, -2.0), (-5.0,))] * 2, PROTOCOLS["robust"]) == [(2.0,), (-2.0,)]


# Criteria: how contests become a credit, and norms a score.


@pytest.mark.parametrize(("norm", "scores"), [("sum", (-6.0, -4.0)), ("token", (-2.0, -4.0)), ("char", (-1.0, -2.0))])
def test_a_score_is_a_sum_per_token_or_per_character_of_the_span(norm, scores):
    """The context's characters do not count: six and two are scored."""
    both = Item("i", "u", "i", (Span("the tin of a", 6), Span("a ring", 4)), 0)
    answers = rows((-1.0, -2.0, -3.0), (-4.0,))
    assert normalised(both, answers, norm) == scores


def contests(*pairs: tuple[int, int]):
    return lambda _: tuple(Contest(pair, pair[0]) for pair in pairs)


@pytest.mark.parametrize(
    ("answers", "mean", "product"),
    [((-1, -2, -1, -2), 1, 1), ((-1, -2, -2, -1), 0.5, 0), ((-1, -2, -1, -1), 0.75, 0.5), ((-1, -1, -1, -1), 0.5, 0.25)],
)
def test_a_credit_is_the_mean_or_the_product_of_contests(answers, mean, product):
    both = Criterion(contests=contests((0, 1), (2, 3))), Criterion("all", contests=contests((0, 1), (2, 3)), all_of=True)
    these = RankingTask(CARD, Path(), decode, lambda _: both)
    (outcome,) = these.outcomes([item(0, 4)], [rows(*[(float(a),) for a in answers])], PROTOCOLS["robust"])
    assert (outcome.value, outcome.variants) == (mean, {"all": product})


def test_a_contest_is_among_its_own_spans():
    """The best candidate of all does not matter if it does not compete; predictions are indices of the item's spans."""
    these = RankingTask(CARD, Path(), decode, lambda _: (Criterion(contests=lambda _: (Contest((3, 1), 1),)),))
    (outcome,) = these.outcomes([item(0, 4)], [rows((-0.1,), (-5.0,), (-0.2,), (-4.0,))], PROTOCOLS["robust"])
    assert (outcome.value, outcome.prediction, outcome.tied) == (0.0, 3, 1)
    assert these.margins([item(0, 4)], [rows((-0.1,), (-5.0,), (-0.2,), (-4.0,))], PROTOCOLS["robust"]) == [(-1.0,)]


def test_there_is_one_margin_for_each_contest_of_each_criterion():
    criteria = (Criterion(contests=contests((0, 1), (2, 3))), Criterion("token", norm="token", contests=contests((1, 2))))
    these = RankingTask(CARD, Path(), decode, lambda _: criteria)
    answers = rows((-1.0,), (-2.0, -2.0), (-3.0,), (-3.5,))
    assert these.margins([item(0, 4)], [answers], PROTOCOLS["robust"]) == [(3.0, 0.5, 1.0)]


def test_what_a_criterion_does_not_apply_to_is_none():
    criteria = (Criterion(), Criterion("odd", applies=lambda item: item.id == "other"))
    these = RankingTask(CARD, Path(), decode, lambda _: criteria)
    (outcome,) = these.outcomes([item()], [rows((-1.0,), (-2.0,))], PROTOCOLS["robust"])
    assert outcome.variants == {"odd": None}


def test_all_items_belong_to_a_task_unless_it_says_otherwise():
    assert all(task().keeps(item(), protocol) for protocol in PROTOCOLS.values())


def test_a_cluster_known_by_texts_shows_none_of_them():
    assert text_cluster("a secret", "b") == text_cluster("a secret", "b") != text_cluster("a secre", "tb")
    assert "secret" not in text_cluster("a secret", "b")


def test_an_id_declared_twice_is_refused_within_a_file_only(tmp_path):
    named = RankingTask(CARD.model_copy(update={"id_field": "n"}), Path(), decode)
    line = '{{"UID": "u", "good": "a", "bad": "b", "n": {}}}'
    with pytest.raises(DataError, match="n '7' is declared twice") as caught:
        named.items(source(tmp_path, line.format(7), line.format(8), line.format('"7"')))
    assert "line 3; first in" in caught.value.where
    assert len(named.items(source(tmp_path, line.format(7), line.format(8)))) == 2


def test_a_task_that_decides_nothing_has_no_margins():
    class Values(SpanTask):
        def items(self, source):
            return []

        def outcomes(self, items, rows, protocol):
            return []

    values = Values(CARD, Path())
    assert not values.decides
    with pytest.raises(NotImplementedError, match="Values decides nothing"):
        values.margins([], [], PROTOCOLS["robust"])


def test_a_task_is_made_from_the_card_beside_its_module():
    import babyeval.tasks.blimp.task as module

    made = RankingTask.beside(module.__file__, decode)
    assert (made.card.name, made.home) == ("blimp", Path(module.__file__).resolve().parent)


def test_a_candidate_without_tokens_is_refused_by_name_and_not_by_a_division():
    """bfloat16 looks at margins before the rows are judged; officially such a mean is that of one token."""
    answers = [Row(()), Row((-2.0, -4.0))]
    assert normalised(item(), answers, "token") == (0.0, -3.0)
    by_token = RankingTask(CARD, Path(), decode, lambda _: (Criterion(norm="token"),))
    assert by_token.margins([item()], [answers], PROTOCOLS["robust"]) == [(3.0,)]
    with pytest.raises(ModelError, match="no token that can be scored"):
        by_token.outcomes([item()], [answers], PROTOCOLS["robust"])
