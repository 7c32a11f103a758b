"""BLiMP supplement: decodes a line of the official files into a minimal pair."""

from __future__ import annotations

from babyeval.data.jsonl import Record
from babyeval.ranking import RankingTask, ranking_item
from babyeval.types import Item, Span

# What items of one UID share when they were made from one template (statistics.md: one cluster).
_TEMPLATE_FIELDS = ("template", "row", "quad")


def decode(record: Record) -> Item:
    """Both texts are scored whole; the UID is the file's name (protocol.md, section 3.2)."""
    template = next((name for name in _TEMPLATE_FIELDS if name in record), None)
    return ranking_item(
        record,
        subset=record.get("UID", record.stem),
        spans=[Span(record.text("sentence_good")), Span(record.text("sentence_bad"))],
        cluster=f"{template}={record[template]}" if template else None,
        meta={"field": "supplement", "linguistics_term": "supplement"},
    )


task = RankingTask.beside(__file__, decode)
