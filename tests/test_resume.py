"""Resuming (slow): a run killed at ten random moments ends with the decisions and rows of an unbroken one."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from cli.support import SHARED, batches, cached_rows, data_folder, files_in, inside, records_in, started_slowly

MODEL = SHARED / "models" / "tiny-llama"
DATA = SHARED / "evaluation_data"
THREADS = {"OMP_NUM_THREADS": "2"}

pytestmark = pytest.mark.slow


def needs_shared() -> pytest.MarkDecorator:
    absent = [path for path in (MODEL, DATA / "fast_eval" / "blimp_fast") if not path.is_dir()]
    return pytest.mark.skipif(bool(absent), reason=f"not here: {', '.join(map(str, absent))}")


def finish(command, cwd: Path, pause: str = "0") -> None:
    running = started_slowly(*command, cwd=cwd, env={**THREADS, "PUT_PAUSE": pause})
    out, err = running.communicate(timeout=1800)
    assert running.returncode == 0, (out, err)


@needs_shared()
def test_ten_kills_at_random_moments(tmp_path):
    command = ("run", "--model", MODEL, "--tasks", "blimp", "--split", "fast", "--data-dir", DATA, "--out", "out")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    finish(command, whole)
    rows = cached_rows(whole)
    chance = random.Random(20261121)  # noqa: S311
    in_the_middle = 0
    for kill in range(10):
        before = len(batches(broken))
        running = started_slowly(*command, cwd=broken, env={**THREADS, "PUT_PAUSE": "0.02"})
        if kill % 3 == 0:  # at any moment, start-up included
            time.sleep(chance.uniform(0.5, 10))
        else:  # while rows are being computed
            while len(batches(broken)) == before:
                assert running.poll() is None, running.communicate()
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 3))
        os.kill(running.pid, signal.SIGKILL)
        out, err = running.communicate(timeout=60)
        assert running.returncode == -signal.SIGKILL, ("the run ended before it was killed", out, err)
        assert files_in(broken / "out") == []
        cached = len(cached_rows(broken))
        in_the_middle += 0 < cached < len(rows)
        (plan,) = inside(*command, "--dry-run", "--json", cwd=broken).json
        assert plan["to_compute"] == len(rows) - cached
    assert in_the_middle >= 6
    finish(command, broken)
    assert_equal(whole, broken, rows)
    computed = [key for batch in batches(broken) for key in batch]
    assert len(computed) - len(set(computed)) <= 10 * max(map(len, batches(broken)))
    assert set(computed) == {key.hex() for key in rows}


def assert_equal(whole: Path, other: Path, rows) -> None:
    """Decisions are equal, and rows within 1e-4 nats."""
    tables = [pd.read_parquet(path.with_name("items.parquet")) for p in (whole, other) for path in records_in(p / "out")]
    decided = ["item_id", "subset", "cluster", "gold", "value", "prediction", "tied", "truncated", "unscored", "tokens"]
    pd.testing.assert_frame_equal(tables[0][decided], tables[1][decided])
    headlines = [json.loads(path.read_text())["headline"] for p in (whole, other) for path in records_in(p / "out")]
    assert headlines[0] == headlines[1]
    others = cached_rows(other)
    assert rows.keys() == others.keys()
    assert max(abs(a - b) for key, row in rows.items() for a, b in zip(row, others[key], strict=True)) < 1e-4


def test_two_processes_on_one_model_share_the_cache(tmp_path):
    from babyeval.demo import make_tiny_model

    model = make_tiny_model(tmp_path / "tiny")
    data = data_folder(tmp_path / "data", 600)
    commands = [("run", "--model", model, "--tasks", "blimp", "--data-dir", data, "--out", out) for out in ("out", "out2")]
    running = [started_slowly(*command, cwd=tmp_path, env={"PUT_PAUSE": "0.1"}) for command in commands]
    for one in running:
        out, err = one.communicate(timeout=300)
        assert one.returncode == 0, (out, err)
    paths = [path for folder in ("out", "out2") for path in records_in(tmp_path / folder)]
    tables = [pd.read_parquet(path.with_name("items.parquet")) for path in paths]
    pd.testing.assert_frame_equal(tables[0].drop(columns="scores"), tables[1].drop(columns="scores"))
    assert {key.hex() for key in cached_rows(tmp_path)} == {key for batch in batches(tmp_path) for key in batch}
    assert [path.name for path in (tmp_path / "cache" / "rows").iterdir() if "damaged" in path.name] == []
