"""The items of two records side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from babyeval.comparison.report import RUN_AGAIN
from babyeval.errors import UsageError
from babyeval.records import TaskResult
from babyeval.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd


class NoItems(Exception):
    """A record has no table of items to compare; the message says why."""


def joined(store: ResultStore, a: TaskResult, b: TaskResult, columns: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables, b's rows in the order of a's.

    Args:
        store: Where they lie.
        a: A record.
        b: Another of the same task.
        columns: What is needed of both, ``item_id`` besides.

    Raises:
        NoItems: One of them has no table, or it lacks a column.
        UsageError: The tables hold different items.
    """
    left, right = (items_of(store, result, columns) for result in (a, b))
    for result, table in ((a, left), (b, right)):
        repeated = int(table.index.duplicated().sum())
        if repeated:
            raise UsageError(
                f"The items of '{result.task.name}' cannot be told apart: {repeated} of {len(table):,} ids occur twice.",
                where=str(store.folder_of(result)),
                hint="Do the ids of the task's items differ? Mend it, and run the task again.",
            )
    if not left.index.equals(right.index):
        both = left.index.intersection(right.index)
        if len(both) < max(len(left), len(right)):
            raise UsageError(
                f"The items of '{a.task.name}' do not join: {len(both):,} are in both tables, {len(left) - len(both):,} only in "
                f"that of '{a.model.name}', {len(right) - len(both):,} only in that of '{b.model.name}'.",
                where=f"{store.folder_of(a)} and {store.folder_of(b)}",
                hint="Evaluate both on the same data with the same version of the task, or leave the task out by --tasks.",
            )
        right = right.loc[left.index]
    return left, right


def items_of(store: ResultStore, result: TaskResult, columns: Sequence[str]) -> pd.DataFrame:
    """The columns of one record's table, by item.

    Raises:
        NoItems: There is no table, or it lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    who = f"'{result.model.name}'"
    if result.imported is not None and result.items is None:
        raise NoItems(f"{who} was imported from rounded scores without items, so that there is no error and no test")
    if result.items is None:
        raise NoItems(f"the record of {who} names no table of items")
    path = store.folder_of(result) / result.items.path
    if not store.items_whole(result):
        state = "is not the one that was written" if path.exists() else "is not there"
        raise NoItems(f"the table of items of {who} {state}: {RUN_AGAIN} ({path})")
    try:
        there = pq.read_schema(path).names
        lacking = [name for name in ("item_id", *columns) if name not in there]
        if lacking:
            raise NoItems(f"the items of {who} lack {', '.join(lacking)}")
        return _table(path, result.items.sha256, tuple(columns))
    except (OSError, pa.ArrowException) as error:
        raise NoItems(f"the table of items of {who} cannot be read: {str(error).splitlines()[0]} ({path})") from error


@lru_cache(maxsize=64)
def _table(path: Path, sha256: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table of this digest, read once for the pairs of a page."""
    import pyarrow.parquet as pq

    table: pd.DataFrame = pq.ParquetFile(path).read(["item_id", *columns], use_threads=False).to_pandas()
    return table.set_index("item_id")
