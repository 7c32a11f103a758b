"""Executing a plan: answers become outcomes, scores and records, task by task."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from babyeval.data.verify import departures
from babyeval.errors import BabyevalError, MissingError, UsageError
from babyeval.models.naming import counted
from babyeval.records import Counts, DataInfo, FileInfo, FitInfo, RunReport, TaskResult, Timing
from babyeval.run.groups import group_headlines
from babyeval.run.plan import Plan, planned_backend, planned_dtype, planned_word_end, unexpected
from babyeval.run.planned import Planned, PlannedTask
from babyeval.run.precision import Answers, Rows, checked_rows, rows_of
from babyeval.run.provenance import provenance
from babyeval.run.questions import Waiting
from babyeval.scoring.engine import Dtype
from babyeval.types import Outcome

if TYPE_CHECKING:
    import pandas as pd


def execute(plan: Plan) -> list[TaskResult]:
    """Runs what has to be run and writes its records.

    Returns:
        One result per planned task, in the plan's order, tasks about spans first.

    Raises:
        UsageError: The model cannot be scored at all.
        MissingError: Something that all tasks need is missing: disk space, memory, a permission.
    """
    start = time.monotonic()
    running = plan.running()
    done: dict[int, TaskResult] = {}
    precisions: tuple[Dtype, ...] = ("float32", "bfloat16")
    for dtype in precisions:
        concerned = [planned for planned in running if planned_dtype(plan, planned) == dtype]
        _answer_all(
            plan, concerned, dtype, lambda planned, answers: done.update({id(planned): _finish(plan, planned, answers, start)})
        )
    results = [done.get(id(planned)) or not_run(plan, planned, planned_backend(plan, planned)) for planned in plan.tasks]
    if not plan.fits:
        return results
    from babyeval.fit.execute import execute_fits

    plan.engine.close()  # its weights are not needed any more: fits open the body
    return results + execute_fits(plan, plan.engine.reporter)


def _answer_all(
    plan: Plan, concerned: Sequence[PlannedTask], dtype: Dtype, finish: Callable[[PlannedTask, Answers], None]
) -> None:
    """Answers the questions of all tasks of one precision at once, so that they share prefixes and batches.

    In float32 a task is finished as soon as it has its answers, while longer inputs of others are still scored: what
    ends a run in the middle leaves the records of what was done.
    """
    tasks, protocols = {planned.task.card.name for planned in concerned}, {planned.protocol.name for planned in concerned}
    about = f"{counted(len(tasks), 'task')} under {counted(len(protocols), 'protocol')}"
    label = plan.model.name if plan.model.revision == "main" else f"{plan.model.name} ({plan.model.revision})"
    waiting, left = Waiting([planned.asked for planned in concerned]), dict(enumerate(concerned))

    def listener(keys: Collection[bytes], answers: Answers) -> None:
        for i in waiting.answered(keys):
            finish(left.pop(i), answers)

    early = dtype == "float32"  # in bfloat16, close decisions are to be scored again first
    asked = [spans for planned in concerned for spans in planned.asked]
    answers = plan.engine.answer(plan.questions.of(asked), dtype, label, about, listener if early else None) if asked else {}
    for planned in left.values():
        finish(planned, answers)


def _finish(plan: Plan, planned: PlannedTask, answers: Answers, start: float) -> TaskResult:
    precision = None
    try:
        if planned_dtype(plan, planned) == "bfloat16":
            rows, precision = checked_rows(plan, planned, answers)
        else:
            rows = rows_of(planned, answers)
        outcomes = planned.task.outcomes(planned.items, rows, planned.protocol)
        scores = planned.task.scores(planned.items, outcomes, planned.protocol)
        if planned_word_end(plan, planned) == "corrected":  # what is counted is the words, as without the correction
            rows = [answers[: len(item.spans)] for item, answers in zip(planned.items, rows, strict=True)]
        table = items_table(planned, rows, outcomes)
    except BabyevalError as error:
        return record_failure(plan, planned, error, planned_backend(plan, planned))
    except Exception as error:  # a plug-in's own code may fail in any way
        return record_failure(plan, planned, unexpected(planned.task.card.name, error), planned_backend(plan, planned))
    assert planned.source is not None
    files = tuple(FileInfo(name=file.name, sha256=file.sha256, size=file.size) for file in planned.source.files)
    result = TaskResult(
        **_identity(plan, planned, planned_backend(plan, planned)),
        status="done",
        headlines=tuple(scores[: planned.task.headline_count]),
        scores=tuple(scores),
        counts=_counts(rows, outcomes),
        data=DataInfo(
            split=planned.source.split,
            digest=planned.source.digest,
            files=files,
            departs=departures(planned.task, planned.source),
        ),
        provenance=provenance(plan, planned, precision),
        timing=_timing(plan, start),
    )
    return plan.store.write(result, table)


def items_table(planned: PlannedTask, rows: Rows, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One line per item: what was compared and what came of it; it holds no text of the benchmark."""
    import pandas as pd

    columns: dict[str, list[Any]] = {
        "item_id": [item.id for item in planned.items],
        "place": [item.place for item in planned.items],
        "subset": [item.subset for item in planned.items],
        "cluster": [item.cluster for item in planned.items],
        "gold": [item.gold for item in planned.items],
        "value": [outcome.value for outcome in outcomes],
        "prediction": [outcome.prediction for outcome in outcomes],
        "tied": [outcome.tied for outcome in outcomes],
        "scores": [list(outcome.raw) for outcome in outcomes],
        "tokens": [[len(row.logprobs) for row in answers] for answers in rows],
        "truncated": [any(row.truncated for row in answers) for answers in rows],
        "unscored": [sum(row.unscored for row in answers) for answers in rows],
    }
    further: dict[str, list[Any]] = {name: [outcome.variants[name] for outcome in outcomes] for name in outcomes[0].variants}
    named = dict.fromkeys(key for item in planned.items for key in item.meta)
    keys = {key: [item.meta.get(key) for item in planned.items] for key in named}
    if taken := sorted((further.keys() & columns.keys()) | (keys.keys() & (columns.keys() | further.keys()))):
        raise UsageError(f"A metric or an item's key is named like a column of the table: {', '.join(taken)}.", hint="Rename it.")
    return pd.DataFrame({**columns, **further, **keys})


