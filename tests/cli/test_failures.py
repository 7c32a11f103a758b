"""Data and models with faults: the message names the place, the exit code is right, other tasks are done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.support import FULL_BLIMP, FULL_SUPPLEMENT, damaged, data_folder, files_in, inside, pair, records_in, write_lines

BOTH = ("--tasks", "blimp,blimp_supplement")


@pytest.fixture
def data(tmp_path) -> Path:
    return data_folder(tmp_path / "data", 4)


def run(tiny, data, tmp_path, *more):
    """A run as JSON; returns its end and the results by task."""
    done = inside("run", "--model", tiny, *BOTH, "--data-dir", data, "--json", *more, cwd=tmp_path)
    assert "Traceback" not in done.err
    return done, {result["task"]["name"]: result for result in done.json["results"]}


def spoil(data: Path, number: int, line: bytes) -> Path:
    """Replaces a line of a BLiMP file."""
    path = data / FULL_BLIMP / "made_up_1.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = line
    path.write_bytes(b"".join(lines))
    return path


def test_absent_files_are_named_and_the_other_task_is_done(tiny, data, tmp_path):
    for path in (data / FULL_BLIMP).iterdir():
        path.unlink()
    done, results = run(tiny, data, tmp_path)
    assert (done.code, done.json["status"], done.json["exit_code"]) == (3, "incomplete", 3)
    assert [results[task]["status"] for task in ("blimp", "blimp_supplement")] == ["skipped", "done"]
    error = results["blimp"]["error"]
    for word in ("'blimp'", f"{FULL_BLIMP}/*.jsonl in {data} and", "--data-dir", "BABYEVAL_DATA", "--split mini"):
        assert word in error
    (record,) = records_in(tmp_path / "results")
    assert "blimp_supplement" in record.parts


def test_table_says_what_was_skipped_and_why(tiny, data, tmp_path):
    for path in (data / FULL_BLIMP).iterdir():
        path.unlink()
    done = inside("run", "--model", tiny, *BOTH, "--data-dir", data, cwd=tmp_path)
    assert done.code == 3
    row = next(line for line in done.out.splitlines() if line.split()[:1] == ["blimp"])
    assert row.split() == ["blimp", "full", "robust", "-", "-", "-", "-", "-", "skipped"]
    assert "What next:" in done.out
    assert f"lookedfor{FULL_BLIMP}/*.jsonlin{data}and" in "".join(done.out.split())


def test_dry_run_foretells_the_exit_code_and_writes_nothing(tiny, data, tmp_path):
    command = ("run", "--model", tiny, *BOTH, "--data-dir", data, "--dry-run", "--json")
    assert inside(*command, cwd=tmp_path).code == 0
    for path in (data / FULL_BLIMP).iterdir():
        path.unlink()
    done = inside(*command, cwd=tmp_path)
    assert done.code == 3
    assert [(task["task"], task["state"]) for task in done.json[0]["tasks"]] == [
        ("blimp", "skipped"),
        ("blimp_supplement", "run"),
    ]
    assert f"{FULL_BLIMP}/*.jsonl in {data} and" in done.json[0]["tasks"][0]["reason"]
    assert not (tmp_path / "results").exists()


def test_no_data_at_all(tiny, tmp_path):
    done = inside("run", "--model", tiny, *BOTH, "--json", cwd=tmp_path)
    assert done.code == 3
    assert {result["status"] for result in done.json["results"]} == {"skipped"}
    assert all(
        "full_eval/" in result["error"] and " in evaluation_data (no such folder) and " in result["error"]
        for result in done.json["results"]
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"sentence_good": "A", \n', ("not valid JSON",)),
        (b'["a", "list"]\n', ("list", "not an object")),
        (b'{"sentence_good": "\xff"}\n', ("not valid JSON", "utf-8")),
        (json.dumps({k: v for k, v in pair(1).items() if k != "sentence_bad"}).encode() + b"\n", ("'sentence_bad' is missing",)),
        (json.dumps({**pair(1), "sentence_good": ""}).encode() + b"\n", ("'sentence_good' is not a non-empty string",)),
        (json.dumps({**pair(1), "UID": 7}).encode() + b"\n", ("'UID' is not a non-empty string: 7",)),
    ],
    ids=["cut", "list", "bytes", "missing", "empty", "number"],
)
def test_faulty_line_is_named_and_the_other_task_is_done(tiny, data, tmp_path, line, words):
    path = spoil(data, 3, line)
    done, results = run(tiny, data, tmp_path)
    assert (done.code, done.json["status"]) == (1, "failed")
    assert [results[task]["status"] for task in ("blimp", "blimp_supplement")] == ["failed", "done"]
    for word in (*words, f"{path}, line 3"):
        assert word in results["blimp"]["error"]
    assert results["blimp"]["scores"] == []


def test_truncated_file_is_told_from_a_wrong_line(tiny, data, tmp_path):
    path = data / FULL_BLIMP / "made_up_1.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    done, results = run(tiny, data, tmp_path)
    assert done.code == 1
    for word in (f"{path}, line 4", "may be truncated", "What next: Mend the line, or get the file again"):
        assert word in results["blimp"]["error"]


def test_empty_files(tiny, data, tmp_path):
    for path in (data / FULL_BLIMP).iterdir():
        path.write_bytes(b"")
    done, results = run(tiny, data, tmp_path)
    assert done.code == 1
    assert "no items" in results["blimp"]["error"]
    assert str(data / FULL_BLIMP / "made_up_0.jsonl") in results["blimp"]["error"]


def test_failed_task_leaves_a_record_that_a_later_run_replaces(tiny, data, tmp_path):
    good = (data / FULL_BLIMP / "made_up_1.jsonl").read_bytes()
    path = spoil(data, 1, b"{\n")
    done, _ = run(tiny, data, tmp_path)
    assert done.code == 1
    (record,) = (path for path in records_in(tmp_path / "results") if "blimp" in path.parts)
    assert json.loads(record.read_text())["status"] == "failed"
    assert files_in(record.parent) == ["result.json"]
    path.write_bytes(good)
    done, _ = run(tiny, data, tmp_path)
    assert done.code == 0
    assert json.loads(record.read_text())["status"] == "done"
    assert files_in(record.parent) == ["items.parquet", "result.json"]


def test_failed_task_never_replaces_a_good_record(tiny, data, tmp_path):
    done, _ = run(tiny, data, tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file()}
    spoil(data, 1, b"{\n")
    done, results = run(tiny, data, tmp_path)
    assert (done.code, results["blimp"]["status"]) == (1, "failed")
    assert {path: path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file()} == before


def test_official_files_may_hold_duplicates_blank_lines_and_other_fields(tiny, tmp_path):
    lines = [pair(1), pair(1), {**pair(2), "extra": [1, None]}]
    path = write_lines(tmp_path / "data" / FULL_BLIMP / "a.jsonl", lines)
    path.write_text(path.read_text().replace("\n", "\n\n", 1).rstrip("\n"))
    write_lines(tmp_path / "data" / FULL_SUPPLEMENT / "b.jsonl", [pair(3), pair(4)])
    done, results = run(tiny, tmp_path / "data", tmp_path)
    assert done.code == 0
    assert (results["blimp"]["headline"]["n"], results["blimp"]["headline"]["n_clusters"]) == (3, 2)


def test_nan_is_an_error_under_robust_and_names_the_item(tiny, tmp_path):
    broken = damaged(tiny, tmp_path / "broken")
    done = inside("run", "--model", broken, "--split", "mini", *BOTH, "--json", cwd=tmp_path)
    assert (done.code, done.json["status"]) == (1, "failed")
    for result in done.json["results"]:
        assert result["status"] == "failed"
        for word in ("NaN", f"{result['task']['name']}, item mini_", "babyeval check"):
            assert word in result["error"]
        assert (result["headline"], result["scores"]) == (None, [])


def test_nan_has_a_meaning_under_the_official_protocols_and_is_counted(tiny, tmp_path):
    broken = damaged(tiny, tmp_path / "broken")
    command = ("run", "--model", broken, "--split", "mini", "--tasks", "blimp", "--protocol", "all")
    done = inside(*command, "--json", cwd=tmp_path)
    assert done.code == 1
    results = {result["protocol"]: result for result in done.json["results"]}
    assert {name: result["status"] for name, result in results.items()} == {
        "robust": "failed",
        "babylm-2025": "done",
        "babylm-2026": "done",
    }
    official = results["babylm-2025"]
    assert official["counts"]["nan"] == official["counts"]["items"] == 88
    assert official["headline"]["value"] == 100.0
    table = inside(*command, cwd=tmp_path)
    assert table.code == 1
    assert "blimp (babylm-2025): 88 items with NaN scores" in " ".join(table.out.split())


def test_json_of_a_failed_run_holds_no_bare_nan(tiny, tmp_path):
    broken = damaged(tiny, tmp_path / "broken")
    done = inside("run", "--model", broken, "--split", "mini", "--tasks", "blimp", "--protocol", "all", "--json", cwd=tmp_path)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    json.loads(done.out, parse_constant=refuse)
    for path in records_in(tmp_path / "results"):
        json.loads(path.read_text(), parse_constant=refuse)


def test_one_model_that_cannot_be_opened_shows_before_any_work(tiny, tmp_path):
    done = inside("run", "--model", tiny, "--model", "./nowhere", "--split", "mini", "--tasks", "blimp", cwd=tmp_path)
    assert done.code == 3
    assert "./nowhere" in done.err
    assert records_in(tmp_path / "results") == []
