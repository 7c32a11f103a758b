"""The two files of age of acquisition: every word, context and proportion, and every fault with its file and place."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from babyeval.data.acquisition import WordContext, read_contexts, read_proportions
from babyeval.data.lookup import DataFile
from babyeval.errors import DataError

WORDS = {
    "ball": [{"context": " Throw me the ", "source": "made up"}, {"context": "Whose"}],
    "a": [{"context": "This is"}],
    "café": [{"context": "Let's sit in the"}],
    "kite": [],
}
TABLE = "word,16,17,18\nball,0.25,0.5,1\nup,0,,0.75\n"


def written(folder: Path, content: bytes | str, name: str = "cdi_childes.json") -> DataFile:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return DataFile(path, f"full_eval/aoa/{name}", "", path.stat().st_size)


def table(folder: Path, content: bytes | str) -> DataFile:
    return written(folder, content, "cdi_human.csv")


def test_contexts_are_counted_within_their_word_from_zero(tmp_path):
    """Words of one letter are skipped, and a word without contexts gives none, as in the official pipeline."""
    found = read_contexts(written(tmp_path, json.dumps(WORDS, ensure_ascii=False)))
    assert [(word, context, number) for word, context, number, _ in found] == [
        ("ball", " Throw me the ", 0), ("ball", "Whose", 1), ("café", "Let's sit in the", 0)
    ]  # fmt: skip
    assert found[1] == WordContext("ball", "Whose", 1, "cdi_childes, word 'ball', context 1")
    assert [one.place for one in found if one.word == "café"] == ["cdi_childes, word 'café', context 0"]


def test_proportions_stand_with_their_months(tmp_path):
    assert read_proportions(table(tmp_path, TABLE)) == {
        "ball": ((16.0, 17.0, 18.0), (0.25, 0.5, 1.0)),
        "up": ((16.0, 18.0), (0.0, 0.75)),
    }


def test_months_are_the_columns_named_by_whole_numbers_in_rising_order(tmp_path):
    file = table(tmp_path, "id,30,word,9,class,16.5,1²\n1,0.9,ball,0.1,noun,7,x\n")
    assert read_proportions(file) == {"ball": ((9.0, 30.0), (0.1, 0.9))}


@pytest.mark.parametrize("cell", ["", " ", "NA", "nan", "NaN"])
def test_a_missing_proportion_is_left_out(cell, tmp_path):
    """What the official pipeline's table reader takes for missing; a word may have no number at all."""
    assert read_proportions(table(tmp_path, f"word,16,17\nball,{cell},0.5\nup,{cell},{cell}\n")) == {
        "ball": ((17.0,), (0.5,)), "up": ((), ())
    }  # fmt: skip


def test_both_are_read_out_of_an_archive(tmp_path):
    path = tmp_path / "aoa.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("aoa/cdi_childes.json", json.dumps(WORDS))
        archive.writestr("aoa/cdi_human.csv", TABLE)

    def member(name: str) -> DataFile:
        return DataFile(path, f"aoa.zip/aoa/{name}", "", path.stat().st_size, f"aoa/{name}", "aoa")

    contexts = read_contexts(member("cdi_childes.json"))
    assert len(contexts) == 3
    assert contexts[0].place == "cdi_childes, word 'ball', context 0"
    assert set(read_proportions(member("cdi_human.csv"))) == {"ball", "up"}


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    assert len(read_contexts(written(tmp_path, b"\xef\xbb\xbf" + json.dumps(WORDS).encode()))) == 3
    assert set(read_proportions(table(tmp_path, b"\xef\xbb\xbf" + TABLE.encode()))) == {"ball", "up"}


