"""Small official data, a folder of records for each year, and the sizes that fit them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from export.official_data import shrink_tables, small, write_data, write_records


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Files of all tasks in the official layout, of the sizes that ``small`` gives."""
    return write_data(tmp_path_factory.mktemp("small") / "evaluation_data", small)


@pytest.fixture(scope="session")
def ready(tmp_path_factory, data) -> dict[str, Path]:
    """For each year a results folder with all records of one model."""
    root = tmp_path_factory.mktemp("ready")
    for year in ("babylm-2025", "babylm-2026"):
        write_records(root / year, year, data)
    return {year: root / year for year in ("babylm-2025", "babylm-2026")}


@pytest.fixture
def results(ready, tmp_path) -> dict[str, Path]:
    """Copies of these folders that a test may change."""
    return {year: Path(shutil.copytree(path, tmp_path / f"results-{year}")) for year, path in ready.items()}


@pytest.fixture(autouse=True)
def _small_sizes(request, monkeypatch) -> None:
    if "official_sizes" not in request.fixturenames:
        shrink_tables(monkeypatch)


@pytest.fixture
def official_sizes() -> None:
    """For tests that want the sizes as they are."""
