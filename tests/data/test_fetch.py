"""Fetching without a network: data got by hand, and files that are placed whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import logging.handlers
import shutil
from pathlib import Path

import pandas as pd
import pytest

from babyeval.card import DataSpec, SourceSpec, TaskCard
from babyeval.data.checksums import FetchedFile, extend_lock, read_lock
from babyeval.data.fetch import Fetched, Wish, fetch
from babyeval.data.hub import quiet_hub
from babyeval.data.lookup import find_data
from babyeval.data.verify import verify
from babyeval.errors import DataMissing, UsageError
from babyeval.progress import Quiet
from babyeval.ranking import RankingTask

PINNED = {
    "repo": "org/data",
    "revision": "a" * 40,
    "splits": ("full",),
    "files": ("in/a.jsonl", "in/b.jsonl"),
    "to": "full_eval/thing",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def task(home: Path, *sources: dict[str, object], bundled: bool = False) -> RankingTask:
    data = {"mini": DataSpec(path="mini.jsonl", bundled=True)} | ({} if bundled else {"full": DataSpec(path="full_eval/thing")})
    card = TaskCard(
        name="thing", title="T", version=1, family="ranking", groups=(), summary="s", license="l", citation="c", chance=50,
        homepage="https://example.org/thing", data=data, sources=tuple(map(SourceSpec.model_validate, sources)),
    )  # fmt: skip
    return RankingTask(card, home, lambda record: pytest.fail("nothing is decoded"))


def fetched(one: RankingTask, root: Path) -> list[Fetched]:
    return fetch([one], Wish(data_dir=root), Quiet())


@pytest.fixture
def published(tmp_path, monkeypatch) -> Path:
    """The Hub's own cache, which holds both files of the data set."""
    folder = tmp_path / "hub" / "in"
    folder.mkdir(parents=True)
    for name in "ab":
        (folder / f"{name}.jsonl").write_text(f"new {name}")
    monkeypatch.setattr("babyeval.data.fetch.get_file", lambda source, path, **_: tmp_path / "hub" / path)
    return folder


def test_data_got_by_hand_is_there_or_says_how_to_get_it(tmp_path):
    one = task(tmp_path, {"splits": ["full"], "note": "Ask Ann for it."})
    (outcome,) = fetched(one, tmp_path / "data")
    assert (outcome.state, outcome.source) == ("failed", "")
    assert "Ask Ann for it." in str(outcome.error)
    assert outcome.error.exit_code == 3
    (tmp_path / "data/full_eval/thing").mkdir(parents=True)
    (tmp_path / "data/full_eval/thing/a.jsonl").write_text("{}")
    (outcome,) = fetched(one, tmp_path / "data")
    assert (outcome.state, outcome.files) == ("there", ("full_eval/thing/a.jsonl",))
    (outcome,) = fetch([one], Wish(look_in=tmp_path / "data"), Quiet())
    assert outcome.state == "there"


def test_a_task_without_a_source_names_its_homepage_and_the_place(tmp_path):
    (outcome,) = fetched(task(tmp_path), tmp_path / "data")
    assert outcome.state == "failed"
    assert "https://example.org/thing" in str(outcome.error)
    assert "full_eval/thing" in str(outcome.error)


def test_a_task_that_brings_all_its_data_needs_nothing(tmp_path):
    assert fetched(task(tmp_path, bundled=True), tmp_path / "data") == []
    with pytest.raises(UsageError, match="bundled"):
        fetch([task(tmp_path)], Wish(split="mini"), Quiet())


def test_without_a_folder_files_go_where_every_run_looks_last(tmp_path, published, monkeypatch):
    monkeypatch.setenv("BABYEVAL_CACHE", str(tmp_path / "cache"))
    one = task(tmp_path, PINNED)
    assert [outcome.state for outcome in fetch([one], Wish(), Quiet())] == ["fetched"]
    assert [file.path.read_text() for file in find_data(one.card, tmp_path, "full", None).files] == ["new a", "new b"]


def test_a_full_disk_leaves_everything_as_it_was(tmp_path, published, monkeypatch):
    folder = tmp_path / "data/full_eval/thing"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text("old a")
    copy, copied = shutil.copyfile, []

    def fills_up(source, target):
        if copied:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        copied.append(source)
        return copy(source, target)

    monkeypatch.setattr("shutil.copyfile", fills_up)
    (outcome,) = fetched(task(tmp_path, PINNED), tmp_path / "data")
    assert (outcome.state, outcome.error.exit_code) == ("failed", 3)
    assert "No space left" in str(outcome.error)
    assert [path.name for path in folder.iterdir()] == ["a.jsonl"]
    assert (folder / "a.jsonl").read_text() == "old a"
    assert not (tmp_path / "data/fetched.json").exists()


