"""Entity tracking: decodes a line of the official files into five continuations of one story."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from babyeval.data.jsonl import Record
from babyeval.errors import DataError
from babyeval.protocols import Protocol
from babyeval.ranking import Criterion, RankingTask, ranking_item
from babyeval.types import Item, Span


def decode(record: Record) -> Item:
    """The options are what is scored; the first one is right (protocol.md, section 3.4).

    Questions asked along one story depend on each other, whatever number of operations precedes them.
    """
    prefix, options = record.text("input_prefix"), record["options"]
    if not isinstance(options, list) or not all(isinstance(option, str) and option for option in options):
        raise DataError("The field 'options' is not a list of non-empty strings.", where=record.where)
    if isinstance(record["numops"], bool) or not isinstance(record["numops"], int):
        raise DataError(f"The field 'numops' is no whole number: {record['numops']!r}.", where=record.where)
    split = str(record.get("split", record.stem))
    item = ranking_item(
        record,
        subset=f"{split}_{record['numops']}_ops",
        spans=[Span(prefix + option, len(prefix)) for option in options],
        meta={"split": split, "nothing": "yes" if any("nothing" in option for option in options) else "no"},
    )
    return replace(item, cluster=f"{split}:{record['sample_id']}") if "sample_id" in record else item


def without_nothing(item: Item) -> bool:
    """Whether no option says that a box is empty: what 2026 keeps."""
    return item.meta["nothing"] == "no"


def criteria(protocol: Protocol) -> Sequence[Criterion]:
    """Sums, as published; they favour short options, so normalised variants stand beside them (D5)."""
    variants = (Criterion("accuracy_per_token", norm="token"), Criterion("accuracy_per_char", norm="char"))
    if protocol.name != "robust":
        return (Criterion(), *variants)
    return (Criterion(), *variants, Criterion("accuracy_without_nothing", applies=without_nothing))


def keeps(item: Item, protocol: Protocol) -> bool:
    """2026 drops every item with an option that holds the word 'nothing': 6,780 of 9,483 remain."""
    return protocol.name != "babylm-2026" or without_nothing(item)


task = RankingTask.beside(__file__, decode, criteria=criteria, keeps=keeps)
