"""How plans and results look on a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import stdev
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from babyeval.models.naming import counted, short_count
from babyeval.models.revisions import by_words, equal_weights
from babyeval.records import GroupHeadline, RunReport, Score, TaskResult
from babyeval.run.plan import Plan, planned_backend

_WIDTH_WITHOUT_TERMINAL = 130
WIDE = 110  # columns that the whole table of results takes

_Remark = tuple[str, str, str, str]  # of what task, the remark, under which protocol, of which revision


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
    revisions = _revisions(outcome.results)
    for name in revisions:
        mine = [result for result in outcome.results if result.model.name == name]
        for table in _tables(screen, mine):
            screen.print(table)
    for line in _all_remarks(outcome.results):
        screen.print(Text(line))
    if any(result.split.startswith("mini") and result.status == "done" for result in outcome.results):
        screen.print(Text("mini: such splits are made up for trying out; they show that everything runs, and measure nothing."))
    for line in dict.fromkeys(_group_line(group, len(revisions[group.model]) > 1) for group in outcome.groups):
        screen.print(Text(line))
    if any(result.status == "done" for result in outcome.results):
        screen.print(Text(f"Records and per-item tables: {out}"))


def _revisions(results: Sequence[TaskResult]) -> dict[str, tuple[str, ...]]:
    """The revisions of each model, in the results' order."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        found.setdefault(result.model.name, {})[result.model.revision] = None
    return {name: tuple(revisions) for name, revisions in found.items()}


def _tables(screen: Console, mine: Sequence[TaskResult]) -> list[Table]:
    """One model's tables: that of a sweep, or that of one revision and what an earlier sweep says beside it."""
    own = [result for result in mine if not result.checkpoints]
    over = [result for result in mine if result.checkpoints]
    names = {result.model.revision for result in own}
    if len(names) > 1 or any(one.revision in names for result in over for one in result.checkpoints):
        return [_table_of_sweep(screen, mine)]
    fits = [result for result in own if result.task.fit]
    spans = [result for result in own if not result.task.fit]
    kinds = ((spans, _table_of_model), (fits, _table_of_fits), (over, _table_of_sweep))
    return [table(screen, results) for results, table in kinds if results]


def _task_label(result: TaskResult, score: Score | None) -> str:
    """The task and its headline: the subset where there is one, the metric where it is not the card's or has a sibling."""
    if score is None:
        return result.task.name
    other = score.metric != result.task.metric or result.checkpoints
    metric = f"{score.metric}{'' if score.unit in ('percent', 'correlation') else f' ({score.unit})'}" if other else ""
    return " ".join(filter(None, (result.task.name, metric, score.subset)))


def _table_of_model(screen: Console, mine: Sequence[TaskResult]) -> Table:
    title = f"{mine[0].model.name} ({mine[0].model.revision}), scored as {_backends(mine)}"
    columns = ("task", "split", "protocol", "score", "95% interval", "chance", "n", "ties", "status")
    rows = [row for result in mine for row in _result_rows(result)]
    shown = range(len(columns)) if screen.width >= WIDE else (0, 2, 3, 4, 8)  # --json and the records hold the rest
    rows = [tuple(row[i] for i in shown) for row in rows]
    return simple_table(title, [columns[i] for i in shown], rows, [n for n, i in enumerate(shown) if 3 <= i <= 7])


