"""One progress bar over blocks that are answered one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from babyeval.progress import Advance, Reporter, Share


class OneBar:
    """A reporter whose bars move a larger bar on.

    The engine counts the questions of a block; the user sees how much of the text is done.

    Args:
        reporter: Gets the notes.
        advance: Moves the larger bar on.
    """

    def __init__(self, reporter: Reporter, advance: Advance) -> None:
        self._reporter = reporter
        self._advance = advance
        self._left = 0

    @contextlib.contextmanager
    def block(self, size: int) -> Iterator[None]:
        """A part of the larger bar; what was not reported when it ends, for example for being cached, is then."""
        self._left = size
        yield
        self._advance(self._left)

    @contextlib.contextmanager
    def bar(self, label: str, total: int, unit: str = "rows", share: Share | None = None) -> Iterator[Advance]:
        """Shares the current block out among ``total`` questions."""
        size, done = self._left, 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            left = size - size * done // total
            self._advance(self._left - left)
            self._left = left

        yield advance

    def note(self, text: str) -> None:
        self._reporter.note(text)
