"""Switchboard pairs: alternation and the sliding window, against a brute-force reference and on the real file."""

from __future__ import annotations

import lzma
from itertools import groupby, pairwise
from pathlib import Path

from babyeval.trainers.instruct.switchboard import BLOCK_TURNS, Turn, switchboard_pairs, switchboard_turns
from babyeval.trainers.recipe import Clean
from hypothesis import given
from hypothesis import strategies as st

CLEAN = Clean()


def brute_turns(lines: list[str], min_words: int) -> list[tuple[str, str]]:
    """Drop short lines, then group neighbours of one speaker."""
    said = [line.split(":\t", 1) for line in lines]
    kept = [(speaker, text.split()) for speaker, text in said if len(text.split()) >= min_words]
    return [(speaker, " ".join(" ".join(words) for _, words in turn)) for speaker, turn in groupby(kept, key=lambda one: one[0])]


def pairs_of(lines: list[str], clean: Clean = CLEAN) -> list[tuple[str, str]]:
    return [(one.row.prompt, one.row.reply) for one in switchboard_pairs(lines, clean) if one.row]


@given(
    st.lists(
        st.tuples(st.sampled_from("AB"), st.lists(st.sampled_from(["yes", "well,", "it", "rains."]), min_size=1, max_size=5))
    ),
    st.integers(0, 4),
)
def test_pairs_are_all_neighbouring_turns(said: list[tuple[str, list[str]]], min_words: int) -> None:
    lines = [f"{speaker}:\t{' '.join(words)}" for speaker, words in said]
    clean = Clean(min_words=min_words)
    turns = brute_turns(lines, min_words)
    found = list(switchboard_turns(lines, clean))
    assert [(turn.speaker, turn.text) for turn in found if isinstance(turn, Turn)] == turns
    assert sum(isinstance(turn, str) for turn in found) == sum(len(words) < min_words for _, words in said)
    assert pairs_of(lines, clean) == [(first[1], second[1]) for first, second in pairwise(turns)]


def test_the_window_slides_by_one_turn() -> None:
    lines = ["A:\tDo you like the rain?", "B:\tI do like it,", "B:\tuh-huh,", "B:\tmost of all.", "A:\tSo do the ducks."]
    assert pairs_of(lines) == [
        ("Do you like the rain?", "I do like it, most of all."),
        ("I do like it, most of all.", "So do the ducks."),
    ]


def test_a_short_line_between_two_of_one_speaker_leaves_one_turn() -> None:
    lines = ["A:\tWe went to the pond,", "B:\tUh-huh.", "A:\tand it was frozen.", "B:\tWas it really?"]
    assert pairs_of(lines) == [("We went to the pond, and it was frozen.", "Was it really?")]


def test_blank_lines_divide_conversations() -> None:
    first, second = ["A:\tone two three", "B:\tfour five six"], ["B:\tseven eight nine", "A:\tten eleven twelve"]
    assert pairs_of([*first, "", *second]) == pairs_of(first) + pairs_of(second)
    assert len(pairs_of([*first, *second])) == 2  # here B goes on


def test_lines_without_a_speaker_are_counted() -> None:
    lines = ["A:\tThe pond is cold.", "no speaker says this line", "B:\tIs it really cold?"]
    reasons = [one.reason for one in switchboard_pairs(lines, CLEAN) if one.row is None]
    assert reasons == ["a line without a speaker"]
    assert len(pairs_of(lines)) == 1


def test_neighbouring_pairs_share_a_group_within_a_block_and_at_its_border() -> None:
    lines = [f"{'AB'[number % 2]}:\tthis is turn {number}" for number in range(2 * BLOCK_TURNS + 1)]
    candidates = list(switchboard_pairs(lines, CLEAN))
    assert len(candidates) == 2 * BLOCK_TURNS
    at_borders = [number for number, one in enumerate(candidates) if len(one.groups) == 2]
    assert at_borders == [BLOCK_TURNS - 1, 2 * BLOCK_TURNS - 1]
    assert all(first.groups[-1] == second.groups[0] for first, second in pairwise(candidates))


def test_the_real_file_keeps_alternation_and_window(shared: Path) -> None:
    text = lzma.decompress((shared / "corpus" / "switchboard.train.txt.xz").read_bytes()).decode("utf-8")
    lines = text.splitlines()
    turns = brute_turns(lines, 3)
    assert all(first[0] != second[0] for first, second in pairwise(turns))
    pairs = pairs_of(lines)
    assert pairs == [(first[1], second[1]) for first, second in pairwise(turns)]
    assert len(pairs) == 3500
    kept = sum(len(words) for words in (line.split("\t")[1].split() for line in lines) if len(words) >= 3)
    assert sum(len(text.split()) for text in (pairs[0][0], *(reply for _, reply in pairs))) == kept