def _counts(rows: Rows, outcomes: Sequence[Outcome]) -> Counts:
    return Counts(
        items=len(outcomes),
        ties=sum(outcome.tied > 1 for outcome in outcomes),
        nan=sum(outcome.nan for outcome in outcomes),
        truncated=sum(any(row.truncated for row in answers) for answers in rows),
        unscored=sum(any(row.unscored for row in answers) for answers in rows),
    )


def _timing(plan: Plan, start: float) -> Timing:
    computations = plan.engine.computations.values()
    works = plan.engine.works.values()
    return Timing(
        seconds=time.monotonic() - start,
        rows_computed=sum(computation.computed for computation in computations),
        rows_cached=sum(computation.cached for computation in computations),
        positions=sum(work.positions for work in works),
        trie_nodes=sum(work.nodes for work in works),
    )


def _identity(plan: Plan, planned: Planned, backend: str) -> dict[str, Any]:
    return {
        "task": planned.task.card,
        "model": plan.model,
        "protocol": planned.protocol.name,
        "split": planned.split,
        "backend": backend,
    }


def not_run(plan: Plan, planned: Planned, backend: str) -> TaskResult:
    """The result of a task that is kept, or cannot be run and why."""
    if planned.result is not None:
        return planned.result
    assert planned.error is not None
    if planned.state == "failed":
        return record_failure(plan, planned, planned.error, backend)
    status = "skipped" if planned.state == "skipped" else "not_applicable"
    return TaskResult(**_identity(plan, planned, backend), status=status, error=str(planned.error))


def record_failure(plan: Plan, planned: Planned, error: BabyevalError, backend: str, fit: FitInfo | None = None) -> TaskResult:
    """A failed task leaves a record that says why, but never in the place of a good one.

    Raises:
        MissingError: The error concerns all tasks.
    """
    if isinstance(error, MissingError):
        raise error
    result = TaskResult(**_identity(plan, planned, backend), status="failed", error=str(error), fit=fit)
    old = plan.store.find(plan.model, planned.task.card.name, planned.split, backend, planned.protocol.name)
    return result if old is not None and old.status == "done" else plan.store.write(result, None)


def exit_code(states: Collection[str]) -> int:
    """1 if a task failed, 3 if something is missing, else 0."""
    return 1 if "failed" in states else 3 if "skipped" in states else 0


def report(groups: Sequence[str], results: Sequence[TaskResult]) -> RunReport:
    """What a run came to, with its exit code: 1 if a task failed, 3 if something is missing."""
    code = exit_code({result.status for result in results})
    names = {0: "done", 1: "failed", 3: "incomplete"}
    return RunReport.model_validate(
        {
            "status": names[code],
            "exit_code": code,
            "results": tuple(results),
            "groups": tuple(group_headlines(groups, results)),
        }
    )
