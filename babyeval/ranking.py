"""The ranking family: the right candidate has to get the highest score, by one or several criteria."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from babyeval.card import TaskCard
from babyeval.data.jsonl import Record, read_jsonl
from babyeval.decide import Choice, choose, margin
from babyeval.errors import DataError, UsageError
from babyeval.families import LineTask, Reader
from babyeval.protocols import PROTOCOLS, Protocol
from babyeval.records import Score
from babyeval.stats.aggregate import accuracy_scores
from babyeval.types import Item, Outcome, Row, Span

Norm = Literal["sum", "token", "char"]


@dataclass(frozen=True, slots=True)
class Contest:
    """Spans of an item that compete with each other.

    Attributes:
        spans: Their indices in ``item.spans``.
        gold: Which of these indices should win.
    """

    spans: tuple[int, ...]
    gold: int


def all_against_gold(item: Item) -> tuple[Contest, ...]:
    """All spans compete, and the item's gold should win."""
    return (Contest(tuple(range(len(item.spans))), int(item.gold)),)


def _all_items(_: Item) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Criterion:
    """One way to turn an item's rows into a credit.

    Attributes:
        metric: Name of the score it leads to; the first criterion's is the card's metric.
        norm: What a candidate's sum of log-probabilities is divided by: nothing, its number of scored
            tokens, or its number of characters.
        contests: The contests of an item; its credit is the mean over them.
        all_of: The item earns its credit only if every contest is won.
        applies: Which items the score is about; the first criterion's is about all (see `RankingTask.keeps`).
        chance: Expected score of a guessing model in percent; None takes the card's.
    """

    metric: str = "accuracy"
    norm: Norm = "sum"
    contests: Callable[[Item], tuple[Contest, ...]] = all_against_gold
    all_of: bool = False
    applies: Callable[[Item], bool] = _all_items
    chance: float | None = None

    def __post_init__(self) -> None:
        if self.norm not in get_args(Norm):
            raise UsageError(f"There is no normalisation '{self.norm}'.", hint=f"Choose one of {', '.join(get_args(Norm))}.")


class RankingTask(LineTask):
    """The task family in which the model has to give the right candidate the highest score.

    Args:
        card: What the task is.
        home: The folder that holds the card and the bundled files.
        decode: Turns one line of a data file into an item, usually by `ranking_item`.
        criteria: The criteria under a protocol, the headline's first; the others become further metrics.
        keeps: Which items belong to the task under a protocol; all by default.
        read: Turns a data file into records, for files in another format than JSONL.

    Example:
        A complete task, in the file ``task.py`` beside its ``card.toml``::

            def decode(record):
                spans = [Span(record.text("sentence_good")), Span(record.text("sentence_bad"))]
                return ranking_item(record, subset=record.text("UID"), spans=spans)

            task = RankingTask.beside(__file__, decode)
    """

    decides = True
    does = "lets it choose among an item's candidates by their log-probabilities"

    def __init__(
        self,
        card: TaskCard,
        home: Path,
        decode: Callable[[Record], Item],
        criteria: Callable[[Protocol], Sequence[Criterion]] = lambda _: (Criterion(),),
        keeps: Callable[[Item, Protocol], bool] = lambda *_: True,
        read: Reader = read_jsonl,
    ) -> None:
        super().__init__(card, home, decode, read)
        self.criteria = criteria
        self._keeps = keeps
        for protocol in map(PROTOCOLS.__getitem__, card.protocols):
            metrics = [criterion.metric for criterion in criteria(protocol)]
            if any(criterion.applies is not _all_items for criterion in criteria(protocol)[:1]):
                raise UsageError(
                    f"The first criterion of '{card.name}' applies to some items only.",
                    hint="Leave items out by 'keeps', or make it a further criterion.",
                )
            if metrics[:1] != [card.metric] or len(set(metrics)) < len(metrics):
                raise UsageError(
                    f"The criteria of '{card.name}' under {protocol.name} are called {', '.join(metrics) or 'nothing'}.",
                    hint=f"The first has to be called as the card's metric, '{card.metric}', and no two alike.",
                )

    def keeps(self, item: Item, protocol: Protocol) -> bool:
        return self._keeps(item, protocol)

    def outcomes(self, items: Sequence[Item], rows: Sequence[Sequence[Row]], protocol: Protocol) -> list[Outcome]:
        main, *others = self.criteria(protocol)
        norms = {criterion.norm for criterion in (main, *others)}
        outcomes = []
        for item, answers in zip(items, rows, strict=True):
            nan = self.has_nan(item, answers, protocol)
            scores = {norm: normalised(item, answers, norm) for norm in norms}
            choices = _choices(main, item, scores, protocol)
            outcomes.append(
                Outcome(
                    item_id=item.id,
                    value=_credit(main, choices),
                    raw=scores[main.norm],
                    prediction=choices[0].prediction,
                    tied=max(choice.tied for choice in choices),
                    nan=nan,
                    variants={
                        other.metric: _credit(other, _choices(other, item, scores, protocol)) if other.applies(item) else None
                        for other in others
                    },
                )
            )
        return outcomes

    def scores(self, items: Sequence[Item], outcomes: Sequence[Outcome], protocol: Protocol) -> list[Score]:
        chances = {criterion.metric: criterion.chance for criterion in self.criteria(protocol)}
        return accuracy_scores(self.card, items, outcomes, chances)

    def margins(self, items: Sequence[Item], rows: Sequence[Sequence[Row]], protocol: Protocol) -> list[tuple[float, ...]]:
        return [
            tuple(
                margin([scores[i] for i in contest.spans], contest.spans.index(contest.gold))
                for criterion in self.criteria(protocol)
                for scores in (normalised(item, answers, criterion.norm),)
                for contest in criterion.contests(item)
            )
            for item, answers in zip(items, rows, strict=True)
        ]


