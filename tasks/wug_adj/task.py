"""WUG adjective nominalisation: decodes a line of the official file into two forms and a human rating."""

from __future__ import annotations

from collections.abc import Callable

from babyeval.data.jsonl import Record
from babyeval.rating import RatingTask, rating_item
from babyeval.types import Item


def decoder(uid: str) -> Callable[[Record], Item]:
    """Decodes two sentences joined by a tab, scored whole, and the share of people who chose the first.

    Both WUG tasks have this form (protocol.md, section 3.5); ``uid`` is the official name of the one.
    """
    return lambda record: rating_item(record, subset=uid, forms=record.text("sentences").split("\t"), rating=record["ratio"])


task = RatingTask.beside(__file__, decoder("wug_adj_nominalization"))
