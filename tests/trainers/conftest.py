"""A training that several tests look at; it lies here so that the tests in the folders below find the helpers beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from babyeval.trainers.stages import StageResult, run_stage
from training import Listener, small_recipe, write_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def unbroken(corpus: Path, out: Path) -> tuple[StageResult, Listener]:
    """A training that nothing interrupts."""
    listener = Listener()
    return run_stage("pretrain", small_recipe(corpus), out, False, listener), listener
