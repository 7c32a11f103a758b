"""Fine-tuning on the command line: options, tables, plans, what is missing, and a run that is killed."""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from fake_fit import FakeFit

from cli.support import assert_refused, environment, inside, process, records_in, write_lines

# Runs babyeval with a pause after each epoch of a fit, and a log of the epochs: task, seed, number.
SLOWLY = """
import os, time
from babyeval.fit import engine
after = engine._Fit._after_epoch
def after_slowly(self):
    after(self)
    with open(os.environ["EPOCH_LOG"], "a") as log:
        log.write(f"{self.folder.name.rpartition('-')[0]} {len(self.state.losses)}\\n")
    time.sleep(float(os.environ["EPOCH_PAUSE"]))
engine._Fit._after_epoch = after_slowly
from babyeval.cli.main import main
main()
"""


@pytest.fixture
def fake(monkeypatch) -> FakeFit:
    return FakeFit().install(monkeypatch)


def command(tiny, *more, tasks="rte", split="mini"):
    return ("run", "--model", tiny, "--tasks", tasks, "--split", split, "--out", "out", *more)


def sentences(count, start=0):
    """Lines in the form of RTE."""
    return [
        {"sentence1": f"The {'cat' if i % 2 else 'dog'} number {i} runs.", "sentence2": f"Animal {i} runs.", "label": i % 2}
        for i in range(start, start + count)
    ]


def glue(folder, name, lines):
    return write_lines(folder / "full_eval/glue_filtered" / name, lines)


def test_table_shows_mean_spread_interval_and_seeds(tiny, fake, tmp_path):
    fake.diverge, fake.constant = [("rte", 3)], [("wsc", k) for k in range(1, 5)]
    done = inside(*command(tiny, "--seeds", 4, tasks="rte,wsc"), cwd=tmp_path)
    assert done.code == 0, done.err
    header = next(line for line in done.out.splitlines() if "SD over seeds" in line)
    assert [word for word in header.split() if word in ("mean", "chance", "n", "seeds", "status")][-4:] == [
        *("chance", "n", "seeds", "status")
    ]
    rte, wsc = (next(line for line in done.out.splitlines() if line.split()[:1] == [task]) for task in ("rte", "wsc"))
    assert "3 of 4" in rte
    assert " to " in rte
    assert wsc.rstrip().endswith("done, constant in 4 of 4")
    assert "rte (robust): 1 of 4 seeds diverged and are left out." in done.out
    assert "wsc (robust): constant: one label for all rows in 4 of 4 seeds" in done.out
    assert "120 items and 3 seeds cannot separate models that are closer than" in done.out
    assert "seed 4 of 4" in done.err
    assert "rte, seed 3: diverged, the loss is NaN in epoch 2; other seeds go on." in done.err


def test_json_carries_the_seeds(tiny, fake, tmp_path):
    (result,) = inside(*command(tiny, "--seeds", 3, "--json"), cwd=tmp_path).json["results"]
    assert [fit["seed"] for fit in result["fit"]["fits"]] == [1, 2, 3]
    assert result["fit"]["mde"] > 0
    assert {score["group"] for score in result["scores"]} == {"", "covers", "seed", "seeds"}


def test_progress_is_over_tasks_and_seeds(tiny, fake, tmp_path):
    done = inside(*command(tiny, "--seeds", 2, tasks="rte,wsc"), cwd=tmp_path)
    total = sum(len(given["train"]) * given["hyper"].epochs for given in fake.given)
    assert done.err.count("fine-tuning: ") == 2
    assert f"fine-tuning: {total:,} examples" in done.err
    assert f"fine-tuning: done, {total:,} examples" in done.err


def test_plan_shows_fits_and_what_is_left(tiny, fake, tmp_path):
    inside(*command(tiny, "--seeds", 2), cwd=tmp_path)
    done = inside(*command(tiny, "--seeds", 4, "--dry-run", "--json", tasks="rte,blimp"), cwd=tmp_path)
    (plan,) = done.json
    (fit,) = plan["fits"]
    assert (fit["task"], fit["state"], fit["seeds"], fit["seeds_to_do"]) == ("rte", "run", [1, 2, 3, 4], [3, 4])
    assert [task["task"] for task in plan["tasks"]] == ["blimp"]
    shown = inside(*command(tiny, "--seeds", 4, "--dry-run"), cwd=tmp_path).out
    assert "seeds to do" in shown
    assert "3, 4" in shown
    assert "queries" not in shown
    assert "done already" in inside(*command(tiny, "--seeds", 2, "--dry-run"), cwd=tmp_path).out
    assert len(fake.calls) == 2


@pytest.mark.parametrize("seeds", [0, -1])
def test_no_seeds_are_refused(seeds, tiny, tmp_path):
    assert_refused(inside(*command(tiny, "--seeds", seeds), cwd=tmp_path), 2, "seeds", "greater than or equal to 1")


@pytest.mark.parametrize(("protocol", "said"), [("babylm-2025", True), ("babylm-2026", True), ("robust", False), ("all", False)])
def test_seeds_say_where_they_have_no_effect(protocol, said, tiny, fake, tmp_path):
    done = inside(*command(tiny, "--seeds", 2, "--protocol", protocol, "--dry-run"), cwd=tmp_path)
    assert done.code == 0
    assert ("--seeds has no effect here" in done.err) == said


