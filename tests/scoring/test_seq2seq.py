"""Encoder-decoder models: what one plain forward pass per question gives, whatever the batch (protocol.md, section 1; D8)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from unittest import mock

import pytest
import torch
from asking import Scorer, ask, encoder, keyed, opened, rows_of
from brute import BruteSeq2Seq
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import SENTENCES, SEQ2SEQ, SEQ2SEQ_KINDS, make_model, make_tokenizer
from transformers import BartForConditionalGeneration, T5ForConditionalGeneration

from babyeval.errors import MissingError, UsageError
from babyeval.models.checkpoint import from_memory
from babyeval.scoring import batching, model_view
from babyeval.scoring.engine import Engine
from babyeval.scoring.model_view import ModelView
from babyeval.scoring.seq2seq import probe_seq2seq, run_seq2seq
from babyeval.types import Query, Read, Span

BACKENDS = ("enc-dec-mask", "enc-dec-prefix")
PROTOCOLS = ("robust", "babylm-2025")
# Whole sentences, completions with and without their leading space, a cut inside a word, odd letters and spaces.
SPANS = (
    Span("The dog barks."),
    Span("Café, déjà vu!"),
    Span("a"),
    Span("The dogs bark at the moon.", len("The dogs bark")),
    Span("The dogs bark at the moon.", len("The dogs bark ")),
    Span("The unbelievable dog", len("The unbelie")),
    Span(" The dog barks.", len(" The dog")),
    Span("  Two spaces and a café!", len("  Two spaces")),
)


@pytest.fixture(scope="module")
def brute(tiny_folder: Callable[..., Path]) -> Callable[[str, str], BruteSeq2Seq]:
    return cache(lambda architecture, kind: BruteSeq2Seq(tiny_folder(architecture, kind)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", SEQ2SEQ_KINDS)
@pytest.mark.parametrize("architecture", SEQ2SEQ)
def test_rows_are_those_of_plain_passes(architecture, kind, backend, protocol, tiny_folder, brute):
    rows = ask(opened(tiny_folder(architecture, kind), backend=backend), SPANS, protocol)
    reference = brute(architecture, kind)
    way = reference.masked if backend == "enc-dec-mask" else reference.prefixed
    for span, row in zip(SPANS, rows, strict=True):
        answer = way(span.text, span.start, robust=protocol == "robust")
        assert row.logprobs == pytest.approx(answer.logprobs, abs=1e-4, rel=0), span
        assert (row.unscored, row.truncated) == (answer.unscored, False), span


class Seq2SeqScorer(Scorer):
    """Asked one at a time it takes the plain path, else the proven one."""

    def __init__(self, folder: Path, backend: str) -> None:
        spans = [Span(text) for text in SENTENCES[:6]] + [Span(text, len(text) // 2) for text in SENTENCES[1:8]]
        super().__init__(opened(folder, backend=backend), spans)
        probe_seq2seq(self.view, self.queries)
        assert self.view.pads
        assert self.view.encodes_once

    def run(self, queries: list[Query], work: batching.Work | None = None):
        return run_seq2seq(self.view, queries, work or batching.Work())


@pytest.fixture(scope="module")
def scorer(tiny_folder) -> Callable[[str, str], Seq2SeqScorer]:
    return cache(lambda architecture, backend: Seq2SeqScorer(tiny_folder(architecture, architecture), backend))


@settings(max_examples=20)
@given(st.data(), st.sampled_from([1, 17, 60, 1536]), st.sampled_from([1, 5, 256]), st.booleans(), st.booleans())
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("architecture", SEQ2SEQ)
def test_rows_do_not_depend_on_batch_size_order_or_company(architecture, backend, scorer, data, budget, head, once, pads):
    asked = scorer(architecture, backend)
    queries = data.draw(st.lists(st.sampled_from(asked.queries), min_size=1, max_size=25))
    with (
        mock.patch.object(batching, "_POSITIONS_CPU", budget),
        mock.patch.object(model_view, "_HEAD_POSITIONS_CPU", head),
        mock.patch.object(asked.view, "encodes_once", once),
        mock.patch.object(asked.view, "pads", pads),
    ):
        asked.check(queries, asked.compute(queries))


@pytest.mark.parametrize("backend", BACKENDS)
def test_equal_encoder_inputs_of_a_batch_are_encoded_once(backend, scorer, monkeypatch):
    asked = scorer("t5", backend)
    monkeypatch.setattr(batching, "_POSITIONS_CPU", 10**6)
    encode, seen = ModelView.encode, []
    monkeypatch.setattr(ModelView, "encode", lambda self, inputs: seen.append(len(inputs["input_ids"])) or encode(self, inputs))
    once, apart = batching.Work(), batching.Work()
    asked.check(asked.queries, asked.compute(asked.queries, work=once))
    assert seen == [len({query.input_ids for query in asked.queries})]
    monkeypatch.setattr(asked.view, "encodes_once", False)
    asked.compute(asked.queries, work=apart)
    if backend == "enc-dec-prefix":  # all whole sentences have one encoder input
        assert once.positions < apart.positions
    tokens = sum(map(len, {query.input_ids for query in asked.queries}))
    assert once.nodes == tokens + sum(len(d) for _, d in {(query.input_ids, query.decoder_ids) for query in asked.queries})


def test_equal_questions_are_computed_once(scorer):
    asked = scorer("bart", "enc-dec-mask")
    once, twice = batching.Work(), batching.Work()
    asked.compute(asked.queries, work=once)
    asked.compute(asked.queries * 2, work=twice)
    assert once.positions == twice.positions


def test_no_batch_is_larger_than_the_budget(scorer, monkeypatch):
    """Unless it holds a single input."""
    asked = scorer("bart", "enc-dec-prefix")
    monkeypatch.setattr(batching, "_POSITIONS_CPU", 80)
    read, sizes = ModelView.read, []

    def watched(self, inputs, what):
        rows, width = inputs["decoder_input_ids"].shape
        sizes.append((rows, rows * (width + inputs["encoder_outputs"][0].shape[1])))
        return read(self, inputs, what)

    monkeypatch.setattr(ModelView, "read", watched)
    asked.compute(asked.queries)
    assert all(rows == 1 or size <= 80 for rows, size in sizes)
    assert any(rows > 1 for rows, _ in sizes)


@pytest.mark.parametrize("backend", BACKENDS)
def test_little_memory_gives_the_same_answers(backend, scorer, monkeypatch):
    asked, read, sizes = scorer("t5", backend), ModelView.read, []

    def narrow(self, inputs, what):
        if len(inputs["decoder_input_ids"]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(inputs["decoder_input_ids"]))
        return read(self, inputs, what)

    monkeypatch.setattr(ModelView, "read", narrow)
    work = batching.Work()
    asked.check(asked.queries, asked.compute(asked.queries, work=work))
    assert work.halvings > 0
    assert max(sizes) <= 3


def asked_of(model, kind: str, backend: str = "enc-dec-mask"):
    """An engine over a model in memory, its rows and what it did."""
    checkpoint = from_memory(model, make_tokenizer(kind), backend=backend)
    engine = Engine(checkpoint, device="cpu")
    rows = rows_of(engine, list(encoder(checkpoint).encode(SPANS)))
    engine.close()
    return engine, rows


class MixesPadding(BartForConditionalGeneration):
    """Attends to padding, whatever the mask says."""

    def forward(self, *args, attention_mask=None, **kwargs):
        return super().forward(*args, **kwargs)


class TakesTextOnly(T5ForConditionalGeneration):
    """Has no place for encoder outputs made before."""

    def forward(self, input_ids, decoder_input_ids, attention_mask=None, use_cache=None):
        return super().forward(input_ids=input_ids, decoder_input_ids=decoder_input_ids, attention_mask=attention_mask)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_that_mixes_padding_in_is_run_one_length_at_a_time(backend, brute):
    model = make_model("bart", make_tokenizer("bart"))
    model.__class__ = MixesPadding
    engine, rows = asked_of(model, "bart", backend)
    assert "one length at a time" in engine.works["float32"].path
    reference = brute("bart", "bart")
    way = reference.masked if backend == "enc-dec-mask" else reference.prefixed
    for span, row in zip(SPANS, rows, strict=True):
        assert row.logprobs == pytest.approx(way(span.text, span.start, robust=True).logprobs, abs=1e-4, rel=0)


def test_a_model_that_takes_no_encoder_outputs_is_run_whole(brute):
    model = make_model("t5", make_tokenizer("t5"))
    model.__class__ = TakesTextOnly
    engine, rows = asked_of(model, "t5")
    assert engine.works["float32"].path == "seq2seq"
    for span, row in zip(SPANS, rows, strict=True):
        assert row.logprobs == pytest.approx(brute("t5", "t5").masked(span.text, span.start, robust=True).logprobs, abs=1e-4)


class LooksAhead(T5ForConditionalGeneration):
    """Decodes in both directions."""

    def forward(self, *args, decoder_input_ids=None, **kwargs):
        out = super().forward(*args, decoder_input_ids=decoder_input_ids, **kwargs)
        out.logits = out.logits + decoder_input_ids.float().mean() * torch.linspace(-1, 1, out.logits.shape[-1])
        return out


def test_a_decoder_that_looks_ahead_is_refused():
    model = make_model("t5", make_tokenizer("t5"))
    model.__class__ = LooksAhead
    with pytest.raises(UsageError, match="sees the words"):
        asked_of(model, "t5", "enc-dec-prefix")


def test_longer_inputs_are_proven_anew(tiny_folder, monkeypatch):
    checkpoint = opened(tiny_folder("t5", "t5"), backend="enc-dec-prefix")
    engine, probes = Engine(checkpoint, device="cpu"), []
    monkeypatch.setattr(
        "babyeval.scoring.seq2seq.probe_seq2seq",
        lambda view, queries: probes.append(len(queries)) or probe_seq2seq(view, queries),
    )
    for text in ("The dog barks.", "The dog", "The dog barks at the moon."):
        rows_of(engine, list(encoder(checkpoint).encode([Span(text)])))
    assert len(probes) == 2
    engine.close()


def test_the_two_backends_of_one_checkpoint_share_no_question(tiny_folder):
    """A decoder's ids are part of a question's key."""
    folder = tiny_folder("t5", "t5")
    parts = [next(encoder(opened(folder, backend=backend)).encode([SPANS[0]])) for backend in BACKENDS]
    masked, prefixed = ({query.key(b"seq2seq") for query in part.queries} for part in parts)
    assert not masked & prefixed
    assert {Engine(opened(folder, backend=backend)).salt for backend in BACKENDS} == {b"seq2seq"}


def test_decoder_ids_outside_the_vocabulary_are_refused(tiny_folder):
    checkpoint = opened(tiny_folder("t5", "t5"))
    engine = Engine(checkpoint, device="cpu")
    with pytest.raises(UsageError, match="the id 400"):
        engine.answer(keyed([Query((1, 2), (Read(1, 3),), (0, 400))], engine.salt))
    engine.close()


def test_an_input_that_never_fits_into_memory_is_an_error_with_a_way_out(tiny_folder, monkeypatch):
    checkpoint = opened(tiny_folder("bart", "bart"))

    def read(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ModelView, "read", read)
    engine = Engine(checkpoint, device="cpu")
    with pytest.raises(MissingError, match="single input does not fit"):
        rows_of(engine, list(encoder(checkpoint).encode(SPANS)))
    engine.close()


@pytest.mark.parametrize("architecture", SEQ2SEQ)
def test_bfloat16_rounds_the_same_answers(architecture, tiny_folder):
    checkpoint = opened(tiny_folder(architecture, architecture))
    queries = [query for part in encoder(checkpoint).encode(SPANS) for query in part.queries]
    engine = Engine(checkpoint, device="cpu")
    wanted = keyed(queries, engine.salt)
    exact, rounded = (engine.answer(wanted, dtype) for dtype in ("float32", "bfloat16"))
    values = [[answers[key][0] for key in wanted] for answers in (exact, rounded)]
    assert values[1] == pytest.approx(values[0], abs=1.0)
    assert values[1] != pytest.approx(values[0], abs=1e-4)
    assert engine.works["bfloat16"].path == "seq2seq"
    engine.close()
