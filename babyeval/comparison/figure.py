"""The figure of z-scores: a box for each condition and group of tasks, with the tasks as points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from babyeval.comparison.zscores import ZScores
from babyeval.curve_figure import figure_format, save_figure
from babyeval.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HATCHES = ("", "///", "...")  # groups are told apart without any colour
_MARKERS = ("o", "s", "^")


def write_box_plots(z: ZScores, path: Path) -> None:
    """Draws the z-scores and writes them whole or not at all.

    Boxes hold the middle half of a condition's families of tasks, and whiskers reach to the farthest within 1.5 times
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
        raise UsageError("There is nothing to draw: no task has z-scores.", hint="The table says why.")
    import matplotlib as mpl
    import seaborn as sns
    from matplotlib.figure import Figure

    conditions = list(dict.fromkeys(frame["condition"]))
    with mpl.rc_context({**sns.axes_style("whitegrid"), "svg.hashsalt": "babyeval", "svg.fonttype": "none"}):
        figure = Figure(figsize=(max(5.0, 1.6 * len(conditions) + 1.5), 4.5), layout="constrained")
        axes = figure.subplots()
        groups = list(dict.fromkeys(frame["group"]))
        colors = [sns.desaturate(color, 0.8) for color in sns.color_palette("colorblind", len(groups))]
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
        _legend(figure, groups, colors)
        axes.set(xlabel="", ylabel="z across conditions", title=z.title)
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


def _legend(figure: Figure, groups: list[str], colors: list[tuple[float, float, float]]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Patch | Line2D] = [
        Patch(facecolor=(*color, 0.55), edgecolor="0.15", hatch=_HATCHES[i % len(_HATCHES)], label=group)
        for i, (group, color) in enumerate(zip(groups, colors, strict=True))
    ]
    handles.append(Line2D([], [], color="0.4", linestyle=":", label="largest z that is possible"))
    title = "points: tasks; boxes: families of tasks"
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), title=title, frameon=False)
