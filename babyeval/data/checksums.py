"""What the files of a task should be: the checksums beside its card, and the lock that a fetch leaves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from babyeval.errors import DataError, disk_error
from babyeval.store import atomic_path

CHECKSUM_FILE = "checksums.tsv"
LOCK_FILE = "fetched.json"


class Checksum(BaseModel):
    """Digest of one file, and its size if that is known."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    size: int | None


class FetchedFile(Checksum):
    """One line of the lock: what was put where, and where it came from.

    Attributes:
        repo: Data set on the Hub.
        revision: Its commit.
        source: Path inside the data set.
        built: True if the file was built from the source instead of copied.
    """

    repo: str
    revision: str
    source: str
    built: bool = False


class Lock(BaseModel):
    """All files that were fetched into a data folder, by their path in the official layout."""

    schema_version: Literal[1] = 1
    files: dict[str, FetchedFile] = {}


def read_checksums(home: Path) -> dict[str, Checksum]:
    """The checksums beside a card, by path in the official layout; none if there is no such file.

    Args:
        home: The folder that holds the card. Its ``checksums.tsv`` has the columns sha256, size (``-``: not known)
            and path.

    Raises:
        DataError: A line has another form.
    """
    path = home / CHECKSUM_FILE
    if not path.is_file():
        return {}
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[1:], start=2):
        fields = line.split("\t")
        if len(fields) != 3 or not (fields[1].isdigit() or fields[1] == "-"):
            raise DataError("A line of checksums does not hold sha256, size and path.", where=f"{path}, line {number}")
        found[fields[2]] = Checksum(sha256=fields[0], size=int(fields[1]) if fields[1] != "-" else None)
    return found


def checksum(path: Path) -> Checksum:
    """Digest and size of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Checksum(sha256=digest, size=path.stat().st_size)


def read_lock(root: Path) -> dict[str, FetchedFile]:
    """What was fetched into a data folder; a damaged lock counts as none, since fetching makes a new one."""
    try:
        return Lock.model_validate_json((root / LOCK_FILE).read_bytes()).files
    except (OSError, ValidationError):
        return {}


def extend_lock(root: Path, files: Mapping[str, FetchedFile], drop: Collection[str] = ()) -> None:
    """Adds files to a folder's lock, and drops others; it is written whole.

    Raises:
        MissingError: The folder cannot be written.
    """
    kept = {path: entry for path, entry in read_lock(root).items() if path not in drop}
    merged = dict(sorted({**kept, **files}.items()))
    try:
        with atomic_path(root / LOCK_FILE) as draft:
            draft.write_text(json.dumps(Lock(files=merged).model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise disk_error(error, str(root / LOCK_FILE)) from error
