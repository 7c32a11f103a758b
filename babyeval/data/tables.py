"""Reading CSV files with errors that name the file and the place."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from babyeval.data.jsonl import Record
from babyeval.errors import DataError

if TYPE_CHECKING:
    from babyeval.data.lookup import DataFile


def read_csv(file: DataFile | Path, columns: Iterable[str] = ()) -> Iterator[Record]:
    """Yields the rows of a CSV file as records; every cell is text, an empty one the empty string.

    Args:
        file: A UTF-8 file whose first line names the columns, or a member of an archive.
        columns: Columns that it must have.

    Raises:
        DataError: The file is not UTF-8, lacks a column or names one twice, or a row has another number of cells than there are columns.
        DataMissing: An archive is locked, and its password is absent or wrong.
    """
    place, stem = str(file) if isinstance(file, Path) else file.place, file.stem
    with file.open("rb") if isinstance(file, Path) else file.open() as stream:
        text = decode_utf8(stream.read(), place)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(rows, [])
        missing = [name for name in columns if name not in header]
        if missing:
            raise DataError(
                f"The file lacks the column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}.",
                where=f"{place}, line 1",
                hint=f"It has {', '.join(map(repr, header)) or 'none'}. Is this the task's official file?",
            )
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise DataError(
                f"The file names a column twice: {', '.join(map(repr, twice))}.",
                where=f"{place}, line 1",
                hint="Only one of them could be read: rename or remove the other.",
            )
        for cells in rows:
            where = f"{place}, line {rows.line_num}"
            if len(cells) != len(header):
                raise DataError(
                    f"The row has {len(cells)} cells, and the file has {len(header)} columns.",
                    where=where,
                    hint="A text with a comma needs quotes; a file that ends inside a row is truncated.",
                )
            yield Record(dict(zip(header, cells, strict=True)), where, stem)
    except csv.Error as error:
        raise DataError(f"The file is not valid CSV ({error}).", where=f"{place}, line {rows.line_num}") from error


def decode_utf8(content: bytes, place: str) -> str:
    """The text of a whole file, without the byte order mark that some editors put in front.

    Args:
        content: The file's bytes.
        place: Where it lies, for the message.

    Raises:
        DataError: It is not UTF-8; position and line are named.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"The file is not UTF-8: byte {error.start} is {content[error.start]:#04x}.",
            where=f"{place}, line {line}",
            hint="Save it as UTF-8, or get it again from its source.",
        ) from error
