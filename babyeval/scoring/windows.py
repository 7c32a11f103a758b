"""Fitting questions into a model's window (D40): context is cut from the left, every scored token is kept."""

from __future__ import annotations

from babyeval.scoring.tokens import Tokens
from babyeval.types import Query, Read


def left_to_right(ids: tuple[int, ...], scored: list[int], front: int, window: int | None) -> tuple[tuple[Query, ...], bool]:
    """Queries that score tokens given those before them, each read one position before its token.

    Inputs end before the last scored token. Scored tokens that do not fit into one window go in
    pieces of half a window, so that each keeps at least the other half as context.

    Args:
        ids: The whole sequence.
        scored: Indices of the tokens to be scored, ascending, at least one and none of them 0.
        front: Number of ids at the beginning that are always kept.
        window: The most ids a query may have, None for no limit.

    Returns:
        The queries, and whether context was cut.

    Example:
        >>> queries, cut = left_to_right((1, 7, 8, 9), [3], front=1, window=2)
        >>> queries[0].input_ids, queries[0].reads, cut
        ((1, 8), (Read(position=1, target=9),), True)
    """
    if window is None or scored[-1] <= window:
        return (_piece(ids, scored, front, front),), False
    room = window - front
    fits = scored[-1] - scored[0] < room
    size = max(1, room // 2)
    groups = [scored] if fits else [scored[i : i + size] for i in range(0, len(scored), size)]
    return tuple(_piece(ids, group, front, max(front, group[-1] - room)) for group in groups), True


def _piece(ids: tuple[int, ...], scored: list[int], front: int, start: int) -> Query:
    """The query that scores tokens given everything from ``start`` on behind ``front`` ids."""
    shift = start - front
    reads = tuple(Read(i - 1 - shift, ids[i]) for i in scored)
    return Query(ids[:front] + ids[start : scored[-1]], reads)


def around_mask(tokens: Tokens, ids: tuple[int, ...], i: int, first: int, window: int) -> tuple[tuple[int, ...], int]:
    """Cuts from the left, keeps the special tokens; a span too long slides along with the mask.

    Args:
        tokens: The whole text.
        ids: Its ids with masks.
        i: The token to be scored.
        first: The first position that any query of the span reads; it must stay inside.
        window: The most ids that fit.

    Returns:
        The ids that fit, and where the token now stands.
    """
    front, back = tokens.prefix, tokens.suffix
    end = len(ids) - back
    room = window - front - back
    start = end - room
    if first < start:
        start = min(max(front, i - room // 2), start)
    return ids[:front] + ids[start : start + room] + ids[end:], i - start + front
