"""The prefix trie: every distinct prefix once, every query whole in one pack, masks that show ancestors only."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from babyeval.scoring import trie
from babyeval.scoring.causal import ancestor_mask
from babyeval.scoring.trie import PACK_NODES, Pack, build_trie, common_prefix
from babyeval.scoring.tries import Tries
from babyeval.types import Query, Read

PATHS = st.lists(st.integers(0, 2), min_size=1, max_size=9).map(tuple)


@st.composite
def asked(draw: st.DrawFn) -> list[Query]:
    """Queries over few ids, so that they share much; duplicates and prefixes of each other among them."""
    queries = []
    for path in draw(st.lists(PATHS, min_size=1, max_size=14)):
        places = draw(st.lists(st.integers(0, len(path) - 1), min_size=1, max_size=3))
        queries.append(Query(path, tuple(Read(place, draw(st.integers(0, 5))) for place in places)))
    return queries


def ancestors(pack: Pack) -> list[list[int]]:
    """For each node the nodes on its way to the root, itself last, by walking along depths."""
    way: list[int] = []
    found = []
    for node, depth in enumerate(pack.depths.tolist()):
        assert depth <= len(way), "a node hangs in the air"
        del way[depth:]
        way.append(node)
        found.append(list(way))
    return found


@given(asked(), st.integers(1, 40))
def test_nodes_are_the_distinct_prefixes(queries, pack_nodes):
    trie = build_trie(queries, pack_nodes)
    prefixes = {query.input_ids[:n] for query in queries for n in range(1, len(query.input_ids) + 1)}
    assert trie.nodes == len(prefixes)
    assert trie.tokens == sum(len(query.input_ids) for query in queries)


@given(asked(), st.integers(1, 40))
def test_every_query_is_in_one_pack_and_its_reads_see_its_own_path(queries, pack_nodes):
    trie = build_trie(queries, pack_nodes)
    found = [query for pack in trie.packs for query in pack.queries]
    assert sorted(found) == list(range(len(queries)))
    for pack in trie.packs:
        ways = ancestors(pack)
        for index, nodes in zip(pack.queries, pack.reads, strict=True):
            for read, node in zip(queries[index].reads, nodes, strict=True):
                seen = tuple(pack.tokens[way] for way in ways[node])
                assert seen == queries[index].input_ids[: read.position + 1]


@given(asked(), st.integers(1, 40))
def test_no_pack_holds_a_prefix_twice(queries, pack_nodes):
    for pack in build_trie(queries, pack_nodes).packs:
        prefixes = [tuple(pack.tokens[way]) for way in ancestors(pack)]
        assert len(set(prefixes)) == len(prefixes)


@given(asked(), st.integers(1, 40))
def test_packs_stay_within_their_size_unless_paths_are_long(queries, pack_nodes):
    for pack in build_trie(queries, pack_nodes).packs:
        longest = max(len(queries[index].input_ids) for index in pack.queries)
        assert len(pack) <= max(pack_nodes, 8 * longest)


@given(asked(), st.integers(1, 12))
def test_queries_with_one_input_share_its_nodes(queries, pack_nodes):
    once, twice = build_trie(queries, 10_000), build_trie(queries + queries, 10_000)
    assert once.nodes == twice.nodes
    assert len(once.packs) == len(twice.packs) == 1
    assert len(once.packs[0]) == len(twice.packs[0]) == once.nodes


def test_a_cut_costs_only_the_path_to_the_root():
    """Sixty sentences of one root and their own tails: cutting them anywhere recomputes the root alone."""
    queries = [Query((0, *(10 * i + j for j in range(1, 6))), (Read(5, 1),)) for i in range(60)]
    trie = build_trie(queries, PACK_NODES)
    assert trie.nodes == 1 + 60 * 5
    assert sum(map(len, trie.packs)) == trie.nodes + len(trie.packs) - 1


def test_no_queries_make_no_packs():
    trie = build_trie([])
    assert (trie.packs, trie.nodes, trie.tokens) == ([], 0, 0)


@given(asked(), st.integers(1, 40), st.integers(0, 3))
def test_ancestor_mask_shows_a_node_its_ancestors_and_itself(queries, pack_nodes, padding):
    for pack in build_trie(queries, pack_nodes).packs:
        depths = torch.tensor([[*pack.depths, *[0] * padding]])
        mask = ancestor_mask(depths)[0]
        expected = torch.zeros_like(mask)
        for node, way in enumerate(ancestors(pack)):
            expected[node, way] = True
        for pad in range(len(pack), len(pack) + padding):
            expected[pad, pad] = True
        assert torch.equal(mask, expected)


def test_ancestor_mask_treats_each_pack_by_itself():
    depths = torch.tensor([[0, 1, 2, 1, 0], [0, 1, 2, 3, 4]])
    both = ancestor_mask(depths)
    assert both.shape == (2, 5, 5)
    for row in range(2):
        assert torch.equal(both[row], ancestor_mask(depths[row : row + 1])[0])
    assert both[1].equal(torch.ones(5, 5).tril().bool())


@given(PATHS, PATHS)
def test_common_prefix_counts_until_the_first_difference(a, b):
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    assert common_prefix(a, b) == common_prefix(b, a) == count


@pytest.mark.parametrize("length", [0, 1, 7, 64])
def test_common_prefix_of_a_path_and_its_extension(length):
    path = tuple(range(length))
    assert common_prefix(path, (*path, 99)) == length
    assert common_prefix((*path, 98), (*path, 99)) == length


def test_equal_questions_in_equal_order_are_sorted_once(monkeypatch):
    built = []
    monkeypatch.setattr(trie, "build_trie", lambda queries: built.append(1) or build_trie(queries))
    queries = [Query((1, 2, n), (Read(2, 9),)) for n in range(5)]
    keys = [query.key() for query in queries]
    kept = Tries()
    first = kept.get(keys, queries)
    assert kept.get(list(keys), list(queries)) is first
    assert len(built) == 1
    turned = kept.get(keys[::-1], queries[::-1])  # a trie names its queries by their places
    assert [pack.queries for pack in turned.packs] != [pack.queries for pack in first.packs]
    assert len(built) == 2


def test_the_largest_tries_are_kept():
    kept = Tries()
    sets = [[Query((n, *range(size)), (Read(0, 9),)) for n in range(3)] for size in (9, 2, 5)]
    large, small, middle = ([query.key() for query in queries] for queries in sets)
    tries_ = [kept.get(keys, queries) for keys, queries in zip((large, small, middle), sets, strict=True)]
    assert kept.get(large, sets[0]) is tries_[0]
    assert kept.get(middle, sets[2]) is tries_[2]
    again = kept.get(small, sets[1])
    assert again is not tries_[1]
    assert again.nodes == tries_[1].nodes