def test_a_fetch_that_is_killed_between_two_files_is_not_taken_for_a_whole_set(tmp_path, published, monkeypatch):
    replace, placed = Path.replace, []

    def dies(self, target):
        if target.suffix == ".jsonl":
            if placed:
                raise KeyboardInterrupt
            placed.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dies)
    one = task(tmp_path, PINNED)
    with pytest.raises(KeyboardInterrupt):
        fetched(one, tmp_path / "data")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path / "work")
    assert len(placed) == 1
    with pytest.raises(DataMissing, match="incomplete"):
        find_data(one.card, tmp_path, "full", tmp_path / "data")
    monkeypatch.setattr("babyeval.data.fetch.get_file", lambda source, path, **_: tmp_path / "hub" / path)
    assert [outcome.state for outcome in fetched(one, tmp_path / "data")] == ["fetched"]
    assert len(find_data(one.card, tmp_path, "full", tmp_path / "data").files) == 2


def test_another_commit_is_fetched_anew(tmp_path, published):
    assert [outcome.state for outcome in fetched(task(tmp_path, PINNED), tmp_path / "data")] == ["fetched"]
    assert [outcome.state for outcome in fetched(task(tmp_path, PINNED), tmp_path / "data")] == ["there"]
    (published / "a.jsonl").write_text("newer a")
    newer = task(tmp_path, {**PINNED, "revision": "b" * 40})
    assert [outcome.state for outcome in fetched(newer, tmp_path / "data")] == ["fetched"]
    assert (tmp_path / "data/full_eval/thing/a.jsonl").read_text() == "newer a"


def test_what_another_commit_no_longer_has_goes_and_nothing_else(tmp_path, published):
    root, folder = tmp_path / "data", tmp_path / "data/full_eval/thing"
    fetched(task(tmp_path, PINNED), root)
    (folder / "notes.txt").write_text("mine")
    (folder / "mine.jsonl").write_text("mine")
    about = {"size": 1, "repo": "org/data", "revision": "a" * 40, "sha256": "0"}
    for path in ("full_eval/thing/image.png", "full_eval/other/b.jsonl", "full_eval/thing/mine.jsonl"):
        repo = "org/other" if "mine" in path else "org/data"
        extend_lock(root, {path: FetchedFile(**{**about, "repo": repo}, source="in/x")})
    for path in ("full_eval/thing/image.png", "full_eval/other/b.jsonl"):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text("of another task")
    newer = task(tmp_path, {**PINNED, "revision": "b" * 40, "files": ("in/a.jsonl",)})
    assert [verdict.detail.split(",")[0] for verdict in verify([newer], root) if verdict.file.endswith("b.jsonl")] == [
        "fetched from an older commit"
    ]
    assert [outcome.state for outcome in fetched(newer, root)] == ["fetched"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.jsonl", "image.png", "mine.jsonl", "notes.txt"]
    assert (root / "full_eval/other/b.jsonl").is_file()
    assert "full_eval/thing/b.jsonl" not in read_lock(root)
    assert read_lock(root)["full_eval/thing/a.jsonl"].revision == "b" * 40
    assert [outcome.state for outcome in fetched(newer, root)] == ["there"]


def test_leavings_of_another_commit_beside_a_whole_set_are_removed_too(tmp_path, published):
    """A lock in which both commits stand."""
    root = tmp_path / "data"
    newer = task(tmp_path, {**PINNED, "revision": "b" * 40, "files": ("in/a.jsonl",)})
    fetched(newer, root)
    (root / "full_eval/thing/b.jsonl").write_text("old b")
    entry = FetchedFile(
        sha256=hashlib.sha256(b"old b").hexdigest(), size=5, repo="org/data", revision="a" * 40, source="in/b.jsonl"
    )
    extend_lock(root, {"full_eval/thing/b.jsonl": entry})
    assert [outcome.state for outcome in fetched(newer, root)] == ["fetched"]
    assert [file.stem for file in find_data(newer.card, tmp_path, "full", root).files] == ["a"]


def test_sources_of_one_card_at_different_commits_leave_each_other_alone(tmp_path, published):
    sources = [{**PINNED, "files": (f"in/{name}.jsonl",), "revision": commit * 40} for name, commit in ("ab", "bc")]
    both = task(tmp_path, *sources)
    assert [outcome.state for outcome in fetched(both, tmp_path / "data")] == ["fetched", "fetched"]
    assert [outcome.state for outcome in fetched(both, tmp_path / "data")] == ["there", "there"]
    assert {verdict.state for verdict in verify([both], tmp_path / "data")} == {"right"}


def test_the_librarys_lines_become_one_of_ours_while_it_fetches(capsys):
    library = logging.getLogger("huggingface_hub.utils._http")
    said: list[str] = []
    with quiet_hub(said.append):
        before = capsys.readouterr()
        for _ in range(5):
            library.warning("'no route' thrown while requesting HEAD x")
            library.warning("Retrying in 1s [Retry 1/5].")
    assert capsys.readouterr() == before == ("", "")
    assert len(said) == 1
    assert "trying again" in said[0]
    handler = logging.handlers.BufferingHandler(10)
    logging.getLogger("huggingface_hub").addHandler(handler)
    library.warning("as before")
    logging.getLogger("huggingface_hub").removeHandler(handler)
    assert [record.getMessage() for record in handler.buffer] == ["as before"]


@pytest.mark.parametrize("more", [("in/b.jsonl",), ("in/b*",), ("in/a.jsonl", "in/b.jsonl")])
def test_other_files_of_the_data_set_in_the_same_folder_are_still_fetched(more, tmp_path, published, monkeypatch):
    monkeypatch.setattr("babyeval.data.fetch.list_files", lambda *_, **__: ["in/a.jsonl", "in/b.jsonl"])
    root = tmp_path / "data"
    assert [o.state for o in fetched(task(tmp_path, {**PINNED, "files": ("in/a.jsonl",)}), root)] == ["fetched"]
    other = task(tmp_path, {**PINNED, "files": more})
    assert [o.state for o in fetched(other, root)] == ["fetched"]
    assert (root / "full_eval/thing/b.jsonl").is_file()
    assert [o.state for o in fetched(other, root)] == ["there"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"revision": ""}, "'revision'"),
        ({"revision": "main"}, "revision"),
        ({"files": ()}, "'files'"),
        ({"to": "../out"}, "'to'"),
        ({"to": "/etc"}, "'to'"),
        ({"repo": "", "note": ""}, "'note'"),
        ({"splits": ()}, "splits"),
    ],
)
def test_a_source_is_complete_and_stays_in_the_data_folder(change, words):
    with pytest.raises(ValueError, match=words):
        SourceSpec.model_validate({**PINNED, **change})


