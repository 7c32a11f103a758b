"""What encoder-decoders are asked: which ids go to the encoder, which to the decoder, and what is cut (D8, D9, D40)."""

from __future__ import annotations

from functools import cache

import pytest
from asking import ask, opened
from brute import BruteSeq2Seq, scored_official, scored_robust, tokenized
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import SENTENCES, SEQ2SEQ_KINDS, make_tokenizer

from babyeval.models.tokenizer import tokenizer_facts
from babyeval.protocols import PROTOCOLS
from babyeval.scoring.encode import Encoder
from babyeval.types import Span

LONG = " ".join(SENTENCES[:6])
START = 4  # stands for the model's decoder start; no tokenizer gives it to plain text
tokenizer_of = cache(make_tokenizer)


def encoder(tokenizer, backend: str, protocol: str = "robust", window: int | None = None, start: int | None = START) -> Encoder:
    return Encoder(tokenizer, tokenizer_facts(tokenizer, start), backend, PROTOCOLS[protocol].encoding, window)


def only(asking: Encoder, text: str, start: int = 0):
    (part,) = asking.encode([Span(text, start)])
    return part


def without(kind: str, *names: str):
    """A tokenizer that does not define these special tokens."""
    tokenizer = make_tokenizer(kind)
    for name in names:
        setattr(tokenizer, f"{name}_token", None)
    return tokenizer


def test_t5_is_asked_in_the_form_that_it_was_trained_in():
    tokenizer = tokenizer_of("t5")
    names = tokenizer.convert_ids_to_tokens
    part = only(encoder(tokenizer, "enc-dec-mask"), "The dog")
    assert [names(query.input_ids) for query in part.queries] == [
        ["<extra_id_0>", "\u2581dog", "</s>"], ["\u2581The", "<extra_id_0>", "</s>"],
    ]  # fmt: skip
    assert {query.decoder_ids for query in part.queries} == {(START, tokenizer.convert_tokens_to_ids("<extra_id_0>"))}
    official = only(encoder(tokenizer, "enc-dec-mask", "babylm-2025"), "The dog")
    assert {tuple(names(query.decoder_ids)) for query in official.queries} == {("<extra_id_0>",)}
    (query,) = only(encoder(tokenizer, "enc-dec-prefix", "babylm-2025"), "The dog sings", len("The")).queries
    assert names(query.input_ids) == ["\u2581The", "<extra_id_0>", "</s>"]
    assert names(query.decoder_ids) == ["<extra_id_0>", "\u2581dog", "\u2581sing"]
    assert [(read.position, names([read.target])) for read in query.reads] == [
        (0, ["\u2581dog"]),
        (1, ["\u2581sing"]),
        (2, ["s"]),
    ]


def test_a_whole_sentence_leaves_the_encoder_only_the_mask():
    tokenizer = tokenizer_of("bart")
    names = tokenizer.convert_ids_to_tokens
    for protocol in ("robust", "babylm-2025"):
        (query,) = only(encoder(tokenizer, "enc-dec-prefix", protocol), "The dog").queries
        assert names(query.input_ids) == ["<s>", "<mask>", "</s>"]
        assert names(query.decoder_ids) == ["<s>", "<mask>", "The"]


def test_where_a_mask_and_a_sentinel_exist_each_has_its_place():
    """Without BOS the decoder begins with the sentinel, while the mask hides the token (protocol.md, section 1)."""
    tokenizer = make_tokenizer("none")
    tokenizer.add_special_tokens({"extra_special_tokens": ["<hole>"]})
    hole, mask = tokenizer.convert_tokens_to_ids(["<hole>", "<mask>"])
    for protocol, decoder in {"robust": (START, hole), "babylm-2025": (hole,)}.items():
        queries = only(encoder(tokenizer, "enc-dec-mask", protocol), "The dog").queries
        assert [(query.input_ids.count(mask), query.decoder_ids) for query in queries] == [(1, decoder)] * 2
    asking = encoder(tokenizer, "enc-dec-mask", start=None)
    assert only(asking, "The dog").queries[0].decoder_ids == (hole,)


