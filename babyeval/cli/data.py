"""babyeval data: list, fetch and verify benchmark data."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from babyeval.cli.options import DataDir, Json, settings

if TYPE_CHECKING:
    from babyeval.data.fetch import Fetched
    from babyeval.data.verify import Holding, Verdict
    from babyeval.families import Task

app = typer.Typer(help="List, fetch and verify benchmark data.", no_args_is_help=True)


def _chosen(names: list[str] | None) -> list[Task]:
    """The tasks named, or every task that can be loaded."""
    from babyeval.registry import list_tasks, resolve_tasks

    if names:
        return resolve_tasks([part for name in names for part in name.split(",") if part])
    return [entry.task for entry in list_tasks() if entry.task]


@app.command("list")
def list_(
    name: Annotated[list[str] | None, typer.Argument(help="Tasks or groups. Default: every task.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """What data is there, of which terms and size, and where it comes from."""
    from babyeval.cli import render
    from babyeval.data.verify import holdings

    entries = [_entry(holding) for holding in holdings(_chosen(name), settings(data_dir=data_dir).data_dir)]
    if json:
        render.print_json(entries)
        return
    columns = ("task", "split", "files", "MB", "where", "source", "licence")
    rows = [
        (
            *(entry["task"], entry["split"], entry["files"] or "-", f"{entry['bytes'] / 1e6:.1f}" if entry["files"] else "-"),
            *(entry["found"] or entry["problem"] or "-", entry["label"], entry["license"]),
        )
        for entry in entries
    ]
    render.console().print(render.simple_table("Data", columns, rows, (2, 3)))


def _entry(holding: Holding) -> dict[str, Any]:
    card = holding.task.card
    bundled = card.data[holding.split].bundled
    files = {} if holding.data is None else {file.disk_name: file for file in holding.data.files}
    first = next(iter(files.values()), None)
    sources = card.sources_of(holding.split)
    gated = any(source.gated for source in sources)
    label = ", ".join(source.label or "by hand" for source in sources) or ("bundled" if bundled else "not known")
    return {
        "task": card.name,
        "split": holding.split,
        "found": str(first.path if first.member else first.path.parent) if first else None,
        "problem": str(holding.problem) if holding.problem else None,
        "files": len(files),
        "bytes": sum(file.size for file in files.values()),
        "digest": holding.data.digest if holding.data else None,
        "license": "comes with the task" if bundled else card.license,
        "label": f"{label} (gated)" if gated else label,
        "gated": gated,
        "sources": [source.model_dump(mode="json") for source in sources],
    }


@app.command("fetch")
def fetch(
    name: Annotated[list[str], typer.Argument(help="Tasks, groups, or all.")],
    split: Annotated[str | None, typer.Option(help="full or fast. Default: both.")] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Data folder to fill, made if it is not there. Default: babyeval's own, which every run looks at last."
        ),
    ] = None,
    vocabulary: Annotated[Path | None, typer.Option(help="For ewok: the official list of words.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Use only the Hub's local cache.")] = False,
    json: Json = False,
) -> None:
    """Fetch data from its source, at a fixed commit, and check it.

    Files that are there and right are left alone; a fetch that broke off goes on where it was.
    Exit code 3: something could not be fetched, or was not what was published (nothing of it is kept).

    Example: babyeval data fetch blimp --split fast
    """
    from babyeval.cli import render
    from babyeval.data.fetch import Wish
    from babyeval.data.fetch import fetch as fetch_all
    from babyeval.errors import UsageError
    from babyeval.progress import reporter

    if split not in (None, "full", "fast", "mini"):
        raise UsageError(f"There is no split '{split}'.", hint="Choose full or fast by --split.")
    wish = Wish(split, data_dir, offline, vocabulary, look_in=settings(data_dir=data_dir).data_dir)
    outcomes = fetch_all(_chosen(name), wish, reporter())
    if json:
        render.print_json([_outcome(outcome) for outcome in outcomes])
    else:
        rows = [(o.task, ", ".join(o.splits), len(o.files) or "-", o.state, o.source or "by hand") for o in outcomes]
        screen = render.console()
        screen.print(render.simple_table(f"Data folder {wish.root}", ("task", "splits", "files", "state", "source"), rows, (2,)))
        for outcome in outcomes:
            if outcome.error:
                screen.print(f"{outcome.task}: {outcome.error}", markup=False, soft_wrap=True)
    codes = {outcome.error.exit_code for outcome in outcomes if outcome.error}
    raise typer.Exit(1 if 1 in codes else max(codes, default=0))


def _outcome(outcome: Fetched) -> dict[str, object]:
    return {
        "task": outcome.task,
        "splits": list(outcome.splits),
        "source": outcome.source or None,
        "state": outcome.state,
        "files": list(outcome.files),
        "error": str(outcome.error) if outcome.error else None,
    }


@app.command("verify")
def verify(
    name: Annotated[list[str] | None, typer.Argument(help="Tasks or groups. Default: whatever is there.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Compare files with the checksums that are known of them.

    Exit code 1: a file differs from what was published, or a part of a set is missing; 3: a task that was
    named has no data here.
    """
    from babyeval.cli import render
    from babyeval.data.verify import exit_code, summary
    from babyeval.data.verify import verify as verify_all

    tasks = _chosen(name)
    verdicts = verify_all(tasks, settings(data_dir=data_dir).data_dir)
    if json:
        keys = ("task", "split", "file", "state", "detail")
        render.print_json([{key: getattr(verdict, key) for key in keys} for verdict in verdicts])
    else:
        screen = render.console()
        screen.print(render.simple_table("Data", ("task", "split", "file", "state", "detail"), _summed(verdicts)))
        screen.print(summary(verdicts), markup=False)
    raise typer.Exit(exit_code(verdicts, [task.card.name for task in tasks] if name else []))


def _summed(verdicts: list[Verdict]) -> list[tuple[str, ...]]:
    """Files that are right are counted by task, split and what they were held against; all others have a line of their own."""
    right = Counter((verdict.task, verdict.split, verdict.detail) for verdict in verdicts if verdict.state == "right")
    rows: list[tuple[str, ...]] = [(v.task, v.split, v.file or "-", v.state, v.detail) for v in verdicts if v.state != "right"]
    rows += [
        (task, split, f"all {count}" if count > 1 else "one", "right", detail) for (task, split, detail), count in right.items()
    ]
    return sorted(rows)