EWOK = {"Domain": "things", "Context1": "The cup is full.", "Context2": "The cup is empty.", "Target1": "Tea spills.",
        "Target2": "It is dry.", "Number": 3, "Nothing": None}  # fmt: skip


def test_ewok_is_built_from_the_gated_table(tmp_path, monkeypatch):
    """With made-up items, words and counts."""
    items = tmp_path / "hub/items.parquet"
    items.parent.mkdir()
    pd.DataFrame([EWOK, {**EWOK, "Target1": "Oolong spills."}]).to_parquet(items)
    (tmp_path / "words.txt").write_text("\n".join(["the", "cup", "is", "full.", "empty.", "tea", "spills.", "it", "dry."]))
    monkeypatch.setattr("babyeval.data.fetch.get_file", lambda source, path, **_: tmp_path / "hub" / path)
    monkeypatch.setattr("babyeval.data.ewok_build.OFFICIAL_ROWS", {"things": 2})
    monkeypatch.setattr("babyeval.data.ewok_build.word_tokenizer", lambda: str.split)
    digest = hashlib.sha256(items.read_bytes()).hexdigest()
    source = {**PINNED, "files": ("items.parquet",), "build": "ewok", "sha256": digest}
    wish = Wish(data_dir=tmp_path / "data", vocabulary=tmp_path / "words.txt")
    (wrong,) = fetch([task(tmp_path, {**source, "sha256": "0" * 64})], wish, Quiet())
    assert digest in str(wrong.error)
    assert not (tmp_path / "data").exists()
    (outcome,) = fetch([task(tmp_path, source)], wish, Quiet())
    assert (outcome.state, outcome.files) == ("fetched", ("full_eval/thing/things.jsonl",))
    first, second = map(json.loads, (tmp_path / "data" / outcome.files[0]).read_text().splitlines())
    assert first == EWOK
    assert [second[key] for key in ("Context1", "Context2", "Target1", "Target2", "Number")] == [
        EWOK[key] for key in ("Context2", "Context1", "Target2", "Target1", "Number")
    ]
    (again,) = fetch([task(tmp_path, source)], Wish(data_dir=tmp_path / "data"), Quiet())
    assert again.state == "there", "what was built is not built again"
