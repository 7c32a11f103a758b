"""A lock on the folder of an unfinished fit or training, so that no two processes work in it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from babyeval.errors import disk_error

LOCK_FILE = "lock"
_LOOK_AGAIN = 1.0  # seconds


@contextlib.contextmanager
def alone(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the lock of a fit's folder; one that a killed process held is free.

    It is SQLite's, on an empty file. The folder may be removed under it once there is a record: who waited then finds that.

    Args:
        folder: Where the fit's state lies; it is made.
        waiting: Is called once if another process holds the lock.

    Raises:
        MissingError: The folder cannot be made or written.
    """
    told = False
    while (lock := taken(folder)) is None:
        if not told:
            waiting()
            told = True
    with contextlib.closing(lock):
        yield


def taken(folder: Path) -> sqlite3.Connection | None:
    """The lock, held until it is closed; None if another process has held it for a while, or has just removed the folder.

    Raises:
        MissingError: The folder cannot be made or written.
    """
    lock = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(folder / LOCK_FILE, timeout=_LOOK_AGAIN, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
    except OSError as error:
        raise disk_error(error, str(folder)) from error
    except sqlite3.OperationalError as error:
        if lock is not None:
            lock.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY and folder.is_dir():
            raise disk_error(OSError(str(error)), str(folder)) from error
        return None
    return lock
