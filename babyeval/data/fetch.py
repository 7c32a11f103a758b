"""Fetching a task's data: pinned files from the Hub, checked before they get their final names."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from babyeval.cache import fetched_root
from babyeval.card import SourceSpec
from babyeval.data import ewok_build
from babyeval.data.checksums import Checksum, FetchedFile, checksum, extend_lock, read_checksums, read_lock
from babyeval.data.convert import TABLES, global_piqa, read_table
from babyeval.data.hub import Unreachable, get_file, is_glob, list_files, matching, quiet_hub
from babyeval.data.lookup import find_data, resolved_split
from babyeval.errors import BabyevalError, DataError, DataMissing, MissingError, UsageError, disk_error, unreadable
from babyeval.families import Task
from babyeval.progress import Reporter
from babyeval.store import atomic_path

_AT_ONCE = 4
Contents = Mapping[str, Path | bytes]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be fetched, and how.

    Attributes:
        split: ``full``, ``fast``, or None for both.
        data_dir: Data folder to fill, in the official layout; None: babyeval's own, the last one that is searched.
        offline: Take files from the Hub's local cache only.
        vocabulary: EWoK's official list of words.
        look_in: The data folder that a run would look at, if it is not the one to be filled: files got by hand may be there.
    """

    split: str | None = None
    data_dir: Path | None = None
    offline: bool = False
    vocabulary: Path | None = None
    look_in: Path | None = None

    @property
    def root(self) -> Path:
        """Where files are put."""
        return self.data_dir or fetched_root()


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of one source of a task.

    Attributes:
        task: The task's name.
        splits: The splits it serves.
        source: Data set and commit; empty for data got by hand.
        state: ``fetched``; ``there`` if all files were there and right; ``failed``.
        files: The files, relative to the data folder.
        error: Why it failed.
    """

    task: str
    splits: tuple[str, ...]
    source: str
    state: Literal["fetched", "there", "failed"]
    files: tuple[str, ...] = ()
    error: BabyevalError | None = None


def fetch(tasks: Sequence[Task], wish: Wish, reporter: Reporter) -> list[Fetched]:
    """Fetches the data of tasks; one that fails stops no other.

    Args:
        tasks: The tasks.
        wish: What is wanted.
        reporter: Shows progress.

    Raises:
        UsageError: A task does not have the split, or it is bundled.
    """
    if wish.split == "mini":
        raise UsageError("The split 'mini' is bundled: there is nothing to fetch.", hint="Choose full or fast by --split.")
    wanted: list[tuple[Task, SourceSpec]] = []
    for task in tasks:
        splits = ("full", "fast") if wish.split is None else (resolved_split(task.card, wish.split),)
        own = [split for split in splits if split in task.card.data and not task.card.data[split].bundled]
        sources = [source for source in task.card.sources if set(own) & set(source.splits)]
        wanted.extend((task, source) for source in sources or ([_unknown(task, own)] if own else []))
    outcomes = []
    for task, source in wanted:
        try:
            outcomes.append(_fetch_source(task, source, wish, reporter))
        except (BabyevalError, OSError) as error:
            reason = error if isinstance(error, BabyevalError) else unreadable(error)
            outcomes.append(Fetched(task.card.name, source.splits, source.label, "failed", error=reason))
            if isinstance(error, Unreachable):  # the Hub's patience is half a minute for each source
                wish = replace(wish, offline=True)
    return outcomes


def _unknown(task: Task, splits: Sequence[str]) -> SourceSpec:
    places = " and ".join(task.card.data[split].path for split in task.card.data if split in splits)
    note = f"Get it from {task.card.homepage or 'its authors'} and put it into {places} of a data folder."
    return SourceSpec.model_validate({"splits": splits, "note": note})


def _fetch_source(task: Task, source: SourceSpec, wish: Wish, reporter: Reporter) -> Fetched:
    name = task.card.name
    if not source.repo:
        return _by_hand(task, source, wish)
    published = _published(task.home, source)
    outdated = _outdated(task, source, wish.root)
    present = () if outdated else _already_there(source, wish.root, published)
    if present:
        return Fetched(name, source.splits, source.label, "there", present)
    if source.build != "copy":
        published = {}  # a build may differ in bytes from the official file and still be right
    make = _maker(source, wish)  # finds out what it lacks before anything is downloaded
    with quiet_hub(reporter.note):
        paths = _paths(source, published, wish.offline)
        with reporter.bar(f"{name} from {source.label}", len(paths), "files") as advance:
            contents = make(_download(source, paths, published, wish.offline, advance))
    origins = {_base(path): path for path in paths} if source.build == "copy" else dict.fromkeys(contents, ", ".join(paths))
    _place(wish.root, source, contents, origins, [path for path in outdated if _base(path) not in contents])
    return Fetched(name, source.splits, source.label, "fetched", tuple(f"{source.to}/{file}" for file in sorted(contents)))


def _by_hand(task: Task, source: SourceSpec, wish: Wish) -> Fetched:
    """Data that no download gives: there, or an error that says how to get it."""
    for split in source.splits:
        with suppress(DataMissing):
            files = find_data(task.card, task.home, split, wish.data_dir or wish.look_in).files
            return Fetched(task.card.name, source.splits, "", "there", tuple(dict.fromkeys(file.disk_name for file in files)))
    raise MissingError(
        f"The data of '{task.card.name}' can only be got by hand.", where=f"task {task.card.name}", hint=source.note
    )


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _published(home: Path, source: SourceSpec) -> dict[str, Checksum]:
    """What the card's checksums say about the files of a source, by file name."""
    wanted = [_base(pattern) for pattern in source.files] if source.build == "copy" else ["*"]
    return {
        _base(path): expected
        for path, expected in read_checksums(home).items()
        if path.rpartition("/")[0] == source.to and any(fnmatchcase(_base(path), pattern) for pattern in wanted)
    }


