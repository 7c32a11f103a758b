"""From text to questions: what an encoder asks, under which policy, with which marks."""

from __future__ import annotations

import pytest
from tiny import SENTENCES, make_tokenizer

from babyeval.models.tokenizer import tokenizer_facts
from babyeval.protocols import PROTOCOLS
from babyeval.scoring import encode
from babyeval.scoring.encode import Encoder, Tokens
from babyeval.types import Query, Read, Span


def encoder(kind: str, backend: str = "causal", protocol: str = "robust", **options) -> Encoder:
    tokenizer = make_tokenizer(kind)
    return Encoder(tokenizer, tokenizer_facts(tokenizer), backend, PROTOCOLS[protocol].encoding, **options)


def test_a_trailing_special_is_never_an_input_of_a_causal_model():
    """D10: nor is the last token of the text, which is only a target."""
    asking = encoder("bos_eos")
    ids = tuple(asking.tokenizer("The dog barks.")["input_ids"])
    (part,) = asking.encode([Span("The dog barks.")])
    assert part.queries == (Query(ids[:-2], tuple(Read(i - 1, ids[i]) for i in range(1, len(ids) - 1))),)


def test_masked_copies_keep_both_specials():
    asking = encoder("cls_sep", "mlm")
    ids = tuple(asking.tokenizer("The dog barks.")["input_ids"])
    (part,) = asking.encode([Span("The dog barks.")])
    assert [query.input_ids for query in part.queries] == [
        (*ids[:i], asking.facts.mask, *ids[i + 1 :]) for i in range(1, len(ids) - 1)
    ]
    assert [query.reads for query in part.queries] == [(Read(i, ids[i]),) for i in range(1, len(ids) - 1)]


def test_mntp_reads_one_position_before_the_mask():
    mlm, mntp = (next(encoder("cls_sep", backend).encode([Span("The dog barks.")])) for backend in ("mlm", "mntp"))
    assert [query.input_ids for query in mntp.queries] == [query.input_ids for query in mlm.queries]
    before = [read.position - 1 for query in mlm.queries for read in query.reads]
    assert [read.position for query in mntp.queries for read in query.reads] == before


def test_mntp_without_a_special_in_front_never_reads_before_the_text():
    """D7: the official code reads position -1, the end of a padded row; here the token is counted as unscored."""
    (part,) = encoder("none", "mntp", "babylm-2025").encode([Span("The dog barks.")])
    assert part.unscored == 1
    assert part.queries[0].reads[0].position == 0


def test_word_masking_hides_the_rest_of_the_word_only():
    asking = encoder("cls_sep", "mlm", masking="word-l2r")
    tokenizer, mask = asking.tokenizer, asking.facts.mask
    text = "the unhappy dogs"
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])
    assert tokens == ["[CLS]", "the", "un", "##h", "##app", "##y", "dog", "##s", "[SEP]"]
    (part,) = asking.encode([Span(text)])
    hidden = [[i for i, token in enumerate(query.input_ids) if token == mask] for query in part.queries]
    assert hidden == [[1], [2, 3, 4, 5], [3, 4, 5], [4, 5], [5], [6, 7], [7]]


def test_the_robust_policy_never_scores_a_special_token():
    special = Tokens((0, 1, 2), [(0, 0), (0, 3), (0, 3)], [1, 0, 1], ())
    robust, official = encoder("bos"), encoder("bos", protocol="babylm-2025")
    assert robust.scored(special, Span("abc")) == [1]
    assert official.scored(special, Span("abc")) == [1, 2]


@pytest.mark.parametrize("backend", ["causal", "mlm", "mntp"])
def test_equal_questions_of_two_policies_are_one(backend):
    """Where the tokenizer adds a BOS, the protocols ask the same, so that rows are shared."""
    kind = "bos" if backend == "causal" else "cls_sep"
    spans = [Span(sentence) for sentence in SENTENCES]
    robust, official = (list(encoder(kind, backend, protocol).encode(spans)) for protocol in ("robust", "babylm-2025"))
    assert robust == official


def test_many_spans_come_back_in_order(monkeypatch):
    spans = [Span(sentence, n % 3) for n, sentence in enumerate(s for s in SENTENCES * 3 if len(s) > 3)]
    asking = encoder("bos")
    at_once = list(asking.encode(spans))
    monkeypatch.setattr(encode, "_TOKENIZE_AT_ONCE", 4)
    assert list(asking.encode(spans)) == at_once == [next(asking.encode([span])) for span in spans]


@pytest.mark.parametrize("backend", ["causal", "mlm", "mntp"])
@pytest.mark.parametrize("setting", ["padding", "truncation"])
def test_settings_left_in_the_tokenizer_change_nothing(backend, setting):
    """A tokenizer.json may pad and cut by itself; both would corrupt scores."""
    asking = encoder("bos", backend)
    spans = [Span(sentence) for sentence in SENTENCES]
    expected = list(asking.encode(spans))
    tokenizer = asking.tokenizer.backend_tokenizer
    tokenizer.enable_padding(length=50) if setting == "padding" else tokenizer.enable_truncation(4)
    assert list(asking.encode(spans)) == expected


@pytest.mark.parametrize("backend", ["causal", "mlm", "mntp"])
def test_an_empty_text_asks_nothing(backend):
    (part,) = encoder("bos", backend).encode([Span("")])
    assert (part.queries, part.unscored, part.truncated) == ((), 0, False)


def test_specials_in_front_and_behind_are_counted():
    tokens = Tokens((1, 2, 5, 6, 3), [(0, 0)] * 5, [1, 1, 0, 0, 1], ())
    assert (tokens.prefix, tokens.suffix) == (2, 1)
    assert (tokens.with_front(9).prefix, tokens.with_front(9).ids) == (3, (9, 1, 2, 5, 6, 3))
