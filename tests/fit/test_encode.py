"""Encoding: the tokenizer's own templates, texts kept apart where they must be, truncation by rule."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from fitting import OFFICIAL_2025, ROBUST, example, examples
from hypothesis import given
from hypothesis import strategies as st
from tiny import KINDS, SEQ2SEQ_KINDS, make_tokenizer
from tokenizers import processors

from babyeval.errors import DataError, UsageError
from babyeval.fit.encode import encode, kept

TOKENIZERS = {kind: make_tokenizer(kind) for kind in dict.fromkeys((*KINDS, *SEQ2SEQ_KINDS))}


def with_pairs(template: str) -> object:
    """A word-piece tokenizer whose template knows pairs."""
    tokenizer = make_tokenizer("cls_sep")
    special = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=template, special_tokens=special
    )
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return tokenizer


TOKENIZERS |= {
    "pairs": with_pairs("[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1"),
    "doubled": with_pairs("[CLS] $A [SEP] [SEP] $B:0 [SEP]:0"),
}


@given(kind=st.sampled_from(list(TOKENIZERS)), which=st.integers(0, 60), length=st.integers(6, 70))
def test_official_pairs_are_what_the_tokenizer_gives(kind, which, length):
    tokenizer, (made,) = TOKENIZERS[kind], examples(1, start=which)
    (found,) = encode(tokenizer, [made], replace(OFFICIAL_2025, max_length=length))
    whole = tokenizer(made.text_a, made.text_b)
    expected = tokenizer(made.text_a, made.text_b, truncation="longest_first", max_length=length)
    assert list(found.input_ids) == expected["input_ids"]
    assert found.cut == (len(whole["input_ids"]) > length)
    assert (found.token_types is None) == ("token_type_ids" not in expected)
    if found.token_types is not None:
        assert list(found.token_types) == expected["token_type_ids"]


@pytest.mark.parametrize("kind", list(TOKENIZERS))
def test_one_text_is_what_the_tokenizer_gives(kind):
    tokenizer, (made,) = TOKENIZERS[kind], examples(1, start=4, second=False)
    for hyper in (OFFICIAL_2025, ROBUST):
        (found,) = encode(tokenizer, [made], hyper)
        assert list(found.input_ids) == tokenizer(made.text_a)["input_ids"]


def test_robust_never_lets_two_texts_run_into_each_other():
    expected = {
        "none": "A\nB", "eos": "A</s>B", "bos": "<s>A\nB", "bos_eos": "<s>A</s>B</s>", "sentencepiece": "<s> A</s> B",
        "t5": "A</s> B</s>", "bart": "<s>A</s>B</s>", "cls_sep": "[CLS] a [SEP] b [SEP]", "pairs": "[CLS] a [SEP] b [SEP]",
        "doubled": "[CLS] a [SEP] [SEP] b [SEP]",
    }  # fmt: skip
    assert set(expected) == set(TOKENIZERS)
    for kind, text in expected.items():
        tokenizer = TOKENIZERS[kind]
        (found,) = encode(tokenizer, [example(0, "The dog", "barks")], ROBUST)
        a, b = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in ("The dog", "barks"))
        frame = text.replace("A", "a").replace("B", "b").replace(" ", "")
        before, rest = frame.split("a", 1)
        between, after = rest.split("b", 1)
        parts = (before, between, after)
        ids = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in parts]
        assert list(found.input_ids) == [*ids[0], *a, *ids[1], *b, *ids[2]], kind
        assert found.input_ids != (*a, *b), kind


@pytest.mark.parametrize(("a", "b", "room"), list(product((0, 3, 7, 20), (1, 6, 7, 30), (1, 2, 9, 12, 13))))
def test_the_rule_of_truncation(a, b, room):
    for cut in ("longest", "a", "b"):
        left = kept(a, b, room, cut)
        assert sum(left) == min(a + b, room)
        assert left[0] <= a
        assert left[1] <= b
    assert kept(a, b, room, "a")[1] == min(b, room)
    assert kept(a, b, room, "b")[0] == min(a, room)


def test_the_passage_is_cut_at_its_end_and_the_question_is_not():
    tokenizer = TOKENIZERS["pairs"]
    made = example(0, "the dog barks", "She put the cup on the old table.")
    (found,) = encode(tokenizer, [made], replace(ROBUST, cut="b", max_length=14))
    a, b = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (made.text_a, made.text_b))
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert list(found.input_ids) == [cls, *a, sep, *b[: 14 - 3 - len(a)], sep]
    assert found.token_types == (0,) * (len(a) + 2) + (1,) * (12 - len(a))
    assert found.cut


def test_an_example_without_tokens_is_named():
    with pytest.raises(DataError, match="no text") as caught:
        encode(TOKENIZERS["bos"], [example(0, "a", "b"), example(6, "", "")], ROBUST)
    assert "made_up.jsonl, line 7" in str(caught.value)


def test_a_window_of_special_tokens_alone_is_refused():
    with pytest.raises(UsageError, match="3 special"):
        encode(TOKENIZERS["pairs"], [example(0, "a", "b")], replace(ROBUST, max_length=3))
