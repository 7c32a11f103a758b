"""Batches: every example once an epoch, orders that differ and repeat, passes within their limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from babyeval.fit.batches import EpochBatches, passes, prediction_batches
from babyeval.fit.encode import EncodedExample

LENGTHS = st.lists(st.integers(1, 90), min_size=1, max_size=200)


def encoded(lengths):
    """Examples of these lengths, every other one of label 1."""
    return [EncodedExample((i,) * length, None, i % 2, False) for i, length in enumerate(lengths)]


def padded(lengths, batches):
    return sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)


@given(lengths=LENGTHS, size=st.integers(1, 40), by_length=st.booleans(), drop_last=st.booleans(), epoch=st.integers(0, 3))
def test_an_epoch_takes_every_example_once(lengths, size, by_length, drop_last, epoch):
    batches = EpochBatches(encoded(lengths), size, seed=1, by_length=by_length, drop_last=drop_last)
    batches.epoch = epoch
    found = list(batches)
    whole, rest = divmod(len(lengths), size)
    assert len(found) == len(batches) == whole + (rest > 0 and not drop_last)
    assert sorted(map(len, found), reverse=True) == [size] * whole + ([rest] if rest and not drop_last else [])
    taken = [i for batch in found for i in batch]
    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(range(len(lengths)))
    assert list(batches) == found  # a function of seed and epoch


def test_orders_differ_between_epochs_and_seeds():
    orders = []
    for by_length in (False, True):
        for seed in (1, 2):
            batches = EpochBatches(encoded(range(1, 301)), 8, seed=seed, by_length=by_length, drop_last=False)
            for epoch in range(3):
                batches.epoch = epoch
                orders.append(tuple(map(tuple, batches)))
    assert len(set(orders)) == len(orders)


def test_like_lengths_meet_and_batches_are_not_sorted():
    lengths = [1 + (7 * i) % 90 for i in range(640)]
    plain, near = (list(EpochBatches(encoded(lengths), 16, seed=0, by_length=by, drop_last=False)) for by in (False, True))
    assert padded(lengths, near) < 1.2 * sum(lengths) < 1.5 * sum(lengths) < padded(lengths, plain)
    means = [sum(lengths[i] for i in batch) for batch in near]
    assert means != sorted(means)


def test_updates_see_both_labels_even_if_one_label_s_texts_are_longer():
    rows = [EncodedExample((1,) * (10 + 20 * (i % 2) + i % 7), None, i % 2, False) for i in range(256)]
    for batch in EpochBatches(rows, 16, seed=0, by_length=True, drop_last=False):
        assert sum(rows[i].label for i in batch) in range(4, 13)


@given(lengths=LENGTHS, budget=st.integers(1, 300), most=st.integers(1, 40))
def test_passes_divide_a_batch_within_their_limits(lengths, budget, most):
    rows = encoded(lengths)
    found = passes(rows, budget, most)
    assert sorted(row.input_ids for part in found for row in part) == sorted(row.input_ids for row in rows)
    longest = [max(len(row.input_ids) for row in part) for part in found]
    assert longest == sorted(longest, reverse=True)
    for part, width in zip(found, longest, strict=True):
        assert len(part) <= most
        assert len(part) == 1 or len(part) * width <= budget


@given(lengths=LENGTHS, budget=st.integers(1, 300))
def test_prediction_takes_everything_once_within_the_budget(lengths, budget):
    found = prediction_batches(lengths, budget)
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or padded(lengths, [batch]) <= budget for batch in found)
