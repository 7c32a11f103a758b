"""Errors: what happened, where, what next, and the exit code that goes with it."""

from __future__ import annotations

import errno

import pytest

from babyeval.errors import (
    BabyevalError,
    DataError,
    DataMissing,
    MissingError,
    ModelError,
    UsageError,
    disk_error,
    raise_interrupt,
)


def test_an_error_says_what_where_and_what_next():
    error = UsageError("It broke.", where="file, line 3", hint="Mend it.")
    assert str(error) == "It broke.\n  Where: file, line 3\n  What next: Mend it."
    assert str(UsageError("It broke.")) == "It broke."
    assert (error.what, error.where, error.hint) == ("It broke.", "file, line 3", "Mend it.")


@pytest.mark.parametrize(
    ("kind", "code"),
    [(BabyevalError, 1), (DataError, 1), (ModelError, 1), (UsageError, 2), (MissingError, 3), (DataMissing, 3)],
)
def test_each_kind_has_its_exit_code(kind, code):
    assert kind("x").exit_code == code
    assert isinstance(kind("x"), BabyevalError)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_failed_write_names_its_reason_and_place(number):
    import os

    error = disk_error(OSError(number, os.strerror(number)), "some/place")
    assert isinstance(error, MissingError)
    assert os.strerror(number) in str(error)
    assert "some/place" in str(error)
    assert "--out" in str(error)
    assert "finished work is kept" in str(error)
    assert "odd" in str(disk_error(OSError("odd"), "x"))


def test_ctrl_c_that_a_library_turned_into_an_error_is_raised_again():
    """As transformers does: the interrupt of a lazy import becomes an ImportError of another name."""
    for explicit in (True, False):
        try:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt as stop:
                if explicit:
                    raise ImportError("Could not import module 'X'") from stop
                raise ImportError("Could not import module 'X'")  # noqa: B904 - as a library may
        except ImportError as error:
            with pytest.raises(KeyboardInterrupt):
                raise_interrupt(error)
    raise_interrupt(ZeroDivisionError())  # nothing happens
