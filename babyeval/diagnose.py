"""Finding out what an installation can do: versions, device, speed, caches, data, plug-ins."""

from __future__ import annotations

import platform
import tempfile
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from babyeval.cache import cache_root
from babyeval.config import load_config
from babyeval.data.lookup import data_roots, require_data_folder
from babyeval.errors import BabyevalError
from babyeval.registry import list_tasks
from babyeval.run.provenance import library_versions

if TYPE_CHECKING:
    import torch


NO_DATA = "none found"


def diagnose() -> tuple[dict[str, str], list[str]]:
    """Looks at the installation.

    Returns:
        What was found, in order, and the problems that would stop a run.
    """
    problems: list[str] = []
    findings = {
        "babyeval": version("babyeval"),
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "libraries": ", ".join(f"{name} {number}" for name, number in library_versions().items()),
        **_device(),
        "row cache": _cache(problems),
        "data": _data(problems),
        "tasks": _tasks(problems),
    }
    return findings, problems


def _device() -> dict[str, str]:
    import torch

    from babyeval.models.load import native_bfloat16, torch_device

    device = torch_device("auto")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    rates = {dtype: matmul_rate(device, getattr(torch, dtype)) for dtype in ("float32", "bfloat16")}
    found = {"device": name, "matrix products": ", ".join(f"{rate:,.0f} GFLOP/s in {dtype}" for dtype, rate in rates.items())}
    if not native_bfloat16(device):
        found["bfloat16"] = "not in hardware here: --dtype bfloat16 works, but float32 is faster"
    return found


def matmul_rate(device: torch.device, dtype: torch.dtype, rows: int = 2048, inner: int = 192, columns: int = 512) -> float:
    """Speed of a matrix product of the shape that small models use, in GFLOP/s.

    Args:
        device: Where to multiply.
        dtype: In which precision.
        rows: Positions that go through together.
        inner: Width of the model.
        columns: Width of its feed-forward layer.
    """
    import torch

    a = torch.randn(rows, inner, device=device).to(dtype)
    b = torch.randn(columns, inner, device=device).to(dtype)
    for _ in range(3):
        torch.nn.functional.linear(a, b)
    best = float("inf")
    for _ in range(10):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        torch.nn.functional.linear(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * rows * inner * columns / best / 1e9


def _cache(problems: list[str]) -> str:
    folder = cache_root() / "rows"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        problems.append(f"The row cache {folder} cannot be written ({error.strerror}): set BABYEVAL_CACHE.")
        return f"{folder}, not writable"
    files = list(folder.glob("*.sqlite"))
    return f"{folder}, {len(files)} models, {sum(file.stat().st_size for file in files) / 1e6:,.1f} MB"


def _data(problems: list[str]) -> str:
    named = None
    try:
        named = load_config({"models": ("none",)}).data_dir
        require_data_folder(named)
    except BabyevalError as error:
        problems.append(" ".join(filter(None, (error.what, error.where, error.hint))))
    present = [str(root) for root in data_roots(named) if root.is_dir()]
    hint = "name it by BABYEVAL_DATA, or by --data-dir of 'babyeval run'; --split mini needs none"
    return ", ".join(present) or f"{NO_DATA}; {hint}"


def _tasks(problems: list[str]) -> str:
    listings = list_tasks()
    problems.extend(
        f"The task '{entry.name}' of '{entry.origin}' cannot be used: {entry.problem}" for entry in listings if not entry.task
    )
    return ", ".join(entry.name for entry in listings if entry.task)
