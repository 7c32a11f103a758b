"""babyeval results: what a results folder holds, learning curves and figures out of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babyeval.cli.options import Json, Results, Text, settings

if TYPE_CHECKING:
    from babyeval.curve import Curve
    from babyeval.records import TaskResult
    from babyeval.store import DamagedRecord, ResultStore

app = typer.Typer(help="Look at results: list, show, curve, figure.", no_args_is_help=True)

Model = Annotated[Text, typer.Option(help="Only the model of this name.")]
Revisions = Annotated[Text, typer.Option(help="Only revisions that match this glob, such as 'chck_*'.")]
Protocol = Annotated[Text, typer.Option(help="Only this protocol.")]
Split = Annotated[Text, typer.Option(help="Only this split: full, fast, mini, or a limited one such as full@200.")]
Backend = Annotated[Text, typer.Option(help="Only this backend.")]


@app.command("list")
def list_(results: Results = None, json: Json = False) -> None:
    """List which models were evaluated on what.

    Example: babyeval results list
    """
    from babyeval.cli import render
    from babyeval.curve import selected
    from babyeval.models.naming import short_count
    from babyeval.store import ResultStore

    store = ResultStore(settings(out=results).out)
    there = selected(_readable(store, name_all=True))
    if json:
        render.print_json([_listed(store, result) for result in there])
        return
    groups: dict[tuple[str, ...], list[str]] = {}
    for result in there:
        words = result.model.words_seen
        seen = "-" if words is None else short_count(words)
        key = (result.model.name, result.model.revision, seen, result.split, result.backend, result.protocol)
        said = "" if result.status == "done" else f" ({result.status})"
        groups.setdefault(key, []).append(result.task.name + said)
    columns = ("model", "revision", "words seen", "split", "backend", "protocol", "tasks")
    rows = [(*key, ", ".join(names)) for key, names in groups.items()]
    render.console().print(render.simple_table(str(store.root), columns, rows, (2,)))


@app.command("show")
def show(
    results: Results = None,
    model: Model = None,
    revisions: Revisions = None,
    task: Annotated[Text, typer.Option(help="Only this task.")] = None,
    protocol: Protocol = None,
    split: Split = None,
    backend: Backend = None,
    by: Annotated[Text, typer.Option(help="Scores of each subset: uid, or another group of the task.")] = None,
    json: Json = False,
) -> None:
    """Show scores: the table of a run, or the scores of every subset.

    Example: babyeval results show --task blimp --by uid
    """
    from babyeval.cli import render
    from babyeval.curve import selected
    from babyeval.run.execute import report
    from babyeval.store import ResultStore

    store = ResultStore(settings(out=results).out)
    wanted = {"model": model, "revisions": revisions, "task": task, "protocol": protocol, "split": split, "backend": backend}
    there = selected(_readable(store), **wanted)
    if by is not None:
        _show_subsets(there, by, json)
        return
    outcome = report(("all",), there)
    outcome = outcome.model_copy(update={"groups": tuple(group for group in outcome.groups if group.value is not None)})
    if json:
        print(outcome.model_dump_json(indent=1))
    else:
        render.print_results(outcome, store.root)


@app.command("curve")
def curve(
    results: Results = None,
    task: Annotated[Text, typer.Option(help="The task whose score is followed.")] = None,
    model: Model = None,
    revisions: Revisions = None,
    protocol: Annotated[Text, typer.Option(help="Default: robust, else the only one there is.")] = None,
    split: Annotated[Text, typer.Option(help="Default: the largest that all checkpoints have.")] = None,
    backend: Backend = None,
    figure: Annotated[Path | None, typer.Option(help="Draw it too: a file that ends in .svg, .png or .pdf.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    json: Json = False,
) -> None:
    """Show a score against the words that a model has seen, with intervals: one curve per model.

    Example: babyeval results curve --task blimp --figure blimp.svg
    """
    import sys

    from babyeval.cli import render
    from babyeval.curve import learning_curve
    from babyeval.curve_figure import figure_format, write_figure
    from babyeval.errors import UsageError

    if task is None:
        raise UsageError("The task is not named.", hint="Name one by --task; 'babyeval results list' shows what there is.")
    if csv and json:
        raise UsageError("--csv and --json ask for two formats.", hint="Choose one of them.")
    if figure is not None:
        figure_format(figure)
    choice = {"protocol": protocol, "split": split, "model": model, "revisions": revisions, "backend": backend}
    damaged: list[DamagedRecord] = []
    try:
        made = learning_curve(settings(out=results).out, task, **choice, damaged=damaged)
    finally:
        name_damaged(damaged)
    if json:
        render.print_json(made.as_json())
    elif csv:
        import pandas as pd

        rows = [{**row, "same_weights_as": " ".join(row["same_weights_as"])} for row in made.as_json()["points"]]
        about = pd.DataFrame(rows).assign(task=made.task, protocol=made.protocol, split=made.split)
        about.to_csv(sys.stdout, index=False, lineterminator="\n")
    else:
        _print_curve(made)
    if figure is not None:
        write_figure(made, figure)
        print(f"Wrote {figure}.", file=sys.stderr)


@app.command("figure")
def figure(
    results: Results = None,
    task: Annotated[Text, typer.Option(help="The task whose figure is drawn: reading.")] = None,
    model: Model = None,
    revision: Annotated[Text, typer.Option("--revision", "--revisions", help="Only this revision.")] = None,
    protocol: Annotated[Text, typer.Option(help="Default: robust, else the only one there is.")] = None,
    split: Split = None,
    backend: Backend = None,
    out: Annotated[Path | None, typer.Option(help="The figure: a file that ends in .svg, .png or .pdf.")] = None,
) -> None:
    """Draw one record: of reading, the effect of surprisal, and predicted against observed reading times.

    Example: babyeval results figure --task reading --out reading.pdf
    """
    import sys

    from babyeval.curve import selected
    from babyeval.curve_figure import figure_format
    from babyeval.errors import UsageError
    from babyeval.reading_figure import only_record, write_reading_figure
    from babyeval.store import ResultStore

    for option, value in (("--task", task), ("--out", out)):
        if value is None:
            raise UsageError(
                f"{option} is missing.", hint="For example: babyeval results figure --task reading --out reading.svg"
            )
    assert out is not None
    figure_format(out)
    store = ResultStore(settings(out=results).out)
    choice = {"model": model, "revisions": revision, "task": task, "protocol": protocol, "split": split, "backend": backend}
    there = selected(_readable(store), **choice)
    robust = [result for result in there if result.protocol == "robust"] if protocol is None else []
    write_reading_figure(store, only_record(robust or there), out)
    print(f"Wrote {out}.", file=sys.stderr)


def name_damaged(damaged: Sequence[DamagedRecord], *, all_of_them: bool = False) -> None:
    """Says on stderr which records are left out, since they cannot be read: the first few, or all of them."""
    import sys

    from babyeval.store import first_damaged

    lines = [f"{error.what} {error.where}. {error.hint}" for error in damaged]
    for line in lines if all_of_them else first_damaged(lines):
        print(f"Note: {line.rstrip('.')}.", file=sys.stderr)


def _readable(store: ResultStore, *, name_all: bool = False) -> list[TaskResult]:
    """All records that can be read; of the others the first few, or all, are named on stderr."""
    damaged: list[DamagedRecord] = []
    there = list(store.results(damaged=damaged))
    name_damaged(damaged, all_of_them=name_all)
    return there


def _listed(store: ResultStore, result: TaskResult) -> dict[str, object]:
    """One record as a line of the list."""
    return {
        "model": result.model.name,
        "revision": result.model.revision,
        "words_seen": result.model.words_seen,
        "task": result.task.name,
        "split": result.split,
        "backend": result.backend,
        "protocol": result.protocol,
        "status": result.status,
        "imported": result.imported is not None,
        "finished": result.provenance.finished if result.provenance else None,
        "folder": store.folder_of(result).relative_to(store.root).as_posix(),
    }


def _show_subsets(results: list[TaskResult], by: str, json: bool) -> None:
    """Prints the scores of one group."""
    from babyeval.cli import render
    from babyeval.errors import UsageError

    chosen = [(result, score) for result in results for score in result.scores if score.group == by]
    if not chosen:
        groups = sorted({score.group for result in results for score in result.scores if score.group})
        raise UsageError(
            f"No score has the group '{by}'.", hint=f"Choose by --by: {', '.join(groups)}." if groups else "Leave out --by."
        )
    if json:
        about = ("split", "backend", "protocol")
        render.print_json(
            [
                {
                    "model": result.model.name, "revision": result.model.revision, "words_seen": result.model.words_seen,
                    "task": result.task.name, **{key: getattr(result, key) for key in about}, **score.model_dump(mode="json"),
                }
                for result, score in chosen
            ]
        )  # fmt: skip
        return
    screen = render.console()
    for result in results:
        rows = [(score.metric, score.subset, *render.cells(score)) for of, score in chosen if of is result]
        if rows:
            title = f"{result.model.name} ({result.model.revision}), {result.task.name}, {result.split}, {result.protocol}"
            columns = ("metric", by, "score", "95% interval", "chance", "n")
            screen.print(render.simple_table(title, columns, rows, (2, 3, 4, 5)))


def _print_curve(curve: Curve) -> None:
    """The curve as a table, and what a reader of it must know."""
    from babyeval.cli import render
    from babyeval.models.naming import short_count

    rows = [(p.line, short_count(p.words_seen), p.result.model.revision, *render.cells(p.score)) for p in curve.points]
    columns = ("model", "words seen", "revision", "score", "95% interval", "chance", "n")
    screen = render.console()
    screen.print(render.simple_table(f"{curve.task}, {curve.split}, {curve.protocol}", columns, rows, (1, 3, 4, 5, 6)))
    for name, group in curve.equal():
        screen.print(f"{name}: {' and '.join(group)} have the same weights.", markup=False)
