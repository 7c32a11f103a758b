"""babyeval run, the happy path: what it prints, which files it writes, and what they hold."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from babyeval.records import load_result
from babyeval.registry import get_task
from cli.support import Done, files_in, inside, process, records_in

TASKS = ("blimp", "blimp_supplement")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def ran(place, tiny) -> Done:
    """One run of both tasks, as a process; its results lie in ``place / "out"``."""
    return process("run", "--model", tiny, "--tasks", ",".join(TASKS), "--split", "mini", "--out", "out", cwd=place)


@pytest.fixture(scope="module")
def results(ran, place):
    return {path.parents[2].name: load_result(path.read_text(encoding="utf-8")) for path in records_in(place / "out")}


def mini_lines(task: str) -> list[dict]:
    return [json.loads(line) for line in (get_task(task).home / "mini.jsonl").read_text(encoding="utf-8").splitlines()]


def test_table_shows_each_score_with_its_interval_chance_and_protocol(ran, results):
    assert ran.code == 0, ran.err
    head = next(line for line in ran.out.splitlines() if "interval" in line)
    for column in ("task", "split", "protocol", "score", "95% interval", "chance", "n", "ties", "status"):
        assert column in head
    for task in TASKS:
        row = re.search(rf"^ *{task} +(.*)$", ran.out, re.MULTILINE)
        assert row, ran.out
        score = results[task].headline
        cells = re.split(r" {2,}", row[1].strip())
        interval = f"{score.ci_low:.2f} to {score.ci_high:.2f}"
        counts = [str(len(mini_lines(task))), str(results[task].counts.ties)]
        assert cells == ["mini", "robust", f"{score.value:.2f}", interval, "50.00", *counts, "done"]


def test_table_names_model_backend_and_where_the_records_lie(ran):
    assert "tiny (main), scored as causal" in ran.out
    assert re.search(r"Records.*: out$", ran.out, re.MULTILINE)


def test_progress_goes_to_stderr_as_plain_lines_with_a_total(ran):
    assert re.search(r"^tiny: 2 tasks under 1 protocol\ntiny: [\d,]+ rows$", ran.err, re.MULTILINE)
    assert re.search(r"^tiny: done, [\d,]+ rows in [\d.]+ s$", ran.err, re.MULTILINE)
    assert "\x1b" not in ran.out + ran.err
    assert "Warning" not in ran.err


def test_files_lie_where_the_design_says_and_no_others(ran, place):
    expected = [f"tiny/main/{task}/mini-causal/robust/{name}" for task in TASKS for name in ("items.parquet", "result.json")]
    assert files_in(place / "out") == sorted(expected)


def test_record_says_what_its_number_means(results, tiny):
    for task in TASKS:
        result = results[task]
        assert (result.status, result.protocol, result.split, result.backend) == ("done", "robust", "mini", "causal")
        assert (result.model.name, result.model.revision, result.model.source) == ("tiny", "main", str(tiny))
        assert re.fullmatch(r"[0-9a-f]{64}", result.model.digest)
        assert result.task.version == get_task(task).card.version
        mini = get_task(task).home / "mini.jsonl"
        assert [file.sha256 for file in result.data.files] == [hashlib.sha256(mini.read_bytes()).hexdigest()]
        assert result.provenance.dtype == "float32"
        assert result.provenance.libraries["torch"]
        assert result.timing.rows_computed > 0
        score = result.headline
        assert score.n == len(mini_lines(task))
        assert (score.unit, score.chance, score.ci_level, score.group, score.subset) == ("percent", 50.0, 0.95, "", "")
        assert score.ci_low < score.value < score.ci_high
        assert score.se > 0
        assert score.se_method == "stratified"


def test_headline_is_the_first_of_the_headlines_and_one_of_the_scores(ran, place):
    for path in records_in(place / "out"):
        content = json.loads(path.read_text(encoding="utf-8"))
        assert content["headline"] == content["headlines"][0]
        assert content["headline"] in content["scores"]


def test_scores_are_unique_and_cover_every_subset(results):
    for task in TASKS:
        names = Counter((score.metric, score.group, score.subset) for score in results[task].scores)
        assert max(names.values()) == 1
        assert {name[1] for name in names} == {"", "uid", "field", "linguistics_term"}
        lines = mini_lines(task)
        by_uid = {score.subset: score for score in results[task].scores if score.group == "uid"}
        assert {uid: score.n for uid, score in by_uid.items()} == Counter(line["UID"] for line in lines)
    fields = {score.subset: score.n for score in results["blimp"].scores if score.group == "field"}
    official = Counter(
        "syntax/semantics" if line["field"] == "syntax_semantics" else line["field"] for line in mini_lines("blimp")
    )
    assert fields == official


def test_item_table_is_the_one_the_record_names_and_gives_its_scores(results, place):
    for task in TASKS:
        result = results[task]
        path = place / "out" / "tiny" / "main" / task / "mini-causal" / "robust" / result.items.path
        assert hashlib.sha256(path.read_bytes()).hexdigest() == result.items.sha256
        table = pd.read_parquet(path)
        assert len(table) == result.items.rows == result.headline.n
        assert table.item_id.is_unique
        means = 100 * table.groupby("subset")["value"].mean()
        assert {s.subset: s.value for s in result.scores if s.group == "uid"} == pytest.approx(means.to_dict())
        assert result.headline.value == pytest.approx(means.mean())
        right = table["scores"].map(lambda scores: scores[0] > scores[1])
        assert list(table.loc[table.tied == 1, "value"]) == list(right[table.tied == 1].astype(float))
        assert result.counts.ties == int((table.tied > 1).sum())


def test_no_benchmark_text_in_any_file(ran, place):
    texts = [line[key] for task in TASKS for line in mini_lines(task) for key in ("sentence_good", "sentence_bad")]
    for path in records_in(place / "out"):
        table = pd.read_parquet(path.with_name("items.parquet"))
        strings = {str(value) for column in table.select_dtypes(["object", "string"]) for value in table[column]}
        stored = path.read_text(encoding="utf-8") + "\n".join(strings)
        assert not [text for text in texts if text in stored or json.dumps(text) in stored]
        assert all(len(text) < 120 for text in strings)


def test_json_is_all_there_is_on_stdout_and_equals_the_records(ran, place, tiny):
    done = process("run", "--model", tiny, "--split", "mini", "--tasks", "blimp", "--fresh", "--json", "--out", "new", cwd=place)
    report = done.json
    assert (done.code, report["exit_code"], report["status"]) == (0, 0, "done")
    (record,) = records_in(place / "new")
    assert report["results"] == [json.loads(record.read_text(encoding="utf-8"))]
    assert done.err


def test_dry_run_shows_the_plan_writes_nothing_and_loads_no_weights(tiny, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("babyeval.models.load.load_model", refuse)
    command = ("run", "--model", tiny, "--split", "mini", "--tasks", "zero-shot", "--protocol", "all", "--dry-run")
    table = inside(*command, cwd=tmp_path)
    assert table.code == 0
    assert table.out.count("will run") >= 6
    assert re.search(r"([\d,]+) of \1 distinct queries would be computed", table.out)
    plans = inside(*command, "--json", cwd=tmp_path)
    assert plans.code == 0
    (plan,) = plans.json
    assert "\naoa (robust, babylm-2025, babylm-2026): 'aoa' needs several" in table.out
    assert table.out.count("'aoa' needs several checkpoints") == 1
    blimp = [task for task in plan["tasks"] if task["task"] == "blimp"]
    assert [task["protocol"] for task in blimp] == ["robust", "babylm-2025", "babylm-2026"]
    assert {task["state"] for task in blimp} == {"run"}
    assert all(task["items"] == len(mini_lines("blimp")) and task["to_compute"] == task["queries"] for task in blimp)
    assert plan["to_compute"] == plan["queries"] < sum(task["queries"] or 0 for task in plan["tasks"])
    assert not (tmp_path / "results").exists()


def test_a_run_says_why_a_task_does_not_apply_as_its_dry_run_does(tiny, tmp_path):
    command = ("run", "--model", tiny, "--tasks", "comps", "--split", "fast", "--protocol", "all")
    planned, done = inside(*command, "--dry-run", cwd=tmp_path), inside(*command, cwd=tmp_path)
    assert (planned.code, done.code) == (0, 0)
    why = "'comps' has no fast set.\n  What next: Take the full one: --split full.\n"
    assert f"\ncomps (robust, babylm-2025, babylm-2026): {why}" in planned.out
    assert f"\ncomps (robust, babylm-2025, babylm-2026): not applicable. {why}" in done.out
    year = inside("run", "--model", tiny, "--tasks", "wug_adj", "--split", "mini", "--protocol", "babylm-2026", cwd=tmp_path)
    assert "\nwug_adj (babylm-2026): not applicable. 'wug_adj' is not part of babylm-2026.\n" in year.out
    assert "measure nothing" not in done.out + year.out, "nothing was measured on a mini split"


def test_a_table_with_mini_results_says_once_that_they_measure_nothing(ran, place):
    again = inside("results", "show", "out", cwd=place)
    for shown in (ran.out, again.out):
        assert shown.count("they show that everything runs, and measure nothing") == 1


def test_dry_run_knows_what_is_done_already(ran, place, tiny):
    command = ("run", "--model", tiny, "--split", "mini", "--tasks", "blimp", "--protocol", "all", "--out", "out")
    (plan,) = inside(*command, "--dry-run", "--json", cwd=place).json
    assert [task["state"] for task in plan["tasks"]] == ["kept", "run", "run"]
    assert plan["to_compute"] == 0
    assert len(records_in(place / "out")) == len(TASKS)
