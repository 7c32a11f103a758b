"""The same rows whatever the batch size, the order, the company in the batch, duplicates and the way they were computed."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from asking import Scorer, opened
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import SENTENCES

from babyeval.scoring import batching, model_view
from babyeval.scoring.batched import run_batched
from babyeval.scoring.causal import run_causal
from babyeval.scoring.model_view import ModelView
from babyeval.scoring.trie import build_trie
from babyeval.types import Query, Span

BUDGETS = st.sampled_from([1, 17, 60, 1536])
HEADS = st.sampled_from([1, 5, 256])
PACKS = st.sampled_from([1, 9, 30, 112, 1000])
SPANS = [Span(text) for text in SENTENCES] + [Span(text, len(text) // 2) for text in SENTENCES if len(text) > 12]


class OneStackScorer(Scorer):
    """A causal or masked model, asked in plain batches or on the trie."""

    def __init__(self, folder) -> None:
        super().__init__(opened(folder), SPANS)
        self.view.pads = True  # as the engine sets it once it is proven

    def run(self, queries: list[Query], pack_nodes: int = 112, shared: bool = False, work=None):
        work = work or batching.Work()
        if shared:
            return run_causal(self.view, queries, build_trie(queries, pack_nodes), work, None)
        return run_batched(self.view, queries, work)


@pytest.fixture(scope="module")
def causal(tiny_folder) -> Scorer:
    return OneStackScorer(tiny_folder("llama", "bos"))


@pytest.fixture(scope="module")
def absolute(tiny_folder) -> Scorer:
    """GPT-2 has a table of positions, so that wrong position ids show otherwise than with rotary ones."""
    return OneStackScorer(tiny_folder("gpt2", "sentencepiece"))


@pytest.fixture(scope="module")
def masked(tiny_folder) -> Scorer:
    return OneStackScorer(tiny_folder("roberta", "cls_sep"))


def company(scorer: Scorer) -> st.SearchStrategy[list[Query]]:
    """Some of the queries in any order, some of them twice."""
    return st.lists(st.sampled_from(scorer.queries), min_size=1, max_size=25)


@settings(max_examples=25)
@given(st.data(), BUDGETS, HEADS, PACKS)
@pytest.mark.parametrize("name", ["causal", "absolute"])
def test_causal_rows_on_the_trie(name, request, data, budget, head, pack_nodes):
    scorer = request.getfixturevalue(name)
    queries = data.draw(company(scorer))
    with mock.patch.object(batching, "_POSITIONS_CPU", budget), mock.patch.object(model_view, "_HEAD_POSITIONS_CPU", head):
        scorer.check(queries, scorer.compute(queries, pack_nodes=pack_nodes, shared=True))


@settings(max_examples=25)
@given(st.data(), BUDGETS, HEADS, st.booleans(), st.booleans())
@pytest.mark.parametrize("name", ["causal", "absolute", "masked"])
def test_rows_in_plain_batches(name, request, data, budget, head, split, pads):
    scorer = request.getfixturevalue(name)
    queries = data.draw(company(scorer))
    with (
        mock.patch.object(batching, "_POSITIONS_CPU", budget),
        mock.patch.object(model_view, "_HEAD_POSITIONS_CPU", head),
        mock.patch.object(scorer.view, "split", split),
        mock.patch.object(scorer.view, "pads", pads),
    ):
        scorer.check(queries, scorer.compute(queries))


def test_the_trie_gives_the_plain_paths_rows_for_fewer_positions(causal):
    plain, shared = batching.Work(), batching.Work()
    a = causal.compute(causal.queries, work=plain)
    b = causal.compute(causal.queries, shared=True, work=shared)
    assert b == [pytest.approx(row, abs=1e-4, rel=0) for row in a]
    assert shared.positions < plain.positions
    assert shared.nodes < plain.nodes == sum(len(ids) for ids in {query.input_ids for query in causal.queries})


def test_a_model_that_bears_no_padding_gets_one_length_at_a_time(masked, monkeypatch):
    read, seen = ModelView.read, []
    monkeypatch.setattr(masked.view, "pads", False)
    monkeypatch.setattr(ModelView, "read", lambda self, inputs, asked: seen.append(set(inputs)) or read(self, inputs, asked))
    masked.check(masked.queries, masked.compute(masked.queries))
    assert len(seen) >= len({len(query.input_ids) for query in masked.queries})
    assert all(names == {"input_ids"} for names in seen), "nothing to mask"


def test_equal_inputs_are_computed_once(masked):
    once, twice = batching.Work(), batching.Work()
    masked.compute(masked.queries, work=once)
    masked.compute(masked.queries * 2, work=twice)
    assert once.positions == twice.positions


@pytest.mark.parametrize(("shared", "most"), [(False, 3), (True, 1)])
def test_little_memory_gives_the_same_answers(causal, monkeypatch, shared, most):
    """Batches are halved inside the executor too, on both ways."""
    read = ModelView.read
    sizes = []

    def narrow(self, inputs, asked):
        if len(inputs["input_ids"]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(inputs["input_ids"]))
        return read(self, inputs, asked)

    monkeypatch.setattr(ModelView, "read", narrow)
    work = batching.Work()
    causal.check(causal.queries, causal.compute(causal.queries, pack_nodes=9, shared=shared, work=work))
    assert work.halvings > 0
    assert max(sizes) == most
