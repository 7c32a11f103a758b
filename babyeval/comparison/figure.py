"""The figure of z-scores: a box for each condition and group of tasks, with the tasks as points."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from babyeval.comparison.zscores import ZScores
from babyeval.curve_figure import drawing, figure_format, save_figure
from babyeval.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HATCHES = ("", "///", "...")  # groups are told apart without any colour
_MARKERS = ("o", "s", "^")


def write_box_plots(z: ZScores, path: Path) -> None:
    """Draws the z-scores and writes them whole or not at all.

    Of two conditions every z is the bound or its negative, so that there are points alone. Else boxes hold the middle half of a condition's families of tasks, and whiskers reach to the farthest within 1.5 times
    that; every task is a point, since there are few. Groups differ in lightness, hatching and marker.

    Args:
        z: What to draw.
        path: Where to; the ending says which format.

    Raises:
        UsageError: The ending names no format, or no task tells the conditions apart.
        MissingError: The file cannot be written.
    """
    kind = figure_format(path)
    frame = z.to_frame().dropna(subset=["z"])
    if frame.empty:
        why = "; ".join(f"{task}: {reason}" for task, reason in z.found.left_out.items())
        raise UsageError(
            "There is nothing to draw: no task has z-scores.", where=why or None,
            hint="Leave out --figure; more seeds or items make errors smaller.",
        )  # fmt: skip
    import seaborn as sns
    from matplotlib.figure import Figure

    conditions = list(dict.fromkeys(frame["condition"]))
    with drawing("whitegrid"):
        width, two = max(6.0, 1.6 * len(conditions) + 1.5), len(conditions) == 2
        figure = Figure(figsize=(width, 4.8), layout="constrained")
        axes = figure.subplots()
        groups = list(dict.fromkeys(frame["group"]))
        colors = [sns.desaturate(color, 0.8) for color in sns.color_palette("colorblind", len(groups))]
        if not two:
            # As in the table, tasks that say nearly the same count once: families are averaged before boxes are formed.
            families = frame.groupby(["condition", "group", "family"], sort=False, as_index=False)["z"].mean()
            sns.boxplot(
                families, x="condition", y="z", hue="group", order=conditions, hue_order=groups, palette=colors, ax=axes,
                showfliers=False, linecolor="0.15", linewidth=1.0, gap=0.1, legend=False, boxprops={"alpha": 0.55},
            )  # fmt: skip
            _hatch(axes, len(groups), len(conditions))
        for i, group in enumerate(groups):
            part = frame.assign(z=frame["z"].where(frame["group"] == group))
            sns.swarmplot(
                part, x="condition", y="z", hue="group", order=conditions, hue_order=groups, dodge=True, ax=axes,
                palette=["0.1"] * len(groups), marker=_MARKERS[i % len(_MARKERS)], size=4.5, linewidth=0.6, edgecolor="white",
                legend=False,
            )  # fmt: skip
        _bounds(axes, z)
        _legend(figure, groups, colors, boxes=not two)
        about = [z.basis, *([f"of two conditions every z is {z.bound:.3f} or -{z.bound:.3f}"] if two else [])]
        axes.set_xlabel(_wrapped("; ".join(about), width, 8), fontsize=8)
        axes.set_ylabel("z across conditions")
        axes.set_title(_wrapped(z.title, width, 11), fontsize=11)
        save_figure(figure, path, kind)


def _hatch(axes: Axes, groups: int, conditions: int) -> None:
    """Each group's boxes have its hatching; seaborn draws them group by group."""
    from matplotlib.patches import PathPatch

    boxes = [patch for patch in axes.patches if isinstance(patch, PathPatch)]
    per_group = max(1, len(boxes) // groups) if len(boxes) != groups * conditions else conditions
    for i, box in enumerate(boxes):
        box.set_hatch(_HATCHES[(i // per_group) % len(_HATCHES)])


def _bounds(axes: Axes, z: ZScores) -> None:
    """What no z can exceed, so that nobody looks for 1.96."""
    for side in (-z.bound, z.bound):
        axes.axhline(side, color="0.4", linestyle=":", linewidth=1)
    axes.axhline(0, color="0.4", linewidth=0.8)


def _wrapped(text: str, inches: float, points: float) -> str:
    """Text in lines that fit beside the axis: a letter is about half as wide as it is high."""
    return "\n".join(textwrap.wrap(text, int((inches - 1.0) * 72 / (0.55 * points))))


def _legend(figure: Figure, groups: list[str], colors: list[tuple[float, float, float]], *, boxes: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Patch | Line2D] = [
        Patch(facecolor=(*color, 0.55), edgecolor="0.15", hatch=_HATCHES[i % len(_HATCHES)], label=group)
        if boxes
        else Line2D([], [], color="0.1", linestyle="", marker=_MARKERS[i % len(_MARKERS)], label=group)
        for i, (group, color) in enumerate(zip(groups, colors, strict=True))
    ]
    handles.append(Line2D([], [], color="0.4", linestyle=":", label="largest z that is possible"))
    title = "points: tasks" + ("; boxes: families of tasks" if boxes else "")
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), title=title, frameon=False)
