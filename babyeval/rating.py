"""The rating family: how far a model prefers one form over another, correlated with how far people do."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from babyeval.data.jsonl import Record
from babyeval.decide import choose
from babyeval.errors import DataError
from babyeval.families import LineTask
from babyeval.protocols import Protocol
from babyeval.records import Score
from babyeval.stats.aggregate import make_score
from babyeval.stats.intervals import spearman
from babyeval.types import Item, Outcome, Row, Span


class RatingTask(LineTask):
    """The task family in which two forms compete and the model's preference is correlated with people's.

    Args:
        card: What the task is.
        home: The folder that holds the card and the bundled files.
        decode: Turns one line of a data file into an item, usually by `rating_item`.
        read: Turns a data file into records, for files in another format than JSONL.
    """

    does = "correlates its preference for one of two forms with people's; always in float32"

    def outcomes(self, items: Sequence[Item], rows: Sequence[Sequence[Row]], protocol: Protocol) -> list[Outcome]:
        """The preference for the first form: its log-odds in nats, or, officially, its share (`official_share`)."""
        outcomes = []
        for item, answers in zip(items, rows, strict=True):
            nan = self.has_nan(item, answers, protocol)
            first, second = (row.total for row in answers)
            choice = choose((first, second), 0, protocol, item.id)
            value = first - second if protocol.name == "robust" else official_share(first, second)
            outcomes.append(Outcome(item.id, value, (first, second), choice.prediction, choice.tied, nan))
        return outcomes

    def scores(self, items: Sequence[Item], outcomes: Sequence[Outcome], protocol: Protocol) -> list[Score]:
        estimate = spearman([outcome.value for outcome in outcomes], [item.gold for item in items])
        return [make_score(self.card, estimate, "micro", metric=self.card.metric, chance=self.card.chance)]


def official_share(first: float, second: float) -> float:
    """Softmax of two log-scores in float32, first entry (protocol.md, section 3.5).

    Margins above about 17 nats give exactly 1, so that such items tie in the ranking.

    Example:
        >>> official_share(-10.0, -30.0)
        1.0
    """
    import numpy as np

    scores = np.array([first, second], np.float32)
    with np.errstate(invalid="ignore"):  # two impossible forms: NaN, as torch gives
        powers = np.exp(scores - scores.max())
    return float(powers[0] / powers.sum())


def rating_item(record: Record, *, subset: str, forms: Sequence[str], rating: object) -> Item:
    """Makes the item of a rating task.

    Args:
        record: The line it comes from; its content is part of the item's id.
        subset: The official UID.
        forms: Two texts, each scored whole.
        rating: How far people prefer the first form.

    Raises:
        DataError: There are not two forms, one is empty, or the rating is no finite number.
    """
    if len(forms) != 2 or not all(forms):
        raise DataError(f"The line holds {len(forms)} forms, not two, or an empty one.", where=record.where)
    if isinstance(rating, bool) or not isinstance(rating, int | float) or not abs(rating) <= sys.float_info.max:
        raise DataError(f"The rating {rating!r} is no number.", where=record.where)
    name = f"{subset}-{record.digest}"
    return Item(name, subset, name, tuple(Span(form) for form in forms), float(rating))
