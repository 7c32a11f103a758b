"""bfloat16, checked: close decisions are scored again in float32, and the rest is audited."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from babyeval.records import Precision
from babyeval.run.plan import Plan, PlannedTask
from babyeval.types import Row

Rows = list[list[Row]]
Answers = Mapping[bytes, tuple[float, ...]]
Table = np.ndarray[tuple[int, int], np.dtype[np.float64]]

_SAMPLE = 400
_QUANTILE = 0.999
_FACTOR = 4.0


def rows_of(planned: PlannedTask, answers: Answers) -> Rows:
    """The rows of all items."""
    return [[span.row(answers) for span in spans] for spans in planned.asked]


def checked_rows(plan: Plan, planned: PlannedTask, rounded: Answers) -> tuple[Rows, Precision]:
    """Rows in bfloat16, in float32 wherever rounding could change a decision.

    The error of margins is measured on a sample, for each of an item's decisions; items with a margin
    within four times its 99.9th percentile are scored again; a second sample of the others
    counts the items that are still decided otherwise (design, section 7).

    Args:
        plan: Gives the engine and the questions.
        planned: A task whose result depends on decisions only.
        rounded: Its answers in bfloat16.

    Returns:
        The rows, and what was found.
    """
    rows = rows_of(planned, rounded)
    order = _shuffled(planned)
    sample, rest = order[:_SAMPLE], order[_SAMPLE:]
    margins = _table(planned.task.margins(planned.items, rows, planned.protocol))
    exact = _exactly(plan, planned, sample, "measuring the rounding error")
    errors = np.abs(_margins(planned, sample, exact) - margins[sample])
    finite = bool(np.isfinite(errors).all())
    error = np.quantile(errors, _QUANTILE, axis=0) if finite else np.full(margins.shape[1], np.inf)
    close = np.any(~(np.abs(margins) > _FACTOR * error), axis=1).tolist()  # NaN counts as close
    again = [i for i in rest if close[i]]
    audit = [i for i in rest if not close[i]][:_SAMPLE]
    exact = _exactly(plan, planned, sample + again + audit, "scoring close decisions in float32")
    differs = int(np.sum((np.sign(_margins(planned, audit, exact)) != np.sign(margins[audit])).any(axis=1))) if audit else 0
    for i in [*sample, *again, *audit]:
        rows[i] = [span.row(exact) for span in planned.asked[i]]
    return rows, Precision(
        sampled=len(sample),
        error_p999=float(error.max()) if finite else None,
        threshold=_FACTOR * float(error.max()) if finite else None,
        rescored=len(again),
        audited=len(audit),
        audit_differs=differs,
    )


def _exactly(plan: Plan, planned: PlannedTask, indices: Sequence[int], label: str) -> Answers:
    return plan.engine.answer(plan.questions.of([planned.asked[i] for i in indices]), "float32", label)


def _margins(planned: PlannedTask, indices: Sequence[int], answers: Answers) -> Table:
    items = [planned.items[i] for i in indices]
    rows = [[span.row(answers) for span in planned.asked[i]] for i in indices]
    return _table(planned.task.margins(items, rows, planned.protocol))


def _table(margins: Sequence[Any]) -> Table:
    """Margins of shape (items, decisions), also where a task gives one number per item."""
    return np.array(margins, np.float64).reshape(len(margins), -1)


def _shuffled(planned: PlannedTask) -> list[int]:
    """Item indices in an order that depends on nothing but their ids."""
    keys = [hashlib.blake2b(item.id.encode(), digest_size=8).digest() for item in planned.items]
    return sorted(range(len(keys)), key=keys.__getitem__)
