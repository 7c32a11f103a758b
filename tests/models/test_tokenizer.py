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


def test_padding_is_any_id_that_there_is():
    tokenizer = make_tokenizer("bos_eos")
    assert tokenizer_facts(tokenizer).pad == tokenizer.pad_token_id
    tokenizer.pad_token = None
    assert tokenizer_facts(tokenizer).pad == tokenizer.eos_token_id
    words = make_tokenizer("cls_sep")
    words.pad_token = None
    assert tokenizer_facts(words).pad == words.cls_token_id
    nothing = make_tokenizer("none")
    nothing.pad_token = None
    assert tokenizer_facts(nothing).pad == 0


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
