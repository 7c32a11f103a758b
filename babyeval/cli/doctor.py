"""babyeval doctor: what this machine and this installation can do."""

from __future__ import annotations

import typer

from babyeval.cli.options import Json


def doctor(json: Json = False) -> None:
    """Look at the installation: versions, device, speed, caches, data, plug-ins."""
    from babyeval.cli import render
    from babyeval.diagnose import NO_DATA, diagnose

    findings, problems = diagnose()
    if json:
        render.print_json({"findings": findings, "problems": problems})
    else:
        screen = render.console()
        screen.print(render.simple_table("This installation", ("what", "found"), list(findings.items())))
        for problem in problems:
            screen.print(f"Problem: {problem}", markup=False)
        screen.print(f"{len(problems)} problems." if problems else "Everything is in order.")
        if findings["data"].startswith(NO_DATA):
            screen.print("No benchmark data was found: 'babyeval data fetch' gets it; the split mini needs none.", markup=False)
    raise typer.Exit(3 if problems else 0)