def test_the_parts_are_tokenised_apart_or_together():
    """A cut inside a token: the official way splits the token, the robust way gives it to the completion."""
    tokenizer = tokenizer_of("bart")
    text, start = "The dogs bark", len("The do")
    official, robust = (only(encoder(tokenizer, "enc-dec-prefix", p), text, start) for p in ("babylm-2025", "robust"))
    whole = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert [read.target for read in robust.queries[0].reads] == whole[1:]
    assert robust.queries[0].input_ids[1:-2] == (whole[0],)
    parts = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in (text[:start], text[start:])]
    assert list(official.queries[0].input_ids[1:-2]) == parts[0] != whole[:1]
    assert [read.target for read in official.queries[0].reads] == parts[1]


@pytest.mark.parametrize("protocol", ["robust", "babylm-2025"])
def test_without_a_mask_its_place_is_left_out(protocol):
    tokenizer = without("bart", "mask")
    names = tokenizer.convert_ids_to_tokens
    (query,) = only(encoder(tokenizer, "enc-dec-prefix", protocol), "The dog barks", len("The")).queries
    assert names(query.input_ids) == ["<s>", "The", "</s>"]
    assert names(query.decoder_ids)[:2] == ["<s>", "\u0120dog"]
    assert [read.position for read in query.reads] == list(range(len(query.decoder_ids)))
    (query,) = only(encoder(without("bart", "mask", "bos"), "enc-dec-prefix", protocol), "The dog").queries
    assert query.decoder_ids[0] == START


def test_a_first_token_with_nothing_before_it_is_counted():
    """D9: no BOS, no mask, and a model that states no decoder start."""
    asking = encoder(without("bart", "mask", "bos"), "enc-dec-prefix", start=None)
    tokens = asking.tokenizer("The dog", add_special_tokens=False)["input_ids"]
    part = only(asking, "The dog")
    assert (part.unscored, len(part.queries[0].reads)) == (1, len(tokens) - 1)
    assert part.queries[0].decoder_ids == tuple(tokens[:-1])
    part = only(asking, "The")
    assert (part.unscored, part.queries) == (1, ())


@pytest.mark.parametrize("protocol", ["robust", "babylm-2025"])
@pytest.mark.parametrize("backend", ["enc-dec-mask", "enc-dec-prefix"])
def test_an_empty_text_asks_nothing(backend, protocol):
    part = only(encoder(tokenizer_of("t5"), backend, protocol), "")
    assert (part.queries, part.unscored, part.truncated) == ((), 0, False)


@settings(max_examples=200)
@given(st.sampled_from(SEQ2SEQ_KINDS), st.floats(0, 0.999), st.sampled_from(["robust", "babylm-2025"]), st.integers(6, 70))
def test_masked_tokens_keep_their_value_and_their_neighbours(kind, share, protocol, window):
    tokenizer = tokenizer_of(kind)
    span = Span(LONG, int(share * len(LONG)))
    text = tokenized(tokenizer, LONG)
    scored = scored_robust(text, span.start) if protocol == "robust" else scored_official(text, span.start, causal=False)
    front, back = text.special.index(0), text.special[::-1].index(0)
    facts = tokenizer_facts(tokenizer)
    part = only(encoder(tokenizer, "enc-dec-mask", protocol, window), LONG, span.start)
    assert part.truncated == (len(text.ids) > window)
    assert len(part.queries) == len(scored)
    for i, query in zip(scored, part.queries, strict=True):
        assert query.reads == ((len(query.decoder_ids) - 1, text.ids[i]),)
        assert len(query.input_ids) == min(window, len(text.ids)), "the window is used whole"
        hidden = [*text.ids[:i], facts.blank, *text.ids[i + 1 :]]
        inner, end = query.input_ids[front : len(query.input_ids) - back], len(hidden) - back
        assert list(query.input_ids) == hidden[:front] + list(inner) + hidden[end:], "specials stay"
        at = inner.index(facts.blank)
        assert list(inner) == hidden[i - at : i - at + len(inner)], "what stands around the token"
        if scored[0] >= end - len(inner):
            assert i - at == end - len(inner), "the span fits, so that only context on its left is cut"


