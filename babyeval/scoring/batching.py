"""Running batches that may not fit into memory: a batch that fails is halved and tried again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from babyeval.errors import MemoryMissing

Unit = TypeVar("Unit")
Answer = TypeVar("Answer")

# Answers of one batch: (index of the query, log-probability of each of its reads).
Answers = list[tuple[int, tuple[float, ...]]]

# On a CPU the activations of a batch should stay in its cache (benchmarks/); a GPU wants many.
_POSITIONS_CPU = 1536
_POSITIONS_GPU = 65536


@dataclass(slots=True)
class Work:
    """What an executor did.

    Attributes:
        path: ``trie``, ``batched`` (and why not the trie) or ``seq2seq``.
        positions: Positions put through the model, padding and recomputed ones included.
        nodes: Distinct input prefixes (trie) or tokens of distinct inputs (otherwise).
        halvings: How often a batch did not fit into memory.
        planned: What the batches of the present questions cost together, in positions.
        begun: What the batches cost that were begun, the present one included.
    """

    path: str = "cache"
    positions: int = 0
    nodes: int = 0
    halvings: int = 0
    planned: int = 0
    begun: int = 0

    def plan(self, ranges: Iterable[tuple[int, int]], cost: Callable[[int, int], int]) -> Iterator[tuple[int, int]]:
        """Goes through the batches of some questions, and keeps `share`.

        Args:
            ranges: Where each batch begins and ends.
            cost: The positions of such a batch, padding included.
        """
        ranges = list(ranges)
        costs = [cost(*each) for each in ranges]
        self.planned, self.begun = sum(costs), 0
        for each, positions in zip(ranges, costs, strict=True):
            self.begun += positions
            yield each

    def share(self) -> float:
        """How much of the work is done once the present batch is, from 0 to 1: rows of long inputs, the last ones, cost more."""
        return self.begun / self.planned if self.planned else 0.0


def position_budget(device: torch.device) -> int:
    """How many positions a batch may hold on this device."""
    return _POSITIONS_CPU if device.type == "cpu" else _POSITIONS_GPU


def group_by_budget(sizes: Sequence[int], budget: int) -> Iterator[tuple[int, int]]:
    """Ranges of consecutive units whose count times largest size stays within the budget.

    Args:
        sizes: Sizes in ascending order.
        budget: Positions per batch; a unit larger than it makes a batch of its own.

    Example:
        >>> list(group_by_budget([1, 2, 2, 5], 6))
        [(0, 3), (3, 4)]
    """
    start = 0
    for end in range(1, len(sizes) + 1):
        if end == len(sizes) or (end + 1 - start) * sizes[end] > budget:
            yield start, end
            start = end


def run_batch(compute: Callable[[Sequence[Unit]], list[Answer]], units: Sequence[Unit], work: Work) -> list[Answer]:
    """Computes a batch; one that does not fit into memory is halved until it does.

    Raises:
        MemoryMissing: A single unit does not fit.
    """
    if len(units) == 1:
        with one_input():
            return compute(units)
    try:
        return compute(units)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    work.halvings += 1
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(units) // 2
    return run_batch(compute, units[:middle], work) + run_batch(compute, units[middle:], work)


@contextlib.contextmanager
def one_input() -> Iterator[None]:
    """For a computation over one input, which cannot be halved if it does not fit into memory.

    Raises:
        MemoryMissing: It does not fit.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise MemoryMissing("A single input does not fit into memory.", hint="Use --device cpu, or a larger device.") from error


def out_of_memory(error: BaseException) -> bool:
    """Whether a computation failed for want of memory."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
