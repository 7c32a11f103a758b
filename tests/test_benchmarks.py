"""The benchmark compares what it says: same decisions, and positions that are counted right."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from babyeval.config import RunConfig
from babyeval.demo import make_tiny_model
from babyeval.models.checkpoint import open_checkpoint
from babyeval.models.load import load_model, torch_device
from babyeval.models.naming import parse_model
from benchmarks.scoring import compare, in_all


@pytest.mark.parametrize("task", ["blimp", "entity_tracking", "wug_adj"])
def test_engine_and_reference_decide_alike(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABYEVAL_CACHE", str(tmp_path))  # the benchmark sets its own; this restores it afterwards
    model = str(make_tiny_model(tmp_path / "tiny"))
    checkpoint = open_checkpoint(parse_model(model))
    checkpoint = dataclasses.replace(checkpoint, loaded=load_model(checkpoint, torch_device("cpu")))
    config = RunConfig(models=(model,), tasks=(task,), split="mini", protocol="babylm-2025")

    report = compare(checkpoint, config, repeats=1)

    assert report["largest_difference_nats"] < 1e-4
    lines = (Path(__file__).parents[1] / f"tasks/{task}/mini.jsonl").read_text(encoding="utf-8").splitlines()
    assert report["items"] == len(lines)
    assert report["decisions_that_differ"] == 0
    assert report["trie_nodes"] < report["engine_positions"] < report["reference_positions"]


def test_bare_words_are_asked_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABYEVAL_CACHE", str(tmp_path))
    model = str(make_tiny_model(tmp_path / "tiny"))
    checkpoint = open_checkpoint(parse_model(model))
    checkpoint = dataclasses.replace(checkpoint, loaded=load_model(checkpoint, torch_device("cpu")))
    reports = [
        compare(checkpoint, RunConfig(models=(model,), tasks=(task,), split="mini", protocol="babylm-2025"), repeats=1)
        for task in ("reading", "wug_adj")
    ]
    assert all(report["largest_difference_nats"] < 1e-4 for report in reports)
    sums = in_all(reports)
    assert sums["ratio"] == pytest.approx(
        sum(r["reference_seconds"] for r in reports) / sum(r["engine_seconds"] for r in reports)
    )
