"""Batches: all units once, within the budget, halved where memory does not suffice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from babyeval.errors import MissingError
from babyeval.scoring.batched import padded_inputs
from babyeval.scoring.batching import Work, group_by_budget, position_budget, run_batch


@given(st.lists(st.integers(1, 30), max_size=40).map(sorted), st.integers(1, 100))
def test_groups_cover_all_units_once_within_the_budget(sizes, budget):
    groups = list(group_by_budget(sizes, budget))
    assert [i for start, end in groups for i in range(start, end)] == list(range(len(sizes)))
    for start, end in groups:
        assert end - start == 1 or (end - start) * max(sizes[start:end]) <= budget


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40).map(sorted), st.integers(1, 100))
def test_groups_are_as_large_as_the_budget_allows(sizes, budget):
    for start, end in group_by_budget(sizes, budget):
        if end < len(sizes):
            assert (end + 1 - start) * sizes[end] > budget


def test_a_gpu_takes_larger_batches():
    assert position_budget(torch.device("cuda")) > position_budget(torch.device("cpu")) > 0


def limited(most: int, error: Callable[[], BaseException]) -> tuple[Callable[[Sequence[int]], list[int]], list[int]]:
    """A computation that fails for more than ``most`` units, and the sizes of the batches that it did."""
    done: list[int] = []

    def compute(units: Sequence[int]) -> list[int]:
        if len(units) > most:
            raise error()
        done.append(len(units))
        return [10 * unit for unit in units]

    return compute, done


ERRORS = {
    "GPU": lambda: torch.OutOfMemoryError("CUDA out of memory"),
    "CPU": lambda: RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"
    ),
    "Python": MemoryError,
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=list(ERRORS))
@pytest.mark.parametrize("most", [1, 3, 12, 100])
def test_a_batch_out_of_memory_is_halved_until_it_fits(most, error):
    compute, done = limited(most, error)
    work = Work()
    assert run_batch(compute, list(range(13)), work) == [10 * i for i in range(13)]
    assert sum(done) == 13
    assert max(done) <= most
    assert (work.halvings == 0) == (most >= 13)


def test_one_unit_that_does_not_fit_is_an_error_with_a_way_out():
    compute, _ = limited(0, ERRORS["GPU"])
    with pytest.raises(MissingError, match="single input does not fit") as caught:
        run_batch(compute, [1, 2, 3], Work())
    assert "--device" in str(caught.value)


def test_another_error_is_not_taken_for_lack_of_memory():
    compute, done = limited(1, lambda: RuntimeError("shapes differ"))
    work = Work()
    with pytest.raises(RuntimeError, match="shapes differ"):
        run_batch(compute, [1, 2, 3], work)
    assert (work.halvings, done) == (0, [])


class View:
    """What padding has to know about a model."""

    device = torch.device("cpu")

    def __init__(self, pad: int | None) -> None:
        self.model = type("Model", (), {"config": type("Config", (), {"pad_token_id": pad})})


def test_padding_is_masked_and_uses_the_models_own_id():
    inputs = padded_inputs(View(7), [(1, 2, 3), (4,)])
    assert inputs["input_ids"].tolist() == [[1, 2, 3], [4, 7, 7]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert padded_inputs(View(None), [(1, 2), (4,)])["input_ids"].tolist() == [[1, 2], [4, 0]]


def test_inputs_of_one_length_need_no_mask():
    assert set(padded_inputs(View(None), [(1, 2), (3, 4)])) == {"input_ids"}
