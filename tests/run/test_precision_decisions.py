"""bfloat16 where an item has several decisions: each has an error and a boundary of its own."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from babyeval.protocols import PROTOCOLS
from babyeval.ranking import Contest, Criterion, RankingTask
from babyeval.registry import get_task
from babyeval.run import precision
from babyeval.run.questions import AskedSpan
from babyeval.types import Item, Span

SAMPLE = 20
ERROR = (0.01, 0.1)  # of the two decisions' margins: boundaries of 0.04 and 0.4


def two_decisions() -> RankingTask:
    """The first two of an item's spans compete, and, by another criterion, the last two."""
    criteria = (
        Criterion(contests=lambda _: (Contest((0, 1), 0),)),
        Criterion("other", contests=lambda _: (Contest((2, 3), 2),)),
    )
    card = get_task("blimp").card
    return RankingTask(card, get_task("blimp").home, lambda record: None, lambda _: criteria)  # type: ignore[arg-type, return-value]


def key(item: int, span: int) -> bytes:
    return f"{item}/{span}".encode()


class Case:
    """Items with given exact margins, and answers whose margins are wrong by ``ERROR``, towards zero."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, margins: dict[int, tuple[float, float]], count: int = 200) -> None:
        monkeypatch.setattr(precision, "_SAMPLE", SAMPLE)
        self.exact = {n: margins.get(n, (5.0, -5.0)) for n in range(count)}
        items = [Item(f"item {n}", "u", f"{n}", (Span("x"),) * 4, 0) for n in range(count)]
        asked = [[AskedSpan((key(n, i),), False, 0) for i in range(4)] for n in range(count)]
        self.planned = SimpleNamespace(task=two_decisions(), items=items, asked=asked, protocol=PROTOCOLS["robust"])
        self.true = self.answers(self.exact)
        self.rounded = self.answers(
            {n: tuple(m - np.sign(m) * e for m, e in zip(pair, ERROR, strict=True)) for n, pair in self.exact.items()}
        )
        questions = SimpleNamespace(of=lambda chosen: [k for spans in chosen for span in spans for k in span.keys])
        self.plan = SimpleNamespace(engine=SimpleNamespace(answer=self.answer), questions=questions)
        order = precision._shuffled(self.planned)
        self.sample, self.rest = order[:SAMPLE], order[SAMPLE:]

    @staticmethod
    def answers(margins) -> dict[bytes, tuple[float, ...]]:
        return {
            key(n, i): (value,) for n, (a, b) in margins.items() for i, value in enumerate((-10.0 + a, -10.0, -10.0 + b, -10.0))
        }

    def answer(self, keys, dtype, label):
        assert dtype == "float32"
        return {k: self.true[k] for k in keys}

    def checked(self):
        """Which items have their exact rows in the end, and what was found."""
        rows, found = precision.checked_rows(self.plan, self.planned, self.rounded)
        exact = {
            n for n, answers in enumerate(rows) if [row.logprobs for row in answers] == [self.true[key(n, i)] for i in range(4)]
        }
        return exact, found


def test_an_item_close_in_one_decision_only_is_scored_again(monkeypatch):
    first, second = set(range(0, 10)), set(range(10, 20))
    margins = {**dict.fromkeys(first, (0.02, 5.0)), **dict.fromkeys(second, (-5.0, -0.2))}
    case = Case(monkeypatch, margins)
    exact, found = case.checked()
    close = (first | second) - set(case.sample)
    assert close
    assert first | second <= exact
    assert found.rescored == len(close)
    assert len(exact) == found.sampled + found.rescored + found.audited == SAMPLE + len(close) + SAMPLE


def test_each_decision_has_a_boundary_of_its_own(monkeypatch):
    """0.2 nats is close for the second decision, whose error is large, and far for the first."""
    case = Case(monkeypatch, dict.fromkeys(range(200), (0.2, 5.0)))
    _, found = case.checked()
    assert found.rescored == 0
    case = Case(monkeypatch, dict.fromkeys(range(200), (5.0, 0.2)))
    _, found = case.checked()
    assert found.rescored == 200 - SAMPLE


def test_the_record_names_the_larger_error(monkeypatch):
    _, found = Case(monkeypatch, {}).checked()
    assert found.error_p999 == pytest.approx(max(ERROR))
    assert found.threshold == pytest.approx(4 * max(ERROR))
    assert (found.sampled, found.rescored, found.audited, found.audit_differs) == (SAMPLE, 0, SAMPLE, 0)


@pytest.mark.parametrize("decision", [0, 1])
def test_the_audit_counts_items_that_are_decided_otherwise_in_any_decision(monkeypatch, decision):
    case = Case(monkeypatch, {})
    for n in case.rest[:3]:  # the audit takes the first that are not close
        case.rounded[key(n, 2 * decision)] = (-10.0 - np.sign(case.exact[n][decision]) * 5.0,)
    exact, found = case.checked()
    assert (found.rescored, found.audit_differs) == (0, 3)
    assert set(case.rest[:3]) <= exact


def test_nan_in_one_decision_is_scored_again(monkeypatch):
    case = Case(monkeypatch, {})
    odd = case.rest[-1]
    case.rounded[key(odd, 3)] = (float("nan"),)
    exact, found = case.checked()
    assert odd in exact
    assert found.rescored == 1


def test_ewok_and_entity_tracking_have_as_many_decisions_for_each_item():
    """Two contests for each of three criteria; one for each of four norms."""
    from babyeval.types import Row

    for task, spans, counts in (
        ("ewok", 4, (6, 1, 1)),
        ("entity_tracking", 5, (4, 3, 3)),
        ("global_piqa_parallel", 4, (3, 3, 3)),
    ):
        meta = {"nothing": "yes"}
        items = [
            Item("i", "u", "i", tuple(Span("a b", 1) for _ in range(spans)), 0, meta),
            Item("j", "u", "j", (Span("a"),) * spans, 0, {"nothing": "no"}),
        ]
        rows = [[Row((-1.0, -float(i))) for i in range(spans)]] * 2
        for protocol, count in zip(PROTOCOLS.values(), counts, strict=True):
            assert {len(margins) for margins in get_task(task).margins(items, rows, protocol)} == {count}
