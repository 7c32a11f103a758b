"""Folders of the trainers: there whole or not at all, and none left behind."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from babyeval.trainers.folders import built, content_key, data_folder, file_digest, run_folder
from babyeval.trainers.recipe import load_recipe

from babyeval.errors import MissingError


def write(folder: Path, text: str) -> None:
    with built(folder) as draft:
        (draft / "part").mkdir()
        (draft / "part" / "file").write_text(text)


def test_a_folder_appears_when_it_is_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "corpus-1"
    with built(folder) as draft:
        (draft / "file").write_text("first")
        assert not folder.exists()
    assert (folder / "file").read_text() == "first"
    write(folder, "second")
    assert (folder / "part" / "file").read_text() == "second"
    assert [path.name for path in folder.parent.iterdir()] == ["corpus-1"]
    assert not (folder / "file").exists()


def test_a_folder_that_others_may_read_stays_when_a_second_build_ends(tmp_path: Path) -> None:
    with built(tmp_path / "x", keep=True) as draft:
        (draft / "file").write_text("second")
        (tmp_path / "x").mkdir()  # another process was faster
        (tmp_path / "x" / "file").write_text("first")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x" / "file").read_text() == "first"
    with pytest.raises(MissingError, match="Could not write"), built(tmp_path / "y", keep=True):
        (tmp_path / "y").write_text("no folder")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_build_leaves_nothing_and_the_old_one_in_place(tmp_path: Path, error: type[BaseException]) -> None:
    write(tmp_path / "x", "old")

    def build() -> None:
        with built(tmp_path / "x") as draft:
            (draft / "file").write_text("half")
            raise error

    with pytest.raises(error):
        build()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x" / "part" / "file").read_text() == "old"


def test_the_draft_of_a_killed_process_is_removed_by_the_next_build(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\nfrom babyeval.trainers.folders import built\n"
        "with built(pathlib.Path(sys.argv[1])) as draft:\n    (draft / 'file').write_text('half')\n    os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "x")], check=False).returncode == 9
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".draft"
    alive = left.with_name(left.name.replace(left.stem.rsplit("-", 1)[1], str(os.getppid())))
    alive.mkdir()
    write(tmp_path / "x", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive.name, "x"])


def test_where_nothing_can_be_written_the_error_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(MissingError, match="Could not write"), built(tmp_path / "file" / "x"):
        pass


def test_names_of_folders(tmp_path: Path) -> None:
    key = content_key({"a": 1, "b": [2]})
    assert data_folder(tmp_path, "corpus", key) == tmp_path / "_data" / f"corpus-{key[:12]}"
    assert content_key({"b": [2], "a": 1}) == key != content_key({"a": 1, "b": [3]})
    recipe = load_recipe("tiny", ("seed=4", 'condition="a/b"'))
    assert run_folder(tmp_path, recipe) == tmp_path / "a%2Fb" / "seed_4"
    hidden = run_folder(tmp_path, load_recipe("tiny", ('condition="_data"',)))
    assert hidden.parent.name == "%5Fdata"  # never the folder of what runs share


def test_a_files_digest_is_that_of_its_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert file_digest(tmp_path / "file") == hashlib.sha256(content).hexdigest()
