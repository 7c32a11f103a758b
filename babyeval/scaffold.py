"""Making a new task package from templates."""

from __future__ import annotations

import importlib.util
import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from babyeval.errors import UsageError, disk_error
from babyeval.registry import task_and_group_names

# Template file -> place in the new package; $name is the task's name.
_FILES = {
    "pyproject.toml.template": "pyproject.toml",
    "README.md.template": "README.md",
    "init.py.template": "$name/__init__.py",
    "task.py.template": "$name/task.py",
    "card.toml.template": "$name/card.toml",
    "mini.jsonl.template": "$name/mini.jsonl",
    "test_task.py.template": "tests/test_$name.py",
}


def new_task(name: str, parent: Path) -> Path:
    """Writes a package with a ranking task that installs, runs and tests as it is.

    Args:
        name: The task's name, a Python identifier in lower case.
        parent: The folder in which the package's folder is made.

    Raises:
        UsageError: The name cannot be used, or the folder exists.
        MissingError: The folder cannot be written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UsageError(f"'{name}' cannot be a task's name.", hint="Use lower-case letters, digits and underscores.")
    if name in task_and_group_names() or importlib.util.find_spec(name) is not None:
        raise UsageError(f"'{name}' is the name of a task, a group or a Python module already.", hint="Choose another name.")
    target = parent / name
    if target.exists():
        raise UsageError(f"'{target}' exists already.", hint="Choose another name, or another place by --in.")
    templates = files("babyeval.cli") / "templates"
    try:
        for source, place in _FILES.items():
            path = target / Template(place).substitute(name=name)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = Template((templates / source).read_text(encoding="utf-8")).substitute(name=name)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise disk_error(error, str(target)) from error
    return target
