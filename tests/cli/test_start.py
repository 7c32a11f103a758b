"""Starting quickly: what the command and the package import before they are asked to work."""

from __future__ import annotations

import json
import re

import pytest

from cli.support import assert_refused, inside, process

HEAVY = ("torch", "transformers", "pandas", "pydantic", "numpy", "scipy", "statsmodels", "pyarrow", "huggingface_hub")
_RUN = """
import json, sys
sys.argv = ["babyeval", *sys.argv[1:]]
from babyeval.cli.main import main
try:
    main()
except SystemExit as stop:
    code = stop.code
print("\\n" + json.dumps({"code": code or 0, "modules": sorted(name for name in sys.modules if "." not in name)}))
"""


def modules(code: str, *args: str, cwd) -> tuple[str, set[str]]:
    done = process(*args, cwd=cwd, python=("-c", code))
    assert done.code == 0, done.err
    text, _, last = done.out.rstrip().rpartition("\n")
    report = json.loads(last)
    assert report["code"] == 0
    return text, set(report["modules"])


@pytest.mark.parametrize("args", [("--help",), ("run", "--help"), ("--version",)], ids=" ".join)
def test_help_imports_nothing_heavy(tmp_path, args):
    text, loaded = modules(_RUN, *args, cwd=tmp_path)
    assert re.search(r"Usage: |babyeval \d", text)
    typers_own = {"pydantic"} if "run" in args else set()  # typer asks pydantic about types, if it is there
    assert not loaded & set(HEAVY) - typers_own


def test_tasks_list_imports_no_torch(tmp_path):
    text, loaded = modules(_RUN, "tasks", "list", cwd=tmp_path)
    assert re.search(r"^ *blimp +babyeval +zero-shot +full, fast, mini", text, re.MULTILINE)
    assert not loaded & {"torch", "transformers", "pandas", "numpy"}


def test_package_imports_nothing_heavy_and_has_what_it_promises(tmp_path):
    code = (
        "import json, sys, babyeval\n"
        "modules = sorted(name for name in sys.modules if '.' not in name)\n"
        "assert set(babyeval.__all__) <= set(dir(babyeval))\n"
        "assert all(getattr(babyeval, name) is not None for name in dir(babyeval))\n"
        "print('\\n' + json.dumps({'code': 0, 'modules': modules}))"
    )
    _, loaded = modules(code, cwd=tmp_path)
    assert not loaded & set(HEAVY)


def test_help_names_every_verb_and_every_option_of_run(tmp_path):
    shown = inside("run", "--help", cwd=tmp_path, env={"COLUMNS": "200"}).out
    for option in ("model", "tasks", "split", "protocol", "data-dir", "out", "backend", "masking", "dtype", "device", "limit",
                   "condition", "train-seed", "dry-run", "fresh", "offline", "trust-remote-code", "json"):  # fmt: skip
        assert f"--{option}" in shown
    verbs = inside("-h", cwd=tmp_path, env={"COLUMNS": "200"}).out
    for verb in ("run", "tasks", "check", "demo", "doctor"):
        assert re.search(rf"│ {verb} ", verbs), verb


def test_help_shows_every_option_with_its_whole_text(tmp_path):
    """What stands in brackets would be read as markup, and vanish."""
    import typer

    from babyeval.cli.main import app

    def commands(group, *names):
        for name, command in group.commands.items():
            yield from commands(command, *names, name) if hasattr(command, "commands") else [((*names, name), command)]

    found = 0
    for names, command in commands(typer.main.get_command(app)):
        done = inside(*names, "--help", cwd=tmp_path, env={"COLUMNS": "400", "TERMINAL_WIDTH": "400"})
        shown = " ".join(done.out.replace("│", " ").split())
        for option in command.params:
            text = getattr(option, "help", None)
            if text:
                assert " ".join(text.replace("\\[", "[").split()) in shown, (names, option.name)
                found += 1
    assert found > 40


def test_a_path_that_cannot_be_used_is_an_error_in_words(tmp_path):
    (tmp_path / "file").write_text("no folder")
    name = "x" * 300
    for command in (("export", name, "--format", "csv"), ("check", name), ("tasks", "new", name)):
        assert_refused(inside(*command, cwd=tmp_path), 3, "File name too long")
    assert_refused(inside("export", "--format", "csv", cwd=tmp_path, env={"BABYEVAL_CONFIG": "file/x"}), 3, "does not exist")
