"""Learning curves of the page: every shown task's headline against the words that checkpoints have seen."""

from __future__ import annotations

from collections.abc import Mapping

from babyeval.comparison.alike import way_of_scoring
from babyeval.comparison.pairs import own_headlines
from babyeval.curve import Curve, Point

from . import payload as page
from .read import Board, Row


def curves_of(board: Board) -> dict[str, Curve]:
    """By column the curves of models of which at least two checkpoints were evaluated."""
    points: dict[tuple[str, str], dict[str, list[Point]]] = {}
    ways: dict[str, set[str]] = {}
    for result in board.series:
        ways.setdefault(result.model.name, set()).add(way_of_scoring(result))
    # Headlines that were corrected for the word's end too are those of the plain record: one line, not two.
    plain_first = sorted(board.series, key=lambda result: result.backend != way_of_scoring(result))
    seen: set[tuple[str, str, str, str]] = set()
    for result in plain_first:
        words = result.model.words_seen
        if words is None:
            continue
        name = result.model.name
        line = name if len(ways[name]) == 1 else f"{name} ({way_of_scoring(result)})"
        key = (result.task.name, name, result.model.revision, way_of_scoring(result))
        if key in seen:
            continue
        seen.add(key)
        for score in own_headlines(result):
            lines = points.setdefault((result.task.name, score.subset), {})
            lines.setdefault(line, []).append(Point(line, words, result, score))
    curves: dict[str, Curve] = {}
    for (task, subset), lines in points.items():
        kept = [
            sorted(line, key=lambda point: point.words_seen) for line in lines.values() if len({p.words_seen for p in line}) > 1
        ]
        if kept:
            column = f"{task}:{subset}" if subset else task
            curves[column] = Curve(task, board.protocol, board.splits[task], tuple(point for line in kept for point in line))
    return curves


def lines_of(curve: Curve, ids: Mapping[Row, int]) -> list[page.Line]:
    """A column's curves as the page draws them."""
    rows = {(row.name, row.revision, row.backend): number for row, number in ids.items()}
    lines: dict[str, list[page.CurvePoint]] = {}
    for point in curve.points:
        model, score = point.result.model, point.score
        number = rows.get((model.name, model.revision, way_of_scoring(point.result)))
        lines.setdefault(point.line, []).append(
            page.CurvePoint(
                revision=model.revision, words=point.words_seen, value=score.value, low=score.ci_low, high=score.ci_high,
                model=number,
            )
        )  # fmt: skip
    return [page.Line(line=name, points=points) for name, points in lines.items()]
