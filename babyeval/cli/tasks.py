"""babyeval tasks: list, show, make and validate tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from babyeval.cli.options import DataDir, DataPasswords, Json, settings

app = typer.Typer(help="List, show, make and validate tasks.", no_args_is_help=True)


@app.command("list")
def list_(json: Json = False) -> None:
    """All tasks, built-in and installed ones, with their groups and splits."""
    from babyeval.cli import render
    from babyeval.registry import list_tasks

    listings = list_tasks()
    if json:
        render.print_json(
            [
                {
                    "name": entry.name,
                    "origin": entry.origin,
                    "problem": entry.problem or None,
                    "card": entry.task.card.model_dump(mode="json") if entry.task else None,
                }
                for entry in listings
            ]
        )
        return
    rows = []
    for entry in listings:
        if entry.task is None:
            rows.append((entry.name, entry.origin, "", "", f"cannot be used: {entry.problem}"))
        else:
            card = entry.task.card
            rows.append((card.name, entry.origin, ", ".join(card.groups), ", ".join(card.data), card.summary))
    render.console().print(render.simple_table("Tasks", ("name", "from", "groups", "splits", "what it measures"), rows))


@app.command("show")
def show(name: str, json: Json = False) -> None:
    """Everything about one task: its card and its README."""
    from babyeval.cli import render
    from babyeval.registry import get_task

    task = get_task(name)
    if json:
        render.print_json(task.card.model_dump(mode="json"))
        return
    rows = [(key, _readable(value)) for key, value in task.card.model_dump(mode="json").items() if value is not None]
    screen = render.console()
    screen.print(render.simple_table(task.card.title, ("key", "value"), rows))
    readme = task.home / "README.md"
    if readme.is_file():
        from rich.markdown import Markdown

        screen.print(Markdown(readme.read_text(encoding="utf-8")))


def _readable(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_part(part)}" for key, part in value.items() if part not in (None, {}, ""))
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "\n".join(map(_source_line, value))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _part(part: object) -> str:
    """One entry of a table: of a data set where it lies, of another table what is set in it."""
    if not isinstance(part, dict):
        return _readable(part)
    if "path" in part:
        return " ".join(filter(None, (part["path"], part["pattern"] if part["pattern"] != "*.jsonl" else "")))
    given = {key: value for key, value in part.items() if value not in (None, {}, "")}
    return ", ".join(f"{key} ({_part(value)})" if isinstance(value, dict) else f"{key} = {value}" for key, value in given.items())


def _source_line(source: dict[str, Any]) -> str:
    splits = " and ".join(source["splits"])
    place = f"{source['repo']}@{source['revision']}" if source["repo"] else "by hand"
    return " ".join(filter(None, (f"{splits}: {place}{' (gated)' if source['gated'] else ''}.", source["note"])))


@app.command("new")
def new(
    name: str,
    folder: Annotated[Path, typer.Option("--in", help="Where to make the package's folder.")] = Path(),
) -> None:
    """Make a package with a task of your own, ready to install, run and test."""
    from babyeval.scaffold import new_task

    target = new_task(name, folder)
    print(f"Made {target}. Next:")
    print(f"  pip install --editable {target}")
    print(f"  babyeval tasks validate {name}")
    print(f"  babyeval run --model PATH --tasks {name} --split mini")


@app.command("validate")
def validate(
    name: str,
    data_dir: DataDir = None,
    data_password: DataPasswords = None,
    json: Json = False,
) -> None:
    """Check a task's card, data, item ids and determinism."""
    from babyeval.cli import render
    from babyeval.data.archive import require_known_tasks
    from babyeval.data.lookup import require_data_folder
    from babyeval.registry import get_task
    from babyeval.validate import validate_task

    config = settings(data_dir=data_dir, data_passwords=data_password)
    require_known_tasks(config.passwords)
    task = get_task(name)
    require_data_folder(config.data_dir)
    findings = validate_task(task, config.data_dir, config.passwords)
    if json:
        render.print_json([{"check": f.check, "state": f.state, "detail": f.detail} for f in findings])
    else:
        rows = [(finding.check, finding.state, finding.detail) for finding in findings]
        render.console().print(render.simple_table(f"Checks of {name}", ("check", "state", "detail"), rows))
    raise typer.Exit(1 if any(finding.state == "wrong" for finding in findings) else 0)
