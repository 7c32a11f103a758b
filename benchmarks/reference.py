"""A plain scorer to compare the engine with, written in the manner of the official pipeline:
file order, batches of 64 items, padded to the longest, each candidate in a forward pass of its
own (masked models: one copy per token, 64 at a time), log-softmax over every position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

ITEMS = 64
MASKED_COPIES = 64


@dataclass(slots=True)
class ReferenceRun:
    """Scores of all candidates, shape (items, candidates), and the positions they took."""

    scores: list[list[float]]
    positions: int


def pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


@torch.inference_mode()
def score_causal(model: Any, tokenizer: Any, items: Sequence[Sequence[str]]) -> ReferenceRun:
    """Sums of log-probabilities of whole sentences under a causal model."""
    run = ReferenceRun([], 0)
    for start in range(0, len(items), ITEMS):
        batch = items[start : start + ITEMS]
        columns = []
        for candidate in range(len(batch[0])):
            rows = tokenizer([item[candidate] for item in batch])["input_ids"]
            ids = pad([row[:-1] for row in rows], 0)
            targets = pad([row[1:] for row in rows], 0)
            mask = pad([[1] * (len(row) - 1) for row in rows], 0)
            logits = model(input_ids=ids, attention_mask=mask).logits
            picked = torch.log_softmax(logits, -1).gather(-1, targets[..., None])[..., 0]
            columns.append((picked * mask).sum(1).tolist())
            run.positions += ids.numel()
        run.scores.extend(map(list, zip(*columns, strict=True)))
    return run


@torch.inference_mode()
def score_masked(model: Any, tokenizer: Any, items: Sequence[Sequence[str]]) -> ReferenceRun:
    """Pseudo-log-likelihoods of whole sentences under a masked model."""
    run = ReferenceRun([], 0)
    for start in range(0, len(items), ITEMS):
        batch = items[start : start + ITEMS]
        columns = []
        for candidate in range(len(batch[0])):
            encoded = tokenizer([item[candidate] for item in batch], return_special_tokens_mask=True)
            copies = [
                (row, i, [*ids[:i], tokenizer.mask_token_id, *ids[i + 1 :]], ids[i])
                for row, (ids, special) in enumerate(zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True))
                for i in range(len(ids))
                if not special[i]
            ]
            width = max(len(ids) for _, _, ids, _ in copies)
            totals = [0.0] * len(batch)
            for first in range(0, len(copies), MASKED_COPIES):
                chunk = copies[first : first + MASKED_COPIES]
                ids = torch.tensor([[*ids, *[0] * (width - len(ids))] for _, _, ids, _ in chunk])
                mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for _, _, ids, _ in chunk])
                logits = torch.log_softmax(model(input_ids=ids, attention_mask=mask).logits, -1)
                for n, (row, i, _, target) in enumerate(chunk):
                    totals[row] += float(logits[n, i, target])
                run.positions += ids.numel()
            columns.append(totals)
        run.scores.extend(map(list, zip(*columns, strict=True)))
    return run
