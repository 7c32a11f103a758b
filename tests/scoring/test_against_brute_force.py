"""Every backend, tokenizer and protocol gives what one plain forward pass per question gives (protocol.md, section 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from asking import ask, opened
from brute import Answer, Brute
from tiny import CAUSAL, KINDS, MASKED, SENTENCES

from babyeval.types import Row, Span

PROTOCOLS = ("robust", "babylm-2025")

# Whole sentences, completions with and without their leading space, a cut inside a word, leading space, odd letters.
SPANS = (
    *(Span(sentence) for sentence in SENTENCES),
    Span("The dog near the old houses barks at the moon.", len("The dog near the old houses")),
    Span("The dog near the old houses barks at the moon.", len("The dog near the old houses ")),
    Span("The dogs bark at the unbelievable moon.", len("The dogs bark at the unbelie")),
    Span("She puts it there", len("She puts it ther")),
    Span(" The dog barks."),
    Span(" The dog barks.", len(" The dog")),
    Span("  Two spaces and a café!", len("  Two")),
    Span("naïve café déjà", len("naïve caf")),
    Span(" the dog! The end", len(" the dog")),
)
# Masked models take one pass per token: fewer sentences, the same cases.
FEW = (*SPANS[:1], *SPANS[9:11], *SPANS[12:])


@pytest.fixture(scope="module")
def brute(tiny_folder: Callable[..., Path]) -> Callable[[str, str], Brute]:
    return cache(lambda architecture, kind: Brute(tiny_folder(architecture, kind), masked=architecture in MASKED))


def assert_equal(spans: Sequence[Span], rows: Sequence[Row], answers: Sequence[Answer]) -> None:
    for span, row, answer in zip(spans, rows, answers, strict=True):
        assert row.logprobs == pytest.approx(answer.logprobs, abs=1e-4, rel=0), span
        assert row.unscored == answer.unscored, span
        assert not row.truncated


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", CAUSAL)
def test_causal(architecture, kind, protocol, tiny_folder, brute):
    rows = ask(opened(tiny_folder(architecture, kind)), SPANS, protocol)
    reference = brute(architecture, kind)
    assert_equal(SPANS, rows, [reference.causal(span.text, span.start, robust=protocol == "robust") for span in SPANS])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("backend", ["mlm", "mlm-words", "mntp"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", MASKED)
def test_masked(architecture, kind, backend, protocol, tiny_folder, brute):
    words = backend == "mlm-words"
    checkpoint = opened(tiny_folder(architecture, kind), backend=backend.removesuffix("-words"))
    rows = ask(checkpoint, FEW, protocol, "word-l2r" if words else "pll")
    options = {"robust": protocol == "robust", "early": backend == "mntp", "words": words}
    reference = brute(architecture, kind)
    assert_equal(FEW, rows, [reference.masked(span.text, span.start, **options) for span in FEW])


def test_the_spans_hold_the_hard_cases(brute):
    """The comparisons above would mean little if no token straddled a boundary or had no width."""
    straddles = no_width = shifted = repeated = 0
    for kind in KINDS:
        tokenizer = brute("llama", kind).tokenizer
        for span in SPANS:
            encoded = tokenizer(span.text, return_offsets_mapping=True, return_special_tokens_mask=True)
            offsets, words = encoded["offset_mapping"], [word for word in encoded.word_ids() if word is not None]
            texts = [range_ for range_, special in zip(offsets, encoded["special_tokens_mask"], strict=True) if not special]
            straddles += any(start < span.start < end for start, end in texts)
            no_width += any(start == end for start, end in texts)
            shifted += offsets[0][0] > 0 and span.start + 1 in dict(map(reversed, texts))  # its first token loses the cut
            repeated += len(set(words)) < len(words)
    assert min(straddles, no_width, repeated) >= 2
    assert shifted >= 1


def test_first_token_is_scored_only_given_something(tiny_folder):
    """D9: counted as unscored where there is no BOS; EOS stands in under robust, and only there."""
    span = [Span("The dog barks.")]
    counts = {}
    for kind in ("none", "eos", "bos"):
        checkpoint = opened(tiny_folder("gpt2", kind))
        for protocol in ("robust", "babylm-2025"):
            (row,) = ask(checkpoint, span, protocol)
            counts[kind, protocol] = (len(row.logprobs), row.unscored)
    tokens = len(opened(tiny_folder("gpt2", "none")).tokenizer("The dog barks.")["input_ids"])
    part, whole = (tokens - 1, 1), (tokens, 0)
    assert counts == {
        ("none", "robust"): part,
        ("none", "babylm-2025"): part,
        ("eos", "robust"): whole,
        ("eos", "babylm-2025"): part,
        ("bos", "robust"): whole,
        ("bos", "babylm-2025"): whole,
    }
