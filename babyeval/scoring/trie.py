"""One prefix trie over all causal queries, cut into packs that fit into one model input each.

Queries that begin alike share the positions of their common beginning. A pack holds a run of
queries in lexicographic order, so its nodes are a subtree plus the path from the root to it;
that path, computed again in the next pack, is the price of a cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from babyeval.types import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

# A pack may grow to so many nodes, or so many times its first path: one story with many questions.
PACK_NODES = 112
_PATHS_PER_PACK = 8
# A node attends to all of its pack: so many nodes more cost about as much as one position more through
# the layers (measured with 2.6M parameters on a CPU; larger models bear larger packs).
_ATTENTION = 1500


@dataclass(frozen=True, slots=True)
class Pack:
    """Part of the trie, in depth-first order.

    Attributes:
        tokens: Token id of each node, shape (nodes,).
        depths: Distance of each node from the root, which is its position id, shape (nodes,).
        queries: Indices of the queries answered here.
        reads: For each of these queries, the nodes at which its reads take place.
    """

    tokens: Ints
    depths: Ints
    queries: list[int]
    reads: list[list[int]]

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class Trie:
    """All packs and how much they save.

    Attributes:
        packs: The packs.
        nodes: Number of distinct prefixes, the least number of positions that can do.
        tokens: Number of input tokens of all queries, what one pass per query would take.
    """

    packs: list[Pack]
    nodes: int
    tokens: int


def build_trie(queries: Sequence[Query], pack_nodes: int = PACK_NODES) -> Trie:
    """Sorts queries into a trie and cuts it into packs.

    Args:
        queries: Causal queries; equal inputs may occur with different reads.
        pack_nodes: Size of a pack, exceeded only where paths are long.

    Example:
        >>> from babyeval.types import Read
        >>> queries = [Query((1, 2, 3), (Read(2, 9),)), Query((1, 2, 4), (Read(2, 9),))]
        >>> build_trie(queries).nodes
        4
    """
    order = sorted(range(len(queries)), key=lambda i: queries[i].input_ids)
    paths = [queries[i].input_ids for i in order]
    shared = [0] + [common_prefix(a, b) for a, b in pairwise(paths)]
    lengths = [len(path) for path in paths]
    packs = [
        _pack(queries, order, paths, shared, start, end) for start, end in _cuts(lengths, shared, pack_nodes)
    ]  # fmt: skip
    return Trie(packs, sum(lengths) - sum(shared), sum(lengths))


def common_prefix(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Length of the longest common beginning.

    Example:
        >>> common_prefix((1, 2, 3), (1, 2, 4, 5))
        2
    """
    same, different = 0, min(len(a), len(b))
    if a[:different] == b[:different]:
        return different
    while different - same > 1:
        middle = (same + different) // 2
        if a[same:middle] == b[same:middle]:
            same = middle
        else:
            different = middle
    return same


def _cuts(lengths: list[int], shared: list[int], pack_nodes: int) -> list[tuple[int, int]]:
    """Ranges of the sorted queries that make a pack each.

    A pack ends where a node costs least: what the next pack shares with it is computed again, and
    every node attends to the whole pack.
    """
    cuts = []
    start = 0
    while start < len(lengths):
        capacity = max(pack_nodes, _PATHS_PER_PACK * lengths[start])
        size = lengths[start]
        best, least = start + 1, math.inf
        for end in range(start + 1, len(lengths)):
            cost = shared[end] / size + size / _ATTENTION
            if cost <= least:
                best, least = end, cost
            size += lengths[end] - shared[end]
            if size > capacity:
                break
        else:
            best = len(lengths)
        cuts.append((start, best))
        start = best
    return cuts


def _pack(
    queries: Sequence[Query], order: list[int], paths: list[tuple[int, ...]], shared: list[int], start: int, end: int
) -> Pack:
    tokens: list[int] = []
    depths: list[int] = []
    reads: list[list[int]] = []
    path: list[int] = []  # node of each depth along the current query
    for k in range(start, end):
        known = shared[k] if k > start else 0
        del path[known:]
        path.extend(range(len(tokens), len(tokens) + len(paths[k]) - known))
        tokens.extend(paths[k][known:])
        depths.extend(range(known, len(paths[k])))
        reads.append([path[read.position] for read in queries[order[k]].reads])
    return Pack(np.array(tokens, np.int64), np.array(depths, np.int64), order[start:end], reads)
