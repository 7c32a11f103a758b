"""Finding a task's files: bundled with the package, in a folder of the official layout, or in an archive there."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from babyeval.cache import fetched_root
from babyeval.card import DataSpec, TaskCard
from babyeval.data.archive import members, read_member
from babyeval.data.checksums import read_lock
from babyeval.errors import DataMissing, UsageError

Split = Literal["full", "fast", "mini"]
_HERE = Path("evaluation_data")  # in the working folder
TRY_MINI = "Or try '--split mini', which needs no download."


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file that a run reads: a plain one, or a member of a zip archive.

    Attributes:
        path: Where it lies; for a member, where its archive lies.
        name: Its path relative to the data folder, as records show it; for a member the archive's
            path and the member's name.
        sha256: Digest of the bytes on the disk (the archive's).
        size: Number of bytes on the disk (the archive's).
        member: Its name inside the archive, else empty.
        task: The task it was looked up for.
        password: Opens the archive; shown nowhere.
    """

    path: Path
    name: str
    sha256: str
    size: int
    member: str = ""
    task: str = ""
    password: str | None = field(default=None, repr=False)

    @property
    def stem(self) -> str:
        """The file's name without folder and ending; several benchmarks use it as UID."""
        return PurePosixPath(self.member or self.path.name).stem

    @property
    def place(self) -> str:
        """Where it lies, for messages."""
        return f"{self.path}/{self.member}" if self.member else str(self.path)

    @property
    def disk_name(self) -> str:
        """Path of the bytes on the disk, relative to the data folder."""
        return self.name.removesuffix(f"/{self.member}") if self.member else self.name

    @property
    def root(self) -> Path:
        """The data folder it was found in."""
        return self.path.parents[self.disk_name.count("/")]

    def open(self) -> BinaryIO:
        """Opens it for reading; a member is decrypted and unpacked in memory only.

        Raises:
            DataMissing: The archive is locked, and the password is absent or wrong.
            DataError: The archive is damaged.
        """
        if not self.member:
            return self.path.open("rb")
        return io.BytesIO(read_member(self.path, self.member, self.password, self.task))


@dataclass(frozen=True, slots=True)
class DataSource:
    """The files of one split of one task.

    Attributes:
        split: The split they belong to; ``full`` where a task has no fast set of its own.
        files: In alphabetical order, so that runs do not depend on the file system.
    """

    split: Split
    files: tuple[DataFile, ...]

    @property
    def digest(self) -> str:
        """One digest over names and contents of all files."""
        names = (PurePosixPath(file.member or file.path.name).name for file in self.files)
        text = "\n".join(f"{name} {file.sha256}" for name, file in zip(names, self.files, strict=True))
        return hashlib.sha256(text.encode()).hexdigest()


def data_roots(data_dir: Path | None) -> list[Path]:
    """The folders searched for benchmark data, in order; what was fetched comes last.

    A folder given explicitly takes the place of ``BABYEVAL_DATA`` and ``./evaluation_data``. Either of the
    first two may also be named by its parent.
    """
    named = _named(data_dir)
    roots = [named, named / "evaluation_data"] if named is not None else []
    return [*roots, *([_HERE] if data_dir is None else []), fetched_root()]


def _named(data_dir: Path | None) -> Path | None:
    variable = os.environ.get("BABYEVAL_DATA")
    return data_dir if data_dir is not None else Path(variable) if variable else None


def require_data_folder(data_dir: Path | None) -> None:
    """Refuses a data folder that was named and is not there: a typo would silently give other data, or none.

    Args:
        data_dir: The folder given; None: the one that ``BABYEVAL_DATA`` names, if any.

    Raises:
        DataMissing: It does not exist.
    """
    named = _named(data_dir)
    if named is not None and not named.is_dir():
        said = "--data-dir (or of data_dir in the settings)" if data_dir is not None else "BABYEVAL_DATA"
        raise DataMissing(f"The data folder '{named}' does not exist.", hint=f"Check the spelling of {said}.")


