"""The example plug-in, a distribution of its own, works by the commands of its README alone."""

from __future__ import annotations

import lzma
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cli.environments import Environment, place, wheel
from cli.support import ROOT, Done

EXAMPLE = ROOT / "examples" / "clams_fr"


@pytest.fixture(scope="module")
def installed() -> Environment:
    """An environment with babyeval's wheel and the example, built from a copy."""
    env = Environment(place() / "environment")
    env.install(wheel(), "--no-index")
    env.install(Path(shutil.copytree(EXAMPLE, place() / "clams_fr")))
    return env


def run(env: Environment, command: str, model: Path, cwd: Path) -> Done:
    """Runs a line of the README; PATH stands for the model."""
    line = re.search(rf"^ +babyeval ({re.escape(command)}.*?)(?: +#.*)?$", (EXAMPLE / "README.md").read_text(), re.MULTILINE)
    assert line, command
    return env.run("-m", "babyeval", *line[1].replace("PATH", str(model)).split(), cwd=cwd)


def test_bundled_pairs(installed, tiny_folder, tmp_path):
    model = tiny_folder("llama", "bos")
    valid = run(installed, "tasks validate", model, tmp_path)
    assert valid.code == 0, valid.out
    done = run(installed, "run --model PATH --tasks clams_fr --split mini", model, tmp_path)
    assert done.code == 0, done.err
    (path,) = tmp_path.glob("results/**/items.parquet")
    assert pd.read_parquet(path).groupby("subset").size().to_dict() == {"prepositional": 4, "simple": 4}


def test_the_official_files(installed, shared, tmp_path):
    folder = tmp_path / "evaluation_data" / "full_eval" / "clams_fr"
    folder.mkdir(parents=True)
    sizes = {}
    for name in ("simple_agrmt", "vp_coord"):
        text = lzma.decompress((shared / "extra" / f"{name}.txt.xz").read_bytes())
        (folder / f"{name}.txt").write_bytes(text)
        sizes[name] = text.count(b"True\t")
    done = run(installed, "run --model PATH --tasks clams_fr --data-dir", shared / "models" / "tiny-llama", tmp_path)
    assert done.code == 0, done.err
    (path,) = tmp_path.glob("results/**/items.parquet")
    table = pd.read_parquet(path)
    assert table.groupby("subset").size().to_dict() == sizes
    mean = 100 * table.groupby("subset").value.mean().mean()
    assert re.search(rf"clams_fr +full +robust +{mean:.2f} ", done.out), done.out


def test_a_truncated_file_is_named(installed, tiny_folder, tmp_path):
    folder = tmp_path / "evaluation_data" / "full_eval" / "clams_fr"
    folder.mkdir(parents=True)
    (folder / "cut.txt").write_text("True\tla voisine chante\nFalse\tla voisine chantent\nTrue\tle boulanger dort\n")
    done = run(installed, "run --model PATH --tasks clams_fr --data-dir", tiny_folder("llama", "bos"), tmp_path)
    assert done.code == 1
    assert "cut.txt" in done.out
    assert "truncated" in done.out
