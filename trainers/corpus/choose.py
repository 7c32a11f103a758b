"""Which documents are taken where the budget allows not all, and which are kept for validation."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _generator(seed: int, purpose: str, domain: str) -> np.random.Generator:
    """Random numbers of a domain's own, so that another domain's coming or going changes nothing here."""
    return np.random.default_rng([seed, zlib.crc32(f"{purpose}/{domain}".encode())])


def quotas(words: Mapping[str, int], budget: int) -> dict[str, int]:
    """Divides a budget among domains in proportion to their words, by the largest remainder.

    Example:
        >>> quotas({"books": 70, "speech": 30}, 25)
        {'books': 18, 'speech': 7}
    """
    total = sum(words.values())
    shares = {domain: count * budget // total for domain, count in words.items()}
    by_remainder = sorted(words, key=lambda domain: (-(words[domain] * budget % total), domain))
    for domain in by_remainder[: budget - sum(shares.values())]:
        shares[domain] += 1
    return shares


def sample(words: NDArray[np.int64], quota: int, seed: int, domain: str) -> NDArray[np.bool_]:
    """Draws documents in random order until the next would pass the quota.

    Args:
        words: Each document's words.
        quota: The most words.
        seed: Of the draw.
        domain: Also part of the seed.

    Returns:
        Which documents are taken.
    """
    order = _generator(seed, "sample", domain).permutation(len(words))
    taken = np.zeros(len(words), dtype=np.bool_)
    taken[order[np.cumsum(words[order]) <= quota]] = True
    return taken


def split(words: NDArray[np.int64], documents: NDArray[np.int64], share: float, seed: int, domain: str) -> NDArray[np.bool_]:
    """Draws what is kept for validation, so that its words come as near to their share as the random order allows.

    The sections of a document stay on one side, unless the document is longer than the whole validation part is to be.
    At least one unit comes to either side; a single one goes to training.

    Args:
        words: Each section's words.
        documents: Number of the document that each section is of.
        share: The part of the words that is kept for validation.
        seed: Of the draw.
        domain: Also part of the seed.

    Returns:
        Which sections are for validation.
    """
    target = share * float(words.sum())
    _, of_document = np.unique(documents, return_inverse=True)
    too_long = np.bincount(of_document, words)[of_document] > target if len(words) else np.zeros(0, dtype=np.bool_)
    # Sections of documents that are too long are units of their own, numbered behind the documents.
    _, units = np.unique(np.where(too_long, len(words) + np.arange(len(words)), of_document), return_inverse=True)
    count = int(units.max()) + 1 if len(units) else 0
    if count < 2:
        return np.zeros(len(words), dtype=np.bool_)
    order = _generator(seed, "split", domain).permutation(count)
    reached = np.cumsum(np.bincount(units, words)[order])
    chosen = order[: int(np.argmin(np.abs(reached[:-1] - target))) + 1]
    return np.isin(units, chosen)
