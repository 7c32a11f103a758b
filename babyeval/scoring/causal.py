"""The causal executor: scores every distinct prefix once, in packs of a common prefix trie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from babyeval.errors import UsageError
from babyeval.scoring.batched import TOLERANCE, run_batched
from babyeval.scoring.batching import Answers, Work, group_by_budget, position_budget, run_batch
from babyeval.scoring.model_view import Asked, ModelView
from babyeval.scoring.trie import Pack, Trie
from babyeval.types import Query

_LEAK = 1e-3
_PROBED = 16  # queries of each probed pack that are compared; a pack of long texts holds hundreds


def run_causal(view: ModelView, queries: Sequence[Query], trie: Trie, work: Work, reason: str | None) -> Iterator[Answers]:
    """Answers causal queries batch by batch.

    Args:
        view: The model.
        queries: What to answer.
        trie: The same queries as a trie.
        work: Is updated as batches finish.
        reason: Why the plain path must be taken; None if `probe_sharing` trusts the trie.

    Yields:
        The answers of one batch.
    """
    if reason is not None:
        work.path = f"batched ({reason})"
        yield from run_batched(view, queries, work)
        return
    work.path = "trie"
    work.nodes += trie.nodes
    packs = sorted(trie.packs, key=len)
    ranges = group_by_budget([len(pack) for pack in packs], position_budget(view.device))
    for start, end in work.plan(ranges, lambda start, end: (end - start) * len(packs[end - 1])):
        yield from run_batch(lambda units: [_run_packs(view, queries, units, work)], packs[start:end], work)


def _run_packs(view: ModelView, queries: Sequence[Query], packs: Sequence[Pack], work: Work) -> Answers:
    width = max(len(pack) for pack in packs)
    tokens = np.zeros((len(packs), width), np.int64)
    depths = np.zeros((len(packs), width), np.int64)
    positions: list[int] = []
    targets: list[int | tuple[int, ...]] = []
    for row, pack in enumerate(packs):
        tokens[row, : len(pack)] = pack.tokens
        depths[row, : len(pack)] = pack.depths
        for query, nodes in zip(pack.queries, pack.reads, strict=True):
            positions.extend(row * width + node for node in nodes)
            targets.extend(read.target for read in queries[query].reads)
    position_ids = torch.from_numpy(depths).to(view.device)
    inputs = {
        "input_ids": torch.from_numpy(tokens).to(view.device),
        "attention_mask": _attention_mask(view, ancestor_mask(position_ids)),
        "position_ids": position_ids,
    }
    values = view.read(inputs, Asked(positions, targets))
    work.positions += tokens.size
    answers: Answers = []
    done = 0
    for pack in packs:
        for query, nodes in zip(pack.queries, pack.reads, strict=True):
            answers.append((query, tuple(values[done : done + len(nodes)])))
            done += len(nodes)
    return answers


def ancestor_mask(depths: Tensor) -> Tensor:
    """Which node sees which: itself and its ancestors.

    In depth-first order node j is an ancestor of a later node i if no node after j, up to and
    including i, is as shallow as j.

    Args:
        depths: Depth of each node, shape (packs, nodes); padding has depth 0 and sees only itself.

    Returns:
        Booleans of shape (packs, nodes, nodes), True where the row's node sees the column's.
    """
    count = depths.shape[1]
    index = torch.arange(count, device=depths.device)
    closes = (depths[:, None, :] <= depths[:, :, None]) & (index[None, :] > index[:, None])
    end = torch.where(closes.any(-1), closes.to(torch.uint8).argmax(-1), count)
    return (index[None, :] <= index[:, None]) & (index[None, :, None] < end[:, None, :])


def _attention_mask(view: ModelView, mask: Tensor) -> Tensor:
    """The mask in the form that the model's attention kernel takes, shape (packs, 1, nodes, nodes)."""
    mask = mask[:, None]
    if getattr(view.model.config, "_attn_implementation", None) != "eager":
        return mask
    blocked = torch.zeros_like(mask, dtype=view.dtype)
    return blocked.masked_fill_(~mask, torch.finfo(view.dtype).min)


def probe_sharing(view: ModelView, queries: Sequence[Query], trie: Trie) -> str | None:
    """Compares packs that share prefixes with the plain path, on the queries at hand.

    Args:
        view: The model, in float32.
        queries: What is to be answered.
        trie: The same queries as a trie; its largest pack and one more are tried.

    Returns:
        None if sharing gives the plain path's numbers, else the reason against it.

    Raises:
        UsageError: The model looks ahead, so that it is no causal model at all.
    """
    longest = max(queries, key=lambda query: len(query.input_ids)).input_ids
    require_causal(view, longest, lambda ids: {"input_ids": ids}, "It is no causal model: use --backend mlm (or mntp) instead.")
    largest = max(trie.packs, key=len)
    sliding = getattr(view.model.config, "sliding_window", None)
    if isinstance(sliding, int) and max(len(query.input_ids) for query in queries) > sliding:
        return f"its sliding window of {sliding} tokens is shorter than an input"
    packs = [largest, trie.packs[len(trie.packs) // 2]]
    chosen = sorted({query for pack in packs for query in _spread(pack.queries, _PROBED)})
    plain = {chosen[i]: values for batch in run_batched(view, [queries[i] for i in chosen], Work()) for i, values in batch}
    try:
        halves = run_batch(lambda units: [_run_packs(view, queries, units, Work())], packs, Work())
        shared = {query: values for answers in halves for query, values in answers}
    except torch.OutOfMemoryError:
        raise
    except (TypeError, AttributeError, RuntimeError, ValueError, IndexError, NotImplementedError) as error:
        return f"it takes no custom attention mask: {type(error).__name__}"
    a, b = (np.array([value for query in plain for value in rows[query]]) for rows in (plain, shared))
    if (np.isnan(a) != np.isnan(b)).any():
        return "sharing prefixes changes log-probabilities to NaN"
    worst = float(np.nanmax(np.abs(a - b), initial=0.0))
    return None if worst <= TOLERANCE else f"sharing prefixes changes log-probabilities by {worst:.2g} nats"


def _spread(values: Sequence[int], count: int) -> Sequence[int]:
    """So many of the values, evenly spaced, the last one among them."""
    return values if len(values) <= count else [values[(i + 1) * len(values) // count - 1] for i in range(count)]


def require_causal(view: ModelView, longest: tuple[int, ...], inputs: Callable[[Tensor], Mapping[str, Any]], hint: str) -> None:
    """Refuses a model that sees the token it has to predict: it would get impossible scores.

    Args:
        view: The model.
        longest: The ids to try, read left to right.
        inputs: Makes the arguments of the model's forward pass from ids of shape (1, width).
        hint: What a user can do about it.

    Raises:
        UsageError: What follows a position changes its prediction.
    """
    if len(longest) < 2:
        return
    middle = len(longest) // 2
    later = longest[middle:]
    changed = tuple((token + 1) % view.vocabulary for token in later)
    (a,), (b,) = (
        view.read(inputs(torch.tensor([ids], device=view.device)), Asked([middle - 1], [longest[middle]]))
        for ids in (longest, longest[:middle] + changed)
    )
    if abs(a - b) > _LEAK:
        raise UsageError(
            "This model sees the words that it should predict: what follows a position changes its prediction "
            f"by {abs(a - b):.2g} nats.",
            hint=hint,
        )
