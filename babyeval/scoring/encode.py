"""From spans of text to token-level queries: which tokens are scored, and what stands before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from babyeval.models.kind import Backend, Masking
from babyeval.models.tokenizer import TokenizerFacts
from babyeval.protocols import EncodingPolicy
from babyeval.types import Query, Read, Span

_TOKENIZE_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenised text.

    Attributes:
        ids: Vocabulary ids, specials included.
        offsets: Character range of each token.
        special: 1 where the tokenizer added the token, else 0.
        words: What tells the word of each token from others; None for specials.
    """

    ids: tuple[int, ...]
    offsets: Sequence[tuple[int, int]]
    special: Sequence[int]
    words: tuple[tuple[int, int] | None, ...]

    def with_front(self, token: int) -> Tokens:
        """The same with a special token put in front."""
        return Tokens((token, *self.ids), ((0, 0), *self.offsets), (1, *self.special), (None, *self.words))

    @property
    def prefix(self) -> int:
        """Number of special tokens in front."""
        return next((i for i, special in enumerate(self.special) if not special), len(self.ids))

    @property
    def suffix(self) -> int:
        """Number of special tokens at the end."""
        return next((i for i, special in enumerate(reversed(self.special)) if not special), 0)


@dataclass(frozen=True, slots=True)
class Encoded:
    """The queries that answer one span.

    Attributes:
        queries: Their reads, one after the other, are the scored tokens in text order.
        truncated: True if context was cut to fit the window (D40).
        unscored: Tokens that nothing stands before, so that they have no probability (D9).
    """

    queries: tuple[Query, ...]
    truncated: bool = False
    unscored: int = 0


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns spans into queries for one model under one policy.

    Attributes:
        tokenizer: The model's fast tokenizer.
        facts: What it adds around a text.
        backend: How the model is asked.
        policy: The protocol's rules.
        window: The most tokens the model takes, None for no limit.
        masking: For masked models: mask one token (``pll``), or the token and the rest of its
            word (``word-l2r``: Kauf and Ivanova 2023; D30).
    """

    tokenizer: Any
    facts: TokenizerFacts
    backend: Backend
    policy: EncodingPolicy
    window: int | None = None
    masking: Masking = "pll"

    def encode(self, spans: Sequence[Span]) -> Iterator[Encoded]:
        """Yields the queries of each span, in order."""
        waiting = iter(spans)
        while batch := list(islice(waiting, _TOKENIZE_AT_ONCE)):
            for span, tokens in zip(batch, self.tokenize([span.text for span in batch]), strict=True):
                tokens = self._fronted(tokens)
                scored = self.scored(tokens, span)
                yield self._causal(tokens, scored) if self.backend == "causal" else self._masked(tokens, scored)

    def tokenize(self, texts: list[str]) -> Iterator[Tokens]:
        """Tokenises texts as the tokenizer does by itself, with its special tokens."""
        backend = self.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        for text, encoding in zip(texts, backend.encode_batch(texts), strict=True):
            words = words_of(text, encoding.word_ids, encoding.offsets) if self.masking == "word-l2r" else ()
            yield Tokens(tuple(encoding.ids), encoding.offsets, encoding.special_tokens_mask, words)

    def scored(self, tokens: Tokens, span: Span) -> list[int]:
        """Indices of the tokens that belong to the span (protocol.md, section 1).

        A token belongs to it if it ends behind the span's first character: one that straddles
        the boundary counts, special tokens, whose range is (0, 0), do not.
        """
        cut = span.start
        if self.policy.scored == "tokens":
            return [
                i for i, (_, end) in enumerate(tokens.offsets) if not tokens.special[i] and (end > cut or cut == 0)
            ]  # fmt: skip
        if self.backend == "causal" and tokens.offsets:
            cut += tokens.offsets[0][0]
        return [i for i, (_, end) in enumerate(tokens.offsets) if end > cut]

    def _fronted(self, tokens: Tokens) -> Tokens:
        """Puts something to condition on in front where the tokenizer puts nothing (D9)."""
        if self.policy.bos != "explicit" or self.backend == "mlm" or tokens.prefix:
            return tokens
        front = self.facts.front(self.backend)
        return tokens if front is None else tokens.with_front(front)

    def _causal(self, tokens: Tokens, scored: list[int]) -> Encoded:
        """Each token is read one position before it; inputs end before the last scored token."""
        readable = [i for i in scored if i > 0]
        unscored = len(scored) - len(readable)
        if not readable:
            return Encoded((), unscored=unscored)
        front = min(tokens.prefix, readable[0])
        if self.window is None or readable[-1] <= self.window:
            return Encoded((_left_to_right(tokens.ids, readable, front, front),), unscored=unscored)
        room = self.window - front
        fits = readable[-1] - readable[0] < room
        groups = [readable] if fits else _pieces(readable, max(1, room // 2))
        queries = (_left_to_right(tokens.ids, group, front, max(front, group[-1] - room)) for group in groups)
        return Encoded(tuple(queries), truncated=True, unscored=unscored)

    def _masked(self, tokens: Tokens, scored: list[int]) -> Encoded:
        """One copy per scored token with that token masked; mntp reads one position earlier."""
        shift = 1 if self.backend == "mntp" else 0
        # Without a special token in front, the official mntp code reads index -1, the end of a
        # padded row (D7): no number to reproduce, so the token stays unscored here.
        readable = [i for i in scored if i >= shift]
        unscored = len(scored) - len(readable)
        words = tokens.words if self.masking == "word-l2r" else None
        truncated = self.window is not None and len(tokens.ids) > self.window
        queries = []
        for i in readable:
            ids, at = self._masked_copy(tokens, i, words), i
            if truncated:
                ids, at = self._windowed(tokens, ids, i, readable[0] - shift)
            queries.append(Query(ids, (Read(at - shift, tokens.ids[i]),)))
        return Encoded(tuple(queries), truncated, unscored)

    def _masked_copy(self, tokens: Tokens, i: int, words: Sequence[tuple[int, int] | None] | None) -> tuple[int, ...]:
        mask = self.facts.mask
        assert mask is not None, "opening the checkpoint checks for a mask token"
        end = i + 1
        while words is not None and end < len(words) and words[end] == words[i]:
            end += 1
        return tokens.ids[:i] + (mask,) * (end - i) + tokens.ids[end:]

    def _windowed(self, tokens: Tokens, ids: tuple[int, ...], i: int, first: int) -> tuple[tuple[int, ...], int]:
        """Cuts from the left, keeps the special tokens; a span too long slides along with the mask.

        Args:
            tokens: The whole text.
            ids: Its ids with masks.
            i: The token to be scored.
            first: The first position that any query of the span reads; it must stay inside.

        Returns:
            The ids that fit, and where the token now stands.
        """
        assert self.window is not None
        front, back = tokens.prefix, tokens.suffix
        end = len(ids) - back
        room = self.window - front - back
        start = end - room
        if first < start:
            start = min(max(front, i - room // 2), start)
        return ids[:front] + ids[start : start + room] + ids[end:], i - start + front


def _left_to_right(ids: tuple[int, ...], scored: list[int], front: int, start: int) -> Query:
    """The query that scores tokens given everything from ``start`` on behind ``front`` specials."""
    shift = start - front
    reads = tuple(Read(i - 1 - shift, ids[i]) for i in scored)
    return Query(ids[:front] + ids[start : scored[-1]], reads)


def _pieces(values: list[int], size: int) -> list[list[int]]:
    return [values[i : i + size] for i in range(0, len(values), size)]


def words_of(text: str, word_ids: Sequence[int | None], offsets: Sequence[tuple[int, int]]) -> tuple[tuple[int, int] | None, ...]:
    """The word of each token: the tokenizer's own word number, and how many words of the text begin before its end.

    The second part is for tokenizers that do not cut texts into words and give all tokens one number.

    Example:
        >>> words_of("a bc", [None, 0, 0, 0], [(0, 0), (0, 1), (1, 3), (3, 4)])
        (None, (0, 1), (0, 2), (0, 2))
    """
    begun = [0]
    for before, character in zip(" " + text, text, strict=False):
        begun.append(begun[-1] + (before.isspace() and not character.isspace()))
    # A token that ends in a space belongs to the word that follows.
    begun = [count + (" " + text)[end].isspace() for end, count in enumerate(begun)]
    return tuple(None if word is None else (word, begun[end]) for word, (_, end) in zip(word_ids, offsets, strict=True))
