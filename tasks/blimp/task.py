"""BLiMP: decodes a line of the official files into a minimal pair."""

from __future__ import annotations

from babyeval.data.jsonl import Record
from babyeval.ranking import RankingTask, ranking_item
from babyeval.types import Item, Span


def decode(record: Record) -> Item:
    """Both sentences are scored whole; the acceptable one is candidate 0 (protocol.md, section 3.1)."""
    field = record.text("field")
    return ranking_item(
        record,
        subset=record.text("UID"),
        spans=[Span(record.text("sentence_good")), Span(record.text("sentence_bad"))],
        meta={
            "field": "syntax/semantics" if field == "syntax_semantics" else field,
            "linguistics_term": record.text("linguistics_term"),
        },
    )


task = RankingTask.beside(__file__, decode)
