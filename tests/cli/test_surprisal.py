"""babyeval surprisal: what it prints and writes, what it refuses, and what a killed run leaves."""

from __future__ import annotations

import io
import json
import os
import signal
import sys

import pandas as pd
import pytest

import babyeval
from cli.support import (
    assert_refused,
    batches,
    cached_rows,
    files_in,
    inside,
    process,
    refuse_weights,
    started_slowly,
    wait_for_batches,
)

TEXT = "The dog saw the cat.\n\nShe said, \"NA\" \u2014 and 'None'.\n"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def read(source) -> pd.DataFrame:
    """As the documentation says: words like NA are words."""
    return pd.read_csv(source, keep_default_na=False, na_values={"surprisal": [""]})


def assert_same(table: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(table, expected, check_dtype=False, rtol=0, atol=1e-9)


def test_as_a_process_from_standard_input_to_standard_output(tiny, tmp_path):
    """With a terminal that knows no dash; the shell's pipe gives the text."""
    command = f"{sys.executable} -m babyeval surprisal --model {tiny} --text - < text.txt"
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    run = "import os, sys; sys.exit(os.waitstatus_to_exitcode(os.system(sys.argv[1])))"
    done = process(command, cwd=tmp_path, python=("-c", run), env={"PYTHONIOENCODING": "utf-8"})
    assert done.code == 0, done.err
    table = read(io.StringIO(done.out))
    assert table["word"].tolist() == TEXT.split()
    assert table["line"].tolist() == [1] * 5 + [3] * (len(TEXT.split()) - 5)
    assert_same(table, babyeval.surprisal(tiny, TEXT.split("\n")))
    assert f"{len(TEXT)} characters" not in done.out
    assert "characters" in done.err
    assert "mean surprisal" in done.err


@pytest.mark.parametrize("unit", ["word", "token"])
def test_files(tiny, text, tmp_path, unit):
    for name in ("new/a.csv", "new/a.parquet"):
        done = inside("surprisal", "--model", tiny, "--text", text, "--unit", unit, "--out", name, cwd=tmp_path)
        assert (done.code, done.out) == (0, ""), done.err
        assert f"Wrote {name}" in done.err
    expected = babyeval.surprisal(tiny, text, unit=unit)
    assert_same(read(tmp_path / "new/a.csv"), expected)
    assert_same(pd.read_parquet(tmp_path / "new/a.parquet"), expected)
    assert pd.read_parquet(tmp_path / "new/a.parquet").attrs == expected.attrs, "Parquet says which model it was"
    assert files_in(tmp_path / "new") == ["a.csv", "a.parquet"]
    raw = (tmp_path / "new/a.csv").read_bytes()
    assert "\u2014".encode() in raw
    assert b"\r" not in raw


def test_json(tiny, text, tmp_path):
    done = inside("surprisal", "--model", f"mine={tiny}", "--text", text, "--json", cwd=tmp_path)
    expected = babyeval.surprisal(tiny, text)
    rows = done.json.pop("rows")
    assert_same(pd.DataFrame(rows), expected)
    summary = {key: value for key, value in done.json.items() if key != "rows"}
    assert (summary["model"], summary["backend"], summary["unit"], summary["lines"]) == ("mine", "causal", "word", 2)
    assert summary["mean_surprisal"] == pytest.approx(expected["surprisal"].mean())
    done = inside("surprisal", "--model", tiny, "--text", text, "--json", "--out", "a.csv", cwd=tmp_path)
    assert done.json["out"] == "a.csv"
    assert "rows" not in done.json


def test_undefined_is_empty_in_csv_and_null_in_json(tmp_path, tiny_folder):
    (tmp_path / "text.txt").write_text("The dog barks.\n")
    command = ("surprisal", "--model", tiny_folder("gpt2", "none"), "--text", "text.txt")
    done = inside(*command, cwd=tmp_path)
    first = done.out.splitlines()[1].split(",")
    assert first[6] == ""
    assert "neither BOS nor EOS" in first[-1]
    assert "1 word without a surprisal" in done.err
    rows = inside(*command, "--json", cwd=tmp_path).json["rows"]
    assert [row["surprisal"] is None for row in rows] == [True, False, False]


def test_help_and_settings(tiny, text, tmp_path):
    assert "--masking" in inside("surprisal", "--help", cwd=tmp_path, env={"COLUMNS": "200"}).out
    done = inside("surprisal", "--model", tiny, "--text", text, cwd=tmp_path, env={"BABYEVAL_BACKEND": "mntp"})
    assert_refused(done, 2, "mask token")


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", 1, ("holds no text", "text.txt")),
        (b" \n\n", 1, ("holds no text", "text.txt")),
        (b"fine\nna\xefve\n", 1, ("not UTF-8", "text.txt, line 2", "0xef", "number 7")),
        (b"\xef\xbb\xbfab\n\xff", 1, ("not UTF-8", "line 2", "0xff", "number 6")),
        ("text".encode("utf-16"), 1, ("UTF-16, not UTF-8", "text.txt", "iconv -f UTF-16 ")),
    ],
)
def test_bad_text(tiny, tmp_path, monkeypatch, content, code, words):
    refuse_weights(monkeypatch)
    (tmp_path / "text.txt").write_bytes(content)
    done = inside("surprisal", "--model", tiny, "--text", "text.txt", "--out", "a.csv", cwd=tmp_path)
    assert_refused(done, code, *words)
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        (("--text", "nowhere.txt"), 3, ("nowhere.txt", "does not exist")),
        (("--text", "."), 2, ("is a folder",)),
        (("--out", "a.xlsx"), 2, ("'.xlsx'", ".csv or .parquet")),
        (("--out", "a"), 2, ("no ending",)),
        (("--out", "."), 2, ("name of a file",)),
        (("--out", "text.txt/a.csv"), 3, ("Could not write", "text.txt")),
        (("--unit", "letter"), 2, ("'letter'", "word or token")),
        (("--dtype", "bfloat16"), 2, ("float32",)),
        (("--masking", "word-l2r"), 2, ("for masked models",)),
        (("--device", "tpu"), 2, ("device",)),
        (("--backend", "enc-dec-mask"), 2, ("encoder-decoder",)),
        (("--model", "./nowhere"), 3, ("does not exist",)),
    ],
)
def test_refused(tiny, text, tmp_path, monkeypatch, changed, code, words):
    refuse_weights(monkeypatch)
    assert_refused(inside("surprisal", "--model", tiny, "--text", text, *changed, cwd=tmp_path), code, *words)
    assert [name for name in files_in(tmp_path) if not name.startswith("cache/")] == ["text.txt"]


