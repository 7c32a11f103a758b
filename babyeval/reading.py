"""The reading family: how much a model's surprisal tells about reading times beyond length, frequency and position."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from babyeval.data.jsonl import Record
from babyeval.errors import DataError
from babyeval.families import LineTask
from babyeval.protocols import Protocol
from babyeval.records import Score
from babyeval.types import Item, Outcome, Row, Span

if TYPE_CHECKING:
    from babyeval.scoring.encode import Encoder
    from babyeval.scoring.tokens import Encoded

EYE_TRACKING = ("RTfirstfix", "RTfirstpass", "RTgopast", "RTrightbound")
SELF_PACED = "self_paced_reading_time"
EEG = ("ELAN", "LAN", "N400", "P600", "EPNP", "PNP")
MEASURES = (*EYE_TRACKING, SELF_PACED, *EEG)
PREDICTORS = ("Subtlex_log10", "length", "context_length", "prev_length")
TEXTS = ("item", "word", "prev_item", "prev_word")
COLUMNS = (*TEXTS, "sent_id", *PREDICTORS, *MEASURES)

# An empty context is the word "None", taken for a missing value when the table was made (protocol.md, section 4).
_NONE = "None"


@dataclass(frozen=True, slots=True)
class ReadingItem(Item):
    """A word in its sentence, with what is known about it.

    Attributes:
        numbers: Predictors and reading times by column; NaN where one is missing.
    """

    numbers: Mapping[str, float] = field(default_factory=dict)


class ReadingTask(LineTask):
    """The task family in which surprisal predicts measures of reading.

    The spans of an item are the word in its sentence and, unless it comes second, the word before it.
    """

    corrects_word_end = True
    headline_count = 2
    does = (
        "regresses reading times on the surprisal of words in their sentences; the official protocols ask for the bare word "
        "(see 'words' above); always in float32"
    )

    def encode(self, items: Sequence[Item], encoder: Encoder) -> Iterator[Sequence[Encoded]]:
        if encoder.policy.bos == "explicit":
            ends = _ends(items, encoder)
            for item, words in zip(items, super().encode(items, encoder), strict=True):
                yield [*words, *islice(ends, len(item.spans))]
            return
        from babyeval.scoring.encode_words import encode_words

        pairs = [[_apart(span) for span in item.spans] for item in items]
        # Officially a previous context "None" counts as missing: the table's reader takes it for a missing value.
        kept = [[pair for i, pair in enumerate(spans) if i == 0 or pair[0] != _NONE] for spans in pairs]
        encoded = encode_words([pair for spans in kept for pair in spans], encoder)
        for spans in kept:
            yield [next(encoded) for _ in spans]

    def outcomes(self, items: Sequence[Item], rows: Sequence[Sequence[Row]], protocol: Protocol) -> list[Outcome]:
        """A word's surprisal in nats; the variants hold the columns of the regressions, and held-out log-densities."""
        from babyeval.stats.reading import PREVIOUS, SURPRISAL, TOKENS, WORD_END

        table: dict[str, list[float]] = {SURPRISAL: [], PREVIOUS: []}
        if protocol.name == "robust":
            table |= {name: [] for name in TOKENS.values()}
        missing = []
        for item, answers in zip(items, rows, strict=True):
            words, ends = answers[: len(item.spans)], answers[len(item.spans) :]
            missing.append(self.has_nan(item, words, protocol))
            surprisals = [-row.total for row in words]
            self.require_finite(item, surprisals, protocol)
            table[SURPRISAL].append(surprisals[0])
            table[PREVIOUS].append(surprisals[1] if len(surprisals) > 1 else math.nan)
            if protocol.name == "robust":  # the second word of a sentence has no previous one
                for name, value in zip(TOKENS.values(), [*(float(len(row.logprobs)) for row in words), math.nan], strict=False):
                    table[name].append(value)
            if ends:
                corrected = [*map(_corrected, surprisals, ends), math.nan]
                for name, value in zip(WORD_END.values(), corrected, strict=False):
                    table.setdefault(name, []).append(value)
        for name in (*PREDICTORS, *MEASURES):
            table[name] = [_numbers(item)[name] for item in items]
        if protocol.name == "robust":
            table |= _held_out(table, [item.cluster for item in items])
        return [
            Outcome(
                item_id=item.id,
                value=table[SURPRISAL][i],
                raw=tuple(row.total for row in rows[i][: len(items[i].spans)]),
                prediction=0,
                nan=missing[i],
                variants={name: column[i] if math.isfinite(column[i]) else None for name, column in table.items()},
            )
            for i, item in enumerate(items)
        ]

    def scores(self, items: Sequence[Item], outcomes: Sequence[Outcome], protocol: Protocol) -> list[Score]:
        from babyeval.reading_scores import reading_scores

        columns = {
            name: [math.nan if value is None else value for value in (outcome.variants[name] for outcome in outcomes)]
            for name in outcomes[0].variants
        }
        return reading_scores(columns, [item.cluster for item in items], protocol)


