"""Reading a text file, one text per line, with errors that name the place."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from babyeval.errors import DataError, MissingError, UsageError, unreadable

STDIN = "-"


def read_lines(source: str | Path) -> list[str]:
    """The lines of a UTF-8 file, without their line breaks.

    Only a line feed ends a line, as in every editor; form feeds and the like are white space within it.

    Args:
        source: A file, or ``-`` for standard input.

    Raises:
        MissingError: There is no such file, or it may not be read.
        UsageError: It is a folder.
        DataError: It is not UTF-8 (the position is named), or holds no text.
    """
    raw = _read(source)
    place = "standard input" if str(source) == STDIN else str(source)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            hint = "Convert it: iconv -f UTF-16 -t UTF-8 old.txt > new.txt"
            raise DataError("The text is UTF-16, not UTF-8.", where=f"{place}: its byte order mark", hint=hint) from error
        line = raw.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{raw[error.start]:02x}, number {error.start:,} counted from 0"
        raise DataError(
            f"The text is not UTF-8 ({error.reason}).",
            where=f"{place}, line {line}: {byte}",
            hint="Convert it, for example: iconv -f LATIN1 -t UTF-8 old.txt > new.txt",
        ) from error
    text = text.removeprefix("\ufeff")  # a byte order mark is no part of the text
    if not text.strip():
        raise DataError("The file holds no text.", where=place, hint="It should hold one text per line.")
    return text.removesuffix("\n").split("\n")


def _read(source: str | Path) -> bytes:
    if str(source) == STDIN:
        return sys.stdin.buffer.read()
    path = Path(source)
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder.", hint="Name a text file, or - for standard input.")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise MissingError(f"The text file '{path}' does not exist.", hint="Check the spelling.") from error
    except OSError as error:
        raise unreadable(error) from error


def numbered_texts(texts: str | Path | Sequence[str]) -> list[tuple[int, str]]:
    """Texts with their numbers, counted from 1; blank ones are counted and left out.

    White space at the end is cut off: it belongs to no word.

    Args:
        texts: One text, a file with one text per line, or several texts.

    Raises:
        UsageError: One of them is no text.
        DataError: There is no text at all.

    Example:
        >>> numbered_texts(["A cat. ", " ", "A dog."])
        [(1, 'A cat.'), (3, 'A dog.')]
    """
    if isinstance(texts, str):
        texts = [texts]
    lines: Sequence[Any] = read_lines(texts) if isinstance(texts, Path) else list(texts)
    numbered = []
    for number, text in enumerate(lines, start=1):
        if not isinstance(text, str):
            raise UsageError(f"Text {number} is a {type(text).__name__}, not a string.", hint="Pass strings, or a pathlib.Path.")
        if not _encodable(text):
            raise UsageError(f"Text {number} holds half a character (a lone surrogate).", hint="Decode it as UTF-8, strictly.")
        if text.strip():
            numbered.append((number, text.rstrip()))
    if not numbered:
        raise DataError("There is no text.", hint="Pass at least one that is not blank.")
    return numbered


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
