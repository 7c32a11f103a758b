"""Reading corpus files: which ones are taken, and their text piece by piece, compressed or not."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from babyeval.errors import DataError, MissingError, UsageError, unreadable
from babyeval.progress import Advance

ENDINGS = (".txt", ".train", ".dev", ".valid", ".test")
COMPRESSIONS = (".xz", ".gz", ".zst")
CHUNK_BYTES = 1 << 20

_HELD_OUT = {"dev", "valid", "test", "validation", "heldout"}
_PARTS_OF_NO_DOMAIN = {"txt", "train", *_HELD_OUT}


def domain_name(path: Path) -> str:
    """A file's domain: its name without the parts that say how it is written.

    Example:
        >>> domain_name(Path("corpus/simple_wiki.train.txt.xz")), domain_name(Path("switchboard.dev"))
        ('simple_wiki', 'switchboard')
    """
    parts = _name_without_compression(path).split(".")
    kept = [part for number, part in enumerate(parts) if number == 0 or part.lower() not in _PARTS_OF_NO_DOMAIN]
    return ".".join(kept)


def _name_without_compression(path: Path) -> str:
    return path.stem if path.suffix.lower() in COMPRESSIONS else path.name


def _is_text(path: Path) -> bool:
    return Path(_name_without_compression(path)).suffix.lower() in ENDINGS


def require_folder(folder: Path) -> None:
    """Finds out whether a corpus is there.

    Raises:
        MissingError: It is not.
    """
    if not folder.is_dir():
        raise MissingError(
            f"There is no corpus folder '{folder}'.", hint="Name one: data.corpus in the recipe, or --corpus on the command line."
        )


def find_files(folder: Path, include: tuple[str, ...]) -> tuple[list[Path], dict[str, str]]:
    """Finds the files that make a corpus.

    Args:
        folder: The corpus folder.
        include: Globs over paths below the folder; without any, all text files directly in it that are not held out.

    Returns:
        The files in the order of their names; and those that were left out, with the reason.

    Raises:
        MissingError: There is no such folder.
        UsageError: Nothing is left, or a glob fits no file.
    """
    require_folder(folder)
    try:
        listed = folder.rglob("*") if include else folder.iterdir()
        found = sorted(path for path in listed if path.is_file() and not _hidden(path.relative_to(folder)))
    except OSError as error:
        raise unreadable(error) from error
    names = [path.relative_to(folder).as_posix() for path in found]
    for glob in include:
        if not any(fnmatch(name, glob) for name in names):
            raise UsageError(f"No file of the corpus folder fits '{glob}' (data.include).", where=str(folder))
    left_out = {name: reason for path, name in zip(found, names, strict=True) if (reason := _reason(path, name, include))}
    taken = [path for path, name in zip(found, names, strict=True) if name not in left_out]
    if not taken:
        raise UsageError(
            "The corpus folder holds no text for training.",
            where=f"{folder}: {', '.join(f'{name} ({reason})' for name, reason in left_out.items()) or 'empty'}",
            hint=f"Files end in {', '.join(ENDINGS)}, perhaps followed by {', '.join(COMPRESSIONS)}; data.include takes others.",
        )
    return taken, left_out


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _reason(path: Path, name: str, include: tuple[str, ...]) -> str:
    """Why a file is not taken; empty where it is."""
    if include:
        return "" if any(fnmatch(name, glob) for glob in include) else "not included"
    if name.lower().startswith(("readme", "license", "licence")):
        return "about the corpus, by its name"
    if not _is_text(path):
        return "no text file by its name"
    if _HELD_OUT.intersection(path.name.lower().split(".")[1:]):
        return "held out"
    return ""


def read_text(path: Path, advance: Advance = lambda _: None, chunk_bytes: int = CHUNK_BYTES) -> Iterator[str]:
    r"""Yields a file's text in pieces of about a megabyte, with ``\n`` as the only line break.

    Args:
        path: A UTF-8 text file, possibly compressed; a byte-order mark at its beginning is not part of the text.
        advance: Is told how many bytes of the file, as it lies on disk, were read since the last call.
        chunk_bytes: The size of a piece; tests choose small ones.

    Raises:
        DataError: The file is empty, binary, cut off in its compressed form, or no UTF-8.
        MissingError: It cannot be opened, or the library that decompresses it is not installed.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    place, any_text, pending_return = 0, False, False
    for data in _bytes(path, chunk_bytes, advance):
        if (null := data.find(0)) >= 0:
            raise DataError(
                f"A corpus file is binary: byte {place + null:,} is zero, which stands in no text.",
                where=str(path),
                hint="Corpus files are UTF-8 text, possibly compressed under a name in .xz, .gz or .zst. "
                "Of text in UTF-16: iconv -f UTF-16 -t UTF-8 OLD > NEW",
            )
        text = _decode(decoder, data, path, place)
        place += len(data)
        if pending_return:
            text = "\r" + text
        pending_return = text.endswith("\r") and bool(data)
        if pending_return:
            text = text[:-1]
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        any_text = any_text or not (not text or text.isspace())
        if text:
            yield text
    if not any_text:
        raise DataError(
            "A corpus file is empty." if place == 0 else "A corpus file holds white space only.",
            where=str(path),
            hint="Was it downloaded whole? Take it away if it belongs to no domain.",
        )


