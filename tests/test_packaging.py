"""The wheel holds everything and works from anywhere, an editable install does too, and make sets up anew when it must."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import tomllib
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
from cli.environments import Environment, source_copy, wheel, with_wheel
from cli.support import ROOT

# Folder of the source tree -> folder in the wheel; those that are not there yet are skipped.
SOURCES = {
    "babyeval": "babyeval",
    "tasks": "babyeval/tasks",
    "trainers": "babyeval/trainers",
    "leaderboard": "babyeval/leaderboard",
}


@pytest.fixture(scope="module")
def names() -> set[str]:
    with zipfile.ZipFile(wheel()) as archive:
        return set(archive.namelist())


def test_wheel_holds_every_file_of_the_packages(names):
    expected = set()
    for source, target in SOURCES.items():
        for path in (ROOT / source).rglob("*"):
            if path.is_file() and not {"__pycache__", ".ruff_cache", ".mypy_cache"} & set(path.parts):
                expected.add(f"{target}/{path.relative_to(ROOT / source).as_posix()}")
    assert {"babyeval/tasks/blimp/card.toml", "babyeval/tasks/blimp/mini.jsonl", "babyeval/py.typed"} <= expected
    assert sum(name.startswith("babyeval/cli/templates/") for name in expected) >= 7
    assert sorted(expected - names) == []


def test_every_task_in_the_wheel_has_card_readme_and_mini_files(names):
    tasks = {name.split("/")[2] for name in names if re.fullmatch(r"babyeval/tasks/\w+/__init__.py", name)}
    assert {"blimp", "blimp_supplement"} <= tasks
    for task in sorted(tasks):
        files = {name.split("/")[3] for name in names if name.startswith(f"babyeval/tasks/{task}/")}
        assert "README.md" in files, task
        assert any(re.fullmatch(r"(\w+\.)?card\.toml", name) for name in files), task


def test_recipes_templates_and_zero_settings_are_in_the_wheel(names):
    for pattern, fewest in (("recipes/[\\w-]+\\.toml", 4), ("templates/\\w+\\.jinja", 2), ("zero/zero[0-3]\\.json", 4)):
        assert sum(bool(re.fullmatch(f"babyeval/trainers/{pattern}", name)) for name in names) >= fewest, pattern


def test_template_and_assets_of_the_page_are_in_the_wheel(names):
    for pattern, fewest in (("templates/page\\.html\\.jinja", 1), ("assets/[\\w-]+\\.css", 1), ("assets/[\\w-]+\\.js", 5)):
        assert sum(bool(re.fullmatch(f"babyeval/leaderboard/{pattern}", name)) for name in names) >= fewest, pattern


def test_wheel_puts_only_babyeval_at_the_top(names):
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"babyeval"}
    assert not [name for name in names if re.search(r"(^|/)(tests|benchmarks|__pycache__)(/|$)", name)]


def test_wheel_carries_its_entry_points_and_licence(names):
    with zipfile.ZipFile(wheel()) as archive:
        parser = ConfigParser()
        parser.read_string(archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode())
    assert parser["console_scripts"]["babyeval"] == "babyeval.__main__:main"
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["babyeval.tasks"]
    assert dict(parser["babyeval.tasks"]) == declared
    assert any(name.endswith("/LICENSE") for name in names)


def test_installed_wheel_lists_its_tasks_from_any_folder(tmp_path):
    env = with_wheel()
    done = env.run("-m", "babyeval", "tasks", "list", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "cannot be used" not in done.out
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["babyeval.tasks"]
    for name in declared:
        assert re.search(rf"^ *{name} +babyeval ", done.out, re.MULTILINE)
    script = env.run(env.python.with_name("babyeval"), "--version", cwd=tmp_path)
    assert re.fullmatch(r"babyeval \d+\.\d+\.\d+\n", script.out)
    place = env.run("-c", "import babyeval.tasks.blimp as b; print(b.__file__)", cwd=tmp_path)
    assert Path(place.out.strip()).is_relative_to(env.site)


def test_every_module_of_the_wheel_can_be_imported(tmp_path, names):
    modules = sorted(name[:-3].replace("/", ".").removesuffix(".__init__") for name in names if name.endswith(".py"))
    modules = [name for name in modules if not name.endswith("__main__") and ".templates" not in name]
    done = with_wheel().run(
        "-c", "import importlib, sys\nfor m in sys.argv[1:]: importlib.import_module(m)", *modules, cwd=tmp_path
    )
    assert done.code == 0, done.err


def test_editable_install_works_from_another_folder(tmp_path):
    tree = source_copy(tmp_path / "tree")
    env = Environment(tmp_path / "environment")
    env.install(tree, "--editable")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = "import babyeval.tasks.blimp as b, babyeval.trainers as t, babyeval as a; print(a.__file__, b.__file__, t.__file__)"
    for cwd in (elsewhere, tree):
        done = env.run("-c", code, cwd=cwd)
        places = ("babyeval/__init__.py", "tasks/blimp/__init__.py", "trainers/__init__.py")
        assert done.out.split() == [str(tree / place) for place in places], done.err
    for name in ("tasks", "trainers", "leaderboard"):
        assert env.run("-c", f"import {name}", cwd=elsewhere).code == 1


@pytest.fixture
def made(tmp_path) -> Path:
    """A folder as make leaves it: everything older than the stamp."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
        os.utime(tmp_path / name, (time.time() - 1000,) * 2)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".ready").touch()
    return tmp_path


def shown(folder: Path, target: str) -> str:
    return subprocess.run(["make", "-n", target], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("target", ["test", "check", "docs", "demo", "test-slow"])
def test_make_installs_only_when_something_changed(made, target):
    assert "pip install" not in shown(made, target)
    for name in ("pyproject.toml", "constraints.txt"):
        old = (made / name).stat().st_mtime
        os.utime(made / name, (time.time() + 10,) * 2)
        commands = shown(made, target)
        assert "--editable" in commands
        assert "--constraint constraints.txt" in commands
        os.utime(made / name, (old, old))
    assert "pip install" not in shown(made, target)
    (made / ".venv" / ".ready").unlink()
    assert "-m venv" in shown(made, target)


def test_make_runs_the_quick_tests_apart_from_the_slow_ones(made):
    assert re.search(r'pytest .*-m "?not slow"?', shown(made, "test"))
    assert re.search(r'pytest .*-m "?slow"?', shown(made, "test-slow"))
    check = shown(made, "check")
    for word in ("ruff check", "ruff format --check", "mypy"):
        assert word in check
