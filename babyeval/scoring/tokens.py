"""A tokenised text, and the queries that answer a span of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from babyeval.types import Query


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


def tokenize(tokenizer: Any, texts: list[str], *, specials: bool = True, words: bool = False) -> Iterator[Tokens]:
    """Tokenises texts, whole, whatever padding or truncation the tokenizer was saved with.

    Args:
        tokenizer: A fast tokenizer.
        texts: What to tokenise.
        specials: Whether the tokenizer adds its special tokens.
        words: Whether to find out the word of each token.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    for text, encoding in zip(texts, backend.encode_batch(texts, add_special_tokens=specials), strict=True):
        of = words_of(text, encoding.word_ids, encoding.offsets) if words else ()
        yield Tokens(tuple(encoding.ids), encoding.offsets, encoding.special_tokens_mask, of)


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