def find_data(
    card: TaskCard, home: Path, split: str, data_dir: Path | None, passwords: Mapping[str, str] | None = None
) -> DataSource:
    """Finds the files of a split.

    In each folder plain files come first, then the card's archive. A locked archive is found
    without its password; reading it needs one.

    Args:
        card: The task's card.
        home: The folder that holds the card and the bundled files.
        split: ``full``, ``fast`` or ``mini``; ``fast`` falls back to ``full`` where the card has
            no fast set, as the official suite does.
        data_dir: A folder in the official ``evaluation_data`` layout, or its parent.
        passwords: By task; one given here goes before the one that the card publishes.

    Raises:
        UsageError: The task has no such split.
        DataMissing: The folder given does not exist, or none holds the files; the message lists the places looked at.
        DataError: An archive is damaged.
    """
    known_split = resolved_split(card, split)
    spec = card.data[known_split]
    if not spec.bundled:
        require_data_folder(data_dir)
    password = (passwords or {}).get(card.name) or spec.password or None
    incomplete = []
    roots = [home] if spec.bundled else data_roots(data_dir)
    for root in roots:
        target = root / spec.path
        found = [target] if target.is_file() else _plain_files(target, spec.pattern)
        if found and not spec.bundled and (lacking := _lacking(root, spec, found)):
            incomplete.append(f"; {target} is incomplete ({lacking} is not there): fetch it again")
            continue
        if found:
            return DataSource(known_split, tuple(_describe(path, root, card.name) for path in found))
        if spec.archive and (packed := _packed_files(root, spec, card.name, password)):
            return DataSource(known_split, packed)
    wanted = spec.path if Path(spec.path).suffix else f"{spec.path}/{spec.pattern}"
    raise DataMissing(
        f"The data of '{card.name}' ({known_split}) is not here.",
        where=f"looked for {wanted}{f' or {spec.archive}' if spec.archive else ''} in "
        + " and ".join(f"{root}{' (no such folder)' if root == _HERE and not root.is_dir() else ''}" for root in roots)
        + "".join(incomplete),
        hint=how_to_get(card, known_split),
    )


def resolved_split(card: TaskCard, split: str) -> Split:
    """The split whose files are read.

    Raises:
        UsageError: The task has no such split.
    """
    wanted = "full" if split == "fast" and "fast" not in card.data else split
    for known in card.data:
        if known == wanted:
            return known
    raise UsageError(
        f"The task '{card.name}' has no split '{wanted}'.", hint=f"It has {', '.join(card.data)}: choose by --split."
    )


def how_to_get(card: TaskCard, split: str) -> str:
    """What to do where files of a split are missing."""
    sources = card.sources_of(split)
    hints = []
    if any(source.repo and "babyeval data fetch" not in source.note for source in sources):  # else the note says it
        only = "" if split == "full" else f" --split {split}"
        hints.append(f"Get it by 'babyeval data fetch {card.name}{only}'.")
    hints.extend(source.note for source in sources if source.note)
    hints.append("If you have it, name the folder in the official layout by --data-dir or BABYEVAL_DATA.")
    if "mini" in card.data and card.data["mini"].bundled:
        hints.append(TRY_MINI)
    return " ".join(hints)


def _plain_files(folder: Path, pattern: str) -> list[Path]:
    """A folder's files; names that begin with a dot are what operating systems and editors leave."""
    return sorted(path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith("."))


def _lacking(root: Path, spec: DataSpec, found: list[Path]) -> str:
    """A file that the lock of a fetch names and that is not there; a part of a set gives another number."""
    names = {path.relative_to(root).as_posix() for path in found}
    for path in read_lock(root):
        folder, _, name = path.rpartition("/")
        if folder == spec.path and fnmatchcase(name, spec.pattern) and path not in names:
            return name
    return ""


def _packed_files(root: Path, spec: DataSpec, task: str, password: str | None) -> tuple[DataFile, ...]:
    files = []
    for archive in _plain_files(root, spec.archive):
        names = members(archive, spec.pattern)
        if names:
            whole = _describe(archive, root, task)
            for name in names:
                files.append(DataFile(archive, f"{whole.name}/{name}", whole.sha256, whole.size, name, task, password))
    return tuple(files)


def _describe(path: Path, root: Path, task: str) -> DataFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return DataFile(path, path.relative_to(root).as_posix(), digest, path.stat().st_size, task=task)