def test_missing_training_file_is_told_with_the_way_out(tiny, fake, tmp_path):
    glue(tmp_path / "data", "boolq.valid.jsonl", [{"question": "Is it?", "passage": "It is.", "label": 1}] * 10)
    glue(tmp_path / "data", "rte.valid.jsonl", sentences(40))
    glue(tmp_path / "data", "rte.train.jsonl", sentences(40, 100))
    done = inside(*command(tiny, "--data-dir", "data", "--seeds", 3, tasks="boolq,rte", split="full"), cwd=tmp_path)
    assert done.code == 3
    assert "training file" in done.out
    assert "--allow-split-valid" in done.out
    assert {task for task, _ in fake.calls} == {"rte"}


def test_part_of_the_reported_file_may_serve_and_the_result_is_marked(tiny, fake, tmp_path):
    glue(tmp_path / "data", "rte.valid.jsonl", sentences(50))
    given = command(tiny, "--data-dir", "data", "--seeds", 3, "--allow-split-valid", "--json", split="full")
    (result,) = inside(*given, cwd=tmp_path).json["results"]
    assert result["split"] == "full@split-valid"
    assert result["fit"]["split_valid"]
    assert (sum(result["fit"]["train_labels"]), sum(result["fit"]["reported_labels"])) == (40, 10)
    assert "no number of the benchmark" in result["headline"]["note"]
    glue(tmp_path / "data", "rte.train.jsonl", sentences(40, 100))
    (whole,) = inside(*given, cwd=tmp_path).json["results"]
    assert (whole["split"], whole["fit"]["split_valid"], whole["headline"]["n"]) == ("full", False, 50)


def test_stored_results_are_those_over_seeds(tiny, fake, tmp_path):
    inside(*command(tiny, "--seeds", 3), cwd=tmp_path)
    (line,) = inside("results", "list", "out", "--json", cwd=tmp_path).json
    assert line["folder"] == "tiny/main/rte/mini-causal/robust"
    (shown,) = inside("results", "show", "out", "--json", cwd=tmp_path).json["results"]
    assert shown["fit"]["seed"] is None
    by_seed = inside("results", "show", "out", "--by", "seed", "--json", cwd=tmp_path).json
    assert [row["subset"] for row in by_seed if row["metric"] == "accuracy"] == ["1", "2", "3"]
    table = pd.read_csv(io.StringIO(inside("export", "out", "--format", "csv", cwd=tmp_path).out))
    assert table["headline"].sum() == 1


def test_a_model_that_was_moved_is_not_fitted_again(tiny, fake, tmp_path):
    (first,) = inside(*command(tiny, "--seeds", 2, "--json"), cwd=tmp_path).json["results"]
    moved = shutil.copytree(tiny, tmp_path / "moved" / tiny.name)
    (again,) = inside(*command(moved, "--seeds", 2, "--json"), cwd=tmp_path).json["results"]
    assert len(fake.calls) == 2
    assert again["scores"] == first["scores"]
    assert again["model"]["source"] != first["model"]["source"]


def test_curve_follows_the_mean_over_seeds(tiny, fake, tmp_path):
    from cli.support import another

    for words, factor in (("chck_1M", 1.1), ("chck_2M", 1.2)):
        another(tiny, tmp_path / "run" / words, factor)
    given = ("run", "--model", "run", "--revisions", "chck_*", "--tasks", "rte", "--split", "mini", "--seeds", 2, "--out", "out")
    done = inside(*given, cwd=tmp_path)
    assert done.code == 0, done.err
    assert fake.calls == [("rte", 1), ("rte", 2)] * 2
    points = inside("results", "curve", "out", "--task", "rte", "--json", cwd=tmp_path).json["points"]
    assert [(point["words_seen"], point["n"]) for point in points] == [(10**6, 120), (2 * 10**6, 120)]


@pytest.mark.slow
def test_killed_in_the_second_seed_of_the_third_task_it_repeats_at_most_one_epoch(tiny, tmp_path):
    tasks = ("mrpc", "rte", "wsc")
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    given = command(tiny, "--seeds", 2, "--limit", 40, tasks=",".join(tasks))
    assert process(*given, cwd=tmp_path / "whole", limit=600).code == 0
    broken = tmp_path / "broken"
    running = started(given, broken)
    wait_for(running, broken, "wsc-robust-seed_2 2")
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)
    before = epochs(broken)
    assert len(records_in(broken / "out")) == 3 + 3 + 1  # two tasks with all seeds, and the first seed of the third
    again = started(given, broken, pause="0")
    out, err = again.communicate(timeout=600)
    assert again.returncode == 0, (out, err)
    done = epochs(broken)
    assert set(done[len(before) :]) <= {line for line in done if line.startswith("wsc-robust-seed_2 ")}
    assert len(done) - len(set(done)) <= 1
    assert list((broken / "cache/fits").rglob("state*")) == []
    whole = records_in(tmp_path / "whole/out")
    assert [path.relative_to(broken / "out") for path in records_in(broken / "out")] == [
        path.relative_to(tmp_path / "whole/out") for path in whole
    ]
    for one in whole:
        other = broken / "out" / one.relative_to(tmp_path / "whole/out")
        assert json.loads(one.read_text())["scores"] == json.loads(other.read_text())["scores"]
        tables = [pd.read_parquet(path.with_name("items.parquet")) for path in (one, other)]
        pd.testing.assert_frame_equal(*tables)


def started(given, cwd, pause="0.5"):
    return subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *map(str, given)], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(cwd, {"EPOCH_LOG": str(cwd / "epochs"), "EPOCH_PAUSE": pause}),
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def epochs(cwd):
    log = cwd / "epochs"
    return log.read_text().splitlines() if log.exists() else []


def wait_for(running, cwd, line, limit=600):
    end = time.monotonic() + limit
    while line not in epochs(cwd):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.02)
