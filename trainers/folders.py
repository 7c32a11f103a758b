"""Where the trainers write: names of folders, and folders that are there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babyeval.errors import disk_error
from babyeval.models.naming import folder_name

from .recipe import AnyRecipe

MANIFEST_FILE = "manifest.json"


def content_key(*parts: Any) -> str:
    """SHA-256, as hexadecimal digits, of anything that JSON can hold.

    Example:
        >>> content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
        True
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file as it lies on disk, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_folder(out: Path, kind: str, key: str) -> Path:
    """Where what is built of a corpus lies, shared by all runs under ``out``: a ``corpus``, ``tokenizer`` or ``shards``."""
    return out / "_data" / f"{kind}-{key[:12]}"


def run_folder(out: Path, recipe: AnyRecipe) -> Path:
    """Where a recipe's training writes: ``<out>/<condition>/seed_<k>``, the condition percent-encoded."""
    name = folder_name(recipe.condition)
    return out / (f"%5F{name[1:]}" if name.startswith("_") else name) / f"seed_{recipe.seed}"  # _data is no condition


@contextlib.contextmanager
def built(folder: Path, *, keep: bool = False) -> Iterator[Path]:
    """Gives an empty folder to build in, which takes the place of ``folder`` only when the block ends without an error.

    Two processes may build the same folder: each has its own draft, and the one that ends last is kept.

    Args:
        folder: What is built.
        keep: The one that ended first is kept instead, since others may be reading it already.

    Raises:
        MissingError: The disk is full, or the place may not be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as out:
        ...     with built(Path(out) / "corpus") as draft:
        ...         _ = (draft / "manifest.json").write_text("{}")
        ...     [path.name for path in Path(out).rglob("*")]
        ['corpus', 'manifest.json']
    """
    draft = folder.with_name(f".{folder.name}.{socket.gethostname()}-{os.getpid()}.draft")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        draft.mkdir()
        yield draft
        for path in draft.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        (_put if keep else _replace)(draft, folder)
    except OSError as error:
        raise disk_error(error, str(folder)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put(draft: Path, folder: Path) -> None:
    """Renames, unless another process was faster."""
    try:
        draft.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _replace(draft: Path, folder: Path) -> None:
    """Renames, moving aside what lies there: a folder that holds files cannot be renamed over."""
    old = draft.with_suffix(".old")
    for _ in range(100):  # another process may put its own there in between
        with contextlib.suppress(FileNotFoundError):
            folder.rename(old)
        try:
            draft.rename(folder)
        except OSError:
            if not folder.exists():
                raise
        else:
            shutil.rmtree(old, ignore_errors=True)
            return
        shutil.rmtree(old, ignore_errors=True)
    raise OSError(f"other processes keep writing {folder}")


def _remove_abandoned(folder: Path) -> None:
    """Removes drafts that processes of this machine left behind when they were killed."""
    start = f".{folder.name}.{socket.gethostname()}-"
    for path in [*folder.parent.glob(f"{start}*.draft"), *folder.parent.glob(f"{start}*.old")]:
        number = path.stem.removeprefix(start)
        if number.isdecimal() and (int(number) == os.getpid() or not _alive(int(number))):
            shutil.rmtree(path, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
