"""A second run: what is kept, what is answered by the row cache, and what is done again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cli.support import another, data_folder, files_in, inside, records_in, refuse_weights

BLIMP = ("--split", "mini", "--tasks", "blimp", "--out", "out")


@pytest.fixture(scope="module")
def before(tmp_path_factory, tiny) -> Path:
    """A folder with a finished run of blimp; tests work on copies."""
    place = tmp_path_factory.mktemp("before")
    assert inside("run", "--model", tiny, *BLIMP, cwd=place).code == 0
    return place


@pytest.fixture
def place(before, tmp_path) -> Path:
    return Path(shutil.copytree(before, tmp_path / "place"))


def rows(report: dict) -> tuple[int, int]:
    timing = report["results"][0]["timing"]
    return timing["rows_computed"], timing["rows_cached"]


def test_finished_work_is_kept_without_opening_the_weights(place, tiny, monkeypatch):
    refuse_weights(monkeypatch)
    (record,) = records_in(place / "out")
    old = record.read_bytes(), record.stat().st_mtime_ns
    done = inside("run", "--model", tiny, *BLIMP, "--json", cwd=place)
    assert done.code == 0, done.err
    assert done.json["results"] == [json.loads(old[0])]
    assert (record.read_bytes(), record.stat().st_mtime_ns) == old


def test_another_protocol_is_scored_from_cached_rows(place, tiny, monkeypatch):
    refuse_weights(monkeypatch)
    done = inside("run", "--model", tiny, *BLIMP, "--protocol", "babylm-2026", "--json", cwd=place)
    assert done.code == 0, done.err
    computed, cached = rows(done.json)
    assert (computed, cached > 0) == (0, True)
    assert done.json["results"][0]["provenance"]["path"] == "cache"
    assert len(records_in(place / "out")) == 2


def test_another_results_folder_is_filled_from_cached_rows(place, tiny, monkeypatch):
    refuse_weights(monkeypatch)
    assert inside("run", "--model", tiny, *BLIMP[:-1], "elsewhere", cwd=place).code == 0
    pd.testing.assert_frame_equal(
        *(
            pd.read_parquet(path.with_name("items.parquet"))
            for folder in ("out", "elsewhere")
            for path in records_in(place / folder)
        )
    )


def test_fresh_puts_every_row_through_the_model_again(place, tiny):
    command = ("run", "--model", tiny, *BLIMP, "--json")
    first = rows(inside(*command, cwd=place).json)
    again = inside(*command, "--fresh", cwd=place)
    assert again.code == 0
    assert rows(again.json) == first
    assert first[0] > 0


def test_fresh_opens_the_weights(place, tiny, monkeypatch):
    refuse_weights(monkeypatch)
    with pytest.raises(AssertionError, match="weights were loaded"):
        inside("run", "--model", tiny, *BLIMP, "--fresh", cwd=place)


@pytest.mark.parametrize("damage", ["lost table", "changed table", "cut record", "failed record"])
def test_what_is_damaged_is_made_again_from_cached_rows(place, tiny, monkeypatch, damage):
    (record,) = records_in(place / "out")
    table = record.with_name("items.parquet")
    good = pd.read_parquet(table)
    if damage == "lost table":
        table.unlink()
    elif damage == "changed table":
        good.iloc[:5].to_parquet(table)
    elif damage == "cut record":
        record.write_bytes(record.read_bytes()[:1000])
    else:
        record.write_text(json.dumps({**json.loads(record.read_text()), "status": "failed", "headlines": [], "scores": []}))
    refuse_weights(monkeypatch)
    done = inside("run", "--model", tiny, *BLIMP, "--json", cwd=place)
    assert done.code == 0, done.err
    assert rows(done.json)[0] == 0
    pd.testing.assert_frame_equal(pd.read_parquet(table), good)
    assert json.loads(record.read_text())["status"] == "done"
    assert files_in(place / "out") == [f"tiny/main/blimp/mini-causal/robust/{name}" for name in ("items.parquet", "result.json")]


def test_changed_data_is_scored_anew(tmp_path, tiny):
    data = data_folder(tmp_path / "data", 4)
    command = ("run", "--model", tiny, "--tasks", "blimp", "--data-dir", data, "--json")
    first = inside(*command, cwd=tmp_path).json
    file = sorted(data.rglob("made_up_0.jsonl"))[0]
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:2]))
    second = inside(*command, cwd=tmp_path).json
    assert [report["results"][0]["headline"]["n"] for report in (first, second)] == [8, 6]
    assert first["results"][0]["data"]["digest"] != second["results"][0]["data"]["digest"]
    assert rows(second)[0] == 0


def test_a_changed_model_under_its_own_name_is_refused_and_under_another_one_run(place, tiny, tmp_path):
    other = another(tiny, tmp_path / "models" / "tiny")
    clash = inside("run", "--model", other, *BLIMP, cwd=place)
    assert clash.code == 2
    for word in ("'tiny' is taken by another model", str(tiny), str(other), "--model NAME=PATH", "--out"):
        assert word in clash.err
    assert len(records_in(place / "out")) == 1
    named = inside("run", "--model", f"other={other}", *BLIMP, "--json", cwd=place)
    assert named.code == 0
    assert rows(named.json)[0] > 0
    assert len(records_in(place / "out")) == 2


def test_moved_model_is_still_the_same_one(place, tiny, tmp_path, monkeypatch):
    moved = Path(shutil.copytree(tiny, tmp_path / "elsewhere" / "tiny"))
    refuse_weights(monkeypatch)
    done = inside("run", "--model", moved, *BLIMP, "--json", cwd=place)
    assert done.code == 0, done.err
    assert done.json["results"][0]["model"]["source"] == str(moved)
    assert len(records_in(place / "out")) == 1
