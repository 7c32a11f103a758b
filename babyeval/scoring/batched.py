"""The plain executor: distinct inputs once, in batches of like length. Masked models take it,
and causal models for which prefix sharing was not proven."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from babyeval.scoring.batching import Answers, Work, group_by_budget, position_budget, run_batch
from babyeval.scoring.model_view import Asked, ModelView
from babyeval.types import Query

# Largest difference in nats that counts as rounding.
TOLERANCE = 1e-4


def run_batched(view: ModelView, queries: Sequence[Query], work: Work) -> Iterator[Answers]:
    """Answers queries of one input each, shortest first.

    Args:
        view: The model; unless it is proven to bear padding, batches hold one length only.
        queries: What to answer; those with the same input are answered by one pass.
        work: Is updated as batches finish.

    Yields:
        The answers of one batch.
    """
    same: dict[tuple[int, ...], list[int]] = {}
    for i, query in enumerate(queries):
        same.setdefault(query.input_ids, []).append(i)
    units = sorted(same.items(), key=lambda unit: len(unit[0]))
    work.nodes += sum(len(ids) for ids in same)
    ranges = _batches([len(ids) for ids, _ in units], position_budget(view.device), view.pads)
    for start, end in work.plan(ranges, lambda start, end: (end - start) * len(units[end - 1][0])):
        yield from run_batch(lambda batch: [_run_units(view, queries, batch, work)], units[start:end], work)


def _batches(lengths: list[int], budget: int, pads: bool) -> Iterator[tuple[int, int]]:
    """Ranges of units that fit into a batch, of one length each where padding is not borne."""
    for start, end in group_by_budget(lengths, budget):
        cuts = [] if pads else [i for i in range(start + 1, end) if lengths[i] != lengths[i - 1]]
        yield from pairwise([start, *cuts, end])


def probe_padding(view: ModelView, queries: Sequence[Query]) -> bool:
    """Whether the shortest input gets the same answers beside the longest one as alone.

    Some models mix positions across padding, whatever the attention mask says.
    """
    short, long = (choose(queries, key=lambda query: len(query.input_ids)) for choose in (min, max))
    asked = Asked([read.position for read in short.reads], [read.target for read in short.reads])
    alone = view.read(padded_inputs(view, [short.input_ids]), asked)
    try:
        beside = view.read(padded_inputs(view, [short.input_ids, long.input_ids]), asked)
    except torch.OutOfMemoryError:
        return False
    return bool(np.allclose(alone, beside, rtol=0, atol=TOLERANCE, equal_nan=True))


def _run_units(
    view: ModelView, queries: Sequence[Query], units: Sequence[tuple[tuple[int, ...], list[int]]], work: Work
) -> Answers:
    width = max(len(ids) for ids, _ in units)
    work.positions += width * len(units)
    return read_rows(view, queries, [members for _, members in units], width, padded_inputs(view, [ids for ids, _ in units]))


def read_rows(
    view: ModelView, queries: Sequence[Query], rows: Sequence[list[int]], width: int, inputs: Mapping[str, Any]
) -> Answers:
    """Answers all queries of a batch by one pass.

    Args:
        view: The model.
        queries: All queries.
        rows: For each row of the batch, the indices of the queries that are read from it.
        width: Number of output positions of a row, padding included.
        inputs: Arguments of the model's forward pass.
    """
    positions: list[int] = []
    targets: list[int | tuple[int, ...]] = []
    for row, members in enumerate(rows):
        for i in members:
            positions.extend(row * width + read.position for read in queries[i].reads)
            targets.extend(read.target for read in queries[i].reads)
    values = view.read(inputs, Asked(positions, targets))
    answers: Answers = []
    done = 0
    for members in rows:
        for i in members:
            count = len(queries[i].reads)
            answers.append((i, tuple(values[done : done + count])))
            done += count
    return answers


def padded_inputs(view: ModelView, rows: Sequence[tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Inputs padded on the right, with an attention mask only where padding is."""
    width = max(map(len, rows))
    pad = getattr(view.model.config, "pad_token_id", None) or 0
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], device=view.device)
    if all(len(row) == width for row in rows):
        return {"input_ids": ids}
    lengths = torch.tensor([len(row) for row in rows], device=view.device)
    return {"input_ids": ids, "attention_mask": (torch.arange(width, device=view.device) < lengths[:, None]).long()}