def _table_of_fits(screen: Console, mine: Sequence[TaskResult]) -> Table:
    """Fine-tuned tasks: the mean over seeds and its spread, and beneath it what other metrics give."""
    title = f"{mine[0].model.name} ({mine[0].model.revision}), fine-tuned"
    columns = ("task", "split", "protocol", "mean", "SD over seeds", "95% interval", "chance", "n", "seeds", "status")
    rows: list[tuple[str, ...]] = []
    for result in mine:
        whole = tuple(score for score in result.scores if not score.group)
        for score in whole or (None,):
            first = score is None or score in result.headlines
            name = result.task.name if first else f"  {score.metric}" if score else ""
            value, *others = cells(score)
            seeds = _seeds(result) if first else ""
            rows.append(
                (
                    name,
                    result.split,
                    result.protocol,
                    value,
                    _spread(result, score),
                    *others,
                    seeds,
                    status_of(result) if first else "",
                )
            )
    shown = range(len(columns)) if screen.width >= WIDE else (0, 2, 3, 4, 5, 9)
    rows = [tuple(row[i] for i in shown) for row in rows]
    return simple_table(title, [columns[i] for i in shown], rows, [n for n, i in enumerate(shown) if 3 <= i <= 8])


def _spread(result: TaskResult, score: Score | None) -> str:
    """Standard deviation over seeds of a fit's metric."""
    values = [one.value for one in result.scores if score and (one.metric, one.group) == (score.metric, "seed")]
    known = [value for value in values if value is not None]
    return f"{stdev(known):.2f}" if len(known) == len(values) > 1 else "-"


def _seeds(result: TaskResult) -> str:
    """The seeds behind a mean: how many, of how many if some diverged."""
    if result.fit is None:
        return "-"
    counted, everything = len(result.fit.counted), len(result.fit.fits)
    return str(counted) if counted == everything else f"{counted} of {everything}"


def status_of(result: TaskResult) -> str:
    """The status, with what makes a fit's number another one than it seems."""
    fit = result.fit
    constant = sum(bool(one.constant) for one in fit.counted) if fit is not None else 0
    if fit is None or not constant:
        return result.status
    return f"{result.status}, constant" + (f" in {constant} of {len(fit.counted)}" if len(fit.fits) > 1 else "")


def _table_of_sweep(screen: Console, mine: Sequence[TaskResult]) -> Table:
    """Several revisions of one model in one table: task by task, in the order of training."""
    models = list({result.model.revision: result.model for result in mine if not result.checkpoints}.values())
    twins = {name: group[0] for group in equal_weights((m.revision, m.weights) for m in models) for name in group[1:]}
    swept = counted(len(models), "revision") if models else counted(len(mine[0].checkpoints), "checkpoint") + " together"
    title = f"{mine[0].model.name}, {swept}, scored as {_backends(mine)}"
    columns = ("task", "split", "protocol", "words seen", "revision", "score", "95% interval", "chance", "n", "status")
    order = list(dict.fromkeys((result.task.name, result.split, result.protocol) for result in mine))
    keyed: list[tuple[tuple[Any, ...], tuple[str, ...]]] = []
    for result in mine:
        label, words, revision = (result.task.name, result.split, result.protocol), result.model.words_seen, result.model.revision
        status = status_of(result) + (f", weights of {twins[revision]}" if revision in twins else "")
        for i, score in enumerate(result.headlines or (None,)):
            row = (
                _task_label(result, score),
                *label[1:],
                "-" if words is None else short_count(words),
                revision,
                *cells(score),
                status,
            )
            keyed.append(((order.index(label), i, *by_words(words, revision)), row))
    rows = [row for _, row in sorted(keyed)]
    shown = range(len(columns)) if screen.width >= WIDE else (0, 2, 4, 5, 6, 9)
    rows = [tuple(row[i] for i in shown) for row in rows]
    numeric = [n for n, i in enumerate(shown) if i in (3, 5, 6, 7, 8)]
    return simple_table(title, [columns[i] for i in shown], rows, numeric)


def _backends(results: Sequence[TaskResult]) -> str:
    opened = [result for result in results if result.model.kind != "unknown"]
    return ", ".join(dict.fromkeys(result.backend for result in opened or results))


