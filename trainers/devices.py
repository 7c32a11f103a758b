"""The processes that train one model together, and the DeepSpeed settings that its recipe asks for."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import re
import shutil
import socket
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from babyeval.errors import MissingError, UsageError, raise_interrupt
from babyeval.quiet import quiet_deepspeed

from .recipe import AnyRecipe, Updates

# The others wait so long for what one process does alone: a large corpus, tasks at a checkpoint.
_PATIENCE = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Devices:
    """Which process this is.

    Attributes:
        rank: Its number among all, from 0.
        world_size: How many there are; each has one device, or a share of the processor.
        local_rank: Its number among those of its machine, which is also its GPU's.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def main(self) -> bool:
        """Whether it is the one that speaks and writes."""
        return self.rank == 0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Devices:
        """Reads what torchrun, the deepspeed launcher or SLURM's ``srun`` says; without any of them there is one process.

        Raises:
            UsageError: The variables are no numbers, or contradict each other.

        Example:
            >>> Devices.of({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"})
            Devices(rank=5, world_size=8, local_rank=1)
            >>> Devices.of({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "0"}).world_size
            4
        """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        if not {"RANK", "WORLD_SIZE"} & environment.keys() and environment.get("SLURM_STEP_NUM_TASKS", "1") != "1":
            names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
        said = {name: environment.get(name, default) for name, default in zip(names, ("0", "1", "0"), strict=True)}
        numbers = [int(value) if value.isdecimal() else -1 for value in said.values()]
        if min(numbers) < 0 or numbers[0] >= numbers[1] or numbers[2] > numbers[0]:
            raise UsageError(
                f"The launcher's variables are wrong: {', '.join(f'{name}={value}' for name, value in said.items())}.",
                hint="Start all processes with torchrun, deepspeed or srun; to train in one process, unset these variables.",
            )
        return cls(*numbers)


def require_devices(recipe: AnyRecipe, environment: Mapping[str, str] | None = None) -> Devices:
    """Finds out which process this is, and that there are as many processes, GPUs and libraries as the recipe needs.

    Args:
        recipe: Its `pretrain.devices` and ZeRO stage are checked.
        environment: Of the process, unless given.

    Raises:
        UsageError: Fewer or more processes run than the recipe asks for, or more than the machine has GPUs.
        MissingError: The recipe asks for DeepSpeed, which is not there.
    """
    training = recipe.training
    devices = Devices.of(os.environ if environment is None else environment)
    if training.devices is not None and training.devices != devices.world_size:
        raise UsageError(
            f"The recipe asks for {_processes(training.devices)}, and {_processes(devices.world_size)} started.",
            where=f"{recipe.section}.devices",
            hint=f"Start with 'torchrun --nproc-per-node {training.devices} -m babyeval train ...', "
            f"or add --set {recipe.section}.devices={devices.world_size}; the batch stays the same.",
        )
    _require_gpu(devices)
    if zero_settings(training) is not None:
        _require_deepspeed()
    return devices


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"


def _require_gpu(devices: Devices) -> None:
    if devices.local_rank == 0:
        return
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else None
    if gpus is not None and devices.local_rank >= gpus:
        raise UsageError(
            f"Process {devices.local_rank + 1} of this machine has no GPU: it sees {gpus}.",
            hint="Start as many processes per machine as it has GPUs (torchrun --nproc-per-node), and let each see all "
            "of them (SLURM: --gpus-per-node, not --gpus-per-task).",
        )


def _require_deepspeed() -> None:
    if importlib.util.find_spec("deepspeed") is None:
        raise MissingError(
            "The recipe asks for ZeRO, which needs the library DeepSpeed.",
            where="pretrain.zero",
            hint="Install it: pip install 'babyeval[train]'. Without pretrain.zero several processes train with plain PyTorch.",
        )
    try:
        importlib.import_module("deepspeed")
    except Exception as error:  # of any kind: it looks for compilers and devices when it is imported
        raise_interrupt(error)
        raise MissingError(
            f"The library DeepSpeed cannot be used: {' '.join(str(error).split())}.",
            where="pretrain.zero",
            hint="Install it again, or leave pretrain.zero out: several processes then train with plain PyTorch.",
        ) from error


def zero_settings(training: Updates) -> dict[str, Any] | None:
    """The configuration for ``TrainingArguments(deepspeed=...)``; None for plain PyTorch.

    In bfloat16 it asks for autocast, as plain PyTorch does it: weights, gradients and their sums over devices stay
    float32, and so do the checkpoints. ``TrainingArguments(bf16=...)`` must then be off.

    Raises:
        UsageError: The recipe's own configuration cannot be read, or decides what the recipe decides.

    Example:
        >>> zero_settings(Updates(learning_rate=1e-3, zero=2))["zero_optimization"]["stage"]
        2
    """
    if training.zero_config is not None:
        settings = _own_settings(training.zero_config)
    elif training.zero is not None:
        file = resources.files("babyeval.trainers.zero") / f"zero{training.zero}.json"
        settings = json.loads(file.read_text(encoding="utf-8"))
    else:
        return None
    if training.dtype == "bfloat16" and not {"bf16", "fp16", "torch_autocast"} & settings.keys():
        settings["torch_autocast"] = {"enabled": True, "dtype": "bfloat16", "lower_precision_safe_modules": []}
    return settings


