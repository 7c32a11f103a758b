"""Pairs of models: results that the page ships, and which models are not significantly worse than the best of a column."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from babyeval.comparison.many import Many
from babyeval.comparison.pairs import headline_values, together
from babyeval.errors import UsageError

from .about import without_root
from .payload import PAIR_FIELDS, PairColumn, shortened

if TYPE_CHECKING:
    from babyeval.comparison.report import Measured
    from babyeval.records import TaskResult

    from .payload import Number, ScoreCell, Task
    from .read import Board, Row

MOST = 50  # models of which all pairs are shipped: more are 1,225 for each column
# Of age of acquisition each pair of models has words of its own, and so resamples of its own.
MOST_ACQUISITION = 12
LEVEL = 0.05
# With more models than that, the test of a difference, which reads items, is spared where an unpaired t over a standard error
# made larger by half is already so clear, after Bonferroni, that nothing could make it insignificant.
_OBVIOUS, _LARGER = 1e-3, 1.5


def pair_columns(board: Board, tasks: Sequence[Task], ids: Mapping[Row, int]) -> tuple[dict[str, PairColumn], str | None]:
    """All pairs of every column that the browser cannot test itself, as `babyeval compare` gives them.

    What was not measured alike has no pairs.

    Returns:
        By column the pairs, and why there are none where there are too many models.
    """
    if len(ids) > MOST:
        return {}, (
            f"Pairs are shipped for up to {MOST} models, and these are {len(ids)}. "
            "The command compares any two: babyeval compare A B --results FOLDER."
        )
    columns: dict[str, PairColumn] = {}
    for task in tasks:
        if task.test == "shipped" and task.id not in board.mixed:
            columns |= _pairs_of_task(board, task, ids)
    return columns, None


def _pairs_of_task(board: Board, task: Task, ids: Mapping[Row, int]) -> dict[str, PairColumn]:
    records = {ids[row]: result for row, result in board.records[task.id].items() if result.status == "done"}
    done = sorted(records)
    if task.family == "acquisition" and len(done) > MOST_ACQUISITION:
        return {}
    many = Many(board.store)
    found: dict[str, dict[str, Measured]] = {column.key: {} for column in task.headlines}
    values: dict[str, dict[str, tuple[Number, Number]]] = {column.key: {} for column in task.headlines}
    failed: dict[str, str] = {}
    for a, b in combinations(done, 2):
        one, other, pair = records[a], records[b], f"{a}-{b}"
        try:
            for column, measured in _compared(many, task, one, other).items():
                # Other ways of scoring, and values near chance, are told by the browser: so many notes would be megabytes.
                note = together(measured.note, measured.found.note)
                found[column][pair] = replace(measured, note=note and without_root(note, board.store.root))
                if task.family == "acquisition" and measured.values != headline_values(one, other):
                    values[column][pair] = shortened(measured.values[0]), shortened(measured.values[1])
        except UsageError as error:
            failed[pair] = without_root(error.what, board.store.root)
    return {key: _column(pairs, values[key], failed, task) for key, pairs in found.items()}


def _column(
    pairs: Mapping[str, Measured], values: Mapping[str, tuple[Number, Number]], failed: Mapping[str, str], task: Task
) -> PairColumn:
    abouts = {pair: (one.found.test, one.found.unit, one.claim) for pair, one in pairs.items()}
    usual = Counter(abouts.values()).most_common(1)
    test, unit, claim = usual[0][0] if usual else ("none", "items", "")
    notes: dict[str, dict[str, str]] = {pair: {"note": reason} for pair, reason in failed.items()}
    for pair, one in pairs.items():
        own = {} if abouts[pair] == (test, unit, claim) else dict(zip(("test", "unit", "claim"), abouts[pair], strict=True))
        if one.note or own:
            notes[pair] = {**own, **({"note": one.note} if one.note else {})}
    rows = {pair: _numbers(one) for pair, one in pairs.items()} | {pair: [None] * len(PAIR_FIELDS) for pair in failed}
    of_value = next((one.unit_of_value for one in pairs.values()), task.unit)
    return PairColumn(test=test, unit=unit, claim=claim, unit_of_value=of_value, rows=rows, notes=notes, values=dict(values))


def _numbers(measured: Measured) -> list[float | int | None]:
    """The fields of a row."""
    found = measured.found
    counts = measured.counts or (None, None, None)
    numbers = (found.difference, found.low, found.high, found.p, found.mde)
    return [*map(shortened, numbers), found.n, found.clusters, *counts]


def _compared(many: Many, task: Task, a: TaskResult, b: TaskResult) -> dict[str, Measured]:
    """The comparison of two records by column."""
    keys = {column.subset: column.key for column in task.headlines}
    return {keys[measured.subset]: measured for measured in many.compare(a, b) if measured.subset in keys}


def best_models(
    board: Board,
    tasks: Sequence[Task],
    ids: Mapping[Row, int],
    scores: Mapping[str, Mapping[int, ScoreCell]],
    pairs: Mapping[str, PairColumn],
) -> dict[str, list[int]]:
    """By column the model with the best value, and all that are not significantly worse.

    All others are compared with the best one by the column's test, with Holm's correction over these comparisons. Where one of
    a lower value has no test, such as one imported from rounded scores, the column is left out: not to be marked would read as
    significantly worse. A model alone is no best.
    """
    from babyeval.stats.multiple import adjust

    best: dict[str, list[int]] = {}
    for task in tasks:
        sign = 1 if task.higher_is_better else -1
        many = Many(board.store)
        for column in task.headlines:
            values = {number: sign * cell.value for number, cell in scores[column.key].items() if cell.value is not None}
            if len(values) < 2 or task.id in board.mixed or (task.family == "acquisition" and len(values) > MOST):
                continue
            top = max(values, key=lambda number: values[number])
            others = [number for number in values if number != top]
            worse = _worse(board, many, task, column.key, top, others, ids, scores[column.key], pairs)
            adjusted = adjust([worse[number] for number in others], "holm")
            known = {n: 1.0 if values[n] == values[top] else p for n, p in zip(others, adjusted, strict=True)}
            level = [n for n, p in known.items() if p is not None and p >= LEVEL]
            if None not in known.values():
                best[column.key] = sorted([top, *level])
    return best


def _worse(
    board: Board,
    many: Many,
    task: Task,
    column: str,
    top: int,
    others: Sequence[int],
    ids: Mapping[Row, int],
    cells: Mapping[int, ScoreCell],
    pairs: Mapping[str, PairColumn],
) -> dict[int, float | None]:
    """Of each model the p-value of its difference to the best; 1 where the test points the other way."""
    sign = 1 if task.higher_is_better else -1
    if task.test == "subsets":
        return _over_strata(task, cells, top, others, sign)
    found: dict[int, tuple[float | None, float | None]] = {}
    if column in pairs:
        for number in others:
            row = pairs[column].rows.get(f"{min(top, number)}-{max(top, number)}")
            difference, p = (row[0], row[PAIR_FIELDS.index("p")]) if row is not None else (None, None)
            found[number] = p, difference if difference is None or top < number else -difference
    else:
        records = {ids[row]: result for row, result in board.records[task.id].items()}
        for number in others:
            of = (records[top], records[number]), (cells[top], cells[number])
            found[number] = _obvious(task, *of, len(others)) or _tested(many, task, column, *of[0])
    return {number: 1.0 if p is not None and d is not None and sign * d < 0 else p for number, (p, d) in found.items()}


def _over_strata(
    task: Task, cells: Mapping[int, ScoreCell], top: int, others: Sequence[int], sign: int
) -> dict[int, float | None]:
    """The t test over the strata's means of all models at once."""
    import numpy as np
    from scipy.stats import t

    own = cells[top].strata
    count = len(own.value) if own is not None else 0
    if count < 2 or not others or cells[top].rounded:
        return dict.fromkeys(others)
    sizes = {number: cell.strata.n or task.strata_n for number, cell in cells.items() if cell.strata is not None}
    whole = [max(counts) for counts in zip(*sizes.values(), strict=True)]  # a mean over fewer items is of other items
    means = np.full((1 + len(others), count), np.nan)
    for row, number in enumerate((top, *others)):
        found = cells[number].strata
        if found is not None and not cells[number].rounded and sizes[number] == whole:
            means[row] = found.value
    difference = sign * (means[0] - means[1:])
    spread = np.std(difference, axis=1, ddof=1)
    # Without a test where a stratum is missing, or all differ by the same.
    usable = np.isfinite(difference).all(axis=1) & (spread > 1e-12 * np.abs(difference).max(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = difference.mean(axis=1) / (spread / math.sqrt(count))
    p = np.where(statistic < 0, 1.0, 2 * t.sf(statistic, count - 1))
    return {number: float(one) if there else None for number, one, there in zip(others, p, usable, strict=True)}


def _obvious(
    task: Task, records: tuple[TaskResult, TaskResult], cells: tuple[ScoreCell, ScoreCell], others: int
) -> tuple[float, float] | None:
    """p and difference of a model that is so far behind the best that its items need not be read; None where it is not.

    Fits have few seeds, reading is tested in another unit, and a headline of age of acquisition is of the model's own words, not
    of those that both have: these are always tested.
    """
    from scipy.stats import t

    (one, other), family = cells, task.family
    if family not in ("ranking", "rating") or any(record.items is None for record in records):
        return None
    if one.value is None or other.value is None or one.se is None or other.se is None:
        return None
    error = _LARGER * math.hypot(one.se, other.se)
    freedom = min(one.clusters, other.clusters) - 1
    if error == 0 or freedom < 1:
        return None
    p = float(2 * t.sf(abs(one.value - other.value) / error, freedom))
    return (p, one.value - other.value) if p * others < _OBVIOUS else None


def _tested(many: Many, task: Task, column: str, a: TaskResult, b: TaskResult) -> tuple[float | None, float | None]:
    """p and difference of the best and another."""
    try:
        measured = _compared(many, task, a, b).get(column)
    except UsageError:
        return None, None
    return (measured.found.p, measured.found.difference) if measured is not None else (None, None)
