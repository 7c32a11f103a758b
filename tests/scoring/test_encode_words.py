"""The official way to ask for a word after a context, against plain loops over the model (protocol.md, section 4)."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from asking import encoder, opened, rows_of
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer

from babyeval.scoring.encode_words import encode_words
from babyeval.scoring.engine import Engine

PAIRS = [
    ("The dog", "barks"),
    ("The", "unbelievable"),
    ("She put the cup on", "the"),
    ("None", "of"),
    ("Because it rained,", "nobody"),
    ("Every child who sings has", "ever."),
    ("No", "déjà"),
]


def asked(folder, backend, pairs=PAIRS, window=None):
    checkpoint = opened(folder, backend=backend)
    engine = Engine(checkpoint, device="cpu")
    try:
        return rows_of(engine, list(encode_words(pairs, encoder(checkpoint, "babylm-2025", window=window))))
    finally:
        engine.close()


def probability(logits, target):
    return torch.softmax(logits.double(), -1)[target].item()


def chain(tokenizer, context, word, next_probability):
    """Product of probabilities: contexts grow by decoded text, and each piece is tokenised again."""
    ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    product = next_probability(context, ids[0])
    for before, token in pairwise(ids):
        context += tokenizer.decode(before)
        product *= next_probability(context, tokenizer(tokenizer.decode(token), add_special_tokens=False)["input_ids"][0])
    return product


@torch.no_grad()
def causal(folder):
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    return tokenizer, lambda text, target: probability(model(torch.tensor([tokenizer(text)["input_ids"]])).logits[0, -1], target)


def masked(folder, earlier=0):
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder).eval()

    def next_probability(text, target):
        ids = tokenizer(text + tokenizer.mask_token * 3)["input_ids"]
        at = -3 if ids[-1] == tokenizer.mask_token_id else -4
        return probability(model(torch.tensor([ids])).logits[0, at - earlier], target)

    return tokenizer, next_probability


def seq2seq(folder, front, behind, start):
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder).eval()

    def next_probability(text, target):
        ids = [*front, *tokenizer(text, add_special_tokens=False)["input_ids"], *behind]
        logits = model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([[start]])).logits
        return probability(logits[0, 0], target)

    return tokenizer, next_probability


def assert_same(rows, reference):
    tokenizer, next_probability = reference
    with torch.no_grad():
        expected = [-math.log(chain(tokenizer, *pair, next_probability)) for pair in PAIRS]
    assert [-row.total for row in rows] == pytest.approx(expected, abs=1e-4)
    assert max(len(row.logprobs) for row in rows) > 2, "words of several tokens are among them"


@pytest.mark.parametrize("kind", ["none", "eos", "bos", "bos_eos", "cls_sep", "sentencepiece"])
def test_causal_models_answer_at_the_last_input_position(tiny_folder, kind):
    """Behind </s> or [SEP], if the tokenizer appends one (D10)."""
    folder = tiny_folder("llama", kind)
    assert_same(asked(folder, "causal"), causal(folder))


@pytest.mark.parametrize(("architecture", "kind"), [("bert", "cls_sep"), ("roberta", "bos_eos"), ("bert", "bos")])
def test_masked_models_answer_at_the_first_of_three_masks(tiny_folder, architecture, kind):
    folder = tiny_folder(architecture, kind)
    assert_same(asked(folder, "mlm"), masked(folder))


def test_mntp_answers_one_position_before(tiny_folder):
    folder = tiny_folder("bert", "cls_sep")
    assert_same(asked(folder, "mntp"), masked(folder, earlier=1))


@pytest.mark.parametrize("backend", ["enc-dec-mask", "enc-dec-prefix"])
def test_encoder_decoders_answer_at_the_first_decoder_position(tiny_folder, backend):
    folder = tiny_folder("bart", "bart")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    cls, eos, mask = tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.mask_token_id
    assert_same(asked(folder, backend), seq2seq(folder, [cls], [mask, eos], tokenizer.bos_token_id))


def test_t5_takes_its_sentinel_for_the_mask_and_its_decoder_start_for_bos(tiny_folder):
    folder = tiny_folder("t5", "t5")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    behind = [tokenizer.convert_tokens_to_ids("<extra_id_0>"), tokenizer.eos_token_id]
    assert_same(asked(folder, "enc-dec-mask"), seq2seq(folder, [], behind, tokenizer.pad_token_id))


def test_the_official_question_stands_behind_the_eos_of_the_tokenizer(tiny_folder):
    """What D10 is about: the word is asked for behind </s>, where nothing was ever predicted."""
    checkpoint = opened(tiny_folder("llama", "bos_eos"))
    (part,) = encode_words([("The dog", "a")], encoder(checkpoint, "babylm-2025"))
    assert part.queries[0].input_ids[-1] == checkpoint.facts.eos
    assert part.queries[0].reads[0].position == len(part.queries[0].input_ids) - 1


@pytest.mark.parametrize(("architecture", "backend"), [("llama", "causal"), ("bert", "mlm")])
def test_a_context_longer_than_the_window_is_cut_from_the_left_and_counted(tiny_folder, architecture, backend):
    context = " ".join(["The dog near the old houses barks at the moon."] * 9)
    short, long = asked(tiny_folder(architecture, "cls_sep"), backend, [("The dog", "barks"), (context, "barks")], window=16)
    assert (short.truncated, long.truncated) == (False, True)
    assert math.isfinite(long.total)


def test_a_word_without_tokens_has_no_queries(tiny_folder):
    checkpoint = opened(tiny_folder("bert", "cls_sep"))
    (part,) = encode_words([("The dog", "\u200b")], encoder(checkpoint, "babylm-2025"))
    assert (part.queries, part.unscored) == ((), 0)