def test_standard_input_that_is_not_utf8(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\xff")))
    done = inside("surprisal", "--model", tiny, "--text", "-", cwd=tmp_path)
    assert_refused(done, 1, "standard input, line 1", "0xff", "number 1")


def test_killed_it_leaves_no_file_and_goes_on_where_it_was(tiny, tmp_path):
    lines = [f"The {a} saw {n} {b}s by the river." for a in ("cat", "dog", "frog") for b in ("bird", "fish") for n in range(150)]
    (tmp_path / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    command = ("surprisal", "--model", tiny, "--text", "text.txt", "--out", "out/a.csv", "--json")
    running = started_slowly(*command, cwd=tmp_path)
    wait_for_batches(running, tmp_path, 3)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)
    assert files_in(tmp_path / "out") == []
    kept = cached_rows(tmp_path)
    assert 0 < len(kept) < len(lines)
    done = inside(*command, cwd=tmp_path)
    assert json.loads(done.out)["lines"] == len(lines)
    assert files_in(tmp_path / "out") == ["a.csv"]
    after = cached_rows(tmp_path)
    assert len(after) == len(lines)
    assert all(after[key] == row for key, row in kept.items()), "what was there was not computed again"
    assert len(batches(tmp_path)) >= 3
    expected = babyeval.surprisal(tiny, lines, fresh=True)["surprisal"]
    assert read(tmp_path / "out/a.csv")["surprisal"].tolist() == pytest.approx(expected.tolist(), abs=1e-4)
