"""The history of a training: a log of one JSON object per line, and its figure."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.errors import disk_error
from babyeval.store import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOG_FILE = "log.jsonl"
FIGURE_FILE = "training.svg"


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Appends a line to a log.

    Raises:
        MissingError: It cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        raise disk_error(error, str(path)) from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; one that was cut while it was written, which can only be the last, is left out."""
    lines = []
    if path.is_file():
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
    return lines


def cut_back(path: Path, step: int) -> None:
    """Removes the lines of updates after this one, which a training that goes on from there writes again.

    Raises:
        MissingError: The log cannot be written.
    """
    if not path.is_file():
        return
    kept = [line for line in read_lines(path) if line["step"] <= step]
    try:
        with atomic_path(path) as draft:
            draft.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept), encoding="utf-8")
    except OSError as error:
        raise disk_error(error, str(path)) from error


def draw(lines: list[dict[str, Any]], path: Path, title: str, unit: str = "token") -> None:
    """Draws training loss, and validation loss of each domain, over words seen; nothing if there is nothing to draw.

    A dotted line stands where a stage of a tuning begins.

    Args:
        lines: Of the log.
        path: Where to (SVG).
        title: Above the figure.
        unit: What losses are means over.

    Raises:
        MissingError: The file cannot be written.
    """
    lines = [line for line in lines if line["words"] > 0 and ("loss" in line or "validation" in line)]
    if not lines:
        return
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    from babyeval.curve_figure import drawing, save_figure
    from babyeval.models.naming import short_count

    with drawing("whitegrid"):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        _draw_losses(axes, lines)
        if max(line["words"] for line in lines) > 20 * min(line["words"] for line in lines):
            axes.set_xscale("log")  # most of what is learned, is learned early
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(round(value))))
        axes.set(xlabel="words seen", ylabel=f"loss (nats per {unit})", title=title)
        axes.legend(frameon=True)
        save_figure(figure, path, "svg")


def _draw_losses(axes: Axes, lines: list[dict[str, Any]]) -> None:
    import seaborn as sns

    training = [(line["words"], line["loss"]) for line in lines if "loss" in line]
    domains = list(dict.fromkeys(name for line in lines for name in line.get("validation", {})))
    if training:
        axes.plot(*zip(*training, strict=True), color="0.6", linewidth=1, label="training")
    for before, after in pairwise(line for line in lines if "stage" in line):
        if before["stage"] != after["stage"]:
            axes.axvline(before["words"], color="0.3", linestyle=":", linewidth=1)
            axes.annotate(after["stage"], (before["words"], 1), (3, -10), ("data", "axes fraction"), "offset points", fontsize=8)
    for domain, color in zip(domains, sns.color_palette("colorblind", len(domains)), strict=True):
        points = [(line["words"], line["validation"][domain]["loss"]) for line in lines if domain in line.get("validation", {})]
        axes.plot(*zip(*points, strict=True), color=color, marker="o", markersize=4, label=f"validation, {domain}")
