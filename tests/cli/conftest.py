"""Fixtures of the command-line tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    """No test sees the caller's settings, caches or a babyeval.toml in the current folder."""
    import os

    for name in [name for name in os.environ if name.startswith("BABYEVAL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BABYEVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Iterator[Path]:
    """A causal checkpoint of random weights, for which one thread is enough."""
    import torch

    from babyeval.demo import make_tiny_model

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    torch.set_num_threads(threads)
