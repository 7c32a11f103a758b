"""Curricula: order and proportions, each epoch anew, and a function of the seed alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from babyeval.trainers.instruct.order import divide, plan_runs, stage_order
from babyeval.trainers.instruct.spec import Curriculum
from hypothesis import given
from hypothesis import strategies as st

from babyeval.errors import UsageError

SIZES = {"talk": 30, "wiki": 20, "tales": 10}


def test_single_shows_each_row_once_per_epoch() -> None:
    (run,) = plan_runs(Curriculum(single="wiki", epochs=3), SIZES, 4, 1, None)
    epochs = run.order.reshape(3, 20)
    assert all(sorted(epoch) == list(range(30, 50)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert (run.updates, run.epochs(5, 4), run.stages[0].left_over) == (15, 1.0, 0)


def test_merged_shuffles_sets_together() -> None:
    (run,) = plan_runs(Curriculum(merged=("talk", "wiki"), epochs=2), SIZES, 8, 1, None)
    assert Counter(run.order[:50].tolist()) == Counter(range(50))
    in_first_half = sum(row < 30 for row in run.order[:24])
    assert 8 <= in_first_half <= 22  # of 24, were they one behind the other: 24
    assert run.stages[0].left_over == 100 - 96


@pytest.mark.parametrize("restart", ["all", "schedule", "nothing"])
def test_sequential_stages_come_one_behind_the_other(restart: str) -> None:
    curriculum = Curriculum(sequential=("tales", "talk"), epochs=2, restart=restart)
    runs = plan_runs(curriculum, SIZES, 6, 1, None)
    assert len(runs) == (2 if restart == "all" else 1)
    order = np.concatenate([run.order for run in runs])
    assert Counter(order[:18].tolist()).keys() <= set(range(50, 60))  # whole batches of one stage only
    assert Counter(order[18:].tolist()) == Counter(dict.fromkeys(range(30), 2))
    assert [stage.name for run in runs for stage in run.stages] == ["tales", "talk"]
    if restart != "all":
        assert [runs[0].stage_of(update).name for update in (1, 3, 4, 13)] == ["tales", "tales", "talk", "talk"]


def test_epochs_in_total_are_divided() -> None:
    runs = plan_runs(Curriculum(sequential=("talk", "wiki"), epochs=3, epochs_count="total"), SIZES, 10, 1, None)
    assert [run.updates for run in runs] == [6, 2]


def test_a_mixture_keeps_its_proportions_in_each_epoch_and_uses_all_rows_alike() -> None:
    curriculum = Curriculum(mixture={"talk": 0.2, "wiki": 0.8}, epochs=6)
    (run,) = plan_runs(curriculum, SIZES, 1, 1, None)
    for epoch in run.order.reshape(6, 50):
        assert sum(row < 30 for row in epoch) == 10
    uses = Counter(run.order.tolist())
    assert {uses[row] for row in range(30)} == {2}  # 60 of 30 rows
    assert {uses[row] for row in range(30, 50)} == {12}


def test_the_order_is_a_function_of_the_seed() -> None:
    curriculum = Curriculum(merged=("talk", "wiki"), epochs=2)
    orders = [plan_runs(curriculum, SIZES, 5, seed, None)[0].order for seed in (1, 1, 2)]
    assert np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])
    first, second = (stage_order(("talk",), SIZES, None, 1, (1, stage))[0] for stage in (0, 1))
    assert not np.array_equal(first, second)


def test_max_steps_ends_each_stage() -> None:
    runs = plan_runs(Curriculum(sequential=("talk", "wiki")), SIZES, 5, 1, 4)
    assert [run.updates for run in runs] == [4, 4]
    assert [len(run.order) for run in runs] == [20, 20]


def test_max_steps_goes_on_beyond_the_epochs() -> None:
    curriculum = Curriculum(sequential=("talk", "wiki"), epochs=1)
    runs = plan_runs(curriculum, SIZES, 5, 1, 14)
    assert [run.updates for run in runs] == [14, 14]
    assert Counter(runs[1].order[:60].tolist()) == Counter(dict.fromkeys(range(30, 50), 3))
    one_epoch = plan_runs(curriculum, SIZES, 5, 1, None)
    assert all(np.array_equal(run.order[: len(one.order)], one.order) for run, one in zip(runs, one_epoch, strict=True))
    (run,) = plan_runs(Curriculum(single="tales", epochs=1), SIZES, 64, 1, 2)  # a single epoch fills no batch
    assert (run.updates, len(run.order)) == (2, 128)


def test_a_stage_that_fills_no_batch_is_refused() -> None:
    with pytest.raises(UsageError, match="2 epochs of 10 rows fill no batch of 64"):
        plan_runs(Curriculum(sequential=("talk", "tales"), epochs=2), {"talk": 90, "tales": 10}, 64, 1, None)


@given(st.integers(1, 500), st.lists(st.floats(0.01, 10), min_size=1, max_size=6))
def test_division_by_weights(total: int, shares: list[float]) -> None:
    counts = divide(total, shares)
    assert min(counts) >= 1
    if all(total * share / sum(shares) >= 1 for share in shares):
        assert sum(counts) == total
        assert all(abs(count - total * share / sum(shares)) < 1 + 1e-9 for count, share in zip(counts, shares, strict=True))
