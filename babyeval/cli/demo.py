"""babyeval demo: make a tiny model and evaluate it on bundled data, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(out: Annotated[Path, typer.Option(help="Folder for the model and the results.")] = Path("babyeval-demo")) -> None:
    """Make a tiny model and evaluate it on the bundled mini splits, offline, in seconds."""
    from babyeval.api import run_models
    from babyeval.cli import render
    from babyeval.config import RunConfig
    from babyeval.demo import make_tiny_model
    from babyeval.progress import reporter
    from babyeval.run.execute import report

    model = make_tiny_model(out / "models" / "tiny-random")
    config = RunConfig(models=(str(model),), tasks=("zero-shot",), split="mini", protocol="all", out=out / "results")
    outcome = report(("demo",), run_models(config, reporter()))
    render.print_results(outcome, config.out)
    print("The model has random weights, so its scores are chance within their intervals: that is the point of error bars.")
    print(f"Try your own:  babyeval run --model PATH --tasks zero-shot --split mini --out {config.out}")
    raise typer.Exit(outcome.exit_code)
