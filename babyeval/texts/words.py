"""Words of a text, and which of them each token belongs to."""

from __future__ import annotations

import re
from bisect import bisect_right

_WORD = re.compile(r"\S+")


class Words:
    """The words of a text: what stands between white space.

    Args:
        text: The text.

    Attributes:
        spans: Character range of each word.

    Example:
        >>> words = Words("The cat sat.")
        >>> words.spans
        [(0, 3), (4, 7), (8, 12)]
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.spans = [match.span() for match in _WORD.finditer(text)]
        self._starts = [start for start, _ in self.spans]
        self._ends = [end for _, end in self.spans]

    def touched(self, start: int, end: int) -> tuple[int, int]:
        """The first word that a token covers a part of, and the word that it belongs to.

        It belongs to the word in which it ends. One that ends in white space, or covers nothing,
        belongs to the word that follows, as a leading space does. Where the two differ, the token
        straddles words.

        Args:
            start: Where the token begins.
            end: Where it ends.

        Example:
            >>> words = Words("The cat sat.")
            >>> words.touched(3, 7), words.touched(5, 10), words.touched(0, 4)
            ((1, 1), (1, 2), (0, 1))
        """
        if end > start and not self._text[end - 1].isspace():
            owner = bisect_right(self._starts, end - 1) - 1
        else:
            owner = min(bisect_right(self._ends, end), len(self.spans) - 1)
        inked = end - len(self._text[start:end].lstrip())
        first = bisect_right(self._starts, inked) - 1 if inked < end else owner
        return first, owner
