"""The kinds of evaluation a task can be; a task of a known kind is a card and a decoder."""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from babyeval.card import TaskCard, load_card
from babyeval.data.jsonl import Record, read_jsonl
from babyeval.data.lookup import DataSource
from babyeval.decide import choose, margin
from babyeval.errors import DataError, ModelError
from babyeval.protocols import Protocol
from babyeval.records import Score
from babyeval.stats.aggregate import accuracy_scores
from babyeval.types import Item, Outcome, Row, Span


class SpanTask(abc.ABC):
    """A task that asks a model for log-probabilities of spans and nothing else.

    Args:
        card: What the task is.
        home: The folder that holds the card and the bundled files.

    Attributes:
        decides: True if only the sign of score differences counts, so that a score far from
            the decision boundary may be computed in bfloat16.
        headline_count: How many of the first scores are headlines.
    """

    decides = False
    headline_count = 1

    def __init__(self, card: TaskCard, home: Path) -> None:
        self.card = card
        self.home = home

    @abc.abstractmethod
    def items(self, source: DataSource) -> list[Item]:
        """Reads the items of a split, in file order.

        Raises:
            DataError: A line is malformed; file and line are named.
        """

    @abc.abstractmethod
    def outcomes(self, items: Sequence[Item], rows: Sequence[Sequence[Row]], protocol: Protocol) -> list[Outcome]:
        """What each item contributes; a pure function of the model's answers.

        Args:
            items: The items.
            rows: For each item one row per span, in the spans' order.
            protocol: The decision rules.

        Raises:
            ModelError: The protocol refuses an answer, such as NaN.
        """

    def scores(self, items: Sequence[Item], outcomes: Sequence[Outcome], protocol: Protocol) -> list[Score]:
        """The task's scores, headlines first; here outcomes are credits and the headline their accuracy.

        Args:
            items: The items.
            outcomes: What each contributes, in the same order.
            protocol: Its name may decide how scores are formed.
        """
        return accuracy_scores(self.card, items, outcomes)

    def margins(self, items: Sequence[Item], rows: Sequence[Sequence[Row]], protocol: Protocol) -> list[float]:
        """Distance of each item from its decision boundary in nats; needed where ``decides``."""
        raise NotImplementedError(f"{type(self).__name__} decides nothing")


class RankingTask(SpanTask):
    """The task family in which the model has to give the right candidate the highest score.

    Args:
        card: What the task is.
        home: The folder that holds the card and the bundled files.
        decode: Turns one line of a data file into an item, usually by `ranking_item`.

    Example:
        A complete task, in the file ``task.py`` beside its ``card.toml``::

            def decode(record):
                spans = [Span(record.text("sentence_good")), Span(record.text("sentence_bad"))]
                return ranking_item(record, subset=record.text("UID"), spans=spans)

            task = RankingTask.beside(__file__, decode)
    """

    decides = True

    def __init__(self, card: TaskCard, home: Path, decode: Callable[[Record], Item]) -> None:
        super().__init__(card, home)
        self.decode = decode

    @classmethod
    def beside(cls, module_file: str, decode: Callable[[Record], Item], card: str = "card.toml") -> RankingTask:
        """Makes the task from the card that lies in the same folder as the calling module.

        Raises:
            UsageError: The card is absent or wrong.
        """
        home = Path(module_file).resolve().parent
        return cls(load_card(home / card), home, decode)

    def items(self, source: DataSource) -> list[Item]:
        return number_equals(self.decode(record) for file in source.files for record in read_jsonl(file.path))

    def outcomes(self, items: Sequence[Item], rows: Sequence[Sequence[Row]], protocol: Protocol) -> list[Outcome]:
        outcomes = []
        for item, answers in zip(items, rows, strict=True):
            if not all(row.logprobs for row in answers):
                raise ModelError(
                    "A candidate has no token that can be scored.",
                    where=f"{self.card.name}, item {item.id}",
                    hint="The tokenizer gives too few tokens, or nothing to condition on: see 'babyeval check'.",
                )
            totals = tuple(row.total for row in answers)
            choice = choose(totals, int(item.gold), protocol)
            if choice.nan and protocol.nan == "error":
                raise ModelError(
                    "The model gives NaN instead of a log-probability.",
                    where=f"{self.card.name}, item {item.id}, candidate scores {totals}",
                    hint="The weights may be damaged or training may have diverged: 'babyeval check' looks at them.",
                )
            outcomes.append(Outcome(item.id, choice.credit, totals, choice.prediction, choice.tied, choice.nan))
        return outcomes

    def margins(self, items: Sequence[Item], rows: Sequence[Sequence[Row]], protocol: Protocol) -> list[float]:
        pairs = zip(items, rows, strict=True)
        return [margin([row.total for row in answers], int(item.gold)) for item, answers in pairs]


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
        cluster: What it shares with dependent items, for example a template; by default
            only exact duplicates depend on each other.
        meta: Further keys by which scores are grouped.

    Raises:
        DataError: There are fewer than two candidates, or gold is none of them.
    """
    if len(spans) < 2 or not 0 <= gold < len(spans):
        raise DataError(f"Candidate {gold} of {len(spans)} cannot be ranked.", where=record.where)
    name = f"{subset}-{record.digest}"
    return Item(name, subset, f"{subset}:{cluster}" if cluster is not None else name, tuple(spans), gold, dict(meta or {}))


def number_equals(items: Iterable[Item]) -> list[Item]:
    """Adds an ordinal to each id, so that exact duplicates in official files stay apart."""
    seen: Counter[str] = Counter()
    numbered = []
    for item in items:
        name = f"{item.id}-{seen[item.id]}"
        seen[item.id] += 1
        numbered.append(Item(name, item.subset, item.cluster, item.spans, item.gold, item.meta))
    return numbered
