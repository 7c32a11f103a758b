"""From answers to rows: the surprisal of each token and of each word of a text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from babyeval.errors import ModelError
from babyeval.scoring.encode import Encoder
from babyeval.scoring.tokens import Encoded, Tokens
from babyeval.texts.words import Words
from babyeval.types import Span

if TYPE_CHECKING:
    import pandas as pd

Unit = Literal["word", "token"]
UNITS: tuple[Unit, ...] = get_args(Unit)
COLUMNS: dict[Unit, tuple[str, ...]] = {
    "word": (
        *("line", "word_index", "word", "start", "end", "tokens", "surprisal"),
        *("unscored", "unknown", "straddles", "truncated", "note"),
    ),
    "token": (
        *("line", "word_index", "word", "token_index", "token", "token_id", "start", "end", "surprisal"),
        *("unknown", "straddles", "truncated", "note"),
    ),
}
NO_CONTEXT = "nothing stands before it: the tokenizer has neither BOS nor EOS"
NO_TOKEN = "no token ends in it"  # noqa: S105
WORD_END = "surprisal_word_end"
NO_MARK = "no surprisal_word_end: no token says where it begins or ends"


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """A token and its surprisal.

    Attributes:
        piece: The vocabulary's name for it.
        id: Its vocabulary id.
        start: Where it begins, in characters.
        end: Where it ends.
        surprisal: In nats; None if nothing stands before it (D9).
        unknown: Whether it stands for whatever the vocabulary lacks.
        first: The first word that it covers a part of.
        word: The word that it belongs to.
        truncated: Whether context was cut to fit the model's window (D40).
    """

    piece: str
    id: int
    start: int
    end: int
    surprisal: float | None
    unknown: bool
    first: int
    word: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A text's words and tokens.

    Attributes:
        line: Its number, from 1.
        text: The text.
        words: Character range of each word.
        tokens: Its tokens, in order.
        corrections: What the correction for word ends adds to each word's surprisal, NaN where it is undefined;
            None where it is not asked for.
    """

    line: int
    text: str
    words: list[tuple[int, int]]
    tokens: list[ScoredToken]
    corrections: Sequence[float] | None = None


def scored_text(
    encoder: Encoder, line: int, span: Span, tokens: Tokens, part: Encoded, logprobs: Sequence[float],
    corrections: Sequence[float] | None = None,
) -> ScoredText:  # fmt: skip
    """Puts a text's tokens and their answers together.

    Args:
        encoder: What made the questions.
        line: The text's number.
        span: The text.
        tokens: Its tokens, as the tokenizer gives them.
        part: The questions about it.
        logprobs: Their answers, in text order.
        corrections: As in `ScoredText`.

    Raises:
        ModelError: An answer is not a number (D2).
    """
    words, tokenizer = Words(span.text), encoder.tokenizer
    values = [None] * part.unscored + [0.0 - value for value in logprobs]
    cut = [False] * part.unscored + _cut(encoder, part)
    scored: list[ScoredToken] = []
    for i, value, truncated in zip(encoder.scored(tokens, span), values, cut, strict=True):
        token, (start, end) = tokens.ids[i], tokens.offsets[i]
        piece = str(tokenizer.backend_tokenizer.id_to_token(token))
        if value is not None and math.isnan(value):
            raise ModelError(
                "The model gives NaN.",
                where=f"line {line}, token {len(scored)} ({piece!r})",
                hint="'babyeval check' looks for the fault; the weights may be damaged.",
            )
        first, word = words.touched(start, end)
        unknown = token == tokenizer.unk_token_id
        scored.append(ScoredToken(piece, token, start, end, value, unknown, first, word, truncated))
    return ScoredText(line, span.text, words.spans, scored, corrections)


def _cut(encoder: Encoder, part: Encoded) -> list[bool]:
    """For each answer, whether context was cut. Read left to right, only the tokens behind the first window lack any."""
    reads = [read for query in part.queries for read in query.reads]
    if encoder.backend in ("causal", "enc-dec-prefix"):
        return [read.position - reads[0].position != i for i, read in enumerate(reads)]
    return [part.truncated] * len(reads)


def as_table(texts: Iterable[ScoredText], unit: Unit) -> pd.DataFrame:
    """One row per word or per token of texts, with the columns of `COLUMNS`; `WORD_END` too, where it was asked for."""
    import pandas as pd

    make = _word_rows if unit == "word" else _token_rows
    whole = list(texts)
    rows = [row for text in whole for row in make(text)]
    table = pd.DataFrame.from_records(rows, columns=list(COLUMNS[unit])).astype({"surprisal": "float64"})
    added = [value for text in whole if text.corrections is not None for value in text.corrections]
    if unit == "word" and whole and whole[0].corrections is not None:
        table.insert(COLUMNS[unit].index("surprisal") + 1, WORD_END, table["surprisal"] + added)
        table.loc[table[WORD_END].isna() & (table["note"] == ""), "note"] = NO_MARK
    return table


def _token_rows(text: ScoredText) -> Iterator[tuple[Any, ...]]:
    for i, token in enumerate(text.tokens):
        start, end = text.words[token.word]
        yield (
            *(text.line, token.word, text.text[start:end], i, token.piece, token.id, token.start, token.end),
            *(token.surprisal, token.unknown, token.first != token.word, token.truncated),
            NO_CONTEXT if token.surprisal is None else "",
        )


def _word_rows(text: ScoredText) -> Iterator[tuple[Any, ...]]:
    members: list[list[ScoredToken]] = [[] for _ in text.words]
    straddled = [False] * len(text.words)
    for token in text.tokens:
        members[token.word].append(token)
        if token.first != token.word:
            straddled[token.first : token.word + 1] = [True] * (token.word + 1 - token.first)
    for i, ((start, end), tokens) in enumerate(zip(text.words, members, strict=True)):
        values = [token.surprisal for token in tokens if token.surprisal is not None]
        unscored = len(tokens) - len(values)
        note = NO_CONTEXT if unscored else "" if tokens else NO_TOKEN
        yield (
            *(text.line, i, text.text[start:end], start, end, len(tokens), None if note else math.fsum(values)),
            *(unscored, sum(token.unknown for token in tokens), straddled[i], any(token.truncated for token in tokens), note),
        )
