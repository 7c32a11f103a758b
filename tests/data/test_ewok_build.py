"""EWoK's build: which items stay, in which form, and when it refuses to write. Items and words are made up."""

from __future__ import annotations

import builtins
import json
import re

import pytest

from babyeval.data.ewok_build import OFFICIAL_ROWS, build, read_vocabulary, word_tokenizer
from babyeval.errors import DataError, MissingError


def item(domain: str, *texts: str) -> dict[str, object]:
    return {**dict(zip(("Context1", "Context2", "Target1", "Target2"), texts, strict=True)), "Domain": domain, "Other": 5}


TABLE = item("things", "The Cup is full.", "The cup is empty.", "Tea spills.", "Nothing spills.")
ODD = item("things", "The cup is full.", "The cup is empty.", "Oolong spills.", "Nothing spills.")
FAR = item("places", "Ann goes north.", "Ann goes south.", "It gets cold.", "It gets warm.")
WORDS = frozenset(
    [
        "the",
        "cup",
        "is",
        "full",
        "empty",
        "tea",
        "spills",
        "nothing",
        "ann",
        "goes",
        "north",
        "south",
        "it",
        "gets",
        "cold",
        "warm",
        ".",
    ]
)


def tokens(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def lines(content: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in content.decode().splitlines()]


def test_an_item_of_known_words_is_written_as_it_is_and_swapped():
    files = build([TABLE, ODD, FAR], WORDS, tokens, {"things": 2, "places": 2})
    assert list(files) == ["places.jsonl", "things.jsonl"]
    first, second = lines(files["things.jsonl"])
    assert first == TABLE
    assert second == item("things", "The cup is empty.", "The Cup is full.", "Nothing spills.", "Tea spills.")


@pytest.mark.parametrize("place", range(4))
def test_an_unknown_word_in_any_of_the_four_texts_removes_the_item(place):
    texts = ["The cup is full.", "The cup is empty.", "Tea spills.", "Nothing spills."]
    texts[place] = texts[place].replace(" ", " purple ", 1)
    assert build([item("things", *texts), TABLE], WORDS, tokens, {"things": 2}) == build([TABLE], WORDS, tokens, {"things": 2})


def test_punctuation_is_a_word_too():
    with pytest.raises(DataError):
        build([TABLE], WORDS - {"."}, tokens, {"things": 2})


def test_wrong_counts_name_the_domains_and_give_nothing():
    with pytest.raises(DataError, match="in 2 of 3 domains") as caught:
        build([TABLE, FAR], WORDS, tokens, {"things": 2, "places": 4, "times": 1234})
    assert "places 2 instead of 4, times 0 instead of 1,234" in str(caught.value)
    assert "things" not in str(caught.value)
    assert "--vocabulary" in str(caught.value)


def test_a_domain_that_the_official_build_does_not_have_is_wrong():
    with pytest.raises(DataError, match="places 2 instead of 0"):
        build([TABLE, FAR], WORDS, tokens, {"things": 2})


def test_an_item_without_a_field_is_named():
    broken = {key: value for key, value in TABLE.items() if key != "Target2"}
    with pytest.raises(DataError, match="'Target2'") as caught:
        build([TABLE, broken], WORDS, tokens, {"things": 2})
    assert caught.value.where == "EWoK, row 2"


def test_official_counts_are_those_of_the_protocol():
    assert (len(OFFICIAL_ROWS), sum(OFFICIAL_ROWS.values())) == (11, 7618)


def test_words_are_read_one_a_line(tmp_path):
    (tmp_path / "vocab.txt").write_text("tea\ncup\n\né\n", encoding="utf-8")
    assert read_vocabulary(tmp_path / "vocab.txt") == {"tea", "cup", "é"}
    with pytest.raises(MissingError, match="vocabulary") as caught:
        read_vocabulary(tmp_path / "absent.txt")
    assert "strict/evaluation_pipeline/ewok/vocab.txt of github.com/babylm-org/babylm-eval" in str(caught.value)


def test_without_nltk_the_way_out_is_named(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("nltk"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingError, match="NLTK") as caught:
        word_tokenizer()
    assert "babyeval[ewok]" in str(caught.value)


def test_nltk_splits_words_with_or_without_its_trained_model(monkeypatch):
    """The conventions of the Penn Treebank, which a vocabulary made by the same tokenizer follows."""
    pytest.importorskip("nltk")
    monkeypatch.setattr("nltk.data.path", [])  # the trained sentence splitter is a download of its own
    split = word_tokenizer()
    assert split("the cup isn't full, is it?") == ["the", "cup", "is", "n't", "full", ",", "is", "it", "?"]
    assert split("ann goes north. it gets cold.") == ["ann", "goes", "north", ".", "it", "gets", "cold", "."]
