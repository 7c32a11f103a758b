"""Attention over packs in blocks: a block of nodes attends to its path to the root and to itself, not to the whole pack."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from babyeval.scoring.trie import Pack

_NAME = "babyeval_blocks"
_BLOCK = 64
_keys: ContextVar[Tensor] = ContextVar("keys")


@dataclass(frozen=True, slots=True)
class Blocks:
    """Which nodes the blocks of a batch attend to.

    Attributes:
        keys: Flat index (pack times nodes plus node) of each block's keys, shape (packs * blocks, keys).
        mask: True where a node of a block sees a key, shape (packs * blocks, 1, nodes of a block, keys).
    """

    keys: Tensor
    mask: Tensor


def make_blocks(packs: Sequence[Pack], width: int, device: torch.device) -> Blocks:
    """Cuts packs, padded to ``width`` nodes, into blocks.

    In depth-first order an ancestor that lies before a block is an ancestor of the block's first node,
    so that all keys of a block are this node's path and the block itself.
    """
    count = -(-width // _BLOCK)
    rows: list[tuple[int, int, list[int]]] = []
    ends = np.empty((len(packs), width + 1), np.int64)
    for row, pack in enumerate(packs):
        ends[row] = np.arange(1, width + 2)  # padding sees itself alone
        path: list[int] = []
        for node, depth in enumerate(pack.depths.tolist()):
            ends[row, path[depth:]] = node
            del path[depth:]
            if node % _BLOCK == 0:
                rows.append((row, node, [*path, *range(node, min(node + _BLOCK, width))]))
            path.append(node)
        ends[row, path] = len(pack)
        first = -(-len(pack) // _BLOCK)
        rows += [(row, b * _BLOCK, list(range(b * _BLOCK, min((b + 1) * _BLOCK, width)))) for b in range(first, count)]
    most = max(len(nodes) for _, _, nodes in rows)
    nodes = np.full((len(rows), most), width, np.int64)
    for i, (_, _, members) in enumerate(rows):
        nodes[i, : len(members)] = members
    pack_of = np.array([row for row, _, _ in rows])[:, None]
    asking = np.array([start for _, start, _ in rows])[:, None, None] + np.arange(_BLOCK)[None, :, None]
    keys, closed = nodes[:, None, :], ends[pack_of, nodes][:, None, :]
    # Nodes behind the pack ask too, since blocks are full; they see their block's first key, and nobody sees them.
    sees = ((keys <= asking) & (asking < closed) & (keys < width)) | ((asking >= width) & (np.arange(most) == 0))
    flat = pack_of * width + np.minimum(nodes, width - 1)
    return Blocks(torch.from_numpy(flat).to(device), torch.from_numpy(sees[:, None]).to(device))


@contextlib.contextmanager
def attending_in_blocks(model: Any, blocks: Blocks) -> Iterator[None]:
    """Lets the model attend in blocks; its mask has to be ``blocks.mask``."""
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, _attend)
    before = model.config._attn_implementation
    token = _keys.set(blocks.keys)
    try:
        model.config._attn_implementation = _NAME
        yield
    finally:
        model.config._attn_implementation = before
        _keys.reset(token)


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, **options: Any
) -> tuple[Tensor, None]:  # fmt: skip
    """Scaled dot-product attention with queries and keys of shape (packs, heads, nodes, size), block by block."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    packs, heads, nodes, _ = query.shape
    count = attention_mask.shape[0] // packs
    padded = torch.nn.functional.pad(query, (0, 0, 0, count * _BLOCK - nodes))
    asking = padded.reshape(packs, heads, count, _BLOCK, -1).transpose(1, 2).flatten(0, 1)
    keys, values = (part.transpose(1, 2).flatten(0, 1)[_keys.get()].transpose(1, 2) for part in (key, value))
    seen, _ = sdpa_attention_forward(module, asking, keys, values, attention_mask, **options)
    return seen.reshape(packs, count * _BLOCK, heads, -1)[:, :nodes], None
