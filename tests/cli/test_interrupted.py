"""Runs that are broken off (Ctrl-C, kill -9, a full disk): nothing half-written, and the next run goes on."""

from __future__ import annotations

import functools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import transformers

from cli.support import (
    Done,
    assert_refused,
    batches,
    cached_rows,
    data_folder,
    environment,
    files_in,
    inside,
    process,
    records_in,
    refuse_weights,
    started_slowly,
    wait_for_batches,
)

PAIRS = 600  # per file, of which there are two


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, tiny) -> Path:
    """A folder with data, an unbroken run over it, and its cache."""
    place = tmp_path_factory.mktemp("unbroken")
    data_folder(place / "data", PAIRS)
    assert inside(*command(tiny, place), cwd=place).code == 0
    return place


def command(tiny: Path, place: Path, *more: object) -> tuple[object, ...]:
    return ("run", "--model", tiny, "--tasks", "blimp", "--data-dir", place / "data", "--out", "out", *more)


def to_compute(tiny: Path, unbroken: Path, cwd: Path) -> int:
    (plan,) = inside(*command(tiny, unbroken), "--dry-run", "--json", cwd=cwd).json
    return plan["to_compute"]


def limited(size: int, *args: object, cwd: Path) -> Done:
    """A process that cannot write files beyond a size, as on a full disk."""
    done = subprocess.run(
        [sys.executable, "-m", "babyeval", *map(str, args)],
        cwd=cwd, env=environment(cwd), capture_output=True, text=True, timeout=120, check=False,
        preexec_fn=functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size)),
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(tiny, unbroken, tmp_path):
    running = started_slowly(*command(tiny, unbroken), cwd=tmp_path)
    wait_for_batches(running, tmp_path, 3)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, (out, err)
    assert "Traceback" not in out + err
    assert files_in(tmp_path / "out") == []
    kept = cached_rows(tmp_path)
    total = to_compute(tiny, unbroken, tmp_path) + len(kept)
    assert 0 < len(kept) < total
    done = inside(*command(tiny, unbroken), "--json", cwd=tmp_path)
    assert done.code == 0
    timing = done.json["results"][0]["timing"]
    assert (timing["rows_computed"], timing["rows_cached"]) == (total - len(kept), len(kept))
    assert "Interrupted" in err
    assert "goes on" in err
    assert "keeps the rows that it has scored; the records of tasks that lacked none are written" in err


@pytest.mark.parametrize("loader", ["AutoConfig", "AutoTokenizer", "AutoModelForCausalLM"])
def test_ctrl_c_that_transformers_turned_into_an_error_stops_a_sweep(loader, tiny_folder, unbroken, tmp_path, monkeypatch):
    for seed, name in enumerate(("chck_1M", "chck_2M")):
        shutil.copytree(tiny_folder("llama", "bos", seed=seed), tmp_path / "swept" / name)

    def broken_off(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as stop:
            raise ImportError(
                "Could not import module 'LlamaConfig'. Are this object's requirements defined correctly?"
            ) from stop

    monkeypatch.setattr(getattr(transformers, loader), "from_pretrained", broken_off)
    done = inside(*command(tmp_path / "swept", unbroken, "--revisions", "chck_*", "--fresh"), cwd=tmp_path)
    assert (done.code, done.out) == (130, "")
    assert "Interrupted" in done.err
    assert "failed" not in done.err


def test_ctrl_c_while_the_command_is_imported(tmp_path):
    """Stands in for the first tenth of a second: the interrupt comes out of an import."""
    code = (
        "import sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stop())\n"
        "from babyeval.__main__ import main\n"
        "main()\n"
    )
    done = process("--version", cwd=tmp_path, python=("-c", code))
    assert (done.code, done.out) == (130, "")
    assert "Interrupted" in done.err
    assert "Traceback" not in done.err


def test_killed_twice_it_goes_on_where_it_was(tiny, unbroken, tmp_path):
    total = to_compute(tiny, unbroken, tmp_path)
    cached = 0
    for _ in range(2):
        running = started_slowly(*command(tiny, unbroken), cwd=tmp_path)
        wait_for_batches(running, tmp_path, len(batches(tmp_path)) + 3)
        os.kill(running.pid, signal.SIGKILL)
        running.communicate(timeout=60)
        assert files_in(tmp_path / "out") == []
        rows = len(cached_rows(tmp_path))
        assert cached < rows < total
        assert to_compute(tiny, unbroken, tmp_path) == total - rows
        cached = rows
    done = inside(*command(tiny, unbroken), "--json", cwd=tmp_path)
    assert done.code == 0
    assert done.json["results"][0]["timing"]["rows_computed"] == total - cached
    computed = [key for batch in batches(tmp_path) for key in batch]
    largest = max(map(len, batches(tmp_path)))
    assert len(computed) - len(set(computed)) <= 2 * largest
    assert_same_outcomes(unbroken, tmp_path)


def assert_same_outcomes(unbroken: Path, broken: Path) -> None:
    """Decisions are equal, and rows differ by rounding only."""
    whole, pieced = (
        pd.read_parquet(path.with_name("items.parquet")) for p in (unbroken, broken) for path in records_in(p / "out")
    )
    pd.testing.assert_frame_equal(whole.drop(columns="scores"), pieced.drop(columns="scores"))
    headlines = [json.loads(path.read_text())["headline"] for p in (unbroken, broken) for path in records_in(p / "out")]
    assert headlines[0] == headlines[1]
    rows, others = cached_rows(unbroken), cached_rows(broken)
    assert rows.keys() == others.keys()
    assert max(abs(a - b) for key, row in rows.items() for a, b in zip(row, others[key], strict=True)) < 1e-4


def test_disk_that_fills_up_with_rows(tiny, unbroken, tmp_path):
    done = limited(150_000, *command(tiny, unbroken), cwd=tmp_path)
    assert_refused(done, 3, "row cache", str(tmp_path / "cache"), "BABYEVAL_CACHE")
    assert files_in(tmp_path / "out") == []
    kept = len(cached_rows(tmp_path))
    assert kept > 0
    done = inside(*command(tiny, unbroken), "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.json["results"][0]["timing"]["rows_cached"] == kept
    assert_same_outcomes(unbroken, tmp_path)


def test_disk_that_is_full_when_results_are_written(tiny, unbroken, monkeypatch):
    """The cache of the unbroken run is used, so that the results are the first thing to be written."""
    elsewhere = ("--out", "elsewhere")
    done = limited(40_000, *command(tiny, unbroken), *elsewhere, cwd=unbroken)
    assert_refused(done, 3, "Could not write", "elsewhere/tiny/main/blimp/full-causal/robust", "--out", "same command again")
    assert files_in(unbroken / "elsewhere") == []
    refuse_weights(monkeypatch)
    done = inside(*command(tiny, unbroken), *elsewhere, "--json", cwd=unbroken)
    assert done.code == 0
    (record,) = records_in(unbroken / "elsewhere")
    assert record.with_name("items.parquet").stat().st_size > 40_000
    assert json.loads(record.read_text()) == done.json["results"][0]
