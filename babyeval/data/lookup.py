"""Finding a task's files: bundled with the package, or in a folder of the official layout."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from babyeval.card import TaskCard
from babyeval.errors import DataMissing, UsageError


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file that a run reads.

    Attributes:
        path: Where it lies.
        name: Its path relative to the data folder, as records show it.
        sha256: Digest of its bytes.
        size: Number of bytes.
    """

    path: Path
    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class DataSource:
    """The files of one split of one task.

    Attributes:
        split: The split they belong to; ``full`` where a task has no fast set of its own.
        files: In alphabetical order, so that runs do not depend on the file system.
    """

    split: str
    files: tuple[DataFile, ...]

    @property
    def digest(self) -> str:
        """One digest over names and contents of all files."""
        text = "\n".join(f"{file.path.name} {file.sha256}" for file in self.files)
        return hashlib.sha256(text.encode()).hexdigest()


def data_roots(data_dir: Path | None) -> list[Path]:
    """The folders searched for benchmark data, in order.

    A folder given explicitly is the only one that is searched.
    """
    if data_dir is not None:
        return [data_dir, data_dir / "evaluation_data"]
    roots = [Path(os.environ["BABYEVAL_DATA"])] if os.environ.get("BABYEVAL_DATA") else []
    return [*roots, Path("evaluation_data")]


def find_data(card: TaskCard, home: Path, split: str, data_dir: Path | None) -> DataSource:
    """Finds the files of a split.

    Args:
        card: The task's card.
        home: The folder that holds the card and the bundled files.
        split: ``full``, ``fast`` or ``mini``; ``fast`` falls back to ``full`` where the card has
            no fast set, as the official suite does.
        data_dir: A folder in the official ``evaluation_data`` layout, or its parent.

    Raises:
        UsageError: The task has no such split.
        DataMissing: No folder holds the files; the message lists the places looked at.
    """
    if split == "fast" and "fast" not in card.data:
        split = "full"
    if split not in card.data:
        raise UsageError(
            f"The task '{card.name}' has no split '{split}'.", hint=f"It has {', '.join(card.data)}: choose by --split."
        )
    spec = card.data[split]
    roots = [home] if spec.bundled else data_roots(data_dir)
    looked_at = []
    for root in roots:
        target = root / spec.path
        found = [target] if target.is_file() else sorted(target.glob(spec.pattern)) if target.is_dir() else []
        if found:
            return DataSource(split, tuple(_describe(path, root) for path in found))
        looked_at.append(str(target) if Path(spec.path).suffix else str(target / spec.pattern))
    hint = "Name the folder in the official layout by --data-dir or BABYEVAL_DATA"
    if "mini" in card.data and card.data["mini"].bundled:
        hint += ", or try '--split mini', which needs no download"
    raise DataMissing(
        f"The data of '{card.name}' ({split}) is not here.", where="looked for " + " and ".join(looked_at), hint=hint + "."
    )


def _describe(path: Path, root: Path) -> DataFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return DataFile(path, path.relative_to(root).as_posix(), digest, path.stat().st_size)
