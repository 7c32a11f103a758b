"""DPO by the command line: two processes under ZeRO 1 tune what one tunes, and a killed one goes on to the same weights."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli.support import environment
from safetensors.numpy import load_file
from test_prefer_training import BASE, DPO, pairs, write_pairs
from training import write_corpus

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("prefer_zero")
    write_corpus(folder / "text")
    write_pairs(folder / "text", pairs())
    (folder / "small.toml").write_text(BASE.replace("steps = 3", "steps = 1"))
    (folder / "dpo.toml").write_text(DPO.replace("max_steps = 10", "max_steps = 20"))
    done = subprocess.run(command("small.toml", "pretrain", 1, "runs"), cwd=folder, env=environment(folder), check=False,
                          capture_output=True, text=True, timeout=900)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def command(recipe: str, stage: str, processes: int, out: str, *more: str) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    train = ["-m", "babyeval", "train", stage, recipe, "--corpus", "text", "--out", out, "--json"]
    return [sys.executable, *launcher, *train, *more]


def tuned(place: Path, processes: int, condition: str, *more: str) -> Path:
    settings = ("--set", f"condition={condition}", *more)
    done = subprocess.run(command("dpo.toml", "prefer", processes, "runs", *settings), cwd=place, env=environment(place),
                          capture_output=True, text=True, timeout=900, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 20  # and nothing else is on standard output, of either process
    return place / "runs" / condition / "seed_7"


@pytest.fixture(scope="module")
def plain(place) -> Path:
    return tuned(place, 1, "plain")


def losses(run: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


@pytest.mark.parametrize("zero", [None, 1])
def test_two_processes_tune_what_one_tunes(place, plain, zero):
    settings = [] if zero is None else ["--set", f"prefer.zero={zero}"]
    run = tuned(place, 2, f"two-{zero}", *settings)
    expected, found = losses(plain), losses(run)
    assert list(found) == list(expected) == list(range(1, 21))
    assert expected[20] < expected[1] - 0.1  # it has learnt something, so that the traces could differ
    assert max(abs(found[step] - expected[step]) for step in expected) < 1e-3
    weights = [load_file(folder / "final" / "model.safetensors") for folder in (plain, run)]
    assert max(float(np.abs(weights[0][name] - weights[1][name]).max()) for name in weights[0]) < 1e-2


def test_killed_it_goes_on_to_the_same_weights(place, plain):
    run = place / "runs" / "killed" / "seed_7"
    line = command("dpo.toml", "prefer", 1, "runs", "--set", "condition=killed")
    with subprocess.Popen(
        line, cwd=place, env=environment(place), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        end = time.monotonic() + 600
        while not (run / "state" / "checkpoint-8").is_dir() and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert not (run / "final").exists()
    tuned(place, 1, "killed", "--resume")
    expected = load_file(plain / "final" / "model.safetensors")
    for name, weight in load_file(run / "final" / "model.safetensors").items():
        np.testing.assert_array_equal(weight, expected[name])
