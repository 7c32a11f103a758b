"""Tables of the Hub as JSON Lines. All sentences are made up."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from babyeval.data.convert import global_piqa, read_table
from babyeval.errors import DataError

ROWS = [
    {"prompt": "To dry a shirt,", "solution0": 'hang it "out"', "solution1": "dip it, twice", "label": 0, "example_id": "e1"},
    {"prompt": "To open a jar,", "solution0": "n/a", "solution1": "turn the lid é", "label": 1, "example_id": "e2"},
]


@pytest.fixture(params=["jsonl", "tsv", "csv", "parquet"])
def table(request, tmp_path):
    """The same rows, with one column more, in every kind of file."""
    path = tmp_path / "blob"
    frame = pd.DataFrame([{**row, "language": "eng_latn"} for row in ROWS])
    {
        "jsonl": lambda: path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records"))),
        "tsv": lambda: frame.to_csv(path, sep="\t", index=False),
        "csv": lambda: frame.to_csv(path, index=False),
        "parquet": lambda: frame.to_parquet(path, index=False),
    }[request.param]()
    return path, f"data/parallel_eng_latn.{request.param}"


def test_every_kind_of_table_gives_the_same_file(table):
    files = global_piqa(read_table(*table), 2)
    assert list(files) == ["eng_latn.jsonl"]
    assert [json.loads(line) for line in files["eng_latn.jsonl"].decode().splitlines()] == ROWS
    assert type(json.loads(files["eng_latn.jsonl"].splitlines()[0])["label"]) is int


def test_solutions_are_in_the_order_of_their_numbers():
    row = {"prompt": "p", **{f"solution{i}": str(i) for i in (10, 2, 0, 1, 9, 3, 4, 5, 6, 7, 8)}, "label": "10", "example_id": 7}
    line = json.loads(global_piqa([row], None)["eng_latn.jsonl"])
    assert list(line) == ["prompt", *(f"solution{i}" for i in range(11)), "label", "example_id"]
    assert (line["label"], line["example_id"]) == (10, "7")


def test_missing_rows_are_an_error():
    with pytest.raises(DataError, match="2 rows instead of 103"):
        global_piqa(ROWS, 103)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prompt": ""}, "'prompt'"),
        ({"solution1": None}, "'solution1'"),
        ({"example_id": None}, "'example_id'"),
        ({"label": 2}, "label 2 names none of 2"),
        ({"label": "x"}, "label x"),
        ({"label": -1}, "label -1"),
    ],
)
def test_a_faulty_row_is_named(change, words):
    with pytest.raises(DataError, match=words) as caught:
        global_piqa([ROWS[0], {**ROWS[1], **change}], 2)
    assert caught.value.where == "Global PIQA, eng_latn, row 2"


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "csv"])
def test_a_file_that_is_not_what_its_name_says_is_an_error(tmp_path, ending):
    (tmp_path / "blob").write_bytes(b'\xff\xfe"\x00{')
    with pytest.raises(DataError, match="cannot be read as a table") as caught:
        read_table(tmp_path / "blob", f"data/x.{ending}")
    assert caught.value.where == f"data/x.{ending}"