def _decode(decoder: codecs.IncrementalDecoder, data: bytes, path: Path, place: int) -> str:
    try:
        return decoder.decode(data, final=not data)
    except UnicodeDecodeError as error:
        at = place + error.start - (len(error.object) - len(data))
        raise DataError(
            f"A corpus file is no UTF-8 text: {error.reason} at byte {at:,}" + (", where it ends." if not data else "."),
            where=str(path),
            hint="Was it cut off? If it is written in another encoding: iconv -f LATIN1 -t UTF-8 OLD > NEW",
        ) from error


def _bytes(path: Path, size: int, advance: Advance) -> Iterator[bytes]:
    """The decompressed bytes in pieces, and an empty one at the end."""
    import lzma
    import zlib

    broken: list[type[Exception]] = [EOFError, lzma.LZMAError, zlib.error]
    with contextlib.suppress(ImportError):
        import zstandard

        broken.append(zstandard.ZstdError)
    place = 0
    try:
        with path.open("rb") as file:
            for data in _pieces(path, file, size):
                advance(file.tell() - place)
                place = file.tell()
                yield data
        yield b""
    except tuple(broken) as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        if error.errno is None:  # gzip.BadGzipFile
            raise _damaged(path, str(error)) from error
        error.filename = error.filename or str(path)
        raise unreadable(error) from error


def _pieces(path: Path, file: IO[bytes], size: int) -> Iterator[bytes]:
    match path.suffix.lower():
        case ".xz":
            import lzma

            with lzma.open(file) as text:
                yield from iter(lambda: text.read(size), b"")
        case ".gz":
            import gzip

            with gzip.open(file) as text:
                yield from iter(lambda: text.read(size), b"")
        case ".zst":
            yield from _frames(path, file)
        case _:
            yield from iter(lambda: file.read(size), b"")


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(
        f"A compressed corpus file is damaged or cut off: {reason.rstrip('.')}.",
        where=str(path),
        hint="Get it again. Is its ending the right one?",
    )


def _frames(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """What a Zstandard file holds; the library's own reader takes a file that was cut off for a whole one."""
    try:
        import zstandard
    except ImportError as error:
        raise MissingError(
            "Reading .zst files needs the library zstandard.", where=str(path), hint='pip install "babyeval[train]"'
        ) from error
    frame = None
    while data := file.read(1 << 16):
        while data:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            if text := frame.decompress(data):
                yield text
            data = frame.unused_data
            if frame.eof:
                frame = None
    if frame is not None:
        raise EOFError("the last frame has no end")