@settings(max_examples=200)
@given(st.sampled_from(SEQ2SEQ_KINDS), st.floats(0, 0.999), st.sampled_from(["robust", "babylm-2025"]), st.integers(6, 70))
def test_scored_tokens_keep_their_value_and_the_context_right_before_them(kind, share, protocol, window):
    tokenizer = tokenizer_of(kind)
    start = int(share * len(LONG))
    free, cut = (only(encoder(tokenizer, "enc-dec-prefix", protocol, size), LONG, start) for size in (None, window))
    (whole,) = free.queries
    assert not free.truncated
    assert cut.truncated == (len(whole.input_ids) > window or len(whole.decoder_ids) > window)
    assert [read.target for query in cut.queries for read in query.reads] == [read.target for read in whole.reads]
    front = whole.reads[0].position + 1
    behind = 2 if tokenizer.eos_token_id is not None else 1
    before = int(tokenizer.cls_token_id is not None)
    reads = [(query, read.position) for query in cut.queries for read in query.reads]
    for (query, position), original in zip(reads, whole.reads, strict=True):
        assert len(query.input_ids) == min(window, len(whole.input_ids))
        kept = len(query.input_ids) - before
        assert query.input_ids == whole.input_ids[:before] + whole.input_ids[len(whole.input_ids) - kept :]
        assert query.input_ids[-behind:] == whole.input_ids[-behind:], "the mask stays"
        assert len(query.decoder_ids) <= window
        seen = query.decoder_ids[: position + 1]
        assert seen[:front] == whole.decoder_ids[:front]
        context = seen[front:]
        assert context == whole.decoder_ids[original.position + 1 - len(context) : original.position + 1]
        assert len(context) >= min(original.position + 1 - front, (window - front) // 2), "at least half a window of context"


@pytest.mark.parametrize("backend", ["enc-dec-mask", "enc-dec-prefix"])
def test_cut_inputs_give_what_plain_passes_over_them_give(backend, tiny_folder):
    """A BART of 24 positions, whose inputs in encoder and decoder are cut."""
    folder = tiny_folder("bart", "bart", positions=24)
    checkpoint = opened(folder, backend=backend)
    assert checkpoint.window == 24
    brute = BruteSeq2Seq(folder)
    prefix, completion = brute.split(LONG, len(LONG) - 8, robust=True)
    bos, eos, mask = brute.tokenizer.bos_token_id, brute.tokenizer.eos_token_id, brute.mask
    rows = ask(checkpoint, [Span(LONG, len(LONG) - 8), Span(LONG), Span(SENTENCES[0])])
    assert [row.truncated for row in rows] == [True, True, False]
    assert len(rows[1].logprobs) == len(prefix) + len(completion)
    if backend == "enc-dec-prefix":
        table = brute.logprobs([bos, *prefix[-21:], mask, eos], [bos, mask, *completion[:-1]])[1:]
        values = [float(row[token]) for row, token in zip(table, completion, strict=True)]
    else:
        kept = (prefix + completion)[-22:]
        values = []
        for i in range(22 - len(completion), 22):
            table = brute.logprobs([bos, *kept[:i], mask, *kept[i + 1 :], eos], [bos, mask])
            values.append(float(table[-1, kept[i]]))
    assert rows[0].logprobs == pytest.approx(values, abs=1e-4, rel=0)


def test_t5_has_no_window(tiny_folder):
    checkpoint = opened(tiny_folder("t5", "t5"))
    assert checkpoint.window is None
    (row,) = ask(checkpoint, [Span(LONG)])
    assert not row.truncated
