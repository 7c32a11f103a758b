"""Fixtures of all tests: a row cache of their own, tiny checkpoints made once, and the shared data if it is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

# Tiny models gain nothing from threads, and where cores are shared they lose much: threads wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

settings.register_profile("babyeval", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("babyeval")

# Read once: as a variable of babyeval's prefix it would be taken for an option.
SHARED = Path(os.environ.get("TESTS_SHARED") or Path(__file__).parents[1] / "../shared").resolve()


@pytest.fixture(autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's settings, and none fills the user's cache."""
    for name in os.environ:
        if name.startswith("BABYEVAL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("BABYEVAL_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives the folder of a tiny random checkpoint: ``tiny_folder("llama", "bos", positions=64, seed=0)``."""
    from tiny import save_checkpoint

    root = tmp_path_factory.mktemp("tiny")

    def folder(architecture: str, kind: str, *, positions: int = 64, seed: int = 0) -> Path:
        path = root / f"{architecture}-{kind}-{positions}-{seed}"
        return path if path.is_dir() else save_checkpoint(path, architecture, kind, positions=positions, seed=seed)

    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with benchmark data, trained checkpoints and golden numbers, which are not ours to keep."""
    if not (SHARED / "models").is_dir():
        pytest.skip(f"the shared benchmark data is not at {SHARED} (TESTS_SHARED names another place)")
    return SHARED
