"""Which process this is, what a recipe needs of the machine, and who builds first."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from babyeval.trainers import devices as module
from babyeval.trainers.devices import Devices, first_node, main_first, require_devices, require_same_number, zero_settings
from babyeval.trainers.recipe import Recipe, Training, load_recipe

from babyeval.errors import MissingError, UsageError


def recipe(*settings: str) -> Recipe:
    return load_recipe("tiny", settings)


def launched(rank: int, of: int, local: int = 0) -> dict[str, str]:
    return {"RANK": str(rank), "WORLD_SIZE": str(of), "LOCAL_RANK": str(local)}


def in_slurm(rank: int, of: int, local: int) -> dict[str, str]:
    return {
        "SLURM_STEP_NUM_TASKS": str(of), "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(local),
        "SLURM_JOB_ID": "4711", "SLURM_STEP_NODELIST": "node[1-2]",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Devices(0, 1, 0)),
        (launched(3, 8, 1), Devices(3, 8, 1)),
        (in_slurm(3, 4, 1), Devices(3, 4, 1)),
        ({**in_slurm(0, 2, 0), **launched(5, 8, 1)}, Devices(5, 8, 1)),  # torchrun within srun
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, Devices(0, 1, 0)),  # in a batch script, before srun
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, Devices(0, 1, 0)),
    ],
)
def test_who_am_i(environment, expected):
    assert Devices.of(environment) == expected
    assert Devices.of(environment).main is (expected.rank == 0)


@pytest.mark.parametrize("environment", [launched(2, 2), launched(0, 2, 1), {"RANK": "x"}, {"WORLD_SIZE": "0"}, {"RANK": "1"}])
def test_contradictions_are_refused(environment):
    with pytest.raises(UsageError, match=r"RANK=.*WORLD_SIZE=.*LOCAL_RANK="):
        Devices.of(environment)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("a1", "a1"), ("a1,a2", "a1"), ("n[001-004,7]", "n001"), ("n[7,9-12]-ib,x", "n7-ib"), ("r[1-2]n[3-4]", "r1n3")],
)
def test_first_node(nodes, first):
    assert first_node(nodes) == first


def test_numbers_of_processes():
    assert require_devices(recipe(), launched(1, 2)).world_size == 2
    assert require_devices(recipe("pretrain.devices=2"), launched(1, 2)).rank == 1
    for asked, started in ((4, {}), (4, launched(0, 2)), (1, launched(0, 2))):
        with pytest.raises(UsageError, match=f"asks for {asked} process") as caught:
            require_devices(recipe(f"pretrain.devices={asked}"), started)
        assert f"pretrain.devices={started.get('WORLD_SIZE', 1)}" in str(caught.value)


def test_fewer_gpus_than_processes(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert require_devices(recipe(), launched(1, 4, 1)).local_rank == 1
    with pytest.raises(UsageError, match="has no GPU: it sees 2"):
        require_devices(recipe(), launched(2, 4, 2))


def test_zero_without_its_library(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    assert require_devices(recipe(), {}) == Devices()
    with pytest.raises(MissingError, match="DeepSpeed") as caught:
        require_devices(recipe("pretrain.zero=1"), {})
    assert "pip install 'babyeval[train]'" in str(caught.value)


def test_a_library_that_cannot_be_imported(monkeypatch, tmp_path):
    (tmp_path / "deepspeed.py").write_text("raise RuntimeError('no nvcc\\nanywhere')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "deepspeed", raising=False)
    with pytest.raises(MissingError, match="no nvcc anywhere"):
        require_devices(recipe("pretrain.zero=1"), {})


def training(**settings: object) -> Training:
    return Training.model_validate({"learning_rate": 1e-3, **settings})


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_shipped_settings(stage):
    settings = zero_settings(training(zero=stage))
    assert settings is not None
    assert settings["zero_optimization"]["stage"] == stage
    for key in ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping"):
        assert settings[key] == "auto"  # the recipe decides
    assert not {"optimizer", "scheduler", "torch_autocast", "bf16"} & settings.keys()
    lower = zero_settings(training(zero=stage, dtype="bfloat16"))
    assert lower == {**settings, "torch_autocast": lower["torch_autocast"]}
    assert lower["torch_autocast"]["dtype"] == "bfloat16"


def test_stage_3_saves_whole_weights(tmp_path):
    key = "stage3_gather_16bit_weights_on_model_save"
    assert zero_settings(training(zero=3))["zero_optimization"][key] is True
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"zero_optimization": {"stage": 3}}))
    assert zero_settings(training(zero_config=own))["zero_optimization"][key] is True
    own.write_text(json.dumps({"zero_optimization": {"stage": 3, key: False}}))
    with pytest.raises(UsageError, match="whole weights"):
        zero_settings(training(zero_config=own))


def test_plain_pytorch_has_no_settings():
    assert zero_settings(training()) is None


def test_own_settings_stay_and_are_completed(tmp_path):
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"zero_optimization": {"stage": 1, "reduce_bucket_size": 7}, "bf16": {"enabled": "auto"}}))
    settings = zero_settings(training(zero_config=own, zero=3, dtype="bfloat16"))
    assert settings["zero_optimization"] == {"stage": 1, "reduce_bucket_size": 7}
    assert settings["bf16"] == {"enabled": "auto"}
    assert "torch_autocast" not in settings
    assert settings["gradient_accumulation_steps"] == "auto"
    assert settings["zero_force_ds_cpu_optimizer"] is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "no JSON object"),
        ('{"zero_optimization": 3}', "no JSON object"),
        ('{"optimizer": {"type": "Adam"}}', "section 'optimizer'"),
        ('{"scheduler": {}}', "section 'scheduler'"),
    ],
)
def test_wrong_own_settings(tmp_path, text, message):
    own = tmp_path / "own.json"
    if text is not None:
        own.write_text(text)
    with pytest.raises(UsageError, match=message):
        require_devices(recipe(f"pretrain.zero_config={json.dumps(str(own))}"), {})


def test_a_state_in_parts_needs_as_many_processes(tmp_path):
    require_same_number(tmp_path, Devices(0, 4, 0))  # of plain PyTorch
    (tmp_path / "global_step20").mkdir()
    for rank in range(2):
        (tmp_path / "global_step20" / f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt").touch()
    require_same_number(tmp_path, Devices(1, 2, 1))
    with pytest.raises(UsageError, match="saved by 2 processes, each a part of it, and 1 process started"):
        require_same_number(tmp_path, Devices())


def test_one_process_waits_for_nobody():
    with main_first():
        pass
    with pytest.raises(ZeroDivisionError), main_first():
        _ = 1 / 0


PROCESSES = """
import os, sys, time
from babyeval.trainers.devices import connected, main_first
from babyeval.trainers.recipe import load_recipe

