"""The figure of learning curves: score against words seen, with intervals and chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from babyeval.curve import Curve, Point
from babyeval.errors import UsageError, disk_error
from babyeval.models.naming import short_count
from babyeval.store import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "pdf")


def figure_format(path: Path) -> str:
    """The format that a file's ending names.

    Raises:
        UsageError: It names none.
    """
    ending = path.suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise UsageError(f"'{path}' does not say which format the figure has.", hint=f"End its name in .{', .'.join(FORMATS)}.")
    return ending


def write_figure(curve: Curve, path: Path) -> None:
    """Draws the curves and writes them whole or not at all.

    Args:
        curve: What to draw; points without a value are left out.
        path: Where to; the ending says which format.

    Raises:
        UsageError: The ending names no format, or no point has a value.
        MissingError: The file cannot be written.
    """
    kind = figure_format(path)
    points = [point for point in curve.points if point.score.value is not None]
    if not points:
        raise UsageError("There is nothing to draw: no score has a value.", hint="'babyeval results curve --json' says why.")
    from matplotlib.figure import Figure

    with drawing("whitegrid"):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        _draw_lines(axes, points)
        _scale_words(axes, sorted({point.words_seen for point in points}))
        score = points[0].score
        axes.set(xlabel="words seen", ylabel=f"{score.metric} ({score.unit})", title=_title(curve))
        axes.legend(handles=axes.get_lines(), frameon=True)  # else labels that begin with _ are left out
        save_figure(figure, path, kind)


def drawing(style: str, sizes: Mapping[str, float] | None = None) -> AbstractContextManager[None]:
    """What holds for all figures while one is drawn; a dollar sign in a name is one, and begins no formula.

    Args:
        style: Seaborn's style of axes.
        sizes: Of fonts, in points, by matplotlib's names.
    """
    import matplotlib as mpl
    import seaborn as sns

    own = {"text.parse_math": False, "svg.hashsalt": "babyeval", "svg.fonttype": "none"}
    return mpl.rc_context({**sns.axes_style(style), **(sizes or {}), **own})


def save_figure(figure: Figure, path: Path, kind: str) -> None:
    """Writes a figure whole or not at all.

    Raises:
        MissingError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as draft:
            figure.savefig(draft, format=kind, dpi=200, metadata={"Date": None} if kind == "svg" else None)
    except OSError as error:
        raise disk_error(error, str(path)) from error


def _draw_lines(axes: Axes, points: Sequence[Point]) -> None:
    """A line with a band for each model, and dotted lines for chance."""
    import seaborn as sns

    lines = list(dict.fromkeys(point.line for point in points))
    for line, color in zip(lines, sns.color_palette("colorblind", len(lines)), strict=True):
        mine = [point for point in points if point.line == line]
        words, values = [point.words_seen for point in mine], [point.score.value for point in mine]
        sns.lineplot(x=words, y=values, ax=axes, color=color, marker="o", label=line, errorbar=None)
        # Where an interval is undefined the band has a gap: NaN.
        low, high = (
            [math.nan if end is None else end for end in ends]
            for ends in ([point.score.ci_low for point in mine], [point.score.ci_high for point in mine])
        )
        axes.fill_between(words, low, high, color=color, alpha=0.2, linewidth=0)
    for chance in sorted({point.score.chance for point in points if point.score.chance is not None}):
        axes.axhline(chance, color="0.4", linestyle=":", label="chance")


def _scale_words(axes: Axes, ticks: list[int]) -> None:
    """A logarithmic axis of words seen, with a label at as many checkpoints as there is room for."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if ticks[0] > 0:
        axes.set_xscale("log")
    else:  # an untrained checkpoint has no place on a logarithmic axis
        axes.set_xscale("symlog", linthresh=next((count for count in ticks if count), 1))
    axes.xaxis.set_major_locator(FixedLocator(_spread(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(round(value))))


def _title(curve: Curve) -> str:
    level = next((point.score.ci_level for point in curve.points), 0.95)
    return f"{curve.task}, {curve.split} split, protocol {curve.protocol}\nband: {level:.0%} interval"


def _spread(ticks: list[int], most: int = 9) -> list[int]:
    """The ticks that have room for a label on a logarithmic axis.

    Example:
        >>> _spread([0, 10, 11, 12, 20, 1000], most=9)
        [0, 10, 20, 1000]
    """
    positive = [tick for tick in ticks if tick > 0]
    kept = [tick for tick in ticks if tick <= 0] + positive[:1]
    for tick in positive[1:]:
        if math.log(tick / kept[-1]) >= math.log(positive[-1] / positive[0]) / most:
            kept.append(tick)
    return kept