@pytest.mark.parametrize(
    ("content", "words", "place"),
    [
        ('{"ball": [\n  {"context": "Whose"},\n]}', "not valid JSON", ", line 3, column 1"),
        ('{"ball": [{"context": "Who', "not valid JSON", ", line 1, column 23"),
        ("", "not valid JSON", ", line 1, column 1"),
        pytest.param("[" * 100_000, "not valid JSON", "cdi_childes.json", id="depth"),
        pytest.param('{"ball": ' + "1" * 5_000 + "}", "not valid JSON", "cdi_childes.json", id="digits"),
        (b'{\n"ball": [{"context": "caf\xe9"}]}', "not UTF-8: byte 27 is 0xe9", ", line 2"),
        ('[{"context": "Whose"}]', "holds a list, not an object", "cdi_childes.json"),
        ('"ball"', "holds a str, not an object", "cdi_childes.json"),
        ('{"ball": {"context": "Whose"}}', "a dict, not a list", ", word 'ball'"),
        ('{"ball": null}', "a NoneType, not a list", ", word 'ball'"),
        ('{"ball": ["Whose"]}', "a str, not an object", ", word 'ball', context 0"),
        ('{"ball": [{"context": "Whose"}, {"text": "My"}]}', "'context' is missing", ", word 'ball', context 1"),
        ('{"ball": [{"context": 3}]}', "The context is a int", ", word 'ball', context 0"),
        ('{"ball": [{"context": null}]}', "The context is a NoneType", ", word 'ball', context 0"),
        ('{"ball": [{"context": ["Whose"]}]}', "The context is a list", ", word 'ball', context 0"),
        ('{"ball": [{"context": "Whose"}], "up": [], "ball": []}', "'ball' occurs twice", "cdi_childes.json"),
        ('{"ball": [{"context": "Whose", "context": "My"}]}', "'context' occurs twice", "cdi_childes.json"),
    ],
)  # fmt: skip
def test_faults_of_the_contexts_are_named_with_their_place(content, words, place, tmp_path):
    file = written(tmp_path, content)
    with pytest.raises(DataError, match=words) as caught:
        read_contexts(file)
    assert caught.value.where is not None
    assert caught.value.where.startswith(str(file.path))
    assert caught.value.where.endswith(place)


@pytest.mark.parametrize(
    ("content", "words", "place"),
    [
        ("word,16\nball,0.5\nup,many\n", "column '16' is no number from 0 to 1: 'many'", ", line 3"),
        ("word,16,17\nball,0.5,1.01\n", "column '17' is no number from 0 to 1: '1.01'", ", line 2"),
        ("word,16\nball,-0.1\n", "no number from 0 to 1: '-0.1'", ", line 2"),
        ("word,16\nball,inf\n", "no number from 0 to 1", ", line 2"),
        ("word,16\nball,50%\n", "no number from 0 to 1", ", line 2"),
        ("words,16\nball,0.5\n", "lacks the column 'word'", ", line 1"),
        ("", "lacks the column 'word'", ", line 1"),
        ("word,months,-3,1.5\nball,0.5,0.5,0.5\n", "no column of a month", ", line 1"),
        ("word,16,016\nball,0.5,0.6\n", "two columns of one month: '16' and '016'", ", line 1"),
        ("word,16,17,16\nball,0.5,0.6,0.7\n", "names a column twice: '16'", ", line 1"),
        ("word,16\n,0.5\n", "'word' is not a non-empty string", ", line 2"),
        ("word,16\n", "holds no words", "cdi_human.csv"),
        ("word,16,17\nball,0.5\n", "2 cells, and the file has 3 columns", ", line 2"),
        (b"word,16\nb\xe4ll,0.5\n", "byte 9 is 0xe4", ", line 2"),
        ('word,16\n"ball,0.5\n', "not valid CSV", ", line 2"),
    ],
)
def test_faults_of_the_proportions_are_named_with_their_place(content, words, place, tmp_path):
    file = table(tmp_path, content)
    with pytest.raises(DataError, match=words) as caught:
        read_proportions(file)
    assert caught.value.where is not None
    assert caught.value.where.startswith(str(file.path))
    assert caught.value.where.endswith(place)
