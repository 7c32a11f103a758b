"""Zip archives as data: members are read in memory, so that what authors keep locked never lies unpacked on a disk."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from babyeval.errors import DataError, DataLocked, UsageError

_AES = 99  # the number that stands in the place of the compression method
_ENCRYPTED, _STRONG = 0x1, 0x40  # flag bits
_LARGEST = 2**31  # bytes of an unpacked member; whole benchmarks are a hundredth of it
_HEADER = 12  # bytes in front of encrypted content; the last one tells most wrong passwords


def members(archive: Path, pattern: str) -> list[str]:
    """The members whose file name matches a pattern, in alphabetical order.

    What operating systems add (``__MACOSX``, names that begin with a dot) is no data.

    Raises:
        DataError: The file is no zip archive, or a truncated one.
    """
    with _opened(archive) as content:
        names = [info.filename for info in content.infolist() if not info.is_dir()]
    return sorted(name for name in names if _is_data(PurePosixPath(name), pattern))


def _is_data(path: PurePosixPath, pattern: str) -> bool:
    return fnmatchcase(path.name, pattern) and not path.name.startswith(".") and "__MACOSX" not in path.parts


def read_member(archive: Path, member: str, password: str | None, task: str) -> bytes:
    """The content of one member.

    Args:
        archive: The zip file.
        member: Its name inside.
        password: Opens an encrypted member.
        task: For whom it is read; named in the way out.

    Raises:
        DataLocked: The password is absent or wrong.
        DataError: The archive is damaged, or locked in a way that cannot be read in memory.
    """
    where = f"{archive}, member {member}"
    with _opened(archive) as content:
        try:
            info = content.getinfo(member)
        except KeyError as error:
            raise DataError("The archive has no such member any more.", where=where) from error
        locked = bool(info.flag_bits & _ENCRYPTED)
        if info.compress_type == _AES or info.flag_bits & _STRONG:
            raise DataError(
                "The archive is encrypted with AES, which cannot be read in memory here.",
                where=where,
                hint="Pack it again with the traditional encryption of zip ('zip --encrypt'), under the same name.",
            )
        if info.file_size > _LARGEST:  # zipfile unpacks no more than is declared
            raise DataError(
                f"The member would take {info.file_size / 2**30:.1f} GiB of memory, and at most {_LARGEST / 2**30:.0f} are read.",
                where=where,
                hint="Is it the task's official archive? Get it again from its source.",
            )
        if locked and not password:
            raise _locked("The archive is locked, and no password for it was given.", where, task)
        try:
            return content.read(info, pwd=password.encode() if password else None)
        except NotImplementedError as error:
            raise DataError(f"The archive is packed in a way that cannot be read: {error}.", where=where) from error
        except RuntimeError as error:  # how zipfile says that a password is wrong
            raise _locked("The password does not open the archive.", where, task) from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            if locked and password and not _opens_all(content, password):
                raise _locked("The password does not open the archive.", where, task) from error
            # The check byte lets one wrong password in 256 through; with one member there is no telling.
            doubt = f", or the password of '{task}' is wrong" if locked else ""
            raise DataError(
                f"The archive is damaged{doubt}: {error}.", where=where, hint="Get the archive again from its source."
            ) from error


def _opened(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise DataError(
            f"The archive cannot be read: {error}.",
            where=str(archive),
            hint="It may be truncated or no zip file at all: get it again from its source.",
        ) from error


def _opens_all(content: zipfile.ZipFile, password: str) -> bool:
    """Whether the password passes the check byte of every encrypted member."""
    for info in content.infolist():
        if info.flag_bits & _ENCRYPTED and info.compress_size >= _HEADER:
            try:
                content.open(info, pwd=password.encode()).close()
            except (zipfile.BadZipFile, NotImplementedError, OSError):
                continue
            except RuntimeError:  # how zipfile says that a password is wrong
                return False
    return True


def _locked(what: str, where: str, task: str) -> DataLocked:
    return DataLocked(
        what,
        where=where,
        hint=f"Give its authors' password by '--data-password {task}=PASSWORD', or by the variable "
        f"BABYEVAL_DATA_PASSWORD={task}=PASSWORD. 'babyeval tasks show {task}' says where the data comes from.",
    )


def parse_passwords(given: Iterable[str]) -> dict[str, str]:
    """Passwords by task.

    Args:
        given: Each ``TASK=PASSWORD``; a password may itself hold equal signs.

    Raises:
        UsageError: One has another form. It is not repeated, for it may be a password alone.

    Example:
        >>> parse_passwords(["ewok=open=sesame"])
        {'ewok': 'open=sesame'}
    """
    passwords = {}
    for number, text in enumerate(given, start=1):
        task, equals, password = text.partition("=")
        if not (task.strip() and equals and password):
            raise UsageError(
                f"Password {number} does not have the form TASK=PASSWORD.",
                where="--data-password or BABYEVAL_DATA_PASSWORD",
                hint="Write for example '--data-password ewok=PASSWORD'.",
            )
        passwords[task.strip()] = password
    return passwords


def require_known_tasks(passwords: Mapping[str, str]) -> None:
    """Refuses passwords for tasks that do not exist, since a typo would leave the right task locked.

    Raises:
        UsageError: There is no such task; the nearest name is suggested.
    """
    from babyeval.registry import get_task

    for task in passwords:
        try:
            get_task(task)
        except UsageError as error:
            raise UsageError(error.what, where="--data-password or BABYEVAL_DATA_PASSWORD", hint=error.hint) from error
