"""Texts longer than the model's window (D40): context is cut from the left, every token of the span keeps its value."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from asking import ask, opened
from brute import Brute, Text, scored_official, scored_robust, tokenized, with_front
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import KINDS, SENTENCES, make_tokenizer

from babyeval.models.tokenizer import tokenizer_facts
from babyeval.protocols import PROTOCOLS
from babyeval.scoring.encode import Encoded, Encoder
from babyeval.types import Span

LONG = " ".join(SENTENCES[:6])
TEXTS = st.sampled_from([SENTENCES[3], LONG])
STARTS = st.floats(0, 0.999)
WINDOWS = st.integers(4, 70)
tokenizer_of = cache(make_tokenizer)


def encoded(kind: str, span: Span, backend: Any, protocol: str, window: int | None, masking: Any = "pll") -> Encoded:
    tokenizer = tokenizer_of(kind)
    encoder = Encoder(tokenizer, tokenizer_facts(tokenizer), backend, PROTOCOLS[protocol].encoding, window, masking)
    return next(encoder.encode([span]))


def expected(kind: str, span: Span, backend: str, protocol: str) -> tuple[Text, list[int], int, int]:
    """The tokens, which of them are scored, and the numbers of specials in front and behind."""
    tokenizer = tokenizer_of(kind)
    text = tokenized(tokenizer, span.text)
    if protocol == "robust" and backend != "mlm":
        second = tokenizer.eos_token_id if backend == "causal" else tokenizer.cls_token_id
        text = with_front(text, tokenizer.bos_token_id if tokenizer.bos_token_id is not None else second)
        scored = scored_robust(text, span.start)
    elif protocol == "robust":
        scored = scored_robust(text, span.start)
    else:
        scored = scored_official(text, span.start, causal=backend == "causal")
    return text, scored, text.special.index(0), text.special[::-1].index(0)


@settings(max_examples=300)
@given(st.sampled_from(KINDS), TEXTS, STARTS, st.sampled_from(["robust", "babylm-2025"]), WINDOWS)
def test_causal_tokens_keep_their_value_and_the_context_right_before_them(kind, string, share, protocol, window):
    span = Span(string, int(share * len(string)))
    text, scored, front, _ = expected(kind, span, "causal", protocol)
    scored = [i for i in scored if i > 0]
    part = encoded(kind, span, "causal", protocol, window)
    reads = [(query, read) for query in part.queries for read in query.reads]
    assert [read.target for _, read in reads] == [text.ids[i] for i in scored]
    room = window - front
    fits, span_fits = scored[-1] <= window, scored[-1] - scored[0] < room
    assert part.truncated == (not fits)
    for i, (query, read) in zip(scored, reads, strict=True):
        assert len(query.input_ids) <= window
        seen = list(query.input_ids[: read.position + 1])
        assert seen[:front] == text.ids[:front], "the specials in front stay"
        context = seen[front:]
        assert context == text.ids[i - len(context) : i], "what stands right before the token"
        if fits:
            assert len(context) == i - front, "nothing is cut that need not be"
        elif span_fits:
            assert len(context) == i - (scored[-1] - room), "one input, as much context as fits"
        else:
            assert len(context) >= min(i - front, room // 2), "a long span goes in pieces, half of the window context"


@settings(max_examples=300)
@given(
    st.sampled_from(KINDS), TEXTS, STARTS, st.sampled_from(["robust", "babylm-2025"]), WINDOWS,
    st.sampled_from(["mlm", "mntp"]), st.booleans(),
)  # fmt: skip
def test_masked_tokens_keep_their_value_and_their_neighbours(kind, string, share, protocol, window, backend, words):
    span = Span(string, int(share * len(string)))
    text, scored, front, back = expected(kind, span, backend, protocol)
    shift = int(backend == "mntp")
    scored = [i for i in scored if i >= shift]
    part = encoded(kind, span, backend, protocol, window, "word-l2r" if words else "pll")
    assert [query.reads[0].target for query in part.queries] == [text.ids[i] for i in scored]
    assert part.truncated == (len(text.ids) > window)
    mask, end = tokenizer_of(kind).mask_token_id, len(text.ids) - back
    room = min(window - front - back, end - front)
    for i, query in zip(scored, part.queries, strict=True):
        (read,) = query.reads
        assert len(query.input_ids) == front + room + back, "the window is used whole"
        assert 0 <= read.position < len(query.input_ids)
        hidden = list(text.ids)
        for j in range(i, len(hidden)):
            if j == i or (words and text.words[j] == text.words[i]):
                hidden[j] = mask
        at = read.position + shift
        assert query.input_ids[at] == mask, "the token itself is inside"
        begin = i - (at - front)  # where in the text the window begins
        assert list(query.input_ids) == hidden[:front] + hidden[begin : begin + room] + hidden[end:]
        if scored[0] - shift >= end - room:
            assert begin == end - room, "the span fits, so that only context on its left is cut"


@pytest.mark.parametrize(
    ("backend", "architecture"), [("causal", "gpt2"), ("causal", "llama"), ("mlm", "bert"), ("mlm", "roberta")]
)
def test_cut_inputs_give_what_plain_passes_over_them_give(backend, architecture, tiny_folder):
    """Real windows of real models: 24 positions, those of RoBERTa behind its padding id."""
    kind = "sentencepiece"
    folder = tiny_folder(architecture, kind, positions=24)
    checkpoint = opened(folder)
    assert checkpoint.window == 24
    brute = Brute(folder, masked=backend == "mlm")
    text = tokenized(brute.tokenizer, LONG)
    short = Span(LONG, len(LONG) - 5)
    rows = ask(checkpoint, [short, Span(LONG), Span(SENTENCES[0])])
    assert [row.truncated for row in rows] == [True, True, False]
    assert len(rows[1].logprobs) == len(text.ids) - 1
    scored = scored_robust(text, short.start)
    values = []
    for i in scored:
        if backend == "causal":
            ids = text.ids[:1] + text.ids[scored[-1] - 23 : scored[-1]]
            values.append(float(brute.logprobs(ids)[i - 1 - scored[-1] + 24, text.ids[i]]))
        else:
            ids = text.ids[:1] + text.ids[-23:]
            ids[i - len(text.ids)] = brute.tokenizer.mask_token_id
            values.append(float(brute.logprobs(ids)[i - len(text.ids), text.ids[i]]))
    assert rows[0].logprobs == pytest.approx(values, abs=1e-4, rel=0)


def test_the_first_piece_of_a_long_span_has_all_of_its_context(tiny_folder):
    """Until the window is full, a long text scores as a short one."""
    checkpoint = opened(tiny_folder("llama", "bos", positions=24))
    whole = opened(tiny_folder("llama", "bos", positions=256))
    (cut,), (free,) = (ask(c, [Span(LONG)]) for c in (checkpoint, whole))
    assert len(cut.logprobs) == len(free.logprobs) > 40
    assert cut.logprobs[:11] == pytest.approx(free.logprobs[:11], abs=1e-4)
    assert max(abs(a - b) for a, b in zip(cut.logprobs, free.logprobs, strict=True)) > 0.01
