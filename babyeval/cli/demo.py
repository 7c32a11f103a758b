"""babyeval demo: a study in small, from raw text to a page, offline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer


def demo(out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("babyeval-demo")) -> None:
    """Train two models, tune them, evaluate, compare, and build the page: offline, in minutes.

    Everything is done by the commands that it prints. Started again, it goes on where it was stopped.
    """
    from babyeval.demo.story import Story

    raise typer.Exit(Story(out, _run).tell())


def _run(arguments: Sequence[str]) -> int:
    """Runs babyeval in this process: a new one would spend seconds on imports, each time.

    Raises:
        BabyevalError: The command cannot do what it shall.
        KeyboardInterrupt: Ctrl-C, which typer makes an exit code of.
    """
    from babyeval.__main__ import INTERRUPTED
    from babyeval.cli.main import app

    code = app(list(arguments), prog_name="babyeval", standalone_mode=False)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0
