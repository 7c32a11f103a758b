"""Data sets on the Hub: their lists of files, single files at a fixed commit, and what goes wrong in plain words."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from babyeval.cache import cache_root
from babyeval.card import SourceSpec
from babyeval.errors import BabyevalError, MissingError, disk_error, raise_interrupt
from babyeval.store import atomic_path


class Unreachable(MissingError):
    """No connection to the Hub at all, so that asking for other files is of no use."""


class _Retries(logging.Handler):
    """Takes the place of the library's lines: one sentence, the first time that it tries again."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note: Callable[[str], None] | None = note

    def emit(self, record: logging.LogRecord) -> None:
        if self._note and any(word in record.getMessage() for word in ("Retrying", "before retry", "resume download")):
            note, self._note = self._note, None
            note("The Hub does not answer as it should: trying again, for up to half a minute.")


@contextmanager
def quiet_hub(note: Callable[[str], None]) -> Iterator[None]:
    """Says in one line that the Hub is being tried again, where its library would log eleven; afterwards it logs as before.

    Args:
        note: Says one sentence.
    """
    from huggingface_hub.utils import logging as _  # noqa: F401 - it sets its logger up when it is imported

    logger = logging.getLogger("huggingface_hub")
    before, propagate = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [_Retries(note)], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before, propagate


def matching(paths: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The paths that match a glob, in alphabetical order; only ``**/`` crosses folders.

    Example:
        >>> matching(["a/x.tsv", "a/b/x.tsv", "x.tsv"], ["a/*.tsv"])
        ['a/x.tsv']
        >>> matching(["a/x.tsv", "a/b/x.tsv", "x.tsv"], ["**/x*"])
        ['a/b/x.tsv', 'a/x.tsv', 'x.tsv']
    """
    return sorted(path for path in paths if any(_matches(path, pattern) for pattern in patterns))


def _matches(path: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatchcase(path.rpartition("/")[2], pattern[3:])
    return path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)


def is_glob(pattern: str) -> bool:
    """Whether a pattern needs the list of files to be understood."""
    return any(sign in pattern for sign in "*?[")


def list_files(source: SourceSpec, *, offline: bool) -> list[str]:
    """All paths of a data set at its commit.

    The list of a commit never changes, so it is kept and asked for once.

    Raises:
        MissingError: The Hub does not give it.
    """
    kept = cache_root() / "listings" / f"{source.repo.replace('/', '--')}@{source.revision}.json"
    try:
        paths = json.loads(kept.read_text(encoding="utf-8"))
        if isinstance(paths, list):
            return [str(path) for path in paths]
    except (OSError, ValueError):
        pass  # not there, or damaged: it is asked for again
    if offline:
        raise _not_cached(source)
    from huggingface_hub import HfApi

    try:
        paths = sorted(HfApi().list_repo_files(source.repo, revision=source.revision, repo_type="dataset"))
    except Exception as error:  # no network, proxy trouble, refusals: told apart by their kind
        raise_interrupt(error)
        raise _refused(source, "its list of files", error) from error
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(kept) as draft:
            draft.write_text(json.dumps(paths), encoding="utf-8")
    except OSError as error:
        raise disk_error(error, str(kept)) from error
    return paths


def get_file(source: SourceSpec, path: str, *, offline: bool, again: bool = False) -> Path:
    """A file of a data set in the Hub's own cache; a download that breaks off is resumed.

    Args:
        source: The data set and its commit.
        path: The file inside it.
        offline: Look only into the Hub's cache.
        again: Download it even if it is in that cache.

    Raises:
        MissingError: The Hub does not give it, or the disk is full.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()  # files are fetched side by side, under one bar of our own
    try:
        found = hf_hub_download(
            source.repo,
            path,
            repo_type="dataset",
            revision=source.revision,
            force_download=again,
            local_files_only=offline,
        )
    except Exception as error:  # no network, proxy trouble, refusals: told apart by their kind
        raise_interrupt(error)
        raise _refused(source, f"its file {path}", error, offline) from error
    return Path(found)


def _not_cached(source: SourceSpec) -> MissingError:
    return MissingError(
        "The Hub's local cache does not hold the files, and without a connection nothing is downloaded.",
        where=f"data set {source.label}",
        hint="Leave out --offline, unset HF_HUB_OFFLINE, or mend the network, to download them.",
    )


def _refused(source: SourceSpec, what: str, error: Exception, offline: bool = False) -> BabyevalError:
    """Why the Hub did not give something, as an error a user can act on."""
    from huggingface_hub import errors as hub

    cause = error.__cause__ if isinstance(error, hub.LocalEntryNotFoundError) and error.__cause__ else error
    status = getattr(getattr(cause, "response", None), "status_code", None)
    where = f"data set {source.label}, {what}"
    page = f"the page of the data set '{source.repo}' on the Hub"
    by_hand = f" {source.note}" if source.note else ""
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
        return disk_error(cause, str(cause.filename or "the Hub's local cache, HF_HOME"))
    if offline or isinstance(cause, hub.OfflineModeIsEnabled):
        return _not_cached(source)
    if isinstance(cause, hub.GatedRepoError) or status in (401, 403):
        return MissingError(
            "The data set's authors give its files only to users who accepted their terms."
            if source.gated or isinstance(cause, hub.GatedRepoError)
            else "The Hub refuses the data set's files to this user.",
            where=where,
            hint=f"Accept the terms on {page}, then log in with 'hf auth login' or set HF_TOKEN, "
            f"and start the same command again.{by_hand}",
        )
    if isinstance(cause, hub.RevisionNotFoundError):
        return MissingError("The data set no longer has the commit that this version of babyeval names.", where=where,
                            hint=f"Update babyeval, or look at {page}.{by_hand}")  # fmt: skip
    if isinstance(cause, hub.RepositoryNotFoundError):
        return MissingError("There is no such data set on the Hub, or it is hidden from this user.", where=where,
                            hint=f"Update babyeval, or log in with 'hf auth login'; HF_ENDPOINT may name another Hub.{by_hand}")  # fmt: skip
    if status == 404:
        return MissingError("The data set has no such file.", where=where, hint=f"Update babyeval, or look at {page}.{by_hand}")
    lines = str(cause).strip().splitlines()
    unreachable = type(cause).__name__ in ("ConnectError", "ConnectTimeout", "ProxyError")
    return (Unreachable if unreachable else MissingError)(
        "The Hub did not give the data.",
        where=f"{where}: {type(cause).__name__}: {lines[0] if lines else ''}",
        hint="Check the network and HF_ENDPOINT, then start the same command again: what came whole is kept.",
    )
