"""Global PIQA (parallel): decodes a line of the official file into a prompt and its solutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from babyeval.data.jsonl import Record
from babyeval.protocols import Protocol
from babyeval.ranking import Criterion, RankingTask, ranking_item
from babyeval.types import Item, Span


def decoder(uid: str) -> Callable[[Record], Item]:
    """Decodes the solutions, scored after the prompt; ``label`` says which one works (protocol.md, section 3.7).

    All items are one subset: officially each is a UID of its own (D35), with the same mean.
    """

    def decode(record: Record) -> Item:
        prompt = record.text("prompt")
        solutions = [record.text(key) for key in sorted(record) if key.startswith("solution") and record[key] is not None]
        return ranking_item(
            record,
            subset=uid,
            spans=[Span(f"{prompt} {solution}", len(prompt)) for solution in solutions],
            gold=record["label"],
            meta={"example_id": str(record["example_id"])},
        )

    return decode


def criteria(_: Protocol) -> Sequence[Criterion]:
    """The mean log-probability per scored token decides; the sum and the mean per character stand beside it."""
    return (
        Criterion(norm="token"),
        Criterion("accuracy_sum", norm="sum"),
        Criterion("accuracy_per_char", norm="char"),
    )


task = RankingTask.beside(__file__, decoder("global_piqa_parallel"), criteria=criteria)
