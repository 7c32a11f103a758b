"""babyeval export and import as commands: from a model to a submission and back, tables of scores, and refusals."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from export.official_data import shrink_tables, small, write_data
from export.validator import official_score, validate

import babyeval
from babyeval.records import load_result
from cli.support import Done, assert_refused, files_in, inside, process, records_in, refuse_weights

TASKS = "blimp_supplement,ewok,entity_tracking,wug_past,global_piqa_nonparallel"
KEYS_2026 = {"blimp_supplement": "blimp_supplement", "ewok": "ewok", "entity_tracking": "entity_tracking_filtered",
             "global_piqa_nonparallel": "global_piqa_nonparallel"}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny) -> Path:
    """A folder in which a model was evaluated on small data under both years' protocols."""
    cwd = tmp_path_factory.mktemp("export")
    write_data(cwd / "evaluation_data", small)
    for year in ("babylm-2025", "babylm-2026"):
        done = inside("run", "--model", tiny, "--tasks", TASKS, "--protocol", year, cwd=cwd)
        assert done.code == 0, done.out + done.err
    return cwd


@pytest.fixture(autouse=True)
def _small_sizes(monkeypatch) -> None:
    shrink_tables(monkeypatch)


def test_from_a_model_to_a_submission_and_back(place, tmp_path, monkeypatch):
    refuse_weights(monkeypatch)
    done = inside("export", "--format", "babylm-2026", "--out", tmp_path / "tiny.json", cwd=place)
    assert (done.code, done.out) == (0, "")
    assert f"Wrote {tmp_path / 'tiny.json'}: 'tiny' (main), scored as causal." in done.err
    content = json.loads((tmp_path / "tiny.json").read_text())
    missing = validate(content, "babylm-2026", place / "evaluation_data")
    assert set(content) - missing == set(KEYS_2026.values())
    assert sum(line.startswith("Left null: ") for line in done.err.splitlines()) == len(missing)
    again = inside(
        *("import", tmp_path / "tiny.json", "--protocol", "babylm-2026", "--backend", "causal"),
        *("--data-dir", place / "evaluation_data", "--out", "again"), cwd=tmp_path,
    )  # fmt: skip
    assert again.code == 0, again.err
    for task, key in KEYS_2026.items():
        old, new = (
            load_result((root / f"tiny/main/{task}/full-causal/babylm-2026/result.json").read_text())
            for root in (place / "results", tmp_path / "again")
        )
        assert old.counts.ties == 0
        assert new.headline.value == pytest.approx(old.headline.value, abs=1e-9)
        score = official_score(key, content[key], "babylm-2026", place / "evaluation_data")
        assert new.headline.value == pytest.approx(score, abs=1e-9)


def test_incomplete_2025_submission_is_refused(place, tmp_path):
    done = inside("export", "--format", "babylm-2025", "--out", tmp_path / "x.json", cwd=place)
    assert_refused(
        done, 3, "nothing was written", "--tasks blimp,wug_adj,comps,reading,finetune --protocol babylm-2025", "reading: "
    )
    assert files_in(tmp_path) == []


def test_csv_on_stdout_is_the_frame_that_python_gives(place, tmp_path):
    done = inside("export", "results", "--format", "csv", cwd=place)
    assert (done.code, done.err) == (0, "")
    frame = babyeval.load_results(place / "results")
    (tmp_path / "scores.csv").write_text(done.out)
    read = pd.read_csv(tmp_path / "scores.csv", dtype={"subset": str, "group": str}, keep_default_na=True)
    assert list(read.columns) == list(frame.columns)
    assert len(read) == len(frame)
    assert read["value"].tolist() == pytest.approx(frame["value"].tolist(), nan_ok=True)
    assert inside("export", "results", "--format", "csv", cwd=place).out == done.out
    only = inside("export", "results", "--format", "csv", "--model", "tiny", "--backend", "causal", cwd=place)
    assert only.out == done.out
    assert_refused(inside("export", "results", "--format", "csv", "--model", "x", cwd=place), 2, "no model 'x'", "tiny")


