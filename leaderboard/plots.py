"""The figures of the page, drawn by seaborn: inline SVG, and SVG and PDF for papers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from babyeval.comparison.figure import write_box_plots
from babyeval.curve import Curve
from babyeval.curve_figure import save_figure, write_figure
from babyeval.errors import UsageError

from .conditions import trained
from .curves import curves_of
from .payload import Conditions, Figure, Payload
from .svg import inlined

if TYPE_CHECKING:
    import pandas as pd

    from babyeval.records import TaskResult

    from .read import Board

MOST_LINES = 8  # more curves, or models, cannot be told apart in one figure
_LONGEST = 32  # letters of a label
_BINS = 10
_ACROSS = 4  # panels beside each other

Draw = Callable[[Path], None]


def make_figures(board: Board, payload: Payload, folder: Path | None) -> dict[str, Figure]:
    """Draws what the records allow; a figure for which there is nothing to draw is left out.

    Args:
        board: The records.
        payload: The rest of the page.
        folder: Where SVG and PDF of every figure go too; None: nowhere.

    Raises:
        MissingError: The folder cannot be written.
    """
    drawings = _drawings(board, payload)
    if not drawings:
        return {}
    import matplotlib as mpl

    figures = {}
    with TemporaryDirectory() as scratch, warnings.catch_warnings(), mpl.rc_context({"text.parse_math": False}):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # an emoji in a name
        for key, (title, draw) in drawings.items():
            path = Path(scratch) / "figure.svg"
            try:
                draw(path)
            except UsageError:  # nothing to draw, as of a record without its table
                continue
            figures[key] = Figure(title=title, svg=inlined(path.read_text(encoding="utf-8"), key, title))
            for ending in ("svg", "pdf") if folder is not None else ():
                assert folder is not None
                draw(folder / f"{key.replace(':', '_')}.{ending}")
    return figures


def _drawings(board: Board, payload: Payload) -> dict[str, tuple[str, Draw]]:
    drawings: dict[str, tuple[str, Draw]] = {}
    conditions = payload.conditions
    titles = {column.key: column.title for task in payload.tasks for column in task.headlines}
    if conditions is not None:
        found = trained(board)
        z = found.z_scores() if found is not None else None
        if z is not None:
            drawings["zscores"] = "z-scores of the conditions over tasks", lambda path: write_box_plots(z, path)
        if conditions.values:  # empty where the page shows none of their scores
            drawings["effects"] = (
                "Scores of the conditions, every model a point",
                lambda path: _effects(conditions, titles, path),
            )
    for key, curve in curves_of(board, []).items():
        if len({point.line for point in curve.points}) <= MOST_LINES:
            drawings[f"curve:{key}"] = f"{titles.get(key, key)} against words seen", _curve(curve)
    for task in payload.tasks:
        if task.family == "reading":
            count = sum(result.status == "done" for result in board.records[task.id].values())
            of = f", {MOST_LINES} of {count} models" if count > MOST_LINES else ""
            title = f"{task.title}: predicted against observed times, means of tenths of the words{of}"
            drawings[task.id] = title, _reading(board, payload, task.id)
    return drawings


def _curve(curve: Curve) -> Draw:
    return lambda path: write_figure(curve, path)


def _drawn(path: Path, size: tuple[float, float], draw: Callable[[Any], None]) -> None:
    """A figure in the style of all others."""
    import matplotlib as mpl
    import seaborn as sns
    from matplotlib.figure import Figure as Canvas

    sizes = {"axes.titlesize": 10, "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8, "legend.fontsize": 8}
    with mpl.rc_context({**sns.axes_style("whitegrid"), **sizes, "svg.hashsalt": "babyeval", "svg.fonttype": "none"}):
        figure = Canvas(figsize=size, layout="constrained")
        draw(figure)
        save_figure(figure, path, path.suffix.removeprefix("."))


def short(label: str) -> str:
    """A label that has room beside others.

    Example:
        >>> short("a" * 40)[-3:], short("tiny-llama")
        ('aa…', 'tiny-llama')
    """
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"


def _panels(figure: Any, count: int, across: int) -> list[Any]:
    """So many panels in rows."""
    across = min(across, count)
    axes = figure.subplots(math.ceil(count / across), across, squeeze=False)
    flat = [panel for row in axes for panel in row]
    for panel in flat[count:]:
        panel.set_axis_off()
    return flat[:count]


def _effects(conditions: Conditions, titles: dict[str, str], path: Path) -> None:
    """A panel per column: every model a point, the mean over the condition's replications a bar."""
    import seaborn as sns

    count, places = len(conditions.values), list(range(len(conditions.names)))
    colors = sns.color_palette("colorblind", len(places))

    def draw(figure: Any) -> None:
        for number, (panel, (key, cells)) in enumerate(
            zip(_panels(figure, count, _ACROSS), conditions.values.items(), strict=True)
        ):
            for place, cell, color in zip(places, cells.values(), colors, strict=True):
                values = [point.value for point in cell.points]
                panel.scatter(values, [place] * len(values), color=color, s=30, alpha=0.85, edgecolor="white", linewidth=0.5)
                if cell.mean is not None:
                    panel.plot([cell.mean] * 2, [place - 0.28, place + 0.28], color="black", linewidth=1.6)
            panel.set(title=short(titles.get(key, key)), xlabel="", ylabel="", ylim=(len(places) - 0.5, -0.5))
            panel.set_yticks(places, [short(name) for name in conditions.names] if number % _ACROSS == 0 else [""] * len(places))

    down = math.ceil(count / _ACROSS)
    _drawn(path, (2.6 * min(_ACROSS, count) + 1.0, max(1.8, 0.32 * len(places) + 1.0) * down), draw)


