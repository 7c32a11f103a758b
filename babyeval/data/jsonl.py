"""Reading JSON Lines with errors that name the file and the line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.errors import DataError

if TYPE_CHECKING:
    from babyeval.data.lookup import DataFile


class Record(dict[str, Any]):
    """One line of a JSONL file; asking for a field it lacks names the file and the line.

    Attributes:
        where: ``file, line n``.
        stem: The file's name without its ending; several benchmarks use it as UID.
        digest: Hash of the line's content, stable under reordering of its fields.
    """

    def __init__(self, content: dict[str, Any], where: str, stem: str) -> None:
        super().__init__(content)
        self.where = where
        self.stem = stem

    def __missing__(self, key: str) -> Any:
        raise DataError(
            f"The field '{key}' is missing.",
            where=self.where,
            hint=f"The line holds {', '.join(map(repr, self))}. Is this the task's official file?",
        )

    def text(self, key: str) -> str:
        """The field as a non-empty string.

        Raises:
            DataError: The field is missing, is no string, or is empty.
        """
        value = self[key]
        if not isinstance(value, str) or not value:
            # Errors stand in records, which hold no text of a benchmark.
            found = f"a {type(value).__name__}" if isinstance(value, list | dict) else repr(value)
            raise DataError(f"The field '{key}' is not a non-empty string: {found}.", where=self.where)
        return value

    @property
    def digest(self) -> str:
        content = json.dumps(self, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def read_jsonl(file: DataFile | Path) -> Iterator[Record]:
    """Yields the lines of a JSONL file as records.

    Args:
        file: A UTF-8 file with one JSON object per line, or a member of an archive; blank lines are skipped.

    Raises:
        DataError: A line is not UTF-8, not JSON (a truncated file ends so), or no object; or an
            archive is damaged.
        DataMissing: An archive is locked, and its password is absent or wrong.
    """
    place, stem = str(file) if isinstance(file, Path) else file.place, file.stem
    with file.open("rb") if isinstance(file, Path) else file.open() as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            where = f"{place}, line {number}"
            try:
                content = json.loads(line.decode("utf-8"))
            except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, a number or a nesting beyond all bounds
                ending = "" if line.endswith(b"\n") else " The file ends here without a line break: it may be truncated."
                raise DataError(
                    f"The line is not valid JSON ({error}).{ending}",
                    where=where,
                    hint="Mend the line, or get the file again from its source.",
                ) from error
            if not isinstance(content, dict):
                raise DataError(f"The line holds a {type(content).__name__}, not an object.", where=where)
            yield Record(content, where, stem)
