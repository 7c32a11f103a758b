"""The row cache: answers of one model, kept in SQLite, so that no question is computed twice."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from babyeval.cache import cache_root
from babyeval.errors import BabyevalError, MissingError

_LOOKUP = 500
_WAIT_SECONDS = 60.0


class RowCache:
    """Answers by question for one model and one precision.

    Several processes may use one cache: they read together, and wait for each other to write.
    Each call of `put` is one transaction, so that a killed process leaves whole batches.

    Args:
        digest: The model's digest.
        dtype: Precision of the rows, ``float32`` or ``bfloat16``.
        version: Scoring version; rows of other versions are not seen.
        root: Folder of all caches, by default `cache_root`.

    Raises:
        MissingError: The folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, RowCache("ab", "float32", 1, Path(folder)) as cache:
        ...     cache.put([(b"question", (-1.5,))])
        ...     cache.get([b"question", b"another"])
        {b'question': (-1.5,)}
    """

    def __init__(self, digest: str, dtype: str, version: int, root: Path | None = None) -> None:
        self.path = (root or cache_root()) / "rows" / f"{digest[:32]}.sqlite"
        self._table = f"rows_v{version}_{dtype}"
        self.discarded: Path | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._db = self._open()
        except sqlite3.OperationalError as error:
            raise self._unusable(error) from error
        except sqlite3.DatabaseError:
            self._set_aside()
            self._db = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; what was put stays."""
        self._db.close()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, tuple[float, ...]]:
        """The answers that are there, by key.

        A damaged file is set aside (`discarded`) and counts as empty.
        """
        found: dict[bytes, tuple[float, ...]] = {}
        try:
            for start in range(0, len(keys), _LOOKUP):
                part = keys[start : start + _LOOKUP]
                marks = ",".join("?" * len(part))
                rows = self._db.execute(f"SELECT key, row FROM {self._table} WHERE key IN ({marks})", part)  # noqa: S608
                found.update((key, struct.unpack(f"<{len(row) // 8}d", row)) for key, row in rows)
        except (sqlite3.DatabaseError, struct.error) as error:
            if isinstance(error, sqlite3.OperationalError):
                raise self._unusable(error) from error
            self._start_anew()
            return {}
        return found

    def put(self, answers: Iterable[tuple[bytes, tuple[float, ...]]]) -> None:
        """Keeps answers; all of them or, if this fails, none. A damaged file is set aside (`discarded`).

        Raises:
            MissingError: The disk is full, or the file may not be written.
        """
        rows = [(key, struct.pack(f"<{len(row)}d", *row)) for key, row in answers]
        try:
            try:
                self._insert(rows)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._start_anew()
                self._insert(rows)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _insert(self, rows: list[tuple[bytes, bytes]]) -> None:
        with self._db:
            self._db.executemany(f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?)", rows)  # noqa: S608

    def _start_anew(self) -> None:
        self._db.close()
        self._set_aside()
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=_WAIT_SECONDS)
        try:
            _use_wal(db)
            db.execute("PRAGMA synchronous=NORMAL")
            with db:
                db.execute(f"CREATE TABLE IF NOT EXISTS {self._table} (key BLOB PRIMARY KEY, row BLOB) WITHOUT ROWID")
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside(self) -> None:
        """Moves a damaged file out of the way; its rows are computed again."""
        self.discarded = self.path.with_suffix(f".damaged-{time.time_ns()}-{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            self.path.replace(self.discarded)
        for ending in ("-wal", "-shm"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)

    def _unusable(self, error: Exception) -> BabyevalError:
        return MissingError(
            f"The row cache cannot be used: {error}.",
            where=str(self.path),
            hint="Free some space, or name a folder that can be written by BABYEVAL_CACHE; finished rows are kept.",
        )


def _use_wal(db: sqlite3.Connection) -> None:
    """Switches to write-ahead logging; SQLite does not wait for other processes here, so we do."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
