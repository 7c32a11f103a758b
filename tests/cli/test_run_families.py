"""babyeval run over tasks of several kinds: what is absent or of another year stops nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.stats import spearmanr

from cli.support import inside, records_in, write_lines

THINGS = ("cat", "dog", "frog", "bird", "fish", "horse", "mouse", "cow")


@pytest.fixture
def data(tmp_path) -> Path:
    """Made-up adjectives and concepts in the official layout, and nothing else."""
    folder = tmp_path / "evaluation_data"
    adjectives = [{"sentences": f"The {t} is dax.\tThe {t} is daxes.", "ratio": n / 8} for n, t in enumerate(THINGS)]
    write_lines(folder / "full_eval/wug_adj_nominalization/wug_adj_nominalization.jsonl", adjectives)
    for stem in ("comps_base", "comps_wugs"):
        concepts = [
            {"property_phrase": f"runs like number {n}.", "prefix_acceptable": f"A {t}", "prefix_unacceptable": "A stone"}
            for n, t in enumerate(THINGS)
        ]
        write_lines(folder / f"full_eval/comps/{stem}.jsonl", concepts)
    return folder


def test_absent_data_skips_one_task_and_the_others_are_done(tiny, tmp_path, data):
    tasks = "wug_adj,entity_tracking,comps"
    done = inside("run", "--model", tiny, "--tasks", tasks, "--data-dir", data, "--json", cwd=tmp_path)
    assert done.code == 3, done.err
    results = {result["task"]["name"]: result for result in done.json["results"]}
    assert {name: result["status"] for name, result in results.items()} == {
        "wug_adj": "done",
        "entity_tracking": "skipped",
        "comps": "done",
    }
    assert "entity_tracking" in results["entity_tracking"]["error"]
    assert str(data) in results["entity_tracking"]["error"]
    assert done.json["status"] == "incomplete"
    assert len(records_in(tmp_path / "results")) == 2


def test_adjectives_are_no_part_of_2026(tiny, tmp_path, data):
    command = ("run", "--model", tiny, "--tasks", "wug_adj", "--data-dir", data, "--json")
    done = inside(*command, "--protocol", "babylm-2026", cwd=tmp_path)
    assert done.code == 0, done.err
    assert [result["status"] for result in done.json["results"]] == ["not_applicable"]
    assert "not part of babylm-2026" in done.json["results"][0]["error"]
    assert records_in(tmp_path / "results") == []


def test_every_protocol_at_once(tiny, tmp_path, data):
    done = inside(
        "run", "--model", tiny, "--tasks", "wug_adj,comps", "--data-dir", data, "--protocol", "all", "--json", cwd=tmp_path
    )
    assert done.code == 0, done.err
    states = {(result["task"]["name"], result["protocol"]): result["status"] for result in done.json["results"]}
    assert states.pop(("wug_adj", "babylm-2026")) == "not_applicable"
    assert set(states.values()) == {"done"}
    assert len(states) == 5


def test_a_table_shows_a_correlation_as_it_is(tiny, tmp_path, data):
    import pandas as pd

    command = ("run", "--model", tiny, "--tasks", "wug_adj", "--data-dir", data)
    (result,) = inside(*command, "--json", cwd=tmp_path).json["results"]
    (record,) = records_in(tmp_path / "results")
    found = pd.read_parquet(record.with_name("items.parquet"))
    rho = spearmanr([scores[0] - scores[1] for scores in found.scores], found.gold).statistic
    assert result["headline"]["value"] == pytest.approx(rho)
    assert (result["headline"]["metric"], result["headline"]["unit"]) == ("spearman_rho", "correlation")
    shown = inside(*command, cwd=tmp_path)
    assert shown.code == 0
    assert f"{rho:.2f}" in shown.out
    assert f"{100 * rho:.2f}" not in shown.out