def _result_rows(result: TaskResult) -> list[tuple[str, ...]]:
    """The headline, and beneath it what other criteria give for the whole."""
    counts = result.counts
    label = (result.split, result.protocol)
    ties = str(counts.ties) if counts else "-"
    rows = [(_task_label(result, result.headline), *label, *cells(result.headline), ties, result.status)]
    for score in result.scores:
        if not score.group and score != result.headline:
            what = _task_label(result, score) if score in result.headlines else f"  {score.metric} {score.subset}".rstrip()
            rows.append((what, *label, *cells(score), "", ""))
    return rows


def cells(score: Score | None) -> tuple[str, ...]:
    """Value, interval, chance and number of items, as texts."""
    if score is None:
        return ("-",) * 4
    if score.unit == "words":  # a count
        return "-" if score.value is None else f"{score.value:,.0f}", "", "", f"{score.n:,}"
    return _number(score.value), _interval(score), _number(score.chance), f"{score.n:,}"


def _interval(score: Score) -> str:
    return f"{_number(score.ci_low)} to {_number(score.ci_high)}" if score.ci_low is not None else "undefined"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _all_remarks(results: Sequence[TaskResult]) -> list[str]:
    """What a reader of the numbers must know; what holds under several protocols or revisions is said once."""
    revisions = _revisions(results)
    several = len(revisions) > 1
    said: dict[str, list[_Remark]] = {name: [] for name in revisions}
    stopped: dict[str, None] = {}
    for result in results:
        name, revision = result.model.name, result.model.revision
        if result.model.kind == "unknown" and result.status in ("failed", "skipped"):  # the checkpoint as a whole
            stopped[f"{name} ({revision}): {result.status}. {result.error}"] = None
            continue
        whose = f"{name}, {result.task.name}" if several else result.task.name
        said[name] += [(whose, remark, result.protocol, revision) for remark in _remarks(result)]
    lines = [line for name, remarks in said.items() for line in _said_once(remarks, len(revisions[name]))]
    return [*stopped, *lines, *_equal_revisions(results)]


def _said_once(remarks: Sequence[_Remark], revisions: int = 1) -> list[str]:
    """Lines that name the protocols under which a remark holds, and the revisions if they are not all of so many."""
    members: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for whose, remark, protocol, revision in remarks:
        members.setdefault((whose, remark), []).append((protocol, revision))
    lines = []
    for (whose, remark), places in members.items():
        protocols, there = (list(dict.fromkeys(names)) for names in zip(*places, strict=True))
        only = f"; {', '.join(there)}" if len(there) < revisions else ""
        lines.append(f"{whose} ({', '.join(protocols)}{only}): {remark}")
    return lines


def _equal_revisions(results: Sequence[TaskResult]) -> list[str]:
    """Revisions of one model that are the same model (D36)."""
    lines = []
    for name in dict.fromkeys(result.model.name for result in results):
        models = {result.model.revision: result.model.weights for result in results if result.model.name == name}
        lines += [f"{name}: {' and '.join(group)} have the same weights." for group in equal_weights(models.items())]
    return lines


def _remarks(result: TaskResult) -> list[str]:
    lines = [f"{result.status.replace('_', ' ')}. {result.error}"] if result.error else []
    if result.split.startswith("mini") and result.task.mini_note and result.status == "done":
        lines.append(f"mini: {result.task.mini_note}.")
    if result.data and result.data.departs:
        lines.append(f"the data is not what was published: {result.data.departs}.")
    if result.fit is not None:
        return [*lines, *(f"{note}." for score in result.headlines if score.note for note in score.note.split("; "))]
    for score in result.scores:
        if not score.group and score.note and (score.ci_low is None or score.se is not None):
            name = " ".join(filter(None, ("" if score in result.headlines else score.metric, score.subset)))
            said = f"no interval, {score.note}." if score.value is not None and score.ci_low is None else f"{score.note}."
            lines.append(f"{name}: {said}" if name else said)
    others = (score for score in result.scores if not score.group and score not in result.headlines)
    units = {score.metric: score.unit for score in others if score.unit not in ("percent", "correlation", "words")}
    lines += [f"{metric} is in {unit}." for metric, unit in units.items()]
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