def normalised(item: Item, answers: Sequence[Row], norm: Norm) -> tuple[float, ...]:
    """The score of each span in nats: its sum, or its mean per token or per character (D5).

    Example:
        >>> item, rows = Item("i", "u", "i", (Span("in the box", 6),), 0), [Row((-1.0, -3.0))]
        >>> normalised(item, rows, "token"), normalised(item, rows, "char")
        ((-2.0,), (-1.0,))
    """
    if norm == "token":
        return tuple(row.total / max(len(row.logprobs), 1) for row in answers)  # max: as the official code
    if norm == "char":
        return tuple(row.total / (len(span.text) - span.start) for row, span in zip(answers, item.spans, strict=True))
    return tuple(row.total for row in answers)


def _choices(criterion: Criterion, item: Item, scores: Mapping[Norm, tuple[float, ...]], protocol: Protocol) -> list[Choice]:
    """The outcome of each contest; predictions are indices of the item's spans."""
    choices = []
    for contest in criterion.contests(item):
        candidates = [scores[criterion.norm][i] for i in contest.spans]
        choice = choose(candidates, contest.spans.index(contest.gold), protocol, item.id)
        choices.append(replace(choice, prediction=contest.spans[choice.prediction]))
    return choices


def _credit(criterion: Criterion, choices: Sequence[Choice]) -> float:
    credits = [choice.credit for choice in choices]
    return math.prod(credits) if criterion.all_of else math.fsum(credits) / len(credits)


def ranking_item(
    record: Record,
    *,
    subset: str,
    spans: Sequence[Span],
    gold: int = 0,
    cluster: str | None = None,
    meta: Mapping[str, str] | None = None,
) -> Item:
    """Makes the item of a ranking task.

    Args:
        record: The line it comes from; its content is part of the item's id.
        subset: The official UID.
        spans: One span per candidate.
        gold: Index of the right candidate.
        cluster: What it shares with dependent items of its subset, for example a template; by default
            only exact duplicates depend on each other. Records show it: of texts take `text_cluster`.
        meta: Further keys by which scores are grouped.

    Raises:
        DataError: There are fewer than two candidates, or gold is not the index of one.
    """
    if isinstance(gold, bool) or not isinstance(gold, int):
        raise DataError(f"The right candidate is given as {gold!r}, not as a whole number.", where=record.where)
    if len(spans) < 2 or not 0 <= gold < len(spans):
        raise DataError(f"Candidate {gold} of {len(spans)} cannot be ranked.", where=record.where)
    name = f"{subset}-{record.digest}"
    return Item(name, subset, f"{subset}:{cluster}" if cluster is not None else name, tuple(spans), gold, dict(meta or {}))


def text_cluster(*texts: str) -> str:
    """The name of a cluster that is known by texts: their digest, since records hold no text of a benchmark.

    Example:
        >>> text_cluster("a", "b") == text_cluster("a", "b") != text_cluster("ab")
        True
    """
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
