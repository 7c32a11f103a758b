"""babyeval compare: which of two models or training conditions is better, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babyeval.cli.options import Json, Text, settings

if TYPE_CHECKING:
    from rich.console import Console

    from babyeval.comparison.report import CompareReport, ComparisonRow
    from babyeval.comparison.sentences import Noted

_SIGNS = "+ / - / ="

_Names = Annotated[
    list[str] | None,
    typer.Argument(
        help="Models, NAME or NAME@REVISION; with --by condition, conditions. Default: all, if few.", show_default=False
    ),
]
_Results = Annotated[Path | None, typer.Option(help="Results folder. Default: results.")]
_Protocol = Annotated[Text, typer.Option(help="Default: robust, else the only one that all share.")]
_Split = Annotated[Text, typer.Option(help="Default: the largest that all have, task by task.")]
_Backend = Annotated[Text, typer.Option(help="Which backend, of models that were scored in several ways.")]
_Revision = Annotated[Text, typer.Option(help="Which revision, of models with several. Default: main, else final.")]
_By = Annotated[Text, typer.Option(help="condition: compare training conditions, over their training seeds.")]
_Tasks = Annotated[Text, typer.Option(help="all, a group, or task names: NAME,NAME. Default: all.")]
_Level = Annotated[
    Text, typer.Option(help="items, subsets or seeds: what counts as a replication. Default: what the task allows.")
]
_Correction = Annotated[Text, typer.Option(help="For many tests: holm, bh, by or maxt. Default: holm.")]
_Baseline = Annotated[Text, typer.Option(help="Compare all others with this one, instead of all pairs.")]
_Contrast = Annotated[
    list[str] | None,
    typer.Option(help="With --by condition a planned contrast: 'a,b against c'; may be repeated.", show_default=False),
]
_Factor = Annotated[
    list[str] | None,
    typer.Option(
        help="With --by condition a factor of a design: 'curriculum=merged:a;sequential:b,c'; may be repeated.",
        show_default=False,
    ),
]
_Squares = Annotated[int | None, typer.Option(min=2, max=3, help="Type of the sums of squares of factors. Default: 2.")]
_Plan = Annotated[Text, typer.Option(help="With --by condition what studies of so many seeds each would find: 3,5,10.")]
_Figure = Annotated[
    Path | None, typer.Option(help="With --by condition box plots of z-scores: a file that ends in .svg, .png or .pdf.")
]
_ZScores = Annotated[Path | None, typer.Option(help="With --by condition the z-scores: a file that ends in .csv.")]


def compare(
    names: _Names = None,
    results: _Results = None,
    protocol: _Protocol = None,
    split: _Split = None,
    backend: _Backend = None,
    revision: _Revision = None,
    by: _By = None,
    tasks: _Tasks = None,
    level: _Level = None,
    correction: _Correction = None,
    baseline: _Baseline = None,
    contrast: _Contrast = None,
    factor: _Factor = None,
    squares: _Squares = None,
    plan: _Plan = None,
    figure: _Figure = None,
    zscores: _ZScores = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print a LaTeX table (booktabs) on stdout.")] = False,
    json: Json = False,
) -> None:
    """Compare models on the same items, or training conditions over their seeds; no model is loaded.

    Example: babyeval compare tiny-llama tiny-bert --results results
    """
    from babyeval.comparison.compare import compare as compared

    formats = [name for name, wanted in (("csv", csv), ("json", json), ("latex", latex)) if wanted]
    _check(formats, figure, zscores, by == "condition" or level == "seeds", bool(factor or plan))
    choices = {"by": by, "protocol": protocol, "split": split, "backend": backend, "revision": revision, "baseline": baseline}
    more = {"tasks": tasks or "all", "level": level, "correction": correction or "holm", "contrasts": tuple(contrast or ())}
    designs = {"factors": tuple(factor or ()), "squares": squares, "plan": _numbers(plan)}
    report = compared(settings(out=results).out, *(names or ()), **choices, **more, **designs)  # type: ignore[arg-type]
    if formats:
        _write(report, formats[0])
    else:
        _print(report)
    _write_z(report, figure, zscores)
    _require_tests(report)


def _check(formats: Sequence[str], figure: Path | None, zscores: Path | None, by_condition: bool, designs: bool) -> None:
    """Refuses options that do not go together, before anything is read."""
    from babyeval.curve_figure import figure_format
    from babyeval.errors import UsageError

    if len(formats) > 1:
        raise UsageError("--csv, --json and --latex ask for several formats.", hint="Choose one of them.")
    if designs and formats and formats[0] != "json":
        raise UsageError(f"--{formats[0]} holds comparisons, and neither factors nor plans.", hint="Take --json, or neither.")
    for option, path in (("--figure", figure), ("--zscores", zscores)):
        if path is not None and not by_condition:
            raise UsageError(f"{option} shows z-scores of conditions.", hint="Add --by condition.")
        if path is not None:
            _require_writable(option, path)
    if figure is not None:
        figure_format(figure)
    if zscores is not None and zscores.suffix.lower() != ".csv":
        raise UsageError(f"'{zscores}' is no name of a CSV file.", hint="End it in .csv.")


def _require_writable(option: str, path: Path) -> None:
    """Finds out before the work whether a file can be written there."""
    import os

    from babyeval.errors import MissingError

    above = next((folder for folder in path.absolute().parents if folder.exists()), path.absolute().parent)
    if path.is_dir() or not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        why = "it is a folder" if path.is_dir() else f"'{above}' " + ("may not be written" if above.is_dir() else "is no folder")
        raise MissingError(f"{option} {path} cannot be written: {why}.", hint=f"Name a file by {option} in a folder of yours.")


def _require_tests(report: CompareReport) -> None:
    """Ends with an error where nothing could be tested for want of items that had been there."""
    from babyeval.errors import MissingError

    if report.lost is not None:
        raise MissingError(
            "Nothing could be tested: tables of items are lost.",
            where=report.lost,
            hint="Run these tasks again: rows are cached.",
        )


def _numbers(text: str | None) -> tuple[int, ...]:
    """Numbers between commas."""
    from babyeval.errors import UsageError

    parts = [part.strip() for part in text.split(",")] if text is not None else []
    if not all(part.isdecimal() and part.isascii() for part in parts):
        raise UsageError(f"'{text}' is no list of numbers of seeds.", hint="Write them with commas: --plan 3,5,10.")
    return tuple(sorted(set(map(int, parts))))


def _write(report: CompareReport, form: str) -> None:
    """The report for other programs on stdout, and on stderr what it does not hold."""
    import sys

    from babyeval.cli import render
    from babyeval.comparison.latex import latex_table

    if form == "json":
        rows, effects, plan = (
            [row.model_dump(mode="json") for row in part] for part in (report.rows, report.effects, report.plan)
        )
        render.print_json({"rows": rows, "effects": effects, "plan": plan} if effects or plan else rows)
    elif form == "csv":
        report.to_frame().to_csv(sys.stdout, index=False, lineterminator="\n")
    else:
        sys.stdout.write(latex_table(report))
    lines = [] if form == "latex" else list(report.choices)  # a LaTeX table has them as comments
    for line in (*lines, *(f"Note: {line}." for line in report.warnings)):
        print(line, file=sys.stderr)


def _write_z(report: CompareReport, figure: Path | None, zscores: Path | None) -> None:
    """The z-scores as a figure and as a file."""
    import sys

    from babyeval.errors import MissingError, disk_error
    from babyeval.store import atomic_path

    if report.z is None:
        return
    if figure is not None:
        from babyeval.comparison.figure import write_box_plots

        try:
            write_box_plots(report.z, figure)
        except MissingError as error:
            error.where, error.hint = f"--figure {figure}", "Make room, or name another file by --figure."
            raise
        print(f"Wrote {figure}.", file=sys.stderr)
    if zscores is not None:
        try:
            zscores.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(zscores) as draft:
                report.z.to_frame().to_csv(draft, index=False, lineterminator="\n")
        except OSError as error:
            raise disk_error(error, f"--zscores {zscores}") from error
        print(f"Wrote {zscores}.", file=sys.stderr)


def _print(report: CompareReport) -> None:
    """A table for each pair, beneath it what a paper may say, and at the end what a reader must know."""
    from rich.text import Text as Plain

    from babyeval.cli import render
    from babyeval.comparison.sentences import metrics_line, title_of

    screen = render.console()
    pairs = list(dict.fromkeys((row.contrast, row.a, row.b) for row in report.rows))
    for pair, said in zip(pairs, report.paragraphs, strict=True):
        rows = [row for row in report.rows if (row.contrast, row.a, row.b) == pair]
        columns, lines, numeric = _table(rows, screen.width >= render.WIDE)
        screen.print(render.simple_table(title_of(*pair), columns, lines, numeric))
        screen.print(Plain(metrics_line(rows)))
        if _SIGNS in columns:
            screen.print(Plain(_signs_line(rows)))
        _print_notes(rows, screen)
        screen.print(Plain(f"In words: {said}\n"))
    _print_designs(report, screen)
    if report.z is not None:
        if report.z.families:
            columns, lines = report.z.table()
            screen.print(render.simple_table(report.z.title, columns, lines, (2, 3, 4)))
        for line in report.z.remarks:
            screen.print(Plain(line))
    for line in report.choices:
        screen.print(Plain(line))
    for line in report.warnings:
        screen.print(Plain(f"Note: {line}."))


def _print_designs(report: CompareReport, screen: Console) -> None:
    """Effects of factors, and what studies of other sizes would find."""
    from rich.text import Text as Plain

    from babyeval.cli import render
    from babyeval.comparison.sentences import number, p_value

    if report.effects:
        columns = ["task", "effect", "F", "degrees of freedom", "p", "p adj."]
        lines: list[tuple[str, ...]] = [
            (e.label, e.term, number(e.f, "percent"), f"{e.freedom}, {e.residual_freedom}", p_value(e.p), p_value(e.p_adjusted))
            for e in report.effects
        ]
        screen.print(render.simple_table(f"Factors: {report.effects[0].test}", columns, lines, (2, 3, 4, 5)))
    if report.plan:
        counts = list(report.plan[0].mde)
        columns = ["task", "SD of seeds", "degrees of freedom", *(f"{count} seeds" for count in counts)]
        lines = [
            (
                row.label,
                number(row.sd, row.unit_of_value),
                str(row.freedom),
                *(number(v, row.unit_of_value) for v in row.mde.values()),
            )
            for row in report.plan
        ]
        title = "Planned: the least difference of two conditions that so many seeds each would find"
        screen.print(render.simple_table(title, columns, lines, range(1, 3 + len(counts))))
    for part in (report.effects, report.plan):
        _print_notes(part, screen)
        if part:
            screen.print(Plain(f"In words: {' '.join(row.sentence for row in part)}\n"))


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
            "units": row.replications if row.clusters else "-",
            _SIGNS: "-" if row.wins is None else f"{row.wins} / {row.losses} / {row.ties}",
        }
        for column, cell in line.items():
            cells.setdefault(column, []).append(cell)
    kept = [column for column, part in cells.items() if column == "task" or set(part) != {"-"}]
    if not wide:  # --csv and --json hold the rest
        kept = [column for column in kept if column not in ("A", "B", "p perm.", "units", _SIGNS)]
    numeric = [i for i, column in enumerate(kept) if column not in ("task", "units")]
    return kept, list(zip(*(cells[column] for column in kept), strict=True)), numeric


def _signs_line(rows: Sequence[ComparisonRow]) -> str:
    """What wins, losses and ties are counted of."""
    counted: dict[str, list[str]] = {}
    for row in rows:
        if row.wins is not None:
            items = row.wins + (row.losses or 0) + (row.ties or 0) == row.n
            counted.setdefault("items" if items else "subsets", []).append(row.label)
    of = " and ".join(what if len(counted) == 1 else f"{what} ({', '.join(labels)})" for what, labels in counted.items())
    return f"{_SIGNS}: numbers of {of} in which A is better, B is, neither is."


def _print_notes(rows: Sequence[Noted], screen: Console) -> None:
    from rich.text import Text as Plain

    from babyeval.comparison.sentences import notes_of

    for note, members in notes_of(rows).items():
        screen.print(Plain(f"{', '.join(members)}: {note}."))
