"""Where words end: the vocabulary ids behind which a word is complete, and the questions about them.

A token that begins with a space says that the word before it has ended, so that the sum of a word's token
log-probabilities is the log-probability of all words that begin like it. The correction (Pimentel and Meister 2024,
arXiv 2406.14561; Oh and Schuler 2024, arXiv 2406.10851) is, with E the ids that end a word:

    log p(word | context) = sum of token log-probabilities + log P(E | context, word) - log P(E | context)
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from babyeval.errors import UsageError
from babyeval.models.checkpoint import Checkpoint
from babyeval.scoring.tokens import Encoded, Tokens, tokenize
from babyeval.texts.words import Words
from babyeval.types import Read, Span

if TYPE_CHECKING:
    from babyeval.scoring.encode import Encoder

WordEnd = Literal["none", "corrected"]
BACKENDS = ("causal", "enc-dec-prefix")
_HINT = "Leave --word-end corrected out: the plain values stand."
# The jumbles are no words, so that every tokenizer has to put them together from pieces.
_PROBE = "The cat sat near zqxjkv, wvbnqz and xkcdyq."


@dataclass(frozen=True, slots=True)
class WordEnds:
    """Ids that decide whether a word has ended.

    Attributes:
        ends: Ids that begin with white space, and special ones that end a text.
        inside: All that do not begin with white space: what a text can begin with where its first word has no space.
    """

    ends: tuple[int, ...]
    inside: tuple[int, ...]


def word_ends(checkpoint: Checkpoint) -> WordEnds:
    """Finds out which ids end a word, by what the tokenizer itself makes of them.

    Words are what stands between white space, so punctuation is part of the word that it follows. Pieces of a
    tokenizer that drops white space (WordPiece) begin a word if they continue none and are no punctuation.

    Args:
        checkpoint: The model; its weights are not needed.

    Raises:
        UsageError: It is not asked from left to right, or its tokens do not tell where words begin.
    """
    if checkpoint.backend not in BACKENDS:
        raise UsageError(
            f"--word-end corrected needs probabilities from left to right, and '{checkpoint.name}' is scored as "
            f"{checkpoint.backend}: a word's end has no probability there.",
            hint=f"{_HINT} It is defined for the backends {' and '.join(BACKENDS)}.",
        )
    tokenizer = checkpoint.tokenizer
    size = min(checkpoint.facts.size, getattr(checkpoint.config, "vocab_size", None) or checkpoint.facts.size)
    begins = _beginnings(tokenizer, size)
    _require_marks(tokenizer, begins, checkpoint.name)
    no_end = {tokenizer.unk_token_id, tokenizer.mask_token_id}
    specials = {token for token in tokenizer.all_special_ids if token < size} - no_end
    return WordEnds(tuple(sorted(begins | specials)), tuple(token for token in range(size) if token not in begins))


def _beginnings(tokenizer: Any, size: int) -> set[int]:
    """Ids that stand for white space and what follows it: between them and a letter the tokenizer writes a space."""
    backend = tokenizer.backend_tokenizer
    letter = backend.encode("a", add_special_tokens=False).ids[-1:]
    before = len(backend.decode(letter, skip_special_tokens=False))
    # Where spaces are no part of pieces, the decoder puts them before punctuation too.
    dropped = type(backend.decoder).__name__ in ("WordPiece", "NoneType")
    specials = set(tokenizer.all_special_ids)
    begins = set()
    for token in range(size):
        text = "" if token in specials else backend.decode([*letter, token], skip_special_tokens=False)[before:]
        if text[:1].isspace() and not (dropped and unicodedata.category((text.strip() or " ")[0]).startswith("P")):
            begins.add(token)
    if dropped and tokenizer.unk_token_id is not None:
        begins.add(tokenizer.unk_token_id)  # stands for a whole word
    return begins


def _require_marks(tokenizer: Any, begins: set[int], name: str) -> None:
    """Refuses a tokenizer by whose tokens words cannot be told apart.

    Raises:
        UsageError: In plain English a token begins a word and does not say so, or says so and does not.
    """
    (tokens,) = tokenize(tokenizer, [_PROBE], specials=False)
    words, last = Words(_PROBE), 0
    for token, (start, end) in zip(tokens.ids, tokens.offsets, strict=True):
        first, word = words.touched(start, end)
        if first != word or (word > 0 and (word > last) != (token in begins)):
            raise UsageError(
                "--word-end corrected needs a tokenizer whose tokens say where a word begins, by a leading space for example.",
                where=f"'{name}', token {tokenizer.backend_tokenizer.id_to_token(token)!r} in {_PROBE!r}",
                hint=f"{_HINT} Of a tokenizer that marks where words end they need no correction.",
            )
        last = word


def encode_ends(spans: Sequence[Span], encoder: Encoder) -> Iterator[Encoded]:
    """Yields for each span the questions whether a word ends before it, and behind it.

    Without reads if the tokens do not say that the span begins a word: a token reaches over its beginning, say.

    Args:
        spans: Words with the space before them, each at the end of its text.
        encoder: The model's way of being asked, with `Encoder.ends`.
    """
    assert encoder.ends is not None
    ends = set(encoder.ends.ends)
    for span, tokens in zip(spans, tokenize(encoder.tokenizer, [span.text for span in spans]), strict=True):
        scored = encoder.scored(tokens, span)
        marked = scored and tokens.offsets[scored[0]][0] >= span.start and tokens.ids[scored[0]] in ends
        yield ask_ends(span, tokens, (0, len(scored)), encoder) if marked else Encoded(())


def ask_ends(span: Span, tokens: Tokens, wanted: Sequence[int], encoder: Encoder) -> Encoded:
    """The questions whether a word ends before some of a span's tokens.

    Each reads the position that its token is read at, so that it sees the same context; in the last piece of a text
    longer than the model's window, which is one longer here, it may see one token less.

    Args:
        span: What is scored.
        tokens: Its text as the tokenizer gives it.
        wanted: Which tokens, by their number among the scored ones, ascending; their count is the place behind the last.
        encoder: The model's way of being asked, with `Encoder.ends`.
    """
    assert encoder.ends is not None
    scored = encoder.scored(tokens, span)
    whole = encoder.followed(span, tokens)
    targets = dict.fromkeys(wanted, encoder.ends.ends)
    if span.start == 0 and 0 in targets and tokens.ids[scored[0]] not in encoder.ends.ends:
        targets[0] = encoder.ends.inside  # a text whose first word has no space before it
    queries = []
    firsts = accumulate((len(query.reads) for query in whole.queries), initial=whole.unscored)
    for first, query in zip(firsts, whole.queries, strict=False):
        reads = [Read(read.position, targets[i]) for i, read in enumerate(query.reads, first) if i in targets]
        if reads:
            queries.append(replace(query, reads=tuple(reads)))
    return Encoded(tuple(queries), whole.truncated, sum(i < whole.unscored for i in wanted))
