"""Finding data: which folder, which files, in which order, and what is said where there is nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from babyeval.card import DataSpec, SourceSpec, TaskCard
from babyeval.data.lookup import data_roots, find_data
from babyeval.errors import DataMissing, UsageError

FULL = DataSpec(path="full_eval/thing")
FAST = DataSpec(path="fast_eval/thing")
MINI = DataSpec(path="mini.jsonl", bundled=True)


def card(**data: DataSpec) -> TaskCard:
    return TaskCard(
        name="thing",
        title="T",
        version=1,
        family="ranking",
        groups=(),
        summary="s",
        license="l",
        citation="c",
        chance=50,
        data=data,
    )


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The official layout, and an empty working folder."""
    root = tmp_path / "evaluation_data"
    for split in ("full_eval", "fast_eval"):
        (root / split / "thing").mkdir(parents=True)
        for name in ("b", "a", "c"):
            (root / split / "thing" / f"{name}.jsonl").write_text(f"{split} {name}")
    (root / "full_eval" / "thing" / "notes.txt").write_text("no data")
    (root / "full_eval" / "thing" / "more").mkdir()
    (root / "full_eval" / "thing" / "more" / "d.jsonl").write_text("deeper")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return root


def test_the_files_of_a_folder_in_alphabetical_order(folder):
    source = find_data(card(full=FULL), folder, "full", folder)
    assert [file.name for file in source.files] == [f"full_eval/thing/{name}.jsonl" for name in "abc"]
    for file in source.files:
        content = file.path.read_bytes()
        assert (file.sha256, file.size) == (hashlib.sha256(content).hexdigest(), len(content))


def test_a_split_has_its_own_folder(folder):
    source = find_data(card(full=FULL, fast=FAST), folder, "fast", folder)
    assert source.split == "fast"
    assert source.files[0].path.read_text() == "fast_eval a"


def test_fast_is_full_where_there_is_no_fast_set(folder):
    source = find_data(card(full=FULL), folder, "fast", folder)
    assert source.split == "full"
    assert source.files[0].path.read_text() == "full_eval a"


def test_the_folder_may_be_named_by_its_parent(folder):
    a, b = (find_data(card(full=FULL), folder, "full", root) for root in (folder, folder.parent))
    assert a.digest == b.digest


def test_one_file_may_be_a_split(folder):
    source = find_data(card(full=DataSpec(path="full_eval/thing/b.jsonl")), folder, "full", folder)
    assert [file.path.name for file in source.files] == ["b.jsonl"]


def test_bundled_files_lie_beside_the_card_and_nowhere_else(folder, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "mini.jsonl").write_text("mine")
    (folder / "mini.jsonl").write_text("other")
    source = find_data(card(mini=MINI), tmp_path / "home", "mini", folder)
    assert source.files[0].path.read_text() == "mine"


def test_the_variable_and_the_working_folder_are_looked_at(folder, monkeypatch):
    with pytest.raises(DataMissing):
        find_data(card(full=FULL), folder, "full", None)
    monkeypatch.setenv("BABYEVAL_DATA", str(folder))
    assert len(find_data(card(full=FULL), folder, "full", None).files) == 3
    monkeypatch.setenv("BABYEVAL_DATA", str(folder.parent))
    assert len(find_data(card(full=FULL), folder, "full", None).files) == 3
    monkeypatch.delenv("BABYEVAL_DATA")
    monkeypatch.chdir(folder.parent)
    assert len(find_data(card(full=FULL), folder, "full", None).files) == 3


