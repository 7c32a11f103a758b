"""Plug-ins: a new task package installs, runs and tests; a broken one stops nothing; names are claimed once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from babyeval.registry import get_task, list_tasks
from cli.environments import Environment, place, wheel
from cli.support import assert_refused, files_in, inside, process


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A package as ``tasks new`` writes it."""
    folder = tmp_path_factory.mktemp("new")
    done = inside("tasks", "new", "my_task", cwd=folder)
    assert done.code == 0, done.err
    for word in ("pip install", "tasks validate my_task", "--tasks my_task --split mini"):
        assert word in done.out
    return folder / "my_task"


@pytest.fixture(scope="module")
def installed(made) -> Environment:
    """An environment with the wheel and the new package, as ``pip install`` puts them there."""
    env = Environment(place() / "environment")
    env.install(wheel(), "--no-index")
    env.install(made)
    return env


def test_new_package_holds_what_it_needs_and_no_gaps(made):
    files = {name for name in files_in(made) if not name.startswith(("build/", "babyeval_my_task.egg-info/"))}
    expected = {"my_task/__init__.py", "my_task/card.toml", "my_task/mini.jsonl", "my_task/task.py", "pyproject.toml"}
    assert expected | {"tests/test_my_task.py"} <= files
    assert {Path(name).name for name in files} >= {"README.md"}
    assert not [name for name in files if "$" in (made / name).read_text(encoding="utf-8")]


def test_installed_package_is_listed_and_shown(installed, tmp_path):
    done = installed.run("-m", "babyeval", "tasks", "list", cwd=tmp_path)
    assert re.search(r"^ *my_task +babyeval-my_task +full, mini ", done.out, re.MULTILINE), done.out
    assert done.out.index("blimp_supplement") < done.out.index("my_task")
    shown = installed.run("-m", "babyeval", "tasks", "show", "my_task", "--json", cwd=tmp_path)
    assert (shown.json["name"], shown.json["groups"]) == ("my_task", [])


def test_installed_package_is_valid(installed, tmp_path):
    done = installed.run("-m", "babyeval", "tasks", "validate", "my_task", "--json", cwd=tmp_path)
    assert [finding for finding in done.json if finding["state"] == "wrong"] == []
    assert done.code == 0
    assert {f["check"]: f["state"] for f in done.json}["mini: determinism"] == "right"


def test_its_own_tests_pass(installed, made):
    done = installed.run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=made)
    assert done.code == 0, done.out
    assert "1 passed" in done.out


def test_installed_package_gives_a_score_and_enters_no_average(installed, tiny, tmp_path):
    command = ("-m", "babyeval", "run", "--model", tiny, "--tasks", "my_task", "--split", "mini", "--json")
    done = installed.run(*command, cwd=tmp_path)
    assert done.code == 0, done.err
    (result,) = done.json["results"]
    assert (result["status"], result["headline"]["n"], done.json["groups"]) == ("done", 6, [])
    assert 0 <= result["headline"]["value"] <= 100
    assert files_in(tmp_path / "results") == [
        f"tiny/main/my_task/mini-causal/robust/{name}" for name in ("items.parquet", "result.json")
    ]


@pytest.mark.parametrize("name", ["My-Task", "1st", "class", "babyeval", "", "a b", "../up", "all", "blimp", "json", "torch"])
def test_name_that_cannot_work_is_refused(tmp_path, name):
    done = inside("tasks", "new", name, cwd=tmp_path)
    assert_refused(done, 2, f"'{name}'")
    assert files_in(tmp_path) == []


def test_new_package_never_replaces_a_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    assert_refused(inside("tasks", "new", "mine", cwd=tmp_path), 2, "exists already", "--in")
    assert inside("tasks", "new", "mine", "--in", "other", cwd=tmp_path).code == 0
    assert (tmp_path / "other" / "mine" / "pyproject.toml").is_file()


def test_new_package_in_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    assert_refused(inside("tasks", "new", "mine", "--in", "file", cwd=tmp_path), 3, "Could not write", "file/mine")


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Puts a distribution with one task on the path, as if it were installed."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def put(name: str, task: str, code: str, *, target: str | None = None) -> str:
        module = f"plug_in_{name.replace('-', '_')}"
        info = tmp_path / "site" / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[babyeval.tasks]\n{task} = {target or module + ':task'}\n")
        (tmp_path / "site" / f"{module}.py").write_text(code)
        return module

    return put


