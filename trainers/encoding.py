"""From documents to tokens, and from each word to the token that holds its first character."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .shards import TokenFacts

_CODE_POINTS = 0x110000


def encode(backend: Any, texts: list[str], facts: TokenFacts) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Tokenizes documents and finds the token that holds each word's first character.

    A word whose first character no token holds (a normalizer removed it) goes to the next token of its document.

    Args:
        backend: A ``tokenizers.Tokenizer``.
        texts: The documents.
        facts: What stands around each.

    Returns:
        The ids of all documents one behind the other; where each document begins; and for each word, in
        order, the place of its token.
    """
    front, back = list(facts.front), list(facts.back)
    ids: list[int] = []
    ends: list[Any] = []  # per token, the character behind it, counted over all texts with one line break between
    starts = np.zeros(len(texts), dtype=np.int64)
    behind = 0
    for i, (text, encoded) in enumerate(zip(texts, backend.encode_batch(texts, add_special_tokens=False), strict=True)):
        starts[i] = len(ids)
        ids += front + encoded.ids + back
        offsets = np.array(encoded.offsets, dtype=np.int64).reshape(-1, 2)[:, 1]
        own = behind + np.concatenate([np.zeros(len(front), np.int64), offsets, np.zeros(len(back), np.int64)])
        behind += len(text) + 1
        own[-1:] = behind  # whatever is left of this text
        ends.append(own)
    if not ids:
        return np.zeros(0, np.int64), starts, np.zeros(0, np.int64)
    upto = np.maximum.accumulate(np.concatenate(ends))
    tokens = np.searchsorted(upto, _word_starts("\n".join(texts)), side="right")
    return np.array(ids, dtype=np.int64), starts, np.minimum(tokens, len(ids) - 1)


def _word_starts(text: str) -> NDArray[np.int64]:
    """Where the words that ``text.split()`` gives begin, in characters."""
    letters = ~_spaces()[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)]
    letters_before = np.concatenate([np.zeros(1, dtype=bool), letters[:-1]])
    return np.flatnonzero(letters & ~letters_before)


@cache
def _spaces() -> NDArray[np.bool_]:
    return np.array([chr(code).isspace() for code in range(_CODE_POINTS)])
