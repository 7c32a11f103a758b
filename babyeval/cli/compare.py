"""babyeval compare: which of two models or training conditions is better, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babyeval.cli.options import Json, Text, settings

if TYPE_CHECKING:
    from babyeval.comparison.report import CompareReport, ComparisonRow


def compare(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Models, NAME or NAME@REVISION; with --by condition, conditions. Default: all, if few.", show_default=False
        ),
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Results folder. Default: results.")] = None,
    protocol: Annotated[Text, typer.Option(help="Default: robust, else the only one that all share.")] = None,
    split: Annotated[Text, typer.Option(help="Default: the largest that all have, task by task.")] = None,
    backend: Annotated[Text, typer.Option(help="Which backend, of models that were scored in several ways.")] = None,
    revision: Annotated[Text, typer.Option(help="Which revision, of models with several. Default: main, else final.")] = None,
    by: Annotated[Text, typer.Option(help="condition: compare training conditions, over their training seeds.")] = None,
    tasks: Annotated[Text, typer.Option(help="all, a group, or task names: NAME,NAME. Default: all.")] = None,
    level: Annotated[
        Text, typer.Option(help="items, subsets or seeds: what counts as a replication. Default: what the task allows.")
    ] = None,
    correction: Annotated[Text, typer.Option(help="For many tests: holm, bh, by or maxt. Default: holm.")] = None,
    baseline: Annotated[Text, typer.Option(help="Compare all others with this one, instead of all pairs.")] = None,
    contrast: Annotated[
        list[str] | None, typer.Option(help="With --by condition a planned contrast: 'a,b against c'; may be repeated.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="With --by condition box plots of z-scores: a file that ends in .svg, .png or .pdf.")
    ] = None,
    zscores: Annotated[Path | None, typer.Option(help="With --by condition the z-scores: a file that ends in .csv.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print a LaTeX table (booktabs) on stdout.")] = False,
    json: Json = False,
) -> None:
    """Compare models on the same items, or training conditions over their seeds; no model is loaded.

    Example: babyeval compare tiny-llama tiny-bert --results results
    """
    import sys

    from babyeval.cli import render
    from babyeval.comparison.compare import compare as compared
    from babyeval.comparison.latex import latex_table
    from babyeval.curve_figure import figure_format
    from babyeval.errors import UsageError

    if csv + json + latex > 1:
        raise UsageError("--csv, --json and --latex ask for several formats.", hint="Choose one of them.")
    for option, path in (("--figure", figure), ("--zscores", zscores)):
        if path is not None and by != "condition" and level != "seeds":
            raise UsageError(f"{option} shows z-scores of conditions.", hint="Add --by condition.")
    if figure is not None:
        figure_format(figure)
    if zscores is not None and zscores.suffix.lower() != ".csv":
        raise UsageError(f"'{zscores}' is no name of a CSV file.", hint="End it in .csv.")
    choices = {"by": by, "protocol": protocol, "split": split, "backend": backend, "revision": revision, "baseline": baseline}
    more = {"tasks": tasks or "all", "level": level, "correction": correction or "holm", "contrasts": tuple(contrast or ())}
    report = compared(settings(out=results).out, *(names or ()), **choices, **more)  # type: ignore[arg-type]
    if json:
        render.print_json([row.model_dump(mode="json") for row in report.rows])
    elif csv:
        report.to_frame().to_csv(sys.stdout, index=False, lineterminator="\n")
    elif latex:
        sys.stdout.write(latex_table(report))
    else:
        _print(report)
    if json or csv:  # a LaTeX table has them as comments
        for line in report.choices:
            print(line, file=sys.stderr)
    if json or csv or latex:
        for line in report.warnings:
            print(f"Note: {line}.", file=sys.stderr)
    _write_z(report, figure, zscores)


def _write_z(report: CompareReport, figure: Path | None, zscores: Path | None) -> None:
    """The z-scores as a figure and as a file."""
    import sys

    from babyeval.errors import disk_error
    from babyeval.store import atomic_path

    if report.z is None:
        return
    if figure is not None:
        from babyeval.comparison.figure import write_box_plots

        write_box_plots(report.z, figure)
        print(f"Wrote {figure}.", file=sys.stderr)
    if zscores is not None:
        try:
            zscores.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(zscores) as draft:
                report.z.to_frame().to_csv(draft, index=False, lineterminator="\n")
        except OSError as error:
            raise disk_error(error, str(zscores)) from error
        print(f"Wrote {zscores}.", file=sys.stderr)


def _print(report: CompareReport) -> None:
    """A table for each pair, beneath it what a paper may say, and at the end what a reader must know."""
    from rich.text import Text as Plain

    from babyeval.cli import render

    screen = render.console()
    pairs = list(dict.fromkeys((row.contrast, row.a, row.b) for row in report.rows))
    for pair, said in zip(pairs, report.paragraphs, strict=True):
        rows = [row for row in report.rows if (row.contrast, row.a, row.b) == pair]
        contrast, a, b = pair
        title = f"{contrast}: {a} against {b}" if contrast and contrast != f"{a} against {b}" else f"{a} against {b}"
        columns, lines, numeric = _table(rows, screen.width >= render.WIDE)
        screen.print(render.simple_table(title, columns, lines, numeric))
        for note, members in _notes(rows).items():
            screen.print(Plain(f"{', '.join(members)}: {note}."))
        screen.print(Plain(f"In words: {said}\n"))
    if report.z is not None:
        columns, lines = report.z.table()
        screen.print(render.simple_table(report.z.title, columns, lines, (2, 3, 4)))
        for line in report.z.remarks:
            screen.print(Plain(line))
    for line in report.choices:
        screen.print(Plain(line))
    for line in report.warnings:
        screen.print(Plain(f"Note: {line}."))


def _table(rows: Sequence[ComparisonRow], wide: bool) -> tuple[list[str], list[tuple[str, ...]], list[int]]:
    """Columns, cells and which columns hold numbers; what no row has, or a narrow terminal has no room for, is left out."""
    from babyeval.comparison.sentences import number, p_value

    cells: dict[str, list[str]] = {}
    for row in rows:
        unit = row.unit_of_value
        low, high = (number(end, unit) for end in (row.ci_low, row.ci_high))
        line = {
            "task": row.label,
            "A": number(row.value_a, unit),
            "B": number(row.value_b, unit),
            "A - B": number(row.difference, unit, sign=True),
            f"{row.ci_level:.0%} interval": f"{low} to {high}" if row.ci_low is not None else "undefined",
            "p": p_value(row.p),
            "p perm.": p_value(row.p_permutation),
            "p adj.": p_value(row.p_adjusted),
            "units": row.replications,
            "+ / - / =": "-" if row.wins is None else f"{row.wins} / {row.losses} / {row.ties}",
        }
        for column, cell in line.items():
            cells.setdefault(column, []).append(cell)
    kept = [column for column, part in cells.items() if column == "task" or set(part) != {"-"}]
    if not wide:  # --csv and --json hold the rest
        kept = [column for column in kept if column not in ("A", "B", "p perm.", "units", "+ / - / =")]
    numeric = [i for i, column in enumerate(kept) if column not in ("task", "units")]
    return kept, list(zip(*(cells[column] for column in kept), strict=True)), numeric


def _notes(rows: Sequence[ComparisonRow]) -> dict[str, list[str]]:
    """What a reader must know of single rows; what holds of several is said once."""
    notes: dict[str, list[str]] = {}
    for row in rows:
        if row.note:
            notes.setdefault(row.note, []).append(row.label)
    return notes
