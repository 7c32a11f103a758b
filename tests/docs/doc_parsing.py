"""Whether a documented command would be understood: its program, its verb, every option and extra, without running it."""

from __future__ import annotations

import argparse
import importlib
import re
import tomllib
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import pytest
import typer
from doc_blocks import ROOT


def understand(words: Sequence[str]) -> None:
    """Raises an error that says what is not understood in a command."""
    program, *rest = words
    if program in ("for", "done", "source", "head"):  # the shell's own, and programs of which nothing of ours is asked
        return
    if program in ("do", "srun"):
        if rest:
            understand(rest)
    elif re.fullmatch(r"\w+=\$\(.*", program):  # a variable of a script
        return
    elif program in UNDERSTOOD:
        UNDERSTOOD[program](rest)
    else:
        raise ValueError(f"nobody knows how to check '{program}'")


def babyeval_command(words: Sequence[str]) -> None:
    """Goes down to the verb, and parses its arguments as the command line would."""
    from babyeval.cli.main import app

    command: Any = typer.main.get_command(app)
    context = command.make_context("babyeval", list(words))
    while hasattr(command, "resolve_command"):  # a group
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, list(rest), parent=context)


def _python(words: Sequence[str]) -> None:
    dash, module, *rest = words
    assert dash == "-m", words
    if module == "babyeval":
        babyeval_command(rest)
    else:
        _parser_of(module).parse_args(rest)


def _parser_of(module: str) -> argparse.ArgumentParser:
    """The parser that a module makes, caught when it is about to read the command line."""
    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", lambda parser: (_ for _ in ()).throw(_Caught(parser))),
        pytest.raises(_Caught) as caught,
    ):
        importlib.import_module(module).main()
    parser: argparse.ArgumentParser = caught.value.args[0]
    return parser


class _Caught(Exception):
    """Carries a parser."""


def _pip(words: Sequence[str]) -> None:
    assert words[0] == "install", words
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for word in words[1:]:
        if match := re.fullmatch(r"(?:\.|babyeval)\[(.+)\]", word):
            assert set(match[1].split(",")) <= set(project["optional-dependencies"]), word
        elif word.startswith("-"):
            assert word in ("--editable", "--constraint"), word


def _make(words: Sequence[str]) -> None:
    (target,) = words
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def _torchrun(words: Sequence[str]) -> None:
    from torch.distributed.run import get_args_parser

    given = get_args_parser().parse_args(list(words))
    assert given.module, words
    assert given.training_script == "babyeval", words
    babyeval_command(given.training_script_args)


def _deepspeed(words: Sequence[str]) -> None:
    from deepspeed.launcher.runner import parse_args

    given = parse_args(list(words))
    assert given.module, words
    assert given.user_script == "babyeval", words
    babyeval_command(given.user_args)


UNDERSTOOD: dict[str, Callable[[Sequence[str]], None]] = {
    "babyeval": babyeval_command,
    "python": _python,
    "pip": _pip,
    "make": _make,
    "torchrun": _torchrun,
    "deepspeed": _deepspeed,
}
