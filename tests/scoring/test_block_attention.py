"""Attending in blocks: every node sees its ancestors and itself, and the answers are those of the plain path."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_model, make_tokenizer

from babyeval.scoring import causal
from babyeval.scoring.batched import run_batched
from babyeval.scoring.batching import Work
from babyeval.scoring.block_attention import make_blocks
from babyeval.scoring.causal import probe_sharing, run_causal
from babyeval.scoring.model_view import ModelView
from babyeval.scoring.trie import Pack, build_trie
from babyeval.types import Query, Read

BLOCK = 64


def story(seed: int, branches: int = 120, length: int = 60) -> list[Query]:
    """One long text with questions branching off everywhere, as entity tracking has."""
    rng = random.Random(seed)  # noqa: S311
    text = [rng.randrange(6, 300) for _ in range(length)]
    queries = []
    for _ in range(branches):
        tail = [rng.randrange(6, 300) for _ in range(rng.randrange(1, 6))]
        ids = (0, *text[: rng.randrange(1, length)], *tail)
        queries.append(Query(ids, tuple(Read(len(ids) - 1 - i, rng.randrange(6, 300)) for i in range(2))))
    return queries


def ancestors(pack: Pack) -> list[set[int]]:
    """Each node's way to the root, itself included, by parent pointers."""
    found: list[set[int]] = []
    last: dict[int, int] = {}
    for node, depth in enumerate(pack.depths.tolist()):
        found.append({node} | (found[last[depth - 1]] if depth else set()))
        last[depth] = node
    return found


@given(st.integers(0, 10_000), st.integers(1, 150), st.integers(0, 90))
def test_a_node_sees_its_ancestors_and_itself(seed, branches, padding):
    packs = build_trie(story(seed, branches), 10_000).packs
    width = max(map(len, packs)) + padding
    blocks = make_blocks(packs, width, torch.device("cpu"))
    count = -(-width // BLOCK)
    assert blocks.mask.any(-1).all(), "a query that sees nothing gives NaN"
    for row, pack in enumerate(packs):
        for node, expected in enumerate(ancestors(pack)):
            block, at = row * count + node // BLOCK, node % BLOCK
            seen = blocks.keys[block][blocks.mask[block, 0, at]] - row * width
            assert sorted(seen.tolist()) == sorted(expected)


@pytest.fixture(params=["gpt2", "llama"])
def view(request) -> ModelView:
    return ModelView(make_model(request.param, make_tokenizer("bos"), positions=128), torch.device("cpu"))


def test_answers_are_those_of_the_plain_path(view):
    queries = [query for seed in range(3) for query in story(seed)]
    trie = build_trie(queries)
    assert max(map(len, trie.packs)) > causal._DENSE_NODES
    assert probe_sharing(view, queries, trie) is None
    assert view.blocks
    plain = {i: values for batch in run_batched(view, queries, Work()) for i, values in batch}
    shared = {i: values for batch in run_causal(view, queries, trie, Work(), None) for i, values in batch}
    assert shared.keys() == plain.keys()
    for i, values in plain.items():
        assert shared[i] == pytest.approx(values, abs=1e-4, rel=0)


def test_the_models_own_attention_is_left_as_it_was(view):
    queries = story(5)
    probe_sharing(view, queries, build_trie(queries))
    assert view.model.config._attn_implementation == "sdpa"


def test_what_fails_in_blocks_attends_as_a_whole(view, monkeypatch):
    """Some models cut or extend their mask before they use it."""
    queries = story(7)
    monkeypatch.setattr(causal, "attending_in_blocks", _refusing)
    assert probe_sharing(view, queries, build_trie(queries)) is None
    assert not view.blocks


def _refusing(*_: object) -> None:
    raise ValueError("no blocks")


def test_models_that_attend_eagerly_are_not_asked(view):
    view.model.set_attn_implementation("eager")
    queries = story(9)
    assert probe_sharing(view, queries, build_trie(queries)) is None
    assert not view.blocks
