"""babyeval check: is this checkpoint sound, and what will be done with it?"""

from __future__ import annotations

from typing import Annotated

import typer

from babyeval.cli.options import AllowPickle, Backend, Device, Json, Offline, TrustRemoteCode


def check(
    model: Annotated[str, typer.Argument(help=r"[NAME=]PATH_OR_ID\[@REV]")],
    backend: Backend = None,
    device: Device = None,
    offline: Offline = False,
    trust_remote_code: TrustRemoteCode = False,
    allow_pickle: AllowPickle = False,
    json: Json = False,
) -> None:
    """Look at a checkpoint: kind, tokenizer, window, sanity, and what each task will do with it."""
    from babyeval.cli import render
    from babyeval.models.checkpoint import open_checkpoint
    from babyeval.models.inspect import inspect_checkpoint
    from babyeval.models.naming import parse_model

    checkpoint = open_checkpoint(
        parse_model(model),
        backend=backend or "auto",
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
        offline=offline,
    )
    report = inspect_checkpoint(checkpoint, device or "auto")
    if json:
        render.print_json(report.as_dict())
    else:
        screen = render.console()
        screen.print(render.simple_table(f"{checkpoint.name}", ("what", "found"), list(report.facts.items())))
        screen.print(render.simple_table("Tasks", ("task", "what it will do with this model"), list(report.tasks.items())))
        for warning in report.warnings:
            screen.print(f"Warning: {warning}", markup=False)
        screen.print("No problem found." if not report.warnings else f"{len(report.warnings)} warnings.")
    raise typer.Exit(1 if report.unusable else 0)