def test_a_folder_given_is_searched_instead_of_the_others_and_what_was_fetched_comes_last(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("BABYEVAL_DATA", str(folder))
    monkeypatch.setenv("BABYEVAL_CACHE", str(tmp_path / "cache"))
    fetched = tmp_path / "cache" / "data"
    (tmp_path / "other").mkdir()
    assert data_roots(tmp_path / "other") == [tmp_path / "other", tmp_path / "other" / "evaluation_data", fetched]
    with pytest.raises(DataMissing):
        find_data(card(full=FULL), folder, "full", tmp_path / "other")
    assert data_roots(None) == [folder, folder / "evaluation_data", Path("evaluation_data"), fetched]
    (fetched / "full_eval/thing").mkdir(parents=True)
    (fetched / "full_eval/thing/z.jsonl").write_text("fetched")
    assert find_data(card(full=FULL), folder, "full", None).files[0].path.name == "a.jsonl"
    assert find_data(card(full=FULL), folder, "full", tmp_path / "other").files[0].path.name == "z.jsonl"


def test_a_folder_that_was_named_and_is_not_there_is_refused_whatever_else_is(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder.parent)  # here ./evaluation_data holds everything
    monkeypatch.setenv("BABYEVAL_CACHE", str(tmp_path / "cache"))
    shutil.copytree(folder, tmp_path / "cache" / "data")
    (folder / "mini.jsonl").write_text("mine")
    typo = tmp_path / "evaluation_dta"
    words = f"The data folder '{typo}' does not exist."
    with pytest.raises(DataMissing) as given:
        find_data(card(full=FULL), folder, "full", typo)
    monkeypatch.setenv("BABYEVAL_DATA", str(typo))
    with pytest.raises(DataMissing) as variable:
        find_data(card(full=FULL), folder, "full", None)
    assert (given.value.what, variable.value.what) == (words, words)
    assert "spelling of --data-dir" in str(given.value)
    assert "spelling of BABYEVAL_DATA" in str(variable.value)
    assert len(find_data(card(full=FULL), folder, "full", folder).files) == 3  # goes before the variable
    assert find_data(card(mini=MINI), folder, "mini", typo).files[0].path.read_text() == "mine"


def test_a_fetched_set_of_which_a_part_is_gone_is_not_used(folder):
    entry = {"sha256": "0", "size": 1, "repo": "r/r", "revision": "c", "source": "s"}
    lock = {"schema_version": 1, "files": {f"full_eval/thing/{name}.jsonl": entry for name in "abc"}}
    (folder / "fetched.json").write_text(json.dumps(lock))
    assert len(find_data(card(full=FULL), folder, "full", folder).files) == 3
    (folder / "full_eval/thing/b.jsonl").unlink()
    with pytest.raises(DataMissing, match=r"incomplete \(b.jsonl is not there\): fetch it again"):
        find_data(card(full=FULL), folder, "full", folder)
    only = DataSpec(path="full_eval/thing", pattern="a*.jsonl")
    assert len(find_data(card(full=only), folder, "full", folder).files) == 1
    (folder / "fetched.json").write_text("{ damaged")
    assert len(find_data(card(full=FULL), folder, "full", folder).files) == 2


def test_missing_data_says_how_to_get_it(folder):
    def hint(split, **source):
        sources = (SourceSpec(splits=(split,), **source),)
        spec = {"full": FULL, split: DataSpec(path="absent")}
        with pytest.raises(DataMissing) as caught:
            find_data(card(**spec).model_copy(update={"sources": sources}), folder, split, folder)
        return str(caught.value)

    pinned = {"repo": "org/data", "revision": "a" * 40, "files": ("x.jsonl",), "to": "absent"}
    assert "'babyeval data fetch thing'" in hint("full", **pinned)
    assert "'babyeval data fetch thing --split fast'" in hint("fast", **pinned)
    assert "Accept the terms." in hint("full", **pinned, note="Accept the terms.")
    told = hint("full", **pinned, note="Log in, then 'babyeval data fetch thing --vocabulary FILE'.")
    assert told.count("babyeval data fetch") == 1
    by_hand = hint("full", note="Ask the authors.")
    assert "Ask the authors." in by_hand
    assert "data fetch" not in by_hand


def test_missing_data_is_an_error_with_every_place_and_a_way_out(folder, tmp_path):
    with pytest.raises(DataMissing) as caught:
        find_data(card(full=DataSpec(path="full_eval/absent"), mini=MINI), folder, "full", folder)
    text = str(caught.value)
    assert "'thing' (full)" in text
    assert f"looked for full_eval/absent/*.jsonl in {folder} and " in text
    assert f" and {folder / 'evaluation_data'} and " in text
    assert "--data-dir" in text
    assert "--split mini" in text
    assert caught.value.exit_code == 3


def test_a_folder_without_fitting_files_counts_as_missing(folder):
    with pytest.raises(DataMissing):
        find_data(card(full=DataSpec(path="full_eval/thing", pattern="*.csv")), folder, "full", folder)


def test_a_split_that_the_card_does_not_have_is_refused(folder):
    with pytest.raises(UsageError, match="no split 'mini'") as caught:
        find_data(card(full=FULL), folder, "mini", folder)
    assert "full" in str(caught.value)


def test_the_digest_covers_names_and_contents_but_no_place(folder, tmp_path):
    def digest(root):
        return find_data(card(full=FULL), folder, "full", root).digest

    first = digest(folder)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert digest(copy) == first
    (copy / "full_eval/thing/a.jsonl").write_text("changed")
    changed = digest(copy)
    (copy / "full_eval/thing/a.jsonl").write_text("full_eval a")
    (copy / "full_eval/thing/a.jsonl").rename(copy / "full_eval/thing/aa.jsonl")
    assert len({first, changed, digest(copy)}) == 3
