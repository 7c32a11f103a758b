"""babyeval import: official result files into records."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babyeval.cli.options import DataDir, DataPasswords, Out, Text, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from babyeval.official.importing import Imported


def import_(
    path: Annotated[Path, typer.Argument(help="Official results folder, predictions.json, or submission file.")],
    protocol: Annotated[Text, typer.Option(help="The year: babylm-2025 or babylm-2026.")] = None,
    model: Annotated[Text, typer.Option(help="The model's name in records. Default: the official folder's.")] = None,
    data_dir: DataDir = None,
    data_password: DataPasswords = None,
    out: Out = None,
    revision: Annotated[Text, typer.Option(help="The revision, where the files do not say it. Default: main.")] = None,
    backend: Annotated[Text, typer.Option(help="The backend, where the files do not say it.")] = None,
) -> None:
    """Bring results of the official pipeline into records.

    Predictions are scored anew where the benchmark's data is here; without it the official
    report's rounded scores are taken. What no task reads is kept for 'babyeval export'.

    Example: babyeval import evaluation-pipeline/results --protocol babylm-2026 --data-dir evaluation_data
    """
    from babyeval.data.archive import require_known_tasks
    from babyeval.errors import UsageError
    from babyeval.official.importing import import_results
    from babyeval.official.parts import PARTS

    if protocol not in PARTS:
        said = f"'{protocol}' has no official files." if protocol else "The year is not named."
        raise UsageError(said, hint=f"Choose by --protocol: {', '.join(PARTS)}.")
    config = settings(out=out, data_dir=data_dir, data_passwords=data_password)
    require_known_tasks(config.passwords)
    choice = {"model": model, "revision": revision, "backend": backend}
    imports = import_results(path, protocol, **choice, out=config.out, data_dir=config.data_dir, passwords=config.passwords)
    _print(imports, protocol, config.out, model, revision)
    lacking = [made.found for made in imports if made.state == "not scored"]
    if lacking:
        again = {"--protocol": protocol, **{f"--{key}": value for key, value in choice.items()}, "--out": str(config.out)}
        options = " ".join(f"{option} {shlex.quote(value)}" for option, value in again.items() if value)
        print(
            f"Not scored for want of data: {', '.join(dict.fromkeys(found.task for found in lacking))}. "
            f"With the data: babyeval import {shlex.quote(str(path))} {options} --data-dir DIR",
            file=sys.stderr,
        )
    raise typer.Exit(3 if lacking else 0)


def _print(imports: Sequence[Imported], protocol: str, out: Path, model: str | None, revision: str | None) -> None:
    """A table per model and revision, and where everything lies."""
    from rich.text import Text as Plain

    from babyeval.cli import render

    screen = render.console()
    columns = ("part", "split", "backend", "score", "n", "what became of it")
    for key in dict.fromkeys((made.found.model, made.found.revision) for made in imports):
        mine = [made for made in imports if (made.found.model, made.found.revision) == key]
        title = f"{model or key[0]} ({revision or key[1]}), {protocol}"
        screen.print(render.simple_table(title, columns, [_row(made) for made in mine], (3, 4)))
    screen.print(Plain(f"Records and kept parts: {out}"))


def _row(made: Imported) -> tuple[str, ...]:
    score = made.result.headline if made.result else None
    return (
        made.found.key or made.found.task or made.found.path.parent.name,
        made.found.split,
        made.found.backend,
        f"{score.value:.2f}" if score is not None and score.value is not None else "-",
        f"{score.n:,}" if score is not None else "-",
        made.state + (f": {made.note}" if made.note else ""),
    )
