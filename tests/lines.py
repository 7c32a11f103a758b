"""Lines of data files for tests of tasks: decoded, written into a file, answered with made-up rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from babyeval.data.jsonl import Record
from babyeval.data.lookup import DataFile, DataSource
from babyeval.errors import DataError
from babyeval.protocols import PROTOCOLS
from babyeval.records import Score
from babyeval.registry import get_task as look_up
from babyeval.types import Item, Outcome, Row

Line = Mapping[str, Any]
get_task = cache(look_up)  # looking through all entry points takes milliseconds, too long for each of thousands of items


def decoded(task: str, content: Line, stem: str = "some_file") -> Item:
    return get_task(task).decode(Record(dict(content), f"{stem}.jsonl, line 1", stem))


def without(line: Line, field: str) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key != field}


def source(folder: Path, **files: Sequence[Line]) -> DataSource:
    """Files of the given stems."""
    described = []
    for stem, lines in files.items():
        path = folder / f"{stem}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        described.append(DataFile(path, path.name, "", path.stat().st_size))
    return DataSource("full", tuple(described))


def assert_refused(task: str, folder: Path, lines: Sequence[Line], number: int, message: str) -> None:
    """The line of that number is refused, and file and line are named."""
    with pytest.raises(DataError, match=message) as caught:
        get_task(task).items(source(folder, some_file=lines))
    assert caught.value.where is not None
    assert caught.value.where.split(";")[0].endswith(f"some_file.jsonl, line {number}")


def answered(*candidates: float | Sequence[float]) -> list[Row]:
    """One row per candidate: its tokens' log-probabilities, or their sum in one token."""
    return [Row(tuple(c) if isinstance(c, Sequence) else (c,)) for c in candidates]


def outcomes(task: str, items: Sequence[Item], rows: Sequence[Sequence[Row]], protocol: str) -> list[Outcome]:
    return get_task(task).outcomes(items, rows, PROTOCOLS[protocol])


def scores(task: str, items: Sequence[Item], rows: Sequence[Sequence[Row]], protocol: str) -> dict[tuple[str, str, str], Score]:
    """By metric, group and subset."""
    found = get_task(task).scores(items, outcomes(task, items, rows, protocol), PROTOCOLS[protocol])
    by_key = {(score.metric, score.group, score.subset): score for score in found}
    assert len(by_key) == len(found), "metric, group and subset are unique"
    return by_key
