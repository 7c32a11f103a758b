"""The results folder: where records lie, written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from babyeval.card import explain_validation
from babyeval.errors import MissingError, UsageError, disk_error
from babyeval.models.naming import counted, folder_name
from babyeval.records import ItemsRef, ModelInfo, NewerSchema, TaskResult, load_result

if TYPE_CHECKING:
    import pandas as pd

RESULT_FILE = "result.json"
ITEMS_FILE = "items.parquet"
_NAMED = 5  # of many damaged records so many are named
_SEED = re.compile(r"seed_(\d+)")
_Checkpoint = tuple[str, str]  # name and revision


class DamagedRecord(UsageError):
    """A record that cannot be used; its task can be run again, unless it is a `LaterRecord`."""


class LaterRecord(DamagedRecord):
    """A record of a later version, which must not be overwritten."""


class ResultStore:
    """A folder of results: ``<model>/<revision>/<task>/<split>-<backend>/<protocol>/``.

    Fine-tuned tasks have a record over all seeds there, and below it ``seed_<k>/`` for each of them.

    Args:
        root: The results folder; made when something is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, model: str, revision: str, task: str, split: str, backend: str, protocol: str) -> Path:
        """Where a record lies; names are percent-encoded."""
        return self.root / folder_name(model) / folder_name(revision) / task / f"{split}-{backend}" / protocol

    def folder_of(self, result: TaskResult) -> Path:
        """Where this record lies."""
        folder = self.folder(
            result.model.name, result.model.revision, result.task.name, result.split, result.backend, result.protocol
        )
        seed = result.fit.seed if result.fit is not None else None
        return folder if seed is None else folder / f"seed_{seed}"

    def require_writable(self) -> None:
        """Finds out before hours of work whether results can be written.

        Raises:
            MissingError: The folder cannot be made or written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise disk_error(error, str(self.root)) from error

    def require_same_model(self, model: ModelInfo) -> None:
        """Refuses to mix two models in one folder.

        Raises:
            UsageError: Records of a model with another digest lie under this name.
        """
        own = self.root / folder_name(model.name) / folder_name(model.revision)
        for path in sorted(own.glob(f"**/{RESULT_FILE}")):
            result = self._usable(path, anywhere=True)  # a misplaced one is another's, and would be overwritten
            if result is not None and (other := result.model).digest != model.digest:
                raise UsageError(
                    f"The name '{model.name}' is taken by another model in this results folder.",
                    where=f"{path}: digest {other.digest[:12]} from {other.source}, here {model.digest[:12]} from {model.source}",
                    hint=f"Name this one otherwise (--model NAME=PATH), write elsewhere (--out), or delete {own}.",
                )

    def write(self, result: TaskResult, items: pd.DataFrame | None) -> TaskResult:
        """Writes a record and its table; the record comes last, so that its being there means all is.

        Returns:
            The record with the reference to its table.

        Raises:
            MissingError: The disk is full or the folder may not be written; nothing half-written stays.
        """
        folder = self.folder_of(result)
        if not result.checkpoints:  # a record over several goes with them, and their own records are held to their digests
            self.require_same_model(result.model)  # another process may have begun since the plan was made
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if items is not None:
                with atomic_path(folder / ITEMS_FILE) as path:
                    items.to_parquet(path, index=False)
                digest = hashlib.sha256((folder / ITEMS_FILE).read_bytes()).hexdigest()
                result = result.model_copy(update={"items": ItemsRef(path=ITEMS_FILE, rows=len(items), sha256=digest)})
            with atomic_path(folder / RESULT_FILE) as path:
                path.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise disk_error(error, str(folder)) from error
        return result

    def items_whole(self, result: TaskResult) -> bool:
        """Whether the record's table is there and is the one that was written."""
        if result.items is None:
            return True
        path = self.folder_of(result) / result.items.path
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == result.items.sha256

    def find(self, model: ModelInfo, task: str, split: str, backend: str, protocol: str) -> TaskResult | None:
        """The record of this model under these settings, if there is one that can be read."""
        path = self.folder(model.name, model.revision, task, split, backend, protocol) / RESULT_FILE
        return self._usable(path) if path.is_file() else None

    def seeds(self, model: ModelInfo, task: str, split: str, backend: str, protocol: str) -> dict[int, TaskResult]:
        """The records of single seeds that can be read, of a fine-tuned task."""
        folder = self.folder(model.name, model.revision, task, split, backend, protocol)
        found: dict[int, TaskResult] = {}
        for path in folder.glob(f"seed_*/{RESULT_FILE}"):
            result = self._usable(path)
            if result is not None and result.fit is not None and result.fit.seed is not None:
                found[result.fit.seed] = result
        return dict(sorted(found.items()))

    def over_checkpoints(self, model: str, task: str, split: str, backend: str, protocol: str) -> list[TaskResult]:
        """The records over several checkpoints under this name: those over the most first, of these the newest."""
        paths = sorted((self.root / folder_name(model)).glob(f"*/{task}/{split}-{backend}/{protocol}/{RESULT_FILE}"))
        found = [result for path in paths if (result := self._usable(path)) is not None]

        def rank(result: TaskResult) -> tuple[int, str]:
            return len(result.checkpoints), result.provenance.finished if result.provenance else ""

        return sorted((result for result in found if result.checkpoints), key=rank, reverse=True)

    def read(self, path: Path) -> TaskResult:
        """Reads one record.

        Raises:
            DamagedRecord: The file is damaged, or lies in the place of another record.
            LaterRecord: It was written by a later version, which must not be overwritten.
        """
        result = self._load(path)
        if not self._lies_in(path.parent, result):
            own = f"'{result.model.name}' at '{result.model.revision}'"
            deep = len(path.parts) - len(self.root.parts) > (7 if _SEED.fullmatch(path.parent.name) else 6)
            raise DamagedRecord(
                f"A record lies under a name that is not its own: it is of {own} "
                f"({result.task.name}, {result.split}-{result.backend}, {result.protocol}).",
                where=str(path),
                hint="Name the results folder itself, which lies within this one."
                if deep
                else "Keep results of others in a results folder of their own, or name the models differently (--model NAME=PATH).",
            )
        return result

    def _lies_in(self, folder: Path, result: TaskResult) -> bool:
        """Whether this is the record's folder; on some disks it may be spelled in other letters."""
        try:
            own = self.folder_of(result)
            return own == folder or own.samefile(folder)
        except (OSError, ValueError, UsageError):  # there is none, or there can be none of this name
            return False

    def _usable(self, path: Path, *, anywhere: bool = False) -> TaskResult | None:
        """A record, or None for a damaged one, which claims nothing: its task is run again.

        Raises:
            LaterRecord: It was written by a later version.
        """
        try:
            return self._load(path) if anywhere else self.read(path)
        except LaterRecord:
            raise
        except DamagedRecord:
            return None

    def _load(self, path: Path) -> TaskResult:
        """What a record says, wherever it lies."""
        try:
            return load_result(path.read_text(encoding="utf-8"))
        except NewerSchema as error:
            raise LaterRecord(
                f"A record cannot be read: {error}.", where=str(path), hint="Update babyeval, or choose another folder by --out."
            ) from error
        except (OSError, ValueError) as error:
            known = tuple(TaskResult.model_fields)
            reason = explain_validation(error, known) if isinstance(error, ValidationError) else str(error).splitlines()[0]
            raise DamagedRecord(
                f"A record cannot be read: {reason.rstrip('.')}.",
                where=str(path),
                hint="Delete it and run that task again: its rows are cached.",
            ) from error

    def results(
        self, seeds: bool = False, damaged: list[DamagedRecord] | None = None, models: Iterable[str] | None = None
    ) -> Iterator[TaskResult]:
        """All records of the folder.

        Args:
            seeds: Also those of single fine-tuning seeds, which the record over all seeds sums up.
            damaged: Takes up the errors of records that cannot be used, which then stop nothing.
            models: Folders of models, to read only these; by default all, and whatever lies deeper.

        Raises:
            MissingError: There is no such folder.
            UsageError: A record is damaged.
        """
        if not self.root.is_dir():
            raise MissingError(f"There is no results folder '{self.root}'.", hint="Name it, or make one by 'babyeval run'.")
        if models is None:
            paths = sorted(self.root.glob(f"**/{RESULT_FILE}"))
        else:
            paths = sorted(path for model in models for path in (self.root / model).glob(f"*/*/*/*/{RESULT_FILE}"))
        found: list[TaskResult] = []
        errors: list[DamagedRecord] = []
        for path in paths:
            if seeds or not _SEED.fullmatch(path.parent.name):  # no protocol has such a name
                try:
                    found.append(self.read(path))
                except DamagedRecord as error:
                    errors.append(error)
        mixed = self._mixed(found)
        errors += mixed.values()
        if damaged is not None:
            damaged += errors
        elif errors:
            raise errors[0]
        yield from (result for result in found if _checkpoint(result) not in mixed)

    def _mixed(self, results: Sequence[TaskResult]) -> dict[_Checkpoint, DamagedRecord]:
        """Names that stand for several models, as when two results folders were copied into one: nothing says which is meant."""
        digests: dict[_Checkpoint, Counter[str]] = {}
        for result in results:
            if not result.checkpoints:  # one over several is of those that it lists
                digests.setdefault(_checkpoint(result), Counter())[result.model.digest] += 1
        return {
            (name, revision): DamagedRecord(
                f"The records of '{name}' at '{revision}' are of {len(counts)} models: "
                + ", ".join(f"{counted(number, 'record')} of digest {digest[:12]}" for digest, number in counts.most_common())
                + ".",
                where=str(self.root / folder_name(name) / folder_name(revision)),
                hint="Keep those of one model there ('model', 'digest' in each result.json), and the others in a results folder of their own.",
            )
            for (name, revision), counts in digests.items()
            if len(counts) > 1
        }


def _checkpoint(result: TaskResult) -> _Checkpoint:
    return result.model.name, result.model.revision


def first_damaged(lines: Sequence[str]) -> list[str]:
    """Of damaged records, one line each, the first few, and how many more there are: a folder may hold hundreds.

    Example:
        >>> first_damaged(["a", "b", "c", "d", "e", "f", "g"])[-2:]
        ['e', "and 2 more damaged records ('babyeval results list' names all)"]
    """
    more = len(lines) - _NAMED
    rest = [f"and {counted(more, 'more damaged record')} ('babyeval results list' names all)"] if more > 0 else []
    return [*lines[:_NAMED], *rest]


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Gives a path to write to, which takes the place of ``path`` only when all is written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_path(Path(folder) / "a.txt") as draft:
        ...         _ = draft.write_text("whole")
        ...     [p.name for p in Path(folder).iterdir()]
        ['a.txt']
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