BROKEN = {
    "import": ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
    "syntax": ("def task(:", "SyntaxError"),
    "absent": ("other = 1", "has no attribute 'task'"),
    "wrong": ("task = 7", "is a int, not a task"),
    "renamed": ("from babyeval.tasks.blimp.task import task", "The card calls the task 'blimp'"),
    "exits": ("import sys; sys.exit('no licence')", "no licence"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_package_is_listed_with_its_reason_and_stops_nothing(distribution, tiny, tmp_path, kind):
    code, reason = BROKEN[kind]
    distribution(f"broken-{kind}", "broken", code)
    listed = inside("tasks", "list", "--json", cwd=tmp_path)
    assert listed.code == 0
    entries = {entry["name"]: entry for entry in listed.json}
    assert (entries["broken"]["origin"], entries["broken"]["card"]) == (f"broken-{kind}", None)
    assert reason in entries["broken"]["problem"]
    assert entries["blimp"]["problem"] is None
    done = inside("run", "--model", tiny, "--split", "mini", "--tasks", "blimp", "--limit", "4", cwd=tmp_path)
    assert done.code == 0, done.err
    refused = inside("run", "--model", tiny, "--split", "mini", "--tasks", "blimp,broken", cwd=tmp_path)
    assert_refused(refused, 2, "'broken' cannot be loaded", reason, f"broken-{kind}")


def test_doctor_reports_a_broken_package(distribution, tmp_path):
    distribution("broken-doctor", "broken", "import no_such_library")
    done = inside("doctor", "--json", cwd=tmp_path)
    assert done.code == 3
    (problem,) = done.json["problems"]
    for word in ("'broken'", "'broken-doctor'", "no_such_library"):
        assert word in problem


@pytest.mark.parametrize("others", [("first-one", "second-one"), ("first-one", "babyeval")], ids=" ".join)
def test_name_claimed_twice_names_both_and_stops_no_other_task(distribution, tiny, tmp_path, others):
    task = "blimp" if "babyeval" in others else "double"
    for name in others:
        if name != "babyeval":
            distribution(name, task, "from babyeval.tasks.blimp.task import task")
    done = inside("run", "--model", tiny, "--split", "mini", "--tasks", task, cwd=tmp_path)
    assert_refused(done, 2, f"'{task}' is defined twice", *(f"'{name}'" for name in others))
    entries = {entry["name"]: entry for entry in inside("tasks", "list", "--json", cwd=tmp_path).json}
    assert all(name in entries[task]["origin"] for name in others)
    assert "twice" in entries[task]["problem"]
    assert get_task("blimp_supplement").card.name == "blimp_supplement"


def test_one_distribution_found_twice_on_the_path_counts_once(tmp_path, monkeypatch):
    before = [(listing.name, listing.problem) for listing in list_tasks()]
    declared = "\n".join(f"{name} = babyeval.tasks.{name}.task:task" for name in ("blimp", "blimp_supplement"))
    info = tmp_path / "site" / "babyeval-0.0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: babyeval\nVersion: 0.0.1\n")
    (info / "entry_points.txt").write_text(f"[babyeval.tasks]\n{declared}\n")
    monkeypatch.setattr("sys.path", [*__import__("sys").path, str(tmp_path / "site")])
    assert [(listing.name, listing.problem) for listing in list_tasks()] == before


def test_tasks_show_prints_card_and_readme(tmp_path):
    done = inside("tasks", "show", "blimp", cwd=tmp_path)
    assert done.code == 0
    card = get_task("blimp").card
    for word in ("BLiMP", "full_eval/blimp_filtered", card.homepage, "zero-shot"):
        assert word in done.out
    readme = (get_task("blimp").home / "README.md").read_text(encoding="utf-8")
    long_words = [word for word in readme.split() if word.isalpha() and len(word) > 9]
    assert long_words
    assert [word for word in long_words if word not in done.out] == []
    as_json = inside("tasks", "show", "blimp", "--json", cwd=tmp_path).json
    assert as_json == json.loads(card.model_dump_json())
    assert_refused(inside("tasks", "show", "blimb", cwd=tmp_path), 2, "'blimb'", "Did you mean 'blimp'?")


def test_tasks_list_as_json_is_all_there_is_on_stdout(tmp_path):
    done = process("tasks", "list", "--json", cwd=tmp_path)
    assert done.code == 0
    assert {entry["name"]: entry["origin"] for entry in done.json}["blimp"] == "babyeval"
