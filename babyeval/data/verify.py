"""Which data is there, and whether it is what its source published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Literal

from babyeval.card import TaskCard
from babyeval.data.checksums import Checksum, FetchedFile, read_checksums, read_lock
from babyeval.data.lookup import DataFile, DataSource, Split, find_data, require_data_folder
from babyeval.errors import BabyevalError, DataMissing, unreadable
from babyeval.families import Task


@dataclass(frozen=True, slots=True)
class Holding:
    """What is there of one split of a task.

    Attributes:
        task: The task.
        split: The split.
        data: Its files, or None.
        problem: Why they cannot be used although they are there.
    """

    task: Task
    split: Split
    data: DataSource | None
    problem: BabyevalError | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said about one file.

    Attributes:
        task: The task's name.
        split: The split.
        file: Path relative to the data folder; empty where there is no data at all.
        state: ``right``; ``differs`` from what was published; ``unknown`` where no checksum is
            known; ``missing``.
        detail: Against what it was held, or what is wrong.
    """

    task: str
    split: str
    file: str
    state: Literal["right", "differs", "unknown", "missing"]
    detail: str


def holdings(tasks: Sequence[Task], data_dir: Path | None) -> list[Holding]:
    """What is there of every split of tasks, in the places that a run would look at.

    Raises:
        DataMissing: The data folder that was named does not exist.
    """
    require_data_folder(data_dir)
    found = []
    for task in tasks:
        for split in task.card.data:
            try:
                found.append(Holding(task, split, find_data(task.card, task.home, split, data_dir)))
            except DataMissing:
                found.append(Holding(task, split, None))
            except BabyevalError as error:
                found.append(Holding(task, split, None, error))
            except OSError as error:
                found.append(Holding(task, split, None, unreadable(error)))
    return found


def verify(tasks: Sequence[Task], data_dir: Path | None) -> list[Verdict]:
    """Compares the files that a run would read with what was published, and with what was fetched.

    Args:
        tasks: The tasks; bundled files are part of the package and not looked at.
        data_dir: Folder in the official layout.

    Raises:
        DataError: A task's checksums are malformed.
        DataMissing: The data folder that was named does not exist.
    """
    verdicts = []
    for holding in holdings(tasks, data_dir):
        spec = holding.task.card.data[holding.split]
        if spec.bundled:
            continue
        name = holding.task.card.name
        if holding.problem:
            detail = f"{holding.problem.what} {holding.problem.where or ''}"
            verdicts.append(Verdict(name, holding.split, spec.archive or spec.path, "differs", detail))
        elif holding.data is None:
            verdicts.append(Verdict(name, holding.split, "", "missing", "not in any data folder"))
        else:
            verdicts.extend(_verify_split(holding, holding.data))
    return verdicts


def departures(task: Task, data: DataSource) -> str | None:
    """How the files of a run differ from the published set; None if they do not, or nothing is known of it."""
    if task.card.data[data.split].bundled:
        return None
    wrong = [
        verdict for verdict in _verify_split(Holding(task, data.split, data), data) if verdict.state in ("differs", "missing")
    ]
    if not wrong:
        return None
    files = ", ".join(PurePosixPath(verdict.file).name for verdict in wrong[:3]) + (" ..." if len(wrong) > 3 else "")
    return (
        f"{len(wrong)} files differ from the published set or are missing ({files}): see 'babyeval data verify {task.card.name}'"
    )


def _verify_split(holding: Holding, data: DataSource) -> list[Verdict]:
    card, split = holding.task.card, holding.split
    published = read_checksums(holding.task.home)
    lock = read_lock(data.files[0].root)
    on_disk = {file.disk_name: file for file in data.files}
    verdicts = []
    for name, file in on_disk.items():
        state, detail = _compare(file, published.get(name), lock.get(name), card)
        verdicts.append(Verdict(card.name, split, name, state, detail))
    if not data.files[0].member:  # beside plain files an archive of the same may be listed: it is not needed
        pattern = f"{card.data[split].path}/{card.data[split].pattern}"
        lacking = [path for path in published if fnmatchcase(path, pattern) and path not in on_disk]
        verdicts.extend(Verdict(card.name, split, path, "missing", "part of the published set") for path in sorted(lacking))
    return verdicts


def _compare(
    file: DataFile, published: Checksum | None, fetched: FetchedFile | None, card: TaskCard
) -> tuple[Literal["right", "differs", "unknown"], str]:
    if published and file.sha256 == published.sha256:
        return "right", "as published"
    if fetched and file.sha256 == fetched.sha256 and (fetched.built or not published):
        origin = f"{fetched.repo}@{fetched.revision[:12]}"
        current = {source.revision: source.label for source in card.sources if source.repo == fetched.repo}
        if current and fetched.revision not in current:
            return "differs", f"fetched from an older commit, {origin}; it is {' or '.join(current.values())} now: fetch it again"
        if not fetched.built:
            return "right", f"as fetched from {origin}"
        return "right", f"as built from {origin}" + ("; differs in bytes from the official file" if published else "")
    if published:
        return "differs", f"sha256 {file.sha256[:12]}, published {published.sha256[:12]}"
    if fetched:
        return "differs", f"sha256 {file.sha256[:12]}, fetched as {fetched.sha256[:12]}"
    return "unknown", "no checksum is known"


def summary(verdicts: Sequence[Verdict]) -> str:
    """All verdicts in one line.

    Example:
        >>> summary([Verdict("t", "full", "a.jsonl", "right", "as published"), Verdict("t", "fast", "", "missing", "")])
        '1 files right, 0 differ, 1 splits missing'
    """
    count = Counter((verdict.state, bool(verdict.file)) for verdict in verdicts)
    parts = [f"{count['right', True]} files right", f"{count['differs', True]} differ"]
    parts += [f"{count['unknown', True]} without a known checksum"] if count["unknown", True] else []
    parts += [f"{count['missing', True]} missing of a set that is there"] if count["missing", True] else []
    return ", ".join([*parts, f"{count['missing', False]} splits missing"])


def exit_code(verdicts: Sequence[Verdict], named: Sequence[str]) -> int:
    """1 if a file is not as it was published, 3 if a named task has no data at all, else 0."""
    if any(verdict.state == "differs" or (verdict.state == "missing" and verdict.file) for verdict in verdicts):
        return 1
    present = {verdict.task for verdict in verdicts if verdict.file}
    return 3 if any(verdict.task in named and verdict.task not in present for verdict in verdicts) else 0
