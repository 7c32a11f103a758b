"""What a record of the results folder leans on: its table of items, and the very data that was scored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from babyeval.data.lookup import TRY_MINI, DataSource, find_data
from babyeval.errors import DataError, DataMissing, MissingError
from babyeval.families import Task
from babyeval.records import TaskResult
from babyeval.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd


def items_of(store: ResultStore, record: TaskResult, columns: list[str]) -> tuple[Path, pd.DataFrame]:
    """Where a record's table of items lies, and some of its columns.

    Raises:
        MissingError: It is absent or damaged.
    """
    import pandas as pd

    assert record.items is not None
    path = store.folder_of(record) / record.items.path
    if not store.items_whole(record):
        raise MissingError(
            "The record's table of items is absent or damaged.", where=str(path), hint="Run the task again: its rows are cached."
        )
    return path, pd.read_parquet(path, columns=columns)


def full_data(task: Task, data_dir: Path | None, passwords: Mapping[str, str] | None) -> DataSource:
    """The task's full split: records hold no texts.

    Raises:
        DataMissing: It is not here.
    """
    try:
        return find_data(task.card, task.home, "full", data_dir, passwords)
    except DataMissing as error:  # a submission takes the full split
        raise DataMissing(error.what, where=error.where, hint=(error.hint or "").replace(TRY_MINI, "").strip()) from error


def require_same_data(record: TaskResult, source: DataSource) -> None:
    """Refuses data that a record was not made from.

    Raises:
        DataError: The digests differ.
    """
    if record.data is None or record.data.digest != source.digest:
        raise DataError(
            f"The data of '{record.task.name}' is not what its record was made from.",
            where=f"{source.files[0].place}: digest {source.digest[:12]}, the record's "
            f"{record.data.digest[:12] if record.data else 'unknown'}",
            hint="Name the right folder by --data-dir, or run the task again on this data.",
        )
