"""The figure of reading times: what surprisal adds, and predicted against observed times, of each headline's measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.curve_figure import drawing, figure_format, save_figure
from babyeval.errors import UsageError
from babyeval.reading import SELF_PACED
from babyeval.records import TaskResult
from babyeval.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd

    from babyeval.stats.reading import Floats, Nested

TITLES = {
    "RTfirstfix": "First fixation",
    "RTfirstpass": "First pass",
    "RTgopast": "Go-past",
    "RTrightbound": "Right-bounded",
    SELF_PACED: "Self-paced",
}
_AGAIN = "Run the task again: its rows are cached."
_BINS = 10
_CORRECTED = "-corrected"  # how backends end whose records hold surprisals corrected for the word's end


@dataclass(frozen=True, slots=True)
class Drawn:
    """Everything that the figure shows.

    Attributes:
        points: One row per word and measure: ``measure``, ``item_id``, ``cluster`` (the sentence), ``observed`` and
            ``predicted`` (ms, by the full model), and ``surprisal_left`` (nats) and ``time_left`` (ms): what the rest
            of the full model leaves of either.
        lines: One row per measure: ``measure``, ``n``, ``clusters``, ``coefficient`` (ms per nat) with its 95% interval
            ``low`` and ``high``, ``partial_r2``, ``r2`` and ``r2_base`` (shares), and ``joint``: whether the
            previous word's surprisal is added together with the word's.
    """

    points: pd.DataFrame
    lines: pd.DataFrame


def drawn(items: pd.DataFrame, protocol: str) -> Drawn:
    """What is drawn of a record's table.

    The effect of surprisal is an added-variable view: both axes are residuals of the same other predictors, so that the
    slope through the points is the regression's coefficient (Frisch and Waugh 1933; Lovell 1963).

    Args:
        items: The record's ``items.parquet``.
        protocol: The record's protocol, which says which regressions and which errors.

    Raises:
        UsageError: A column is missing, or there is no regression, as with too few rows.
    """
    import numpy as np
    import pandas as pd

    from babyeval.stats.reading import COMMON_SPILLOVER, OFFICIAL_SPILLOVER, WORD_FORM, nested, regress

    robust = protocol == "robust"
    spillover = COMMON_SPILLOVER if robust else OFFICIAL_SPILLOVER
    wanted = dict.fromkeys((*WORD_FORM.base, *WORD_FORM.added, *spillover.base, *spillover.added, *TITLES))
    if missing := [name for name in ("item_id", "cluster", *wanted) if name not in items]:
        raise UsageError(f"The record's table lacks the column '{missing[0]}'.", hint=_AGAIN)
    table = {name: items[name].to_numpy(np.float64, na_value=np.nan) for name in wanted}
    sentences = items["cluster"].tolist()
    points, lines = [], []
    for measure in TITLES:
        data = nested(table, spillover if measure == SELF_PACED else WORD_FORM, measure, sentences)
        fit = regress(data, robust)
        if fit is None:
            raise UsageError(
                f"There is no regression of '{measure}', {len(data.y)} rows: {data.fault}.",
                hint="Draw the full split; if surprisal is at fault, 'babyeval check' looks at the model.",
            )
        about = items.iloc[data.rows][["item_id", "cluster"]].reset_index(drop=True)
        points.append(about.assign(measure=measure, **_sides(data)))
        interval = {"low": fit.coefficient - fit.half, "high": fit.coefficient + fit.half}
        shares = {"partial_r2": fit.partial_r2, "r2": fit.r2, "r2_base": fit.r2 - fit.delta_r2}
        counts = {"n": fit.n, "clusters": fit.clusters, "joint": fit.coefficient_previous is not None}
        lines.append({"measure": measure, "coefficient": fit.coefficient, **interval, **shares, **counts})
    return Drawn(pd.concat(points, ignore_index=True), pd.DataFrame(lines))


def _sides(data: Nested) -> dict[str, Floats]:
    """Both axes of both panels of a measure."""
    import numpy as np

    at = data.base.shape[1]
    others = np.delete(data.full, at, axis=1)
    both = np.column_stack([data.full[:, at], data.y])
    left = both - others @ np.linalg.lstsq(others, both, rcond=None)[0]
    predicted = data.full @ np.linalg.lstsq(data.full, data.y, rcond=None)[0]
    return {"observed": data.y, "predicted": predicted, "surprisal_left": left[:, 0], "time_left": left[:, 1]}


def with_word_end(items: pd.DataFrame) -> pd.DataFrame:
    """A record's table with the surprisals corrected for the word's end in the place of the plain ones.

    Raises:
        UsageError: It has no such columns.
    """
    from babyeval.stats.reading import WORD_END

    if missing := [name for name in WORD_END.values() if name not in items]:
        raise UsageError(f"The record's table lacks the column '{missing[0]}'.", hint=_AGAIN)
    return items.assign(**{plain: items[name] for plain, name in WORD_END.items()})


def only_record(results: list[TaskResult]) -> TaskResult:
    """The one record of reading times among those that were selected.

    Args:
        results: The selected records, at least one.

    Raises:
        UsageError: They are of another task, there are several, or the one is not done.
    """
    other = next((result for result in results if result.task.family != "reading"), None)
    if other is not None:
        raise UsageError(
            f"There is no figure of '{other.task.name}': figures are drawn of reading times.",
            hint="Name them by --task reading; 'babyeval results curve --figure FILE' draws scores against words seen.",
        )
    done = [result for result in results if result.status == "done"]
    if not done:
        raise UsageError(f"The record is {results[0].status}: {results[0].error}", hint=_AGAIN)
    if len(done) > 1:
        options = ("model", "revision", "protocol", "split", "backend")
        about = [(r.model.name, r.model.revision, r.protocol, r.split, r.backend) for r in done]
        differ = [f"--{option}" for option, values in zip(options, zip(*about, strict=True), strict=True) if len(set(values)) > 1]
        raise UsageError(
            f"{len(done)} records fit, and the figure is of one.",
            where="; ".join(", ".join(one) for one in about[:9]),
            hint=f"Choose one by {', '.join(differ) or '--task'}.",
        )
    return done[0]


def write_reading_figure(store: ResultStore, result: TaskResult, path: Path) -> None:
    """Draws a record's figure and writes it whole or not at all.

    Args:
        store: Where the record lies.
        result: The record.
        path: Where to; the ending says which format.

    Raises:
        UsageError: The ending names no format, or the record's table is not there, damaged, or too small.
        MissingError: The file cannot be written.
    """
    kind = figure_format(path)
    if result.items is None or not store.items_whole(result):
        place = store.folder_of(result)
        raise UsageError(
            "The record's table of items is not there, or not the one that was written.", where=str(place), hint=_AGAIN
        )
    import pandas as pd

    items = pd.read_parquet(store.folder_of(result) / result.items.path)
    what = drawn(with_word_end(items) if result.backend.endswith(_CORRECTED) else items, result.protocol)
    sizes = {"axes.titlesize": 10, "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8, "figure.titlesize": 10}
    with drawing("ticks", sizes):
        save_figure(_figure(what, result), path, kind)


def _figure(what: Drawn, result: TaskResult) -> Any:
    """Two rows of panels, one column per measure."""
    import seaborn as sns
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.5, 5.6), layout="constrained")
    panels = figure.subplots(2, len(TITLES))
    blue, orange = sns.color_palette("colorblind")[0], sns.color_palette("colorblind")[3]
    for column, (measure, title) in enumerate(TITLES.items()):
        points = what.points[what.points["measure"] == measure]
        line = what.lines.set_index("measure").loc[measure]
        top, bottom = panels[0, column], panels[1, column]
        _effect(top, points, line, blue, orange)
        _predictions(bottom, points, line, blue)
        top.set_title(f"{title}\n{line.n:,.0f} words, {line.clusters:.0f} sentences")
        for panel in (top, bottom):
            sns.despine(ax=panel)
    panels[0, 0].set_ylabel("reading time,\nother predictors removed (ms)")
    panels[1, 0].set_ylabel("observed reading time (ms)")
    figure.align_ylabels(panels[:, 0])
    model = result.model
    errors = "clustered by sentence" if result.protocol == "robust" else "ordinary least squares"
    how = result.backend.removesuffix(_CORRECTED) + (
        ", surprisals corrected for the word's end" if _CORRECTED in result.backend else ""
    )
    invented = f"\nmini: {result.task.mini_note}" if result.split.startswith("mini") and result.task.mini_note else ""
    figure.suptitle(
        f"{model.name} ({model.revision}), {result.task.name}, {result.split} split, protocol {result.protocol}, {how}{invented}\n"
        f"line: effect of surprisal with 95% interval ({errors}); black dots: means of tenths of the words; dashed: equality",
    )
    return figure


def _effect(panel: Any, points: pd.DataFrame, line: Any, blue: Any, orange: Any) -> None:
    """Surprisal against time, both without what the other predictors explain; the line is the regression's."""
    import numpy as np
    import pandas as pd
    import seaborn as sns

    x = points["surprisal_left"]
    sns.scatterplot(x=x, y=points["time_left"], ax=panel, color=blue, s=6, alpha=0.25, linewidth=0, rasterized=True)
    ends = np.array([x.min(), 0.0, x.max()])
    low, high = np.sort([ends * line.low, ends * line.high], axis=0)
    panel.fill_between(ends, low, high, color=orange, alpha=0.35, linewidth=0)
    panel.plot(ends, ends * line.coefficient, color=orange, linewidth=1.8)
    tenths = points.groupby(pd.qcut(x, _BINS, duplicates="drop"), observed=True)[["surprisal_left", "time_left"]].mean()
    panel.plot(tenths["surprisal_left"], tenths["time_left"], "o", color="black", markersize=4, markeredgecolor="white")
    _limit(panel, points["time_left"])
    panel.set(xlabel="surprisal, other predictors\nremoved (nats)", ylabel="")
    joint = " (of two words)" if line.joint else ""
    _say(
        panel,
        f"{line.coefficient:.2f} ms/nat [{line.low:.2f}, {line.high:.2f}]\npartial R² {100 * line.partial_r2:.2f}%{joint}",
    )


def _predictions(panel: Any, points: pd.DataFrame, line: Any, blue: Any) -> None:
    """What the full model predicts against what was observed; on the dashed line they are equal."""
    import seaborn as sns

    sns.scatterplot(
        x=points["predicted"], y=points["observed"], ax=panel, color=blue, s=6, alpha=0.25, linewidth=0, rasterized=True
    )
    ends = [points["predicted"].min(), points["predicted"].max()]
    panel.plot(ends, ends, color="black", linewidth=1, linestyle="--")
    _limit(panel, points["observed"])
    panel.set(xlabel="predicted reading time (ms)", ylabel="")
    _say(panel, f"R² {line.r2:.3f}\nwithout {'surprisals' if line.joint else 'surprisal'} {line.r2_base:.3f}")


def _limit(panel: Any, values: pd.Series[float]) -> None:
    """Leaves room for the words of a panel above its points."""
    low, high = values.min(), values.max()
    panel.set_ylim(low - 0.04 * (high - low), high + 0.25 * (high - low))


def _say(panel: Any, text: str) -> None:
    panel.text(0.04, 0.98, text, transform=panel.transAxes, va="top", ha="left", fontsize=8)
