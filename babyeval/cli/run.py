"""babyeval run: evaluate checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from babyeval.cli.options import (
    AllowPickle,
    Backend,
    DataDir,
    DataPasswords,
    Device,
    Masking,
    Offline,
    Out,
    Text,
    TrustRemoteCode,
    WordEnd,
)

if TYPE_CHECKING:
    from babyeval.config import RunConfig


def run(
    model: Annotated[list[str] | None, typer.Option("--model", help=r"[NAME=]PATH_OR_ID\[@REV]; may be repeated.")] = None,
    revisions: Annotated[
        Text, typer.Option(help="Glob over Hub branches or sub-folders, such as 'chck_*'; all that match are evaluated.")
    ] = None,
    tasks: Annotated[Text, typer.Option(help="all, a group, or task names: NAME,NAME. Default: all.")] = None,
    split: Annotated[Text, typer.Option(help="full, fast or mini (bundled). Default: full.")] = None,
    protocol: Annotated[Text, typer.Option(help="robust, babylm-2025, babylm-2026 or all. Default: robust.")] = None,
    data_dir: DataDir = None,
    data_password: DataPasswords = None,
    out: Out = None,
    backend: Backend = None,
    masking: Masking = None,
    word_end: WordEnd = None,
    dtype: Annotated[Text, typer.Option(help="float32, or bfloat16 with checks. Default: float32.")] = None,
    device: Device = None,
    limit: Annotated[int | None, typer.Option(help="Only so many items per task; such scores are never ranked.")] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Fine-tuning seeds under robust, 1 to N. Default: 5; fewer than 3 are flagged.")
    ] = None,
    allow_split_valid: Annotated[
        bool, typer.Option("--allow-split-valid", help="Fine-tune on a part of the reported file where there is no other.")
    ] = False,
    condition: Annotated[Text, typer.Option(help="Training condition of the model, for comparisons.")] = None,
    train_seed: Annotated[int | None, typer.Option(help="Training seed of the model, for comparisons.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and stop.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute everything again, whatever is cached.")] = False,
    offline: Offline = False,
    trust_remote_code: TrustRemoteCode = False,
    allow_pickle: AllowPickle = False,
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON on stdout.")] = False,
) -> None:
    """Evaluate checkpoints: score every task, write records, print a table.

    Started again, it computes only what is missing.

    Example: babyeval run --model my-model --tasks blimp --split fast
    """
    from babyeval.config import load_config

    given = {
        "models": tuple(model) if model else None, "revisions": revisions, "tasks": tasks, "split": split, "protocol": protocol,
        "data_dir": data_dir, "data_password": tuple(data_password) if data_password else None, "out": out,
        "backend": backend, "masking": masking, "word_end": word_end, "dtype": dtype, "device": device,
        "limit": limit, "seeds": seeds, "allow_split_valid": allow_split_valid or None, "condition": condition, "train_seed": train_seed, "dry_run": dry_run or None, "fresh": fresh or None,
        "offline": offline or None, "trust_remote_code": trust_remote_code or None, "allow_pickle": allow_pickle or None,
    }  # fmt: skip
    raise typer.Exit(_run_and_print(load_config(given), json))


def _run_and_print(config: RunConfig, json: bool) -> int:
    """Runs what is configured, prints the plans or the results, and returns the exit code."""
    from babyeval.api import run_models
    from babyeval.cli import render
    from babyeval.progress import reporter
    from babyeval.run.execute import exit_code, report
    from babyeval.run.plan import Plan

    plans: list[dict[str, object]] = []
    states: set[str] = set()

    def on_plan(plan: Plan) -> None:
        if not config.dry_run:
            return
        plans.append(render.plan_summary(plan))
        states.update(planned.state for planned in (*plan.tasks, *plan.fits))
        if not json:
            render.print_plan(plans[-1])

    results = run_models(config, reporter(), on_plan)
    if config.dry_run:
        if json:
            render.print_json(plans)
        states.update(result.status for result in results)  # of checkpoints that could not be planned
        return exit_code(states)
    outcome = report(config.tasks, results)
    if json:
        print(outcome.model_dump_json(indent=1))
    else:
        render.print_results(outcome, config.out)
    return outcome.exit_code
