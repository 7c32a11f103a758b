"""Small official data, a folder of records for each year, and the sizes that fit them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cli.support import inside

from export.official_data import shrink_tables, small, write_data, write_records
from export.official_files import OFFICIAL_NAME, YEARS, carried_parts, write_json, write_tree
from export.sweep_data import write_fast_data


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Files of all tasks in the official layout, of the sizes that ``small`` gives."""
    return write_data(tmp_path_factory.mktemp("small") / "evaluation_data", small)


@pytest.fixture(scope="session")
def fast_data(tmp_path_factory, data) -> Path:
    """The same with the fast sets."""
    root = Path(shutil.copytree(data, tmp_path_factory.mktemp("fast") / "evaluation_data"))
    write_fast_data(root)
    return root


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


@pytest.fixture(scope="session")
def texts(ready, data, tmp_path_factory) -> dict[str, str]:
    """What both years' records export to, with all parts that are carried over."""
    cwd = tmp_path_factory.mktemp("export")
    made = {}
    for year in YEARS:
        parts = carried_parts(year)
        shutil.copytree(ready[year], cwd / year)
        tree = write_tree(cwd / f"tree-{year}", parts)
        fast = write_json(cwd / year / OFFICIAL_NAME, {"fast_eval_results": parts["fast_eval_results"]})
        with pytest.MonkeyPatch.context() as patch:
            shrink_tables(patch)
            for path in (tree, fast):
                done = inside("import", path, "--protocol", year, "--model", "guesser", "--out", year, cwd=cwd)
                assert done.code == 0, done.err
            done = inside("export", year, "--format", year, "--data-dir", data, cwd=cwd)
        assert (done.code, done.err) == (0, "")
        made[year] = done.out
    return made


@pytest.fixture
def submission(texts) -> dict[str, dict]:
    """The same as objects that a test may change."""
    return {year: json.loads(text) for year, text in texts.items()}
