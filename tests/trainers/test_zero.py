"""Two processes under each ZeRO stage train what plain PyTorch trains in one, save it whole, and go on after an interruption."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli.support import Done, environment
from safetensors.numpy import load_file
from small_corpus import sentences

pytestmark = pytest.mark.slow

RECIPE = """
condition = "micro"
[tokenizer]
vocab_size = 400
[model]
architecture = "llama"
hidden_size = 256
layers = 2
heads = 4
max_length = 32
[pretrain]
max_steps = 50
batch_size = 8
micro_batch_size = 2
learning_rate = 3e-3
warmup_steps = 5
weight_decay = 0.1
[checkpoints]
words = [1000]
resume_steps = 20
[logging]
steps = 1
report_to = []
"""
CLOSE = 1e-3


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A corpus, a recipe, and corpus, tokenizer and shards of them."""
    folder = tmp_path_factory.mktemp("zero")
    (folder / "text").mkdir()
    for seed, domain in enumerate(("tales", "talk")):
        lines = [sentences(6, seed * 1000 + i).replace("\n", " ") for i in range(120)]
        (folder / "text" / f"{domain}.txt").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    (folder / "micro.toml").write_text(RECIPE, encoding="utf-8")
    return folder


def command(place: Path, processes: int, name: str, *settings: str) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    chosen = [part for setting in settings for part in ("--set", setting)]
    train = ["-m", "babyeval", "train", "pretrain", "micro.toml", "--corpus", "text", "--out", name, "--json"]
    return [sys.executable, *launcher, *train, *chosen]


def trained(place: Path, processes: int, name: str, *settings: str, more: tuple[str, ...] = ()) -> Done:
    line = [*command(place, processes, name, *settings), *more]
    done = subprocess.run(line, cwd=place, env=environment(place), capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def plain(place) -> Path:
    trained(place, 1, "plain")
    return place / "plain" / "micro" / "seed_0"


@pytest.fixture(scope="module")
def plain_bfloat16(place) -> Path:
    trained(place, 1, "plain16", "pretrain.dtype=bfloat16")
    return place / "plain16" / "micro" / "seed_0"


def losses(run: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def assert_same_training(run: Path, plain: Path, close: float = CLOSE) -> None:
    """Equal loss traces, and checkpoints whose tensors are whole, float32 and equal."""
    expected, found = losses(plain), losses(run)
    assert list(found) == list(expected) == list(range(1, 51))
    assert expected[50] < expected[1] - 1  # it has learnt something, so that the traces could differ
    assert max(abs(found[step] - expected[step]) for step in expected) < close
    for name in ("chck_1K", "final"):
        theirs, ours = load_file(plain / name / "model.safetensors"), load_file(run / name / "model.safetensors")
        assert {key: (value.shape, value.dtype) for key, value in ours.items()} == {
            key: (value.shape, np.dtype("float32")) for key, value in theirs.items()
        }
        assert max(float(np.abs(ours[key] - theirs[key]).max()) for key in theirs) < close * 10
        facts = [json.loads((folder / name / "babyeval.json").read_text()) for folder in (plain, run)]
        assert facts[0]["words_seen"] == facts[1]["words_seen"]


@pytest.mark.parametrize("stage", [None, 0, 1, 2, 3])
def test_two_processes_train_what_one_trains(place, plain, stage):
    settings = ["pretrain.devices=2", *([] if stage is None else [f"pretrain.zero={stage}"])]
    done = trained(place, 2, f"stage-{stage}", *settings)
    assert done.json["steps"] == 50  # and nothing else is on standard output, of either process
    run = place / f"stage-{stage}" / "micro" / "seed_0"
    assert_same_training(run, plain)

    from transformers import AutoModelForCausalLM

    model, about = AutoModelForCausalLM.from_pretrained(run / "final", output_loading_info=True)
    assert not about["missing_keys"]
    assert not about["unexpected_keys"]
    assert model.num_parameters() == done.json["parameters"]


def test_bfloat16_is_arithmetic_over_float32_weights(place, plain_bfloat16):
    trained(place, 2, "bfloat16", "pretrain.zero=2", "pretrain.dtype=bfloat16")
    assert_same_training(place / "bfloat16" / "micro" / "seed_0", plain_bfloat16, close=2e-2)


def test_zero_in_one_process(place, plain):
    assert trained(place, 1, "alone", "pretrain.zero=1").json["steps"] == 50
    assert_same_training(place / "alone" / "micro" / "seed_0", plain)


def test_a_stopped_training_goes_on_under_zero_3(place, plain):
    run = place / "stopped" / "micro" / "seed_0"
    process = subprocess.Popen(
        command(place, 2, "stopped", "pretrain.zero=3"), cwd=place, env=environment(place),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(lambda: (run / "state" / "checkpoint-20").is_dir() or process.poll() is not None)
    process.send_signal(signal.SIGTERM)  # the launcher passes it on
    process.wait(timeout=120)
    assert not (run / "final").exists()
    done = trained(place, 2, "stopped", "pretrain.zero=3", more=("--resume",))
    assert "goes on from" in done.err
    assert_same_training(run, plain)


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 600
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)
