"""Published tables as JSON Lines: reading what the Hub gives, and Global PIQA in the fields of the official files."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from babyeval.errors import DataError

_SEPARATORS = {".tsv": "\t", ".csv": ","}
TABLES = (".jsonl", ".parquet", *_SEPARATORS)


def read_table(path: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a JSONL, TSV, CSV or Parquet file; cells of TSV and CSV are texts, empty ones too.

    Args:
        path: Where it lies.
        name: Its published name, whose ending says what it is.

    Raises:
        DataError: It is not what its name says.
    """
    import pyarrow.parquet as pq

    ending = Path(name).suffix
    try:
        if ending == ".parquet":
            return [dict(row) for row in pq.read_table(path).to_pylist()]
        with path.open(encoding="utf-8-sig", newline="") as stream:
            if ending == ".jsonl":
                return [json.loads(line) for line in stream if line.strip()]
            return list(csv.DictReader(stream, delimiter=_SEPARATORS[ending], strict=True))
    except (ValueError, csv.Error, OSError) as error:
        raise DataError(f"The file cannot be read as a table: {error}.", where=name) from error


def global_piqa(rows: Sequence[Mapping[str, Any]], expected_rows: int | None) -> dict[str, bytes]:
    """The file of the official pipeline: prompt, solutions, label and example id of every row.

    Args:
        rows: The published rows.
        expected_rows: How many there must be.

    Raises:
        DataError: A field is missing or empty, a label names no solution, or rows are missing.
    """
    if expected_rows is not None and len(rows) != expected_rows:
        raise DataError(f"Global PIQA has {len(rows)} rows instead of {expected_rows}; nothing was written.", where="eng_latn")
    return {"eng_latn.jsonl": "".join(_piqa_line(row, number) for number, row in enumerate(rows, start=1)).encode()}


def _piqa_line(row: Mapping[str, Any], number: int) -> str:
    where = f"Global PIQA, eng_latn, row {number}"
    names = sorted((key for key in row if key.startswith("solution") and key[8:].isdigit()), key=lambda key: int(key[8:]))
    texts = {key: row.get(key) for key in ("prompt", *names)}
    wrong = [key for key, text in texts.items() if not isinstance(text, str) or not text]
    if wrong or row.get("example_id") in (None, ""):
        raise DataError(f"The field '{(wrong or ['example_id'])[0]}' is missing or empty.", where=where)
    label = str(row.get("label"))
    if not label.isdigit() or int(label) >= len(names):
        raise DataError(f"The label {label} names none of {len(names)} solutions.", where=where)
    content = {**texts, "label": int(label), "example_id": str(row["example_id"])}
    return json.dumps(content, ensure_ascii=False) + "\n"
