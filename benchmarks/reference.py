"""A plain scorer to compare the engine with, written in the manner of the official pipeline:
file order, batches of 64 items, padded to the longest, each candidate in a forward pass of its
own (masked models: one copy per token, 64 at a time), log-softmax over every position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

ITEMS = 64
MASKED_COPIES = 64

# A candidate: its text, and the character at which the scored part begins.
Candidate = tuple[str, int]


@dataclass(slots=True)
class ReferenceRun:
    """Log-probabilities of each item's candidates' scored tokens, and the positions they took."""

    logprobs: list[list[list[float]]] = field(default_factory=list)
    positions: int = 0


def pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def tokenized(tokenizer: Any, candidates: Sequence[Candidate], causal: bool) -> tuple[list[list[int]], list[list[bool]]]:
    """Ids, and which of them belong to the scored part (protocol.md, section 1)."""
    encoded = tokenizer([text for text, _ in candidates], return_offsets_mapping=True)
    scored = []
    for (_, start), offsets in zip(candidates, encoded["offset_mapping"], strict=True):
        cut = start + (offsets[0][0] if causal else 0)
        scored.append([end > cut for _, end in offsets])
    return encoded["input_ids"], scored


@torch.inference_mode()
def score_causal(model: Any, tokenizer: Any, items: Sequence[Sequence[Candidate]]) -> ReferenceRun:
    """Log-probabilities under a causal model."""
    run = ReferenceRun()
    for start in range(0, len(items), ITEMS):
        batch = items[start : start + ITEMS]
        columns = []
        for candidate in range(len(batch[0])):
            rows, scored = tokenized(tokenizer, [item[candidate] for item in batch], causal=True)
            ids = pad([row[:-1] for row in rows], 0)
            targets = pad([row[1:] for row in rows], 0)
            mask = pad([[1] * (len(row) - 1) for row in rows], 0)
            logits = model(input_ids=ids, attention_mask=mask).logits
            picked = torch.log_softmax(logits, -1).gather(-1, targets[..., None])[..., 0].tolist()
            columns.append([[v for v, yes in zip(p, s[1:], strict=False) if yes] for p, s in zip(picked, scored, strict=True)])
            run.positions += ids.numel()
        run.logprobs.extend(map(list, zip(*columns, strict=True)))
    return run


@torch.inference_mode()
def score_masked(model: Any, tokenizer: Any, items: Sequence[Sequence[Candidate]]) -> ReferenceRun:
    """Pseudo-log-likelihoods under a masked model, token by token."""
    run = ReferenceRun()
    for start in range(0, len(items), ITEMS):
        batch = items[start : start + ITEMS]
        columns = []
        for candidate in range(len(batch[0])):
            rows, scored = tokenized(tokenizer, [item[candidate] for item in batch], causal=False)
            copies = [
                (row, i, [*ids[:i], tokenizer.mask_token_id, *ids[i + 1 :]], ids[i])
                for row, (ids, wanted) in enumerate(zip(rows, scored, strict=True))
                for i in range(len(ids))
                if wanted[i]
            ]
            width = max(len(ids) for _, _, ids, _ in copies)
            answers: list[list[float]] = [[] for _ in batch]
            for first in range(0, len(copies), MASKED_COPIES):
                chunk = copies[first : first + MASKED_COPIES]
                ids = torch.tensor([[*ids, *[0] * (width - len(ids))] for _, _, ids, _ in chunk])
                mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for _, _, ids, _ in chunk])
                logits = torch.log_softmax(model(input_ids=ids, attention_mask=mask).logits, -1)
                for n, (row, i, _, target) in enumerate(chunk):
                    answers[row].append(float(logits[n, i, target]))
                run.positions += ids.numel()
            columns.append(answers)
        run.logprobs.extend(map(list, zip(*columns, strict=True)))
    return run


@torch.inference_mode()
def score_reading(model: Any, tokenizer: Any, items: Sequence[Sequence[Candidate]]) -> ReferenceRun:
    """Log-probabilities of bare words behind their contexts, as the official reading task asks (protocol.md, section 4):
    a forward pass for each piece of a word, behind text that is tokenised anew; masked models are given three masks."""
    run = ReferenceRun()
    masks = tokenizer.mask_token * 3 if tokenizer.mask_token else ""
    causal = type(model).__name__.endswith("ForCausalLM")
    for item in items:
        run.logprobs.append([])
        for text, start in item:
            context, pieces = text[:start], tokenizer(text[start + 1 :], add_special_tokens=False)["input_ids"]
            values = []
            for n, piece in enumerate(pieces):
                again = tokenizer(tokenizer.decode(piece), add_special_tokens=False)["input_ids"]
                ids = tokenizer(context if causal else context + masks)["input_ids"]
                at = -1 if causal else -3 if ids[-1] == tokenizer.mask_token_id else -4
                logits = model(input_ids=torch.tensor([ids])).logits[0, at]
                values.append(float(torch.log_softmax(logits, -1)[again[0] if n else piece]))
                context += tokenizer.decode(piece)
                run.positions += len(ids)
            run.logprobs[-1].append(values)
    return run
