"""Spans, queries and rows: what is refused, when two questions are one, how a row sums."""

from __future__ import annotations

import hashlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyeval.types import Query, Read, Row, Span

# Few values, negative ones among the neighbours of lengths, so that careless packing would collide.
IDS = st.integers(0, 4)
TARGETS = st.one_of(IDS, st.lists(IDS, min_size=1, max_size=3).map(tuple))
QUERIES = st.builds(
    Query,
    st.lists(IDS, max_size=4).map(tuple),
    st.lists(st.builds(Read, IDS, TARGETS), max_size=3).map(tuple),
    st.none() | st.lists(IDS, max_size=3).map(tuple),
)


@given(QUERIES, QUERIES)
def test_queries_have_equal_keys_exactly_if_they_are_equal(a, b):
    assert (a.key() == b.key()) == (a == b)


# Each pair holds the same numbers in the same order, divided otherwise.
NEIGHBOURS = {
    "ids or reads": (Query((1, 2, 3), ()), Query((1,), (Read(2, 3),))),
    "more reads": (Query((1,), (Read(0, 2), Read(0, 3))), Query((1,), (Read(0, 2), Read(0, 4)))),
    "set or single target": (Query((1,), (Read(0, (2,)),)), Query((1,), (Read(0, 2),))),
    "set or two reads": (Query((1,), (Read(0, (2, 3)),)), Query((1,), (Read(0, 2), Read(2, 3)))),
    "longer set": (Query((1,), (Read(0, (2, 3)), Read(1, 2))), Query((1,), (Read(0, (2, 3, 1)), Read(2, 2)))),
    "ids or decoder ids": (Query((1, 2), (), (3,)), Query((1,), (), (2, 3))),
    "no decoder or an empty one": (Query((1,), ()), Query((1,), (), ())),
    "decoder ids or reads": (Query((1,), (Read(2, 3),), ()), Query((1,), (), (2, 3))),
    "order of ids": (Query((1, 2), ()), Query((2, 1), ())),
    "order of reads": (Query((1,), (Read(0, 1), Read(0, 2))), Query((1,), (Read(0, 2), Read(0, 1)))),
}


@pytest.mark.parametrize("pair", NEIGHBOURS.values(), ids=list(NEIGHBOURS))
def test_queries_that_look_alike_have_different_keys(pair):
    a, b = pair
    assert a.key() != b.key()


def test_salt_changes_the_key():
    query = Query((1, 2), (Read(1, 3),))
    assert len({query.key(), query.key(b"causal"), query.key(b"masked")}) == 3
    assert query.key(b"causal") == Query((1, 2), (Read(1, 3),)).key(b"causal")
    assert len(query.key()) == 16


@pytest.mark.parametrize(("text", "start"), [("abc", 3), ("abc", 4), ("abc", -1), ("", 1)])
def test_a_span_that_scores_nothing_is_refused(text, start):
    with pytest.raises(ValueError, match="outside a text of"):
        Span(text, start)


@pytest.mark.parametrize(("text", "start"), [("abc", 0), ("abc", 2), ("", 0)])
def test_a_span_may_begin_at_every_character(text, start):
    assert Span(text, start).start == start


def test_a_row_sums_its_tokens():
    assert Row((-1.5, -0.25)).total == -1.75
    assert Row(()).total == 0.0
    assert Row((-1.0, -math.inf)).total == -math.inf
    assert math.isnan(Row((-1.0, math.nan)).total)


def test_the_key_is_the_digest_of_all_numbers_one_after_the_other():
    """Whatever way it is computed: rows are cached by it."""
    query = Query((5, 6), (Read(1, 7), Read(0, (8, 9)), Read(1, (3,))), (4,))
    numbers = (2, 5, 6, 1, 4, 1, 7, 0, -3, 8, 9, 1, -2, 3)
    packed = b"".join(number.to_bytes(4, "little", signed=True) for number in numbers)
    assert query.key(b"causal") == hashlib.blake2b(packed, digest_size=16, key=b"causal").digest()
