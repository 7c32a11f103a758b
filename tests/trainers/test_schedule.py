"""Checkpoints by words and steps against a search over all updates, and the division of batches."""

from __future__ import annotations

import pytest
from babyeval.trainers.recipe import Checkpoints
from babyeval.trainers.schedule import BABYLM, divide_batch, plan_checkpoints
from hypothesis import given
from hypothesis import strategies as st

from babyeval.errors import UsageError
from babyeval.models.checkpoint import words_in_name


@given(
    growth=st.lists(st.integers(0, 400), min_size=1, max_size=40),
    marks=st.sets(st.integers(1, 5000), max_size=12),
    before=st.sampled_from([0, 0, 150, 3000]),
    every=st.sampled_from([0, 1, 3, 7]),
)
def test_checkpoints_are_those_that_a_search_finds(growth: list[int], marks: set[int], before: int, every: int) -> None:
    seen = [sum(growth[: i + 1]) for i in range(len(growth))]
    schedule = plan_checkpoints(
        Checkpoints(words=tuple(sorted(marks)), steps=every), len(growth), lambda update: seen[update - 1], before
    )
    expected: dict[int, list[str]] = {}
    for update, words in enumerate(seen, 1):
        last = before + (seen[update - 2] if update > 1 else 0)
        reached = [mark for mark in marks if last < mark <= before + words]
        if reached:
            name = f"{max(reached) / 1000:.6g}K" if max(reached) >= 1000 else str(max(reached))
            expected.setdefault(update, []).append(f"chck_{name}")
        if every and update % every == 0:
            expected.setdefault(update, []).append(f"step_{update}")
    assert schedule.at == {update: tuple(names) for update, names in expected.items()}
    by_words = [name for names in schedule.at.values() for name in names if name.startswith("chck_")]
    assert len(by_words) + len(schedule.skipped) + len(schedule.unreached) + len(schedule.past) == len(marks)
    assert len(schedule.past) == sum(mark <= before for mark in marks)


def test_the_challenges_ages() -> None:
    assert len(BABYLM) == 9 + 9 + 10
    assert list(BABYLM) == sorted(set(BABYLM))
    schedule = plan_checkpoints(Checkpoints(words="babylm"), 1000, lambda update: update * 100_000)
    names = [name for names in schedule.at.values() for name in names]
    assert names[:2] == ["chck_1M", "chck_2M"]
    assert names[-1] == "chck_100M"
    assert len(names) == 19
    assert schedule.at[10] == ("chck_1M",)
    assert [words_in_name(name) for name in names] == list(BABYLM[:19])
    assert schedule.unreached[0] == "chck_200M"
    assert schedule.unreached[-1] == "chck_1B"


def test_what_is_not_kept_is_said() -> None:
    schedule = plan_checkpoints(Checkpoints(words=(5, 8, 10, 99)), 2, lambda update: 10 * update)
    assert schedule.at == {1: ("chck_10",)}
    assert "chck_5, chck_8" in schedule.remarks()[0]
    assert "chck_99" in schedule.remarks()[1]
    assert plan_checkpoints(Checkpoints(words=(10,)), 2, lambda update: 10 * update).remarks() == []


def test_the_parts_of_a_schedule_are_the_whole() -> None:
    whole = plan_checkpoints(Checkpoints(words=(15, 40, 75), steps=3), 10, lambda update: 10 * update, before=20)
    parts = [whole.part(0, 4), whole.part(4, 1), whole.part(5, 5)]
    assert [part.updates for part in parts] == [4, 1, 5]
    again = {first + update: names for part, first in zip(parts, (0, 4, 5), strict=True) for update, names in part.at.items()}
    assert again == whole.at == {2: ("chck_40",), 3: ("step_3",), 6: ("chck_75", "step_6"), 9: ("step_9",)}
    assert whole.past == ("chck_15",)


def test_where_nobody_knows_what_the_parent_has_seen_no_checkpoint_is_named_by_words() -> None:
    schedule = plan_checkpoints(Checkpoints(words=(10, 20), steps=2), 2, lambda update: 10 * update, None)
    assert schedule.at == {2: ("step_2",)}
    assert schedule.remarks() == [
        "Nothing says how many words the parent has seen, so there are no checkpoints by words: chck_10, chck_20."
    ]


def test_two_ages_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match=r"both be called chck_1.23457M"):
        plan_checkpoints(Checkpoints(words=(1_234_567, 1_234_568)), 1, lambda update: 1)


def test_states_between_but_not_after_the_last_update() -> None:
    schedule = plan_checkpoints(Checkpoints(resume_steps=3), 9, lambda update: update)
    assert [update for update in range(1, 10) if schedule.state_at(update)] == [3, 6]
    assert not plan_checkpoints(Checkpoints(resume_steps=0), 9, lambda update: update).state_at(3)


@given(st.integers(1, 64), st.none() | st.integers(1, 16), st.integers(1, 6))
def test_a_divided_batch_has_all_sequences(size: int, micro: int | None, devices: int) -> None:
    possible = size % devices == 0 and (micro is None or (size // devices) % micro == 0)
    if possible:
        shape = divide_batch(size, micro, devices)
        assert shape.micro * shape.accumulation * devices == size
        assert micro in (None, shape.micro)
    else:
        with pytest.raises(UsageError, match=f"{size} sequences"):
            divide_batch(size, micro, devices)
