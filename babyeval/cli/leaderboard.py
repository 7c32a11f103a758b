"""babyeval leaderboard: one HTML page out of a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from babyeval.cli.options import Json, Results, Text, settings

if TYPE_CHECKING:
    from babyeval.leaderboard.payload import Payload


def leaderboard(
    results: Results = None,
    out: Annotated[Path, typer.Option(help="The page: an HTML file.")] = Path("leaderboard.html"),
    protocol: Annotated[Text, typer.Option(help="Default: robust, unless another is the only one that all models share.")] = None,
    split: Annotated[Text, typer.Option(help="Default: task by task, the one that most models have.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Folder for the figures as SVG and PDF.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Build one self-contained page of all results: scores with intervals, comparisons, conditions, figures.

    It reads records alone, of any results folder, and needs no network, neither now nor when it is opened.

    Example: babyeval leaderboard results --out leaderboard.html
    """
    from babyeval.cli import render
    from babyeval.leaderboard.page import build_page

    made = build_page(settings(out=results).out, out, protocol=protocol, split=split, figures=figures)
    facts = _facts(made, out)
    if json:
        render.print_json(facts)
    else:
        _print(facts, figures)


def _facts(made: Payload, out: Path) -> dict[str, Any]:
    """What is on the page, and what is not."""
    return {
        "schema_version": made.schema_version,
        "out": str(out),
        "bytes": out.stat().st_size,
        "protocol": made.protocol,
        "split": made.split,
        "models": [model.label for model in made.models],
        "tasks": [task.id for task in made.tasks],
        "conditions": made.conditions.names if made.conditions is not None else [],
        "figures": list(made.figures),
        "pairs_note": made.pairs_note,
        "notes": [
            *made.notes,
            *(f"{column}: {reason}: no best is marked, no pair is tested." for column, reason in made.mixed.items()),
        ],
        "damaged": [one.model_dump() for one in made.damaged],
    }


def _print(facts: dict[str, Any], figures: Path | None) -> None:
    from babyeval.models.naming import counted

    what = [counted(len(facts["models"]), "model"), counted(len(facts["tasks"]), "task")]
    if facts["conditions"]:
        what.append(counted(len(facts["conditions"]), "condition"))
    print(f"Wrote {facts['out']} ({facts['bytes'] / 1e6:.1f} MB): {', '.join(what)}.")
    print(f"Protocol {facts['protocol']}, split {facts['split']}.")
    for note in filter(None, (*facts["notes"], facts["pairs_note"])):
        print(note)
    for one in facts["damaged"]:
        print(f"Left out: {one['path']}: {one['reason']}")
    if figures is not None:
        count = counted(len(facts["figures"]), "figure")
        print(f"{count} as SVG and PDF in {figures}.")
    print(f"Open it in a browser: {Path(facts['out']).resolve().as_uri()}")
