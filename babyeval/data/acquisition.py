"""Reading the two files of age of acquisition: words in contexts, and how many children say each word at which age."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any, NamedTuple

from babyeval.data.jsonl import Record
from babyeval.data.lookup import DataFile
from babyeval.data.tables import decode_utf8, read_csv
from babyeval.errors import DataError

_MISSING = ("", "NA", "nan", "NaN")  # what the official reader of tables takes for a missing number
_MEND = "Mend the file, or get it again from its source."


class WordContext(NamedTuple):
    """A word, and a text that it may follow.

    Attributes:
        word: The word.
        context: What stands before it, as in the file.
        number: Counts the contexts of the word from 0, as the official results do (``context_id``).
        place: File without its ending, word and number, for messages.
    """

    word: str
    context: str
    number: int
    place: str


def read_contexts(file: DataFile) -> list[WordContext]:
    """The contexts of all words, in file order.

    Words of one letter are skipped, as officially; a word without contexts gives nothing (19 official ones have none).

    Args:
        file: UTF-8 JSON, ``{word: [{"context": text, ...}, ...]}``; it may be a member of an archive.

    Raises:
        DataError: The file is not UTF-8 or not JSON, has another form, or holds a word twice; or an archive is damaged.
        DataMissing: An archive is locked, and its password is absent or wrong.
    """
    content = _read_json(file)
    if not isinstance(content, dict):
        raise DataError(f"The file holds a {type(content).__name__}, not an object.", where=file.place, hint=_MEND)
    found = []
    for word, entries in content.items():
        if len(word) < 2:
            continue
        where = f"{file.place}, word {word!r}"
        if not isinstance(entries, list):
            raise DataError(f"The contexts are a {type(entries).__name__}, not a list.", where=where, hint=_MEND)
        for number, entry in enumerate(entries):
            text = _context(entry, f"{where}, context {number}")
            found.append(WordContext(word, text, number, f"{file.stem}, word {word!r}, context {number}"))
    return found


def _read_json(file: DataFile) -> Any:
    """The content of a JSON file; a key that occurs twice is refused, for readers silently keep the last."""

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key, value in pairs:
            if key in content:
                raise DataError(f"The key {key!r} occurs twice in one object.", where=file.place, hint=_MEND)
            content[key] = value
        return content

    with file.open() as stream:
        text = decode_utf8(stream.read(), file.place)
    try:
        return json.loads(text, object_pairs_hook=distinct)
    except json.JSONDecodeError as error:
        raise DataError(
            f"The file is not valid JSON ({error.msg}).",
            where=f"{file.place}, line {error.lineno}, column {error.colno}",
            hint=f"{_MEND} A file that ends too early is truncated.",
        ) from error
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond all bounds
        raise DataError(f"The file is not valid JSON ({error}).", where=file.place, hint=_MEND) from error


def _context(entry: Any, where: str) -> str:
    if not isinstance(entry, dict):
        raise DataError(f"The entry is a {type(entry).__name__}, not an object.", where=where, hint=_MEND)
    text = Record(entry, where, "")["context"]
    if not isinstance(text, str):
        raise DataError(f"The context is a {type(text).__name__}, not a string.", where=where, hint=_MEND)
    return text


def read_proportions(file: DataFile) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """How many children say each word, by age.

    Args:
        file: UTF-8 CSV with the column ``word`` and one column for each month, whose name is a whole number; other
            columns are not read. It may be a member of an archive. A cell that is empty or ``NA`` is missing. Of a
            word that stands there twice the first row counts, as officially.

    Returns:
        For each word the months, rising, and the proportions of children, each 0 to 1; missing ones are left out of both.

    Raises:
        DataError: The file is malformed, has no column of a month or two of one, holds no word, or a proportion is none.
        DataMissing: An archive is locked, and its password is absent or wrong.
    """
    table: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}
    for row in read_csv(file, columns=["word"]):
        months = sorted((name for name in row if name.isascii() and name.isdigit()), key=int)
        if not months:
            raise DataError(
                "The file has no column of a month.",
                where=f"{file.place}, line 1",
                hint=f"It has {', '.join(map(repr, row))}. Months are named by whole numbers, such as '16'.",
            )
        if twice := next((pair for pair in pairwise(months) if int(pair[0]) == int(pair[1])), None):
            raise DataError(
                f"The file has two columns of one month: {' and '.join(map(repr, twice))}.",
                where=f"{file.place}, line 1",
                hint=_MEND,
            )
        word = row.text("word")
        known = [(float(month), _proportion(row, month)) for month in months if row[month].strip() not in _MISSING]
        table.setdefault(word, (tuple(month for month, _ in known), tuple(share for _, share in known)))
    if not table:
        raise DataError("The table holds no words.", where=file.place, hint=_MEND)
    return table


def _proportion(row: Record, month: str) -> float:
    try:
        share = float(row[month])
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise DataError(
            f"The proportion in the column '{month}' is no number from 0 to 1: {row[month][:40]!r}.",
            where=row.where,
            hint="Leave missing values empty.",
        )
    return share
