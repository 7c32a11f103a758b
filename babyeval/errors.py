"""Errors a user can act on: each says what happened, where, and what to do next."""

from __future__ import annotations


class BabyevalError(Exception):
    """Base of all errors that reach the user without a traceback.

    Args:
        what: What happened, as one sentence.
        where: The file, line, item, model or option it is about.
        hint: What to do next.

    Attributes:
        exit_code: The process's exit status when the error ends a command
            (1 a task failed, 2 wrong usage, 3 something is missing).

    Example:
        >>> print(UsageError("Unknown task 'blmp'.", hint="Did you mean 'blimp'?"))
        Unknown task 'blmp'.
          What next: Did you mean 'blimp'?
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  Where: {self.where}")
        if self.hint:
            lines.append(f"  What next: {self.hint}")
        return "\n".join(lines)


class UsageError(BabyevalError):
    """The command, the configuration or the combination of options is wrong."""

    exit_code = 2


class MissingError(BabyevalError):
    """Something needed is not there: a file, a library, a permission, disk space."""

    exit_code = 3


class MemoryMissing(MissingError):
    """The computer or its device has too little memory for one task."""


class DataMissing(MissingError):
    """A task's data is not in any of the places that were looked at."""


class DataLocked(DataMissing):
    """A task's archive is there, and its password is absent or wrong."""


class DataError(BabyevalError):
    """A data file is there but wrong: malformed, truncated, lacking a field."""


class ModelError(BabyevalError):
    """The model gives something that cannot be scored, such as NaN."""


def raise_interrupt(error: BaseException) -> None:
    """Raises the Ctrl-C that a library turned into an error of its own, as transformers does while it imports a module.

    Called first wherever any error of a library is caught.

    Raises:
        KeyboardInterrupt: It is among the causes of the error.
    """
    cause: BaseException | None = error
    seen = set[int]()
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__


def disk_error(error: OSError, where: str) -> MissingError:
    """Turns a failed write into an error with the reason and the way out."""
    reason = error.strerror or str(error)
    return MissingError(
        f"Could not write: {reason}.",
        where=where,
        hint="Make room or choose another place that can be written (--out for results, BABYEVAL_CACHE for "
        "the row cache), then start the same command again: finished work is kept.",
    )


def unreadable(error: OSError) -> MissingError:
    """Turns a failed read of a data file into an error with the reason."""
    reason = error.strerror or str(error)
    return MissingError(f"A data file cannot be read: {reason}.", where=str(error.filename), hint="May you read it?")


def unusable(error: OSError) -> MissingError:
    """Turns a failed use of a file or folder, for which nothing better is known, into an error with the reason."""
    reason = error.strerror or str(error)
    return MissingError(
        f"A file or folder cannot be used: {reason}.",
        where=str(error.filename) if error.filename is not None else None,
        hint="Is the path right, and may you read and write there?",
    )
