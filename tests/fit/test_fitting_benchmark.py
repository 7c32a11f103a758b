"""The benchmark of fits compares what it says: the same updates on the same examples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from babyeval.demo import make_tiny_model
from benchmarks.fitting import compare, prepare


@pytest.mark.parametrize("protocol", ["robust", "babylm-2025"])
def test_engine_and_plain_loop_make_the_same_updates(protocol: str, tmp_path: Path) -> None:
    arguments = SimpleNamespace(
        model=str(make_tiny_model(tmp_path / "tiny")), task="wsc", split="mini", protocol=protocol, epochs=1,
        data_dir=None, device="cpu", dtype="float32",
    )  # fmt: skip
    whole = prepare(arguments)
    report = compare(replace(whole, train=whole.train[:80], reported=whole.reported[:40]), repeats=1)
    assert report["updates"] == report["plain_updates"] > 1
    assert 0 < report["last_loss"] < 3
    assert 0 < report["plain_last_loss"] < 3
    assert report["ratio"] == report["plain_seconds"] / report["engine_seconds"]
