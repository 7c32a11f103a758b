"""The fine-tuning part of a submission: for each task the labels that the official protocol's one seed predicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from babyeval.official.parts import GLUE_TASKS
from babyeval.official.sizes import glue_problem
from babyeval.official.stored import items_of
from babyeval.records import TaskResult
from babyeval.store import ResultStore

Block = dict[str, list[dict[str, Any]]]


def glue_part(
    store: ResultStore, record_of: Callable[[str], TaskResult | None], why: Callable[[str], str], kept: Any
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """The part, as far as it can be made.

    Args:
        store: The results folder.
        record_of: A task's record over its one seed, if there is one to be exported.
        why: Why there is none.
        kept: The part of imported files, which fills what no record gives.

    Returns:
        ``{task: {"predictions": [{"id": "TASK_k", "pred": int}]}}`` of the tasks that are there in full, None if none is; and
        for the others what is wrong.

    Raises:
        MissingError: A record's table is absent or damaged.
    """
    blocks: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for task in GLUE_TASKS:
        record = record_of(task)
        imported = kept.get(task) if isinstance(kept, dict) else None
        block = _block(store, record) if record is not None else imported
        problem = why(task) if block is None else glue_problem(task, block)
        if problem:
            faults[task] = problem if task in problem else f"{task}: {problem}"
        else:
            blocks[task] = block
    return blocks or None, faults


def _block(store: ResultStore, record: TaskResult) -> Block:
    """A record's predictions; ids are those of the official file, from its line numbers."""
    _, table = items_of(store, record, ["item_id", "predictions"])
    pairs = zip(table["item_id"], table["predictions"], strict=True)
    return {"predictions": [{"id": name, "pred": int(labels[0])} for name, labels in pairs]}
