"""How plans and results look on a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from babyeval.records import GroupHeadline, RunReport, Score, TaskResult
from babyeval.run.plan import Plan

_WIDTH_WITHOUT_TERMINAL = 130
_WIDE = 110  # columns that the whole table of results takes


def console() -> Console:
    """Standard output; wide enough for tables where there is no terminal."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=_WIDTH_WITHOUT_TERMINAL)


def print_json(content: Any) -> None:
    """Prints machine-readable output."""
    print(json.dumps(content, indent=1, ensure_ascii=False))


def simple_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], numeric: Sequence[int] = ()) -> Table:
    """A table without ornament; no cell is read as markup."""
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i in numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


def print_results(outcome: RunReport, out: Path) -> None:
    """The table of results, what went wrong, and where everything lies."""
    screen = console()
    models = dict.fromkeys((result.model.name, result.model.revision) for result in outcome.results)
    for name, revision in models:
        mine = [result for result in outcome.results if (result.model.name, result.model.revision) == (name, revision)]
        title = f"{name} ({revision}), scored as {mine[0].backend}"
        columns = ("task", "split", "protocol", "score", "95% interval", "chance", "n", "ties", "status")
        rows = [row for result in mine for row in _result_rows(result)]
        shown = range(len(columns)) if screen.width >= _WIDE else (0, 2, 3, 4, 8)  # --json and the records hold the rest
        rows = [tuple(row[i] for i in shown) for row in rows]
        screen.print(simple_table(title, [columns[i] for i in shown], rows, [n for n, i in enumerate(shown) if 3 <= i <= 7]))
    for line in _all_remarks(outcome.results):
        screen.print(Text(line))
    for group in outcome.groups:
        screen.print(Text(_group_line(group)))
    if any(result.status == "done" for result in outcome.results):
        screen.print(Text(f"Records and per-item tables: {out}"))


def _result_rows(result: TaskResult) -> list[tuple[str, ...]]:
    """The headline, and beneath it what other criteria give for the whole."""
    counts = result.counts
    label = (result.split, result.protocol)
    ties = str(counts.ties) if counts else "-"
    rows = [(result.task.name, *label, *_cells(result.headline), ties, result.status)]
    for score in result.scores:
        if not score.group and score not in result.headlines:
            rows.append((f"  {score.metric}", *label, *_cells(score), "", ""))
    return rows


def _cells(score: Score | None) -> tuple[str, ...]:
    if score is None:
        return ("-",) * 4
    return _number(score.value), _interval(score), _number(score.chance), f"{score.n:,}"


def _interval(score: Score) -> str:
    return f"{_number(score.ci_low)} to {_number(score.ci_high)}" if score.ci_low is not None else "undefined"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _all_remarks(results: Sequence[TaskResult]) -> list[str]:
    """What a reader of the numbers must know; what holds under several protocols is said once."""
    said: dict[tuple[str, str, str], list[str]] = {}
    for result in results:
        for remark in _remarks(result):
            said.setdefault((result.model.name, result.task.name, remark), []).append(result.protocol)
    several = len({result.model.name for result in results}) > 1
    return [
        f"{f'{model}, ' if several else ''}{task} ({', '.join(protocols)}): {remark}"
        for (model, task, remark), protocols in said.items()
    ]


def _remarks(result: TaskResult) -> list[str]:
    lines = [f"{result.status}. {result.error}"] if result.error and result.status != "not_applicable" else []
    if result.data and result.data.departs:
        lines.append(f"the data is not what was published: {result.data.departs}.")
    for score in result.scores:
        if not score.group and score.note and score.ci_low is None:
            name = "" if score in result.headlines else f"{score.metric}: "
            lines.append(name + (f"no interval, {score.note}." if score.value is not None else f"{score.note}."))
    counts = result.counts
    if counts and counts.nan:
        lines.append(f"{counts.nan} items with NaN scores; {result.protocol} gives them a meaning, the model has none.")
    if counts and counts.truncated:
        lines.append(f"in {counts.truncated} items context was cut to fit the model's window.")
    if counts and counts.unscored:
        lines.append(f"in {counts.unscored} items the first token was not scored, for want of a BOS token.")
    precision = result.provenance.precision if result.provenance else None
    if precision:
        lines.append(
            f"bfloat16; {precision.rescored} close decisions scored again in float32, "
            f"{precision.audit_differs} of {precision.audited} audited ones differ."
        )
    return lines


def _group_line(group: GroupHeadline) -> str:
    label = f"{group.model} ({group.revision}), {group.group} average ({group.protocol})"
    if group.value is not None:
        return f"{label}: {group.value:.2f}, mean of {len(group.tasks)} tasks, unit {' and '.join(group.units)}"
    return f"{label}: not formed; {', '.join(group.missing)} missing"


def plan_summary(plan: Plan) -> dict[str, Any]:
    """A plan as plain data."""
    missing = set(plan.engine.missing(plan.questions.queries, plan.config.dtype))
    tasks = []
    for planned in plan.tasks:
        queries = plan.questions.of(planned.asked)
        tasks.append(
            {
                "task": planned.task.card.name,
                "protocol": planned.protocol.name,
                "split": planned.split,
                "state": planned.state,
                "items": len(planned.items) if planned.state == "run" else None,
                "queries": len(queries) if planned.state == "run" else None,
                "to_compute": sum(key in missing for key in queries) if planned.state == "run" else None,
                "files": [file.name for file in planned.source.files] if planned.source else [],
                "reason": str(planned.error) if planned.error else None,
            }
        )
    return {
        "model": plan.model.model_dump(),
        "backend": plan.backend,
        "backend_reason": plan.checkpoint.choice.reason,
        "tasks": tasks,
        "queries": len(plan.questions.queries),
        "to_compute": len(missing),
    }


def print_plan(summary: dict[str, Any]) -> None:
    """The plan as a table."""
    screen = console()
    words = {"run": "will run", "kept": "done already", "not_applicable": "not applicable"}
    rows = [
        (
            task["task"], task["split"], task["protocol"], words.get(task["state"], task["state"]),
            *("-" if task[key] is None else f"{task[key]:,}" for key in ("items", "queries", "to_compute")),
        )
        for task in summary["tasks"]
    ]  # fmt: skip
    title = f"{summary['model']['name']}, scored as {summary['backend']} ({summary['backend_reason']})"
    columns = ("task", "split", "protocol", "state", "items", "queries", "to compute")
    screen.print(simple_table(title, columns, rows, (4, 5, 6)))
    for task in summary["tasks"]:
        if task["reason"]:
            screen.print(Text(f"{task['task']}: {task['reason']}"))
    screen.print(f"{summary['to_compute']:,} of {summary['queries']:,} distinct queries would be computed.")
