"""The plain executor: distinct inputs once, in batches of like length. Masked models take it,
and causal models for which prefix sharing was not proven."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from babyeval.scoring.batching import Answers, Work, group_by_budget, position_budget, run_batch
from babyeval.scoring.model_view import Asked, ModelView
from babyeval.types import Query


def run_batched(view: ModelView, queries: Sequence[Query], work: Work) -> Iterator[Answers]:
    """Answers queries of one input each, shortest first.

    Args:
        view: The model.
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
    for start, end in group_by_budget([len(ids) for ids, _ in units], position_budget(view.device)):
        yield from run_batch(lambda batch: [_run_units(view, queries, batch, work)], units[start:end], work)


def _run_units(
    view: ModelView, queries: Sequence[Query], units: Sequence[tuple[tuple[int, ...], list[int]]], work: Work
) -> Answers:
    width = max(len(ids) for ids, _ in units)
    positions: list[int] = []
    targets: list[int | tuple[int, ...]] = []
    for row, (_, members) in enumerate(units):
        for i in members:
            positions.extend(row * width + read.position for read in queries[i].reads)
            targets.extend(read.target for read in queries[i].reads)
    values = view.read(padded_inputs(view, [ids for ids, _ in units]), Asked(positions, targets))
    work.positions += width * len(units)
    work.batches += 1
    answers: Answers = []
    done = 0
    for _, members in units:
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
