"""Tokenizers: what they add around a text, and which ones cannot be used."""

from __future__ import annotations

import json

import pytest
from tiny import KINDS, make_tokenizer

from babyeval.errors import MissingError, UsageError
from babyeval.models.tokenizer import load_tokenizer, require_fast, tokenizer_facts

AROUND = {
    "none": ((), ()),
    "eos": ((), ()),
    "bos": (("<s>",), ()),
    "bos_eos": (("<s>",), ("</s>",)),
    "cls_sep": (("[CLS]",), ("[SEP]",)),
    "sentencepiece": (("<s>",), ()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_put_around_a_text(kind):
    tokenizer = make_tokenizer(kind)
    facts = tokenizer_facts(tokenizer)
    prefix, suffix = AROUND[kind]
    assert facts.prefix == tuple(tokenizer.convert_tokens_to_ids(list(prefix)))
    assert facts.suffix == tuple(tokenizer.convert_tokens_to_ids(list(suffix)))
    assert facts.size == len(tokenizer)
    assert facts.mask == tokenizer.mask_token_id is not None
    defined = {"none": (), "eos": ("eos",), "bos": ("bos",), "bos_eos": ("bos", "eos"), "cls_sep": ("cls",)}
    for name in ("bos", "eos", "cls"):
        assert (getattr(facts, name) is not None) == (name in defined.get(kind, ("bos", "eos")))


def test_what_hides_a_token_from_an_encoder_decoder():
    """The mask token, else T5's first sentinel by its name, else the first extra special token (protocol.md, section 1)."""
    facts = tokenizer_facts(make_tokenizer("bart"))
    assert (facts.sentinel, facts.blank) == (None, facts.mask)
    tokenizer = make_tokenizer("t5")
    facts = tokenizer_facts(tokenizer, 0)
    named = dict(zip(("</s>", "<extra_id_0>"), tokenizer.convert_tokens_to_ids(["</s>", "<extra_id_0>"]), strict=True))
    assert (facts.mask, facts.sentinel, facts.blank) == (None, named["<extra_id_0>"], named["<extra_id_0>"])
    assert (facts.bos, facts.eos, facts.cls, facts.decoder_start) == (None, named["</s>"], None, 0)
    tokenizer.extra_special_tokens = ["<extra_id_1>", "<extra_id_0>"]  # lists of sentinels come in any order
    assert tokenizer_facts(tokenizer).sentinel == named["<extra_id_0>"]
    other = make_tokenizer("bos")
    other.mask_token = None
    assert tokenizer_facts(other).blank is None
    other.add_special_tokens({"extra_special_tokens": ["<hole>", "<end>"]})
    assert tokenizer_facts(other).blank == other.convert_tokens_to_ids("<hole>")


def test_added_tokens_count():
    tokenizer = make_tokenizer("bos")
    before = tokenizer_facts(tokenizer).size
    tokenizer.add_tokens(["<new>", "<newer>"])
    assert tokenizer_facts(tokenizer).size == before + 2


def test_a_tokenizer_that_gives_nothing_is_broken():
    from tokenizers import normalizers

    tokenizer = make_tokenizer("bos")
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("The cat sat.", "")
    with pytest.raises(UsageError, match="no tokens for the text"):
        tokenizer_facts(tokenizer)


def test_a_tokenizer_that_fails_is_broken():
    def fails(*_, **__):
        raise KeyError("[UNK]")

    with pytest.raises(UsageError, match=r"The tokenizer is broken: KeyError: '\[UNK\]'"):
        tokenizer_facts(fails)


class Slow:
    is_fast = False


def test_a_slow_tokenizer_is_refused_with_the_way_to_convert_it():
    with pytest.raises(UsageError, match=r"\(Slow\) is slow") as caught:
        require_fast(Slow(), "some/folder")
    assert caught.value.where == "some/folder"
    assert "convert_slow_tokenizer" in str(caught.value)


def test_a_folder_without_tokenizer_is_missing_one(tmp_path):
    with pytest.raises(MissingError, match="holds no tokenizer") as caught:
        load_tokenizer(tmp_path)
    assert caught.value.where == str(tmp_path)


def test_a_saved_tokenizer_is_opened(tmp_path):
    make_tokenizer("bos").save_pretrained(tmp_path)
    assert tokenizer_facts(load_tokenizer(tmp_path)) == tokenizer_facts(make_tokenizer("bos"))


def test_the_plain_file_is_enough(tmp_path):
    """As in the official code of 2026: what AutoTokenizer cannot place, its file still says."""
    make_tokenizer("bos").save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "NoSuchTokenizer", "bos_token": "<s>"}))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer("The dog")["input_ids"] == make_tokenizer("bos")("The dog")["input_ids"]


def test_a_damaged_tokenizer_cannot_be_opened(tmp_path):
    make_tokenizer("bos").save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text()[:500])
    with pytest.raises(UsageError, match="cannot be opened") as caught:
        load_tokenizer(tmp_path)
    assert str(tmp_path) in str(caught.value)
