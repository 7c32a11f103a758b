"""Decision rules: from the scores of an item's candidates to the credit it earns."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from babyeval.protocols import Protocol


@dataclass(frozen=True, slots=True)
class Choice:
    """The outcome of ranking an item's candidates.

    Attributes:
        credit: Share of the item that is counted as right, between 0 and 1.
        prediction: Index of the chosen candidate.
        tied: How many candidates share the highest score.
        nan: Whether any score was not a number.
    """

    credit: float
    prediction: int
    tied: int
    nan: bool


def choose(scores: Sequence[float], gold: int, protocol: Protocol, item_id: str = "") -> Choice:
    """Picks the candidate with the highest score by the protocol's rules (protocol.md, section 1).

    Args:
        scores: One log-probability per candidate, in nats.
        gold: Index of the right candidate.
        protocol: Says what ties (D1, D3) and NaN (D2) are worth. Where it makes NaN an
            error, the caller has to look at ``nan`` and refuse.
        item_id: Decides which of the tied candidates is named where they share the credit, so
            that a submitted text is the same in every run (D3).

    Example:
        >>> from babyeval.protocols import PROTOCOLS
        >>> choose([-3.0, -3.0], 0, PROTOCOLS["robust"])
        Choice(credit=0.5, prediction=0, tied=2, nan=False)
        >>> choose([-3.0, -3.0], 0, PROTOCOLS["babylm-2025"]).credit
        1.0
    """
    missing = [i for i, score in enumerate(scores) if math.isnan(score)]
    if missing and protocol.nan == "wins":
        return Choice(float(missing[0] == gold), missing[0], 1, True)
    usable = [-math.inf if math.isnan(score) else score for score in scores]
    best = max(usable)
    winners = [i for i, score in enumerate(usable) if score == best]
    credited = winners[:1] if protocol.ties == "first" else winners
    credit = 1.0 / len(credited) if gold in credited else 0.0
    return Choice(credit, credited[_draw(item_id) % len(credited)], len(winners), bool(missing))


def _draw(item_id: str) -> int:
    """A number that depends on the item alone; 0 without one."""
    return int.from_bytes(hashlib.blake2b(item_id.encode(), digest_size=8).digest()) if item_id else 0


def margin(scores: Sequence[float], gold: int) -> float:
    """How far the right candidate lies above the best wrong one, in nats (negative: below).

    Example:
        >>> margin([-2.0, -5.0, -4.0], 0)
        2.0
    """
    return scores[gold] - max(score for i, score in enumerate(scores) if i != gold)