def reading_item(record: Record) -> ReadingItem:
    """Decodes a row of the official table.

    Raises:
        DataError: The word is empty, a number is none, or a previous word has no context.
    """
    spans = [_span(record["item"] or _NONE, record.text("word"))]
    if record["prev_item"]:
        spans.append(_span(record["prev_item"], record.text("prev_word")))
    numbers = {name: _number(record, name) for name in (*PREDICTORS, *MEASURES)}
    sentence = f"sentence-{record.text('sent_id')}"
    return ReadingItem(
        f"reading-{record.digest}", "reading", sentence, tuple(spans), numbers[SELF_PACED], numbers=numbers
    )  # fmt: skip


def _span(context: str, word: str) -> Span:
    """The word with the space before it, as it stands in the sentence."""
    return Span(f"{context} {word}", len(context))


def _ends(items: Sequence[Item], encoder: Encoder) -> Iterator[Encoded]:
    """The questions about the ends of words, span by span, if they are asked for."""
    if encoder.ends is None:
        return iter(())
    from babyeval.scoring.word_end import encode_ends

    return encode_ends([span for item in items for span in item.spans], encoder)


def _corrected(surprisal: float, ends: Row) -> float:
    """The word's surprisal, given that the word before it has ended, and up to its own end; NaN where no token says so."""
    if len(ends.logprobs) < 2:
        return math.nan
    before, behind = ends.logprobs
    return surprisal + before - behind


def _apart(span: Span) -> tuple[str, str]:
    """Context and bare word."""
    return span.text[: span.start], span.text[span.start + 1 :]


def _numbers(item: Item) -> Mapping[str, float]:
    assert isinstance(item, ReadingItem)
    return item.numbers


def _number(record: Record, name: str) -> float:
    """A cell as a number; NaN where it is empty."""
    if record[name] == "":
        return math.nan
    try:
        number = float(record[name])
    except ValueError:
        number = math.inf
    if not math.isfinite(number):
        raise DataError(
            f"The value of '{name}' is no number: {record[name][:40]!r}.", where=record.where, hint="Leave missing values empty."
        )
    return number


def _held_out(table: Mapping[str, Sequence[float]], sentences: Sequence[str]) -> dict[str, list[float]]:
    """Columns of held-out log-densities, ``ll_base_`` and ``ll_full_`` with the name of each measure."""
    import numpy as np

    from babyeval.stats.reading import COMMON_SPILLOVER, WORD_FORM, held_out

    arrays = {name: np.array(column, np.float64) for name, column in table.items()}
    found: dict[str, list[float]] = {}
    for measure in MEASURES:
        form = COMMON_SPILLOVER if measure == SELF_PACED else WORD_FORM
        base, full = held_out(arrays, form, measure, sentences)
        found |= {f"ll_base_{measure}": base.tolist(), f"ll_full_{measure}": full.tolist()}
    return found