def _outdated(task: Task, source: SourceSpec, root: Path) -> list[str]:
    """What an older commit of a source left among the files that the task reads."""
    specs = [task.card.data[split] for split in source.splits if split in task.card.data]
    read = [pattern for spec in specs for pattern in (spec.path, f"{spec.path}/{spec.pattern}", spec.archive)]
    current = {other.revision for other in task.card.sources if other.repo == source.repo}
    return [
        path
        for path, entry in read_lock(root).items()
        if entry.repo == source.repo and entry.revision not in current
        and path.rpartition("/")[0] == source.to and any(fnmatchcase(path, pattern) for pattern in read)
    ]  # fmt: skip


def _already_there(source: SourceSpec, root: Path, published: Mapping[str, Checksum]) -> tuple[str, ...]:
    """The files of a source if all of them lie in the data folder and are right, else nothing."""
    entries = {  # of this source: another one may fill the same folder from other files of the data set
        path: entry
        for path, entry in read_lock(root).items()
        if (entry.repo, entry.revision) == (source.repo, source.revision)
        and path.rpartition("/")[0] == source.to
        and (entry.built or matching([entry.source], source.files))
    }
    origins = {entry.source for entry in entries.values()}
    if source.build == "copy" and entries and any(not is_glob(file) and file not in origins for file in source.files):
        return ()
    locked = {path: entry.sha256 for path, entry in entries.items()}
    known = locked or {f"{source.to}/{file}": expected.sha256 for file, expected in published.items()}
    right = all((root / path).is_file() and checksum(root / path).sha256 == expected for path, expected in known.items())
    return tuple(sorted(known)) if right else ()


def _paths(source: SourceSpec, published: Mapping[str, Checksum], offline: bool) -> list[str]:
    """The paths inside the data set that are wanted.

    Raises:
        DataError: The card and the data set do not fit together.
        MissingError: The Hub does not give its list of files.
    """
    if not any(map(is_glob, source.files)):
        return sorted(source.files)
    folders = {pattern.rpartition("/")[0] for pattern in source.files}
    if published and len(folders) == 1 and not is_glob(folder := folders.pop()):
        return [f"{folder}/{file}" for file in sorted(published)]  # the checksums are the list
    paths = matching(list_files(source, offline=offline), source.files)
    if source.build != "copy":
        paths = [path for path in paths if path.endswith(TABLES)]
    if not paths:
        raise DataError(
            f"The data set holds no file that fits {' or '.join(source.files)}.",
            where=f"data set {source.label}",
            hint="The task's card and its source do not fit together: tell the authors of the task.",
        )
    return paths


