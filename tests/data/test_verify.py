"""Verifying: files against checksums beside the card, and against what a fetch wrote down."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from locked_zip import write_zip

from babyeval.card import DataSpec, SourceSpec, TaskCard
from babyeval.data.checksums import FetchedFile, extend_lock, read_checksums, read_lock
from babyeval.data.lookup import find_data
from babyeval.data.verify import departures, exit_code, summary, verify
from babyeval.errors import DataError, DataMissing
from babyeval.ranking import RankingTask

FULL, FAST, MINI = (DataSpec(path=f"{split}_eval/thing") for split in ("full", "fast", "mini"))


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def root(tmp_path) -> Path:
    for name in "ab":
        path = tmp_path / f"data/full_eval/thing/{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "data"


def task(home: Path, checksums: dict[str, str] | None = None, **data: DataSpec) -> RankingTask:
    card = TaskCard(
        name="thing", title="T", version=1, family="ranking", groups=(), summary="s", license="l", citation="c", chance=50,
        data={"full": FULL, "mini": DataSpec(path="mini.jsonl", bundled=True), **data},
    )  # fmt: skip
    home.mkdir(exist_ok=True)
    if checksums:
        lines = ["sha256\tsize\tpath", *(f"{digest}\t1\t{path}" for path, digest in checksums.items())]
        (home / "checksums.tsv").write_text("\n".join(lines) + "\n")
    return RankingTask(card, home, lambda record: pytest.fail("nothing is decoded"))


def states(*args) -> dict[str, str]:
    return {Path(verdict.file).name: verdict.state for verdict in verify(*args)}


def test_right_different_unknown_and_missing_files(root, tmp_path):
    known = {"full_eval/thing/a.jsonl": sha(b"a"), "full_eval/thing/c.jsonl": sha(b"c"), "full_eval/other/d.jsonl": sha(b"d")}
    one = task(tmp_path / "home", known)
    assert states([one], root) == {"a.jsonl": "right", "b.jsonl": "unknown", "c.jsonl": "missing"}
    assert exit_code(verify([one], root), []) == 1
    (root / "full_eval/thing/a.jsonl").write_bytes(b"changed")
    (root / "full_eval/thing/c.jsonl").write_bytes(b"c")
    assert states([one], root) == {"a.jsonl": "differs", "b.jsonl": "unknown", "c.jsonl": "right"}
    assert exit_code(verify([one], root), []) == 1
    (root / "full_eval/thing/a.jsonl").write_bytes(b"a")
    assert exit_code(verify([one], root), ["thing"]) == 0


def test_what_was_fetched_is_held_against_the_lock(root, tmp_path):
    about = {"size": 1, "repo": "org/data", "revision": "c" * 40, "source": "x"}
    extend_lock(root, {"full_eval/thing/a.jsonl": FetchedFile(sha256=sha(b"a"), **about)})
    extend_lock(root, {"full_eval/thing/b.jsonl": FetchedFile(sha256=sha(b"other"), **about)})
    assert sorted(read_lock(root)) == ["full_eval/thing/a.jsonl", "full_eval/thing/b.jsonl"]
    one = task(tmp_path / "home")
    assert states([one], root) == {"a.jsonl": "right", "b.jsonl": "differs"}
    assert "org/data@cccccccccccc" in verify([one], root)[0].detail


@pytest.mark.parametrize("built", [False, True])
def test_a_card_that_names_another_commit_makes_what_was_fetched_old(root, tmp_path, built):
    one = task(tmp_path / "home")
    source = SourceSpec(repo="org/data", revision="d" * 40, splits=("full",), files=("x",), to="full_eval/thing")
    one.card = one.card.model_copy(update={"sources": (source,)})
    about = {"size": 1, "repo": "org/data", "source": "x", "built": built}
    extend_lock(root, {"full_eval/thing/a.jsonl": FetchedFile(sha256=sha(b"a"), revision="c" * 40, **about)})
    extend_lock(root, {"full_eval/thing/b.jsonl": FetchedFile(sha256=sha(b"b"), revision="d" * 40, **about)})
    old, new = verify([one], root)
    assert (old.state, new.state) == ("differs", "right")
    assert old.detail.startswith("fetched from an older commit, org/data@cccccccccccc; it is org/data@dddddddddddd now")
    assert exit_code([old, new], []) == 1
    assert "1 files differ" in departures(one, find_data(one.card, tmp_path, "full", root))


def test_all_in_one_line(root, tmp_path):
    known = {"full_eval/thing/a.jsonl": sha(b"a"), "full_eval/thing/c.jsonl": sha(b"c")}
    verdicts = verify([task(tmp_path / "home", known, fast=FAST)], root)
    assert summary(verdicts) == (
        "1 files right, 0 differ, 1 without a known checksum, 1 missing of a set that is there, 1 splits missing"
    )
    assert summary([]) == "0 files right, 0 differ, 0 splits missing"


def test_a_data_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(DataMissing, match="does not exist"):
        verify([task(tmp_path / "home")], tmp_path / "nowhere")


def test_a_file_built_here_may_differ_in_bytes_from_the_official_one(root, tmp_path):
    about = {"size": 1, "repo": "org/data", "revision": "c" * 40, "source": "x"}
    known = {f"full_eval/thing/{name}.jsonl": sha(b"official") for name in "ab"}
    extend_lock(root, {"full_eval/thing/a.jsonl": FetchedFile(sha256=sha(b"a"), built=True, **about)})
    extend_lock(root, {"full_eval/thing/b.jsonl": FetchedFile(sha256=sha(b"b"), built=False, **about)})
    a, b = verify([task(tmp_path / "home", known)], root)
    assert (a.state, b.state) == ("right", "differs")
    assert "differs in bytes" in a.detail


def test_an_archive_is_held_against_its_own_checksum(root, tmp_path):
    path = write_zip(root / "full_eval/packed.zip", {"x.jsonl": b"{}\n", "y.jsonl": b"{}\n"}, "any")
    spec = DataSpec(path="full_eval/packed", archive="full_eval/*.zip")
    known = {"full_eval/packed.zip": sha(path.read_bytes()), "full_eval/packed/x.jsonl": sha(b"unpacked")}
    assert states([task(tmp_path / "home", known, full=spec)], root) == {"packed.zip": "right"}
    path.write_bytes(path.read_bytes()[:-30])
    (verdict,) = verify([task(tmp_path / "home", known, full=spec)], root)
    assert verdict.state == "differs"
    assert "cannot be read" in verdict.detail


def test_absent_data_matters_only_for_tasks_that_were_named(root, tmp_path):
    absent = task(tmp_path / "home", full=DataSpec(path="full_eval/absent"))
    verdicts = verify([absent], root)
    assert [(verdict.file, verdict.state) for verdict in verdicts] == [("", "missing")]
    assert (exit_code(verdicts, []), exit_code(verdicts, ["thing"])) == (0, 3)
    partly = verify([task(tmp_path / "home", fast=FAST)], root)
    assert exit_code(partly, ["thing"]) == 0


def test_checksums_of_unknown_size_and_malformed_ones(tmp_path):
    (tmp_path / "checksums.tsv").write_text("sha256\tsize\tpath\nab\t-\tx/y.jsonl\n")
    assert read_checksums(tmp_path)["x/y.jsonl"].size is None
    assert read_checksums(tmp_path / "elsewhere") == {}
    for line in ("ab\tx/y.jsonl", "ab\tmany\tx/y.jsonl"):
        (tmp_path / "checksums.tsv").write_text(f"sha256\tsize\tpath\n{line}\n")
        with pytest.raises(DataError, match="sha256, size and path") as caught:
            read_checksums(tmp_path)
        assert caught.value.where.endswith("checksums.tsv, line 2")


def test_checksums_of_built_in_tasks_are_those_of_the_shared_files(shared):
    """The lists were made from such a folder; every file is in them and right."""
    from babyeval.registry import get_task

    verdicts = verify([get_task("blimp"), get_task("blimp_supplement")], shared / "evaluation_data")
    assert {verdict.state for verdict in verdicts} == {"right"}
    assert len(verdicts) == 144
