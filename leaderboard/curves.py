"""Learning curves of the page: every shown task's headline against the words that checkpoints have seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from babyeval.comparison.alike import way_of_scoring
from babyeval.comparison.pairs import own_headlines
from babyeval.curve import Curve, Point
from babyeval.models.naming import counted
from babyeval.records import TaskResult

from . import payload as page
from .read import Board, Row, alike


def curves_of(board: Board, notes: list[str]) -> dict[str, Curve]:
    """By column the curves of models of which at least two checkpoints were evaluated alike.

    Args:
        board: The records.
        notes: Takes up which checkpoints are left out.
    """
    points: dict[tuple[str, str], dict[str, list[Point]]] = {}
    ways: dict[str, set[str]] = {}
    for result in board.series:
        ways.setdefault(result.model.name, set()).add(way_of_scoring(result))
    # Headlines that were corrected for the word's end too are those of the plain record: one line, not two.
    plain_first = sorted(board.series, key=lambda result: result.backend != way_of_scoring(result))
    once: dict[tuple[str, ...], TaskResult] = {}
    for result in plain_first:
        once.setdefault((*_line(result), result.model.revision), result)
    for result in _alike(board, list(once.values()), notes):
        name, words = result.model.name, result.model.words_seen or 0
        line = name if len(ways[name]) == 1 else f"{name} ({way_of_scoring(result)})"
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


def _line(result: TaskResult) -> tuple[str, str, str]:
    return result.task.name, result.model.name, way_of_scoring(result)


def _alike(board: Board, results: Sequence[TaskResult], notes: list[str]) -> list[TaskResult]:
    """The checkpoints of known age that were measured as the model's score in the column, else as its last one."""
    aged = [result for result in results if result.model.words_seen is not None]
    done = [(row, result) for shown in board.records.values() for row, result in shown.items() if result.status == "done"]
    shown = {(result.task.name, row.name, row.backend): result for row, result in done}
    for result in sorted(aged, key=lambda one: -(one.model.words_seen or 0)):
        shown.setdefault(_line(result), result)
    lost: dict[tuple[str, str], set[str]] = {}
    for result in aged:
        if not alike(result, shown[_line(result)]):
            lost.setdefault((result.task.name, result.model.name), set()).add(result.model.revision)
    notes += [
        f"{task}: {counted(len(revisions), 'checkpoint')} of {name} not measured as its score on this page, and left out of "
        "its learning curve."
        for (task, name), revisions in sorted(lost.items())
    ]
    return [result for result in aged if alike(result, shown[_line(result)])]


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
