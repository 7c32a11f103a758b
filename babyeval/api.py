"""The Python API: evaluate a model, and load results as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.config import RunConfig, load_config
from babyeval.errors import BabyevalError, UsageError
from babyeval.models.checkpoint import Checkpoint, from_memory
from babyeval.progress import Quiet, Reporter
from babyeval.records import Score, TaskResult
from babyeval.run.execute import execute
from babyeval.run.plan import Plan, make_plan
from babyeval.run.prepared import Prepared
from babyeval.run.sweep import open_models, results_of_failure
from babyeval.run.trajectory import add_trajectories
from babyeval.store import DamagedRecord, ResultStore

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    model: Any,
    tasks: Sequence[str] | str = "all",
    *,
    tokenizer: Any = None,
    name: str | None = None,
    reporter: Reporter | None = None,
    **options: Any,
) -> list[TaskResult]:
    """Evaluates a checkpoint, or a model that is already loaded.

    Args:
        model: ``[NAME=]PATH_OR_ID[@REV]``, or a ``transformers`` model with a vocabulary head.
        tasks: Task and group names.
        tokenizer: The fast tokenizer of a loaded model.
        name: The name of a loaded model in results.
        reporter: Shows progress; silent by default.
        options: Fields of `babyeval.config.RunConfig`, for example ``split="mini"`` or ``out="results"``.

    Returns:
        One result per task and protocol, in the tasks' order; failed and skipped ones say why. Of a sweep those of
        each checkpoint, then those over all of them.

    Raises:
        UsageError: An option is wrong, or the model cannot be scored.
        MissingError: The model, a permission or disk space is missing.

    Example:
        >>> results = evaluate("tiny", ["blimp"], split="mini")  # doctest: +SKIP
        >>> results[0].headline.value  # doctest: +SKIP
        54.5
    """
    if isinstance(model, str | Path):
        config = load_config({"models": (str(model),), "tasks": tasks, **options})
        return run_models(config, reporter or Quiet())
    if tokenizer is None:
        raise UsageError("A loaded model needs its tokenizer.", hint="evaluate(model, tokenizer=tokenizer, ...)")
    config = load_config({"models": ("memory",), "tasks": tasks, **options})
    if config.revisions is not None:
        raise UsageError("A loaded model has no revisions.", hint="Name its folder or Hub id instead.")
    checkpoint = from_memory(model, tokenizer, name=name, backend=config.backend)
    return _run(config, checkpoint, reporter or Quiet(), lambda _: None, Prepared(config))


def run_models(config: RunConfig, reporter: Reporter, on_plan: Callable[[Plan], None] = lambda _: None) -> list[TaskResult]:
    """Evaluates every model of a configuration, one after the other; what they share is prepared once.

    Of several models, one that fails does not stop the others: its results say why.

    Args:
        config: What to do.
        reporter: Shows progress.
        on_plan: Is given each model's plan before it is executed; with ``dry_run`` that is all.
    """
    models = open_models(config)
    prepared = Prepared(config)
    results: list[TaskResult] = []
    for model in models:
        try:
            if not isinstance(model, Checkpoint):
                raise model.error
            results += _run(config, model, reporter, on_plan, prepared)
        except BabyevalError as error:
            if len(models) == 1:
                raise
            reporter.note(f"{model.name} ({model.revision}) failed: {error.what}")
            results += results_of_failure(config, model, error)
    opened = [model for model in models if isinstance(model, Checkpoint)]
    return results + add_trajectories(config, opened, results, reporter)


def _run(
    config: RunConfig, checkpoint: Checkpoint, reporter: Reporter, on_plan: Callable[[Plan], None], prepared: Prepared
) -> list[TaskResult]:
    plan = make_plan(config, checkpoint, reporter, prepared)
    try:
        on_plan(plan)
        return [] if config.dry_run else execute(plan)
    finally:
        plan.engine.close()


def load_results(
    folder: str | Path = "results", *, seeds: bool = False, damaged: list[DamagedRecord] | None = None
) -> pd.DataFrame:
    """All scores of a results folder as a table, one row per score.

    Args:
        folder: What ``babyeval run --out`` wrote.
        seeds: Also the scores of single fine-tuning seeds, with their number in a column ``seed``.
        damaged: Takes up the errors of records that cannot be read, which then stop nothing.

    Returns:
        Columns ``model``, ``revision``, ``task``, ``protocol``, ``split``, ``backend``, ``status``,
        then the fields of `babyeval.records.Score`, ``headline`` (whether the score is one), and the
        model's ``condition``, ``train_seed``, ``words_seen`` and ``digest``.

    Raises:
        MissingError: There is no such folder.
        UsageError: A record is damaged and ``damaged`` is not given.
    """
    import pandas as pd

    about = ("condition", "train_seed", "words_seen", "digest")
    columns = [
        *("model", "revision", "task", "protocol", "split", "backend", "status"),
        *Score.model_fields,
        "headline",
        *about,
        *(["seed"] if seeds else []),
    ]
    rows: list[dict[str, Any]] = []
    for result in ResultStore(Path(folder)).results(seeds, damaged):
        common = {
            "model": result.model.name,
            "revision": result.model.revision,
            "task": result.task.name,
            "protocol": result.protocol,
            "split": result.split,
            "backend": result.backend,
            "status": result.status,
            **{key: getattr(result.model, key) for key in about},
            **({"seed": result.fit.seed if result.fit else None} if seeds else {}),
        }
        rows.extend({**common, **score.model_dump(), "headline": score in result.headlines} for score in result.scores)
    return pd.DataFrame(rows, columns=columns)