def _group_line(group: GroupHeadline, sweep: bool = False) -> str:
    """What a group's average is; of a sweep's revisions that lack the same tasks it is said once."""
    revision = "" if sweep and group.value is None else f" ({group.revision})"
    label = f"{group.model}{revision}, {group.group} average ({group.protocol})"
    if group.value is not None:
        return f"{label}: {group.value:.2f}, mean of {len(group.tasks)} numbers, unit {' and '.join(group.units)}"
    return f"{label}: not formed; {', '.join(group.missing)} missing"


def plan_summary(plan: Plan) -> dict[str, Any]:
    """A plan as plain data."""
    asked = plan.questions.of([spans for planned in plan.running() for spans in planned.asked])
    missing = set(plan.engine.missing(asked, plan.config.dtype))
    tasks = []
    for planned in plan.tasks:
        queries = plan.questions.of(planned.asked)
        tasks.append(
            {
                "task": planned.task.card.name,
                "protocol": planned.protocol.name,
                "split": planned.split,
                "backend": planned_backend(plan, planned),
                "state": planned.state,
                "items": len(planned.items) if planned.state == "run" else None,
                "queries": len(queries) if planned.state == "run" else None,
                "to_compute": sum(key in missing for key in queries) if planned.state == "run" else None,
                "files": [file.name for file in planned.source.files] if planned.source else [],
                "reason": str(planned.error) if planned.error else None,
            }
        )
    fits = [
        {
            "task": planned.task.card.name,
            "protocol": planned.protocol.name,
            "split": planned.split,
            "state": planned.state,
            "seeds": list(planned.seeds),
            "seeds_to_do": planned.todo if planned.state == "run" else [],
            "train_examples": len(planned.train) if planned.state == "run" else None,
            "items": len(planned.reported) if planned.state == "run" else None,
            "epochs": planned.hyper.epochs if planned.hyper else None,
            "files": [file.name for file in planned.source.files] if planned.source else [],
            "reason": str(planned.error) if planned.error else None,
        }
        for planned in plan.fits
    ]
    return {
        "model": plan.model.model_dump(),
        "backend": plan.backend,
        "backend_reason": plan.checkpoint.choice.reason,
        "tasks": tasks,
        "fits": fits,
        "queries": len(asked),
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
    name, revision = summary["model"]["name"], summary["model"]["revision"]
    name += f" ({revision})" if revision != "main" else ""
    title = f"{name}, scored as {summary['backend']} ({summary['backend_reason']})"
    columns = ("task", "split", "protocol", "state", "items", "queries", "to compute")
    if rows or not summary["fits"]:
        screen.print(simple_table(title, columns, rows, (4, 5, 6)))
    if summary["fits"]:
        screen.print(_table_of_planned_fits(name, summary["fits"], words))
    planned = [*summary["tasks"], *summary["fits"]]
    for line in _said_once([(one["task"], one["reason"], one["protocol"], "") for one in planned if one["reason"]]):
        screen.print(Text(line))
    if summary["tasks"]:
        screen.print(f"{summary['to_compute']:,} of {summary['queries']:,} distinct queries would be computed.")


def _table_of_planned_fits(name: str, fits: Sequence[dict[str, Any]], words: dict[str, str]) -> Table:
    rows = [
        (
            fit["task"], fit["split"], fit["protocol"], words.get(fit["state"], fit["state"]),
            ", ".join(map(str, fit["seeds_to_do"])) or "-",
            *("-" if fit[key] is None else f"{fit[key]:,}" for key in ("train_examples", "items", "epochs")),
        )
        for fit in fits
    ]  # fmt: skip
    columns = ("task", "split", "protocol", "state", "seeds to do", "training examples", "items", "epochs")
    return simple_table(f"{name}, to be fine-tuned", columns, rows, (5, 6, 7))