def _own_settings(path: Path) -> dict[str, Any]:
    """A configuration of the user's, with what this package and ``transformers`` rely on."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"The DeepSpeed configuration cannot be read: {error}.", where=str(path)) from error
    zero = settings.get("zero_optimization", {}) if isinstance(settings, dict) else None
    if not isinstance(zero, dict):
        raise UsageError("The DeepSpeed configuration is no JSON object with sections.", where=str(path))
    for key in sorted({"optimizer", "scheduler"} & settings.keys()):
        raise UsageError(
            f"The DeepSpeed configuration has a section '{key}', which the recipe decides.",
            where=str(path),
            hint="Remove it; the recipe's section [pretrain] has the optimiser's and the schedule's settings.",
        )
    if zero.get("stage") == 3 and zero.setdefault("stage3_gather_16bit_weights_on_model_save", True) is not True:
        raise UsageError(
            "Without stage3_gather_16bit_weights_on_model_save checkpoints would hold no whole weights.",
            where=str(path),
            hint="Set it to true, or leave it out.",
        )
    shipped = json.loads((resources.files("babyeval.trainers.zero") / "zero0.json").read_text(encoding="utf-8"))
    settings["zero_optimization"] = zero or shipped["zero_optimization"]
    return {**shipped, **settings}


def require_same_number(state: Path, devices: Devices) -> None:
    """Finds out whether a state that DeepSpeed wrote in parts is one for so many processes; other states fit any number.

    Raises:
        UsageError: It is not.
    """
    parts = len(list(state.glob("global_step*/*_optim_states.pt")))
    if parts not in (0, devices.world_size):
        raise UsageError(
            f"The state was saved by {_processes(parts)}, each a part of it, and {_processes(devices.world_size)} started.",
            where=str(state),
            hint=f"Under ZeRO a training goes on with as many processes as before: torchrun --nproc-per-node {parts} ...",
        )


@contextlib.contextmanager
def connected(recipe: AnyRecipe) -> Iterator[Devices]:
    """Joins the processes, so that the block can wait (`main_first`) and train; within it standard output is standard error.

    Raises:
        UsageError, MissingError: As `require_devices`, before anything is joined.
    """
    quiet_deepspeed()  # accelerate imports it wherever it is installed
    devices = require_devices(recipe)
    zero = any(zero_settings(one.training) is not None for one in recipe.lineage)
    with contextlib.ExitStack() as stack:
        if devices.world_size > 1 or zero:
            # Libraries print what they compile, and warn once per update of how they call each other.
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed")
            logging.getLogger("accelerate").setLevel(logging.ERROR)
            _name_meeting_point(devices)
            _make_compiler_found()
        if devices.world_size > 1:
            _join(devices)
        yield devices
        if devices.world_size > 1 or zero:
            _part()


def _name_meeting_point(devices: Devices) -> None:
    """Sets the variables that torchrun sets, where they are not there: under srun, and for DeepSpeed in one process."""
    main, port = "127.0.0.1", 0
    if devices.world_size > 1:
        main = first_node(os.environ.get("SLURM_STEP_NODELIST", main))
        port = 20_000 + int(os.environ.get("SLURM_JOB_ID", "0")) % 20_000  # the same in all processes
    elif "MASTER_PORT" not in os.environ:
        with socket.socket() as free:
            free.bind((main, 0))
            port = free.getsockname()[1]
    values = (devices.rank, devices.world_size, devices.local_rank, main, port)
    for name, value in zip(("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"), values, strict=True):
        os.environ.setdefault(name, str(value))


def first_node(nodes: str) -> str:
    """The first machine of SLURM's short form of a list of machines, where the process of rank 0 runs.

    Example:
        >>> first_node("gpu[03-05,09],big1"), first_node("big1")
        ('gpu03', 'big1')
    """
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", nodes).split(",")[0]


def _make_compiler_found() -> None:
    """Lets DeepSpeed, which compiles a part of itself on a CPU, find the ninja installed beside this Python."""
    if shutil.which("ninja") is None:
        os.environ["PATH"] = os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))


def _join(devices: Devices) -> None:
    import torch
    from torch import distributed

    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(devices.local_rank)
    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise UsageError(
            f"The {devices.world_size} processes did not find each other: {str(error).splitlines()[0]}",
            where=f"process {devices.rank}, meeting at {place}",
            hint="Were all of them started? MASTER_ADDR and MASTER_PORT name a machine that all reach, and a free port of it.",
        ) from error


def _part() -> None:
    """Lets all processes end together: one that ends earlier takes the connections of the others with it."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


@contextlib.contextmanager
def main_first() -> Iterator[None]:
    """The first process runs the block, then the others do, who find there what it has built; if it fails, they end.

    Example:
        >>> with main_first():
        ...     print("with one process nobody waits")
        with one process nobody waits
    """
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        yield
    elif distributed.get_rank() == 0:
        try:
            yield
        except BaseException:
            _agree(False)
            raise
        _agree(True)
    else:
        if not _agree(True):
            raise SystemExit(1)  # the first process says why
        yield


def _agree(well: bool) -> bool:
    """What the first process says; each process must ask, and only the first one's value counts."""
    import torch
    from torch import distributed

    said = torch.tensor(int(well))
    distributed.broadcast(said, src=0)
    return bool(said)
