"""Prefix tries that several checkpoints share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from babyeval.types import Query

if TYPE_CHECKING:
    from babyeval.scoring.trie import Trie

# Tries kept for further checkpoints: a run has one per precision.
_KEPT = 2


class Tries:
    """Tries that were built, for further checkpoints that are asked the same.

    The few largest are kept: small ones, such as those of audits in float32, are soon built again.
    """

    def __init__(self) -> None:
        self._built: dict[bytes, Trie] = {}

    def get(self, keys: Sequence[bytes], queries: Sequence[Query]) -> Trie:
        """The trie of these queries, built if it was not yet.

        Args:
            keys: A key per query; equal keys in the same order mean equal queries.
            queries: The queries.
        """
        name = hashlib.blake2b(b"".join(keys), digest_size=16).digest()
        if name in self._built:
            return self._built[name]
        from babyeval.scoring.trie import build_trie

        trie = self._built[name] = build_trie(queries)
        if len(self._built) > _KEPT:
            del self._built[min(self._built, key=lambda each: self._built[each].tokens)]
        return trie
