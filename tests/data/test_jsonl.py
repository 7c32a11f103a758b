"""JSON Lines: every line as a record, every fault with its file and line."""

from __future__ import annotations

import json

import pytest

from babyeval.data.jsonl import Record, read_jsonl
from babyeval.errors import DataError


def written(tmp_path, content: bytes):
    path = tmp_path / "some_set.jsonl"
    path.write_bytes(content)
    return path


def test_lines_come_in_order_and_know_where_they_stand(tmp_path):
    path = written(tmp_path, b'{"a": "x"}\n\n  \n{"a": "y"}\r\n{"a": "z"}')
    records = list(read_jsonl(path))
    assert [record["a"] for record in records] == ["x", "y", "z"]
    assert [record.where for record in records] == [f"{path}, line {n}" for n in (1, 4, 5)]
    assert {record.stem for record in records} == {"some_set"}


def test_letters_of_all_kinds_survive(tmp_path):
    text = "café \u2028 \u0085 日本 🙂 \\ud83d"
    path = written(tmp_path, (json.dumps({"a": text}, ensure_ascii=False) + "\n").encode())
    assert [record["a"] for record in read_jsonl(path)] == [text]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"a": "x"', "not valid JSON"),
        (b"{'a': 1}\n", "not valid JSON"),
        (b'{"a": "\xff"}\n', "not valid JSON"),
        (b"[1, 2]\n", "holds a list"),
        (b'"text"\n', "holds a str"),
        (b"null\n", "holds a NoneType"),
    ],
)
def test_a_line_that_is_no_record_names_itself(tmp_path, line, words):
    path = written(tmp_path, b'{"a": "x"}\n' + line)
    with pytest.raises(DataError, match=words) as caught:
        list(read_jsonl(path))
    assert caught.value.where == f"{path}, line 2"


def test_a_file_that_ends_in_the_middle_of_a_line_is_said_to_be_truncated(tmp_path):
    with pytest.raises(DataError, match="may be truncated"):
        list(read_jsonl(written(tmp_path, b'{"a": "x"}\n{"a": "lon')))
    with pytest.raises(DataError) as caught:
        list(read_jsonl(written(tmp_path, b'{"a": "lon\n')))
    assert "truncated" not in str(caught.value)


def test_an_empty_file_holds_nothing(tmp_path):
    assert list(read_jsonl(written(tmp_path, b""))) == []


def test_a_missing_field_names_the_file_the_line_and_what_there_is():
    record = Record({"good": "x", "bad": "y"}, "f.jsonl, line 3", "f")
    with pytest.raises(DataError, match="'UID' is missing") as caught:
        record["UID"]
    assert caught.value.where == "f.jsonl, line 3"
    assert "'good', 'bad'" in str(caught.value)
    assert record.get("UID", "none") == "none"


@pytest.mark.parametrize("value", ["", 3, None, ["x"]])
def test_a_text_is_a_string_with_something_in_it(value):
    with pytest.raises(DataError, match="not a non-empty string") as caught:
        Record({"a": value}, "f.jsonl, line 3", "f").text("a")
    assert caught.value.where == "f.jsonl, line 3"
    assert "x" not in caught.value.what.partition(":")[2], "a benchmark's text would stand in the record"
    assert Record({"a": " "}, "", "").text("a") == " "


@pytest.mark.parametrize("line", ["[" * 100_000, '{"a": ' + "1" * 5_000 + "}"], ids=["depth", "digits"])
def test_json_beyond_all_bounds_is_a_fault_of_the_file(line, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(DataError, match="not valid JSON"):
        list(read_jsonl(path))


def test_the_digest_is_that_of_the_content():
    def digest(content, where="f, line 1"):
        return Record(content, where, "f").digest

    assert digest({"a": 1, "b": "é"}) == digest({"b": "é", "a": 1}, "g, line 9")
    assert digest({"a": 1}) != digest({"a": 2}) != digest({"b": 2})
    assert digest({"a": "1"}) != digest({"a": 1})
    assert digest({"a": "\ud83d"}), "half of a pair of surrogates is no reason to fail"