def _download(
    source: SourceSpec, paths: Sequence[str], published: Mapping[str, Checksum], offline: bool, advance: Callable[[int], None]
) -> dict[str, Path]:
    """Files in the Hub's own cache, by path in the data set, each one checked."""

    def get(path: str) -> Path:
        expected = published.get(_base(path))
        local = get_file(source, path, offline=offline)
        if not _right(source, local, expected) and not offline:  # the cached copy may be damaged: once more
            local = get_file(source, path, offline=offline, again=True)
        if not _right(source, local, expected):
            raise _wrong_checksum(source, path, expected, checksum(local))
        advance(1)
        return local

    first, *others = paths  # alone, so that trouble which concerns all files is met once
    local = {first: get(first)}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return local | dict(zip(others, pool.map(get, others), strict=True))


def _right(source: SourceSpec, local: Path, expected: Checksum | None) -> bool:
    wanted = source.sha256 or (expected.sha256 if expected else "")
    return not wanted or checksum(local).sha256 == wanted


def _wrong_checksum(source: SourceSpec, path: str, expected: Checksum | None, got: Checksum) -> MissingError:
    """The right file is missing: what came is thrown away."""
    wanted = f"{expected.sha256}, {expected.size or 0:,} bytes" if expected else source.sha256
    return MissingError(
        "A fetched file is not the one that was published; nothing of it was kept.",
        where=f"data set {source.label}, its file {path}: expected sha256 {wanted}, got {got.sha256}, {got.size or 0:,} bytes",
        hint="Start the same command again. If it happens twice, something changes files on the way: a proxy or a mirror "
        "(HF_ENDPOINT).",
    )


def _maker(source: SourceSpec, wish: Wish) -> Callable[[Mapping[str, Path]], Contents]:
    """What turns downloaded files, by path in the data set, into data files, by name.

    Raises:
        MissingError: A build lacks the vocabulary or a library.
    """
    if source.build == "copy":
        return lambda local: {_base(path): copy for path, copy in local.items()}
    if source.build == "global_piqa":
        return lambda local: _global_piqa(source, local)
    if wish.vocabulary is None:
        raise MissingError("Full EWoK is built from the gated items and a list of words.", hint=ewok_build.VOCABULARY_HINT)
    words, tokenize = ewok_build.read_vocabulary(wish.vocabulary), ewok_build.word_tokenizer()
    return lambda local: ewok_build.build((row for path in local for row in read_table(local[path], path)), words, tokenize)


def _global_piqa(source: SourceSpec, local: Mapping[str, Path]) -> dict[str, bytes]:
    """Of several tables of the language, the one with the right number of rows is the test set."""
    tables = [read_table(copy, path) for path, copy in local.items()]
    return global_piqa(next((table for table in tables if len(table) == source.rows), tables[0]), source.rows)


def _place(
    root: Path, source: SourceSpec, contents: Contents, origins: Mapping[str, str], outdated: Collection[str] = ()
) -> None:
    """Puts files into the data folder: all are written beside their places, then locked, then all get their names.

    What an older commit left is removed before the lock is written. In this order an interruption leaves
    everything as it was, or a set that the lock shows to be incomplete.

    Raises:
        MissingError: The folder cannot be written.
    """
    folder = root / source.to
    locked = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            for name, content in sorted(contents.items()):
                draft = stack.enter_context(atomic_path(folder / name))
                if isinstance(content, bytes):
                    draft.write_bytes(content)
                else:
                    shutil.copyfile(content, draft)
                about = {"repo": source.repo, "revision": source.revision, "source": origins[name]}
                locked[f"{source.to}/{name}"] = FetchedFile(
                    **checksum(draft).model_dump(), **about, built=source.build != "copy"
                )  # fmt: skip
            for path in outdated:
                (root / path).unlink(missing_ok=True)
            extend_lock(root, locked, drop=outdated)
    except OSError as error:
        raise disk_error(error, str(folder)) from error