with connected(load_recipe("tiny")) as devices:
    print("not for standard output")
    with main_first():
        if devices.main:
            time.sleep(1)
            if sys.argv[2] == "fail":
                raise SystemExit(3)
            open(sys.argv[1], "w").close()
        else:
            assert os.path.exists(sys.argv[1])
print(f"{devices.rank} of {devices.world_size}")
"""


def together(tmp_path: Path, how: str, environments: list[dict[str, str]]) -> list[tuple[int, str, str]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "MASTER_"))}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESSES, str(tmp_path / "built"), how], env={**clean, **own},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for own in environments
    ]  # fmt: skip
    said = [process.communicate(timeout=180) for process in started]
    return [(process.returncode, *texts) for process, texts in zip(started, said, strict=True)]


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def test_others_find_what_the_first_has_built(tmp_path):
    meeting = {"MASTER_PORT": free_port(), "SLURM_STEP_NODELIST": "127.0.0.1"}
    ended = together(tmp_path, "build", [{**in_slurm(rank, 2, rank), **meeting} for rank in range(2)])
    assert [(code, out) for code, out, _ in ended] == [(0, "0 of 2\n"), (0, "1 of 2\n")], ended


def test_others_end_with_the_first(tmp_path):
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    ended = together(tmp_path, "fail", [{**launched(rank, 2, rank), **meeting} for rank in range(2)])
    assert [code for code, _, _ in ended] == [3, 1], ended
    assert "Traceback" not in ended[1][2]
