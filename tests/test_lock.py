"""The lock of a fit: a second process waits, and one that was killed holds nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest

from babyeval import lock
from babyeval.errors import MissingError
from babyeval.lock import alone

HOLDS = """
import sys, time
from pathlib import Path
from babyeval.lock import alone
with alone(Path(sys.argv[1]), lambda: None):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of a folder."""
    running = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path / "fit")], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "held\n"
    yield running
    running.kill()
    running.communicate()


def test_a_lock_is_waited_for_and_is_free_when_its_holder_is_killed(holder, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_LOOK_AGAIN", 0.05)
    told = []

    def waiting() -> None:
        told.append(holder.poll())
        os.kill(holder.pid, signal.SIGKILL)

    with alone(tmp_path / "fit", waiting):
        assert told == [None]  # it was alive, and it was said once
    with alone(tmp_path / "fit", pytest.fail):
        pass


def test_who_waited_goes_on_when_the_folder_is_removed(holder, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_LOOK_AGAIN", 0.05)
    folder = tmp_path / "fit"

    with alone(folder, lambda: shutil.rmtree(folder)):
        assert holder.poll() is None


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MissingError, match="Could not write"), alone(tmp_path / "file/fit", pytest.fail):
        pass
    (tmp_path / "fit" / lock.LOCK_FILE).mkdir(parents=True)
    with pytest.raises(MissingError, match="Could not write"), alone(tmp_path / "fit", pytest.fail):
        pass
