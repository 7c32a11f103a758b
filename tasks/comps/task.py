"""COMPS: decodes a line of the official files into one property of two concepts."""

from __future__ import annotations

from dataclasses import replace

from babyeval.data.jsonl import Record
from babyeval.ranking import RankingTask, ranking_item, text_cluster
from babyeval.types import Item, Span


def decode(record: Record) -> Item:
    """The property is scored after each concept; the one that has it is candidate 0 (protocol.md, section 3.6).

    Items about one property are one cluster, in whichever of the four files: each property occurs with
    several pairs of concepts, and again with new names.
    """
    phrase = record.text("property_phrase")
    prefixes = [record.text("prefix_acceptable"), record.text("prefix_unacceptable")]
    item = ranking_item(
        record,
        subset=str(record.get("UID", record.stem.removeprefix("comps_").replace("-", "_"))),
        spans=[Span(f"{prefix} {phrase}", len(prefix) + 1) for prefix in prefixes],
    )
    return replace(item, cluster=text_cluster(phrase))


task = RankingTask.beside(__file__, decode)