def _reading(board: Board, payload: Payload, task: str) -> Draw:
    """Mean observed time against mean predicted time, of tenths of the words by prediction; a panel per measure."""
    from babyeval.reading_figure import TITLES

    labels = {(model.name, model.revision, model.backend): model for model in payload.models}
    found = [(labels[row.name, row.revision, row.backend], result) for row, result in board.records[task].items()]
    across = 3  # five panels beside each other would be too small to read
    drawable = [(model, result) for model, result in found if result.status == "done" and result.items is not None]
    chosen = [(model.label, result) for model, result in sorted(drawable, key=lambda pair: pair[0].id)[:MOST_LINES]]

    def paint(path: Path) -> None:
        import seaborn as sns

        frames = {label: _binned(board, result) for label, result in chosen}
        if not frames:
            raise UsageError("There is nothing to draw.")
        colors = sns.color_palette("colorblind", len(frames))

        def draw(figure: Any) -> None:
            panels = _panels(figure, len(TITLES), across)
            for panel, (measure, title) in zip(panels, TITLES.items(), strict=True):
                ends: list[float] = []
                for (label, frame), color, marker in zip(frames.items(), colors, "osD^vP*X", strict=False):
                    mine = frame[frame["measure"] == measure]
                    panel.plot(
                        mine["predicted"],
                        mine["observed"],
                        marker=marker,
                        markersize=4,
                        linewidth=1,
                        color=color,
                        label=short(label),
                    )
                    ends += [float(mine["predicted"].min()), float(mine["predicted"].max())]
                panel.plot([min(ends), max(ends)], [min(ends), max(ends)], color="black", linewidth=1, linestyle="--")
                panel.set(title=title, xlabel="predicted (ms)")
            for panel in panels[::across]:
                panel.set_ylabel("observed (ms)")
            shown = panels[0].get_lines()[: len(frames)]  # given by name: else labels that begin with _ are left out
            figure.legend(handles=shown, loc="outside lower center", ncols=across, frameon=False)

        _drawn(path, (8.0, 5.4), draw)

    return paint


def _binned(board: Board, result: TaskResult) -> pd.DataFrame:
    """Means of tenths of the words, by prediction, of each measure."""
    import pandas as pd

    from babyeval.reading_figure import drawn

    if result.items is None or not board.store.items_whole(result):
        raise UsageError("The table of items is not there.")
    points = drawn(pd.read_parquet(board.store.folder_of(result) / result.items.path), result.protocol).points
    parts = []
    for measure, mine in points.groupby("measure", sort=False):
        tenths = pd.qcut(mine["predicted"], _BINS, duplicates="drop")
        means = mine.groupby(tenths, observed=True)[["predicted", "observed"]].mean()
        parts.append(means.assign(measure=measure))
    return pd.concat(parts, ignore_index=True)