def test_tables_in_files(place, tmp_path):
    frame = babyeval.load_results(place / "results")
    for name in ("scores.parquet", "scores.csv"):
        target = tmp_path / "new" / name
        done = inside("export", "results", "--format", name.split(".")[1], "--out", target, cwd=place)
        assert (done.code, done.out) == (0, "")
        assert f"{len(frame)} scores" in done.err
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "new/scores.parquet"), frame, check_dtype=False)
    assert (tmp_path / "new/scores.csv").read_text() == inside("export", "results", "--format", "csv", cwd=place).out


def test_a_device_is_written_to_and_never_replaced(place, tmp_path):
    (tmp_path / "null").symlink_to("/dev/null")
    done = inside("export", "results", "--format", "csv", "--out", tmp_path / "null", cwd=place)
    assert done.code == 0, done.err
    assert (tmp_path / "null").is_symlink()


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (("--format", "parquet"), 2, ["Parquet", "--out"]),
        (("--format", "xml"), 2, ["'xml' is no format", "babylm-2026, csv, parquet"]),
        ((), 2, ["not named", "--format"]),
        (("--format", "csv", "--out", "."), 2, ["name of a file"]),
        (("--format", "csv", "--out", "x.parquet"), 2, ["ends in '.parquet'", "format is csv"]),
        (("--format", "parquet", "--out", "x.CSV"), 2, ["ends in '.CSV'", "format is parquet"]),
        (("--format", "babylm-2026", "--out", "x.csv"), 2, ["ends in '.csv'", "a submission is JSON"]),
        (
            ("--format", "csv", "--out", "results/tiny/main/ewok/full-causal/babylm-2026/result.json/x.csv"),
            3,
            ["Could not write"],
        ),
        (("nowhere", "--format", "csv"), 3, ["no results folder 'nowhere'"]),
        (("nowhere", "--format", "babylm-2026"), 3, ["no results folder 'nowhere'"]),
        (("empty", "--format", "csv"), 3, ["holds no scores"]),
        (("empty", "--format", "babylm-2025"), 3, ["holds no records"]),
    ],
)
def test_refusals(given, code, words, place):
    (place / "empty").mkdir(exist_ok=True)
    assert_refused(inside("export", *given, cwd=place), code, *words)


def test_damaged_record_is_named(place, tmp_path):
    root = Path(shutil.copytree(place / "results", tmp_path / "results"))
    first, *others = records_in(root)
    first.write_text("{")
    refused = inside("export", root, "--format", "babylm-2026", cwd=place)
    assert_refused(refused, 2, "record cannot be read", str(first))
    table = inside("export", root, "--format", "csv", cwd=place)
    assert (table.code, table.err.count("record cannot be read")) == (0, 1)
    assert str(first) in table.err
    found = {tuple(row[key] for key in ("model", "task", "protocol")) for row in csv.DictReader(io.StringIO(table.out))}
    assert found == {(path.parts[-6], path.parts[-4], path.parts[-2]) for path in others}
    for path in others:
        path.write_text("{")
    assert_refused(inside("export", root, "--format", "csv", cwd=place), 3, "record cannot be read", "holds no scores")


def test_passwords_open_archives(place, tmp_path):
    """A password of the wrong form is refused before any work, and is not repeated."""
    for command in (("export", "--format", "babylm-2026"), ("import", "x", "--protocol", "babylm-2026")):
        done = inside(*command, "--data-password", "secret", cwd=place)
        assert_refused(done, 2, "TASK=PASSWORD")
        assert "secret" not in done.err
        done = inside(*command, "--data-password", "ewk=secret", cwd=place)
        assert_refused(done, 2, "Unknown task 'ewk'", "'ewok'")
        assert "secret" not in done.err


def test_commands_are_light_and_explain_themselves(tmp_path):
    for verb in ("export", "import"):
        done: Done = process(verb, "--help", cwd=tmp_path)
        assert done.code == 0
        assert "Example: babyeval" in " ".join(done.out.split())
