"""Archives as data: found, opened in memory, and every way in which that may fail."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path

import pytest
from locked_zip import write_zip

from babyeval.card import DataSpec, TaskCard
from babyeval.data.archive import members, parse_passwords, read_member
from babyeval.data.jsonl import read_jsonl
from babyeval.data.lookup import DataSource, find_data
from babyeval.errors import DataError, DataMissing, UsageError

PASSWORD = "open sesame é"  # noqa: S105
FILES = {
    "deep/set/b.jsonl": b'{"n": 1}\n{"n": 2}\n',
    "deep/set/a.jsonl": b'{"n": 3}\n',
    "deep/set/notes.txt": b"no data",
    "__MACOSX/deep/set/._a.jsonl": b"\x00\x05",
    "deep/set/._b.jsonl": b"\x00\x05",
}


def card(pattern: str = "*.jsonl", password: str = "") -> TaskCard:
    return TaskCard(
        name="thing", title="T", version=1, family="ranking", groups=(), summary="s", license="l", citation="c", chance=50,
        data={"full": DataSpec(path="full_eval/thing", archive="full_eval/thing/*.zip", pattern=pattern, password=password)},
    )  # fmt: skip


def find(root: Path, passwords: dict[str, str] | None = None, **spec: str) -> DataSource:
    return find_data(card(**spec), root, "full", root, passwords)


def numbers(source: DataSource) -> list[int]:
    return [record["n"] for file in source.files for record in read_jsonl(file)]


@pytest.fixture
def locked(tmp_path) -> Path:
    """A data folder with one locked archive."""
    write_zip(tmp_path / "full_eval/thing/set.zip", FILES, PASSWORD)
    return tmp_path


def test_members_are_read_without_anything_new_on_the_disk(locked):
    before = sorted(locked.rglob("*"))
    source = find(locked, {"thing": PASSWORD})
    assert numbers(source) == [3, 1, 2]
    assert sorted(locked.rglob("*")) == before


def test_a_member_is_described_by_the_bytes_on_the_disk(locked):
    archive = locked / "full_eval/thing/set.zip"
    source = find(locked, {"thing": PASSWORD})
    assert [file.name for file in source.files] == [f"full_eval/thing/set.zip/deep/set/{name}.jsonl" for name in "ab"]
    for file in source.files:
        assert (file.path, file.disk_name, file.root) == (archive, "full_eval/thing/set.zip", locked)
        assert (file.sha256, file.size) == (hashlib.sha256(archive.read_bytes()).hexdigest(), archive.stat().st_size)
    assert [file.stem for file in source.files] == ["a", "b"]
    (first, *_) = read_jsonl(source.files[0])
    assert (first.stem, first.where) == ("a", f"{archive}/deep/set/a.jsonl, line 1")


def test_a_pattern_chooses_members_and_gives_another_digest(locked):
    only = find(locked, {"thing": PASSWORD}, pattern="b.jsonl")
    assert numbers(only) == [1, 2]
    assert only.digest != find(locked, {"thing": PASSWORD}).digest


def test_plain_files_come_first_and_litter_is_no_data(locked):
    folder = locked / "full_eval/thing"
    (folder / "._plain.jsonl").write_bytes(b"\x00\x05")
    assert numbers(find(locked, {"thing": PASSWORD})) == [3, 1, 2]
    (folder / "plain.jsonl").write_text('{"n": 9}\n')
    assert numbers(find(locked)) == [9]


def test_an_open_archive_needs_no_password(tmp_path):
    write_zip(tmp_path / "full_eval/thing/set.zip", FILES)
    assert numbers(find(tmp_path)) == numbers(find(tmp_path, {"thing": "not needed"})) == [3, 1, 2]


def test_the_password_given_goes_before_the_one_in_the_card(locked):
    assert numbers(find(locked, password=PASSWORD)) == [3, 1, 2]
    assert numbers(find(locked, {"thing": PASSWORD}, **{"password": "outdated"})) == [3, 1, 2]
    assert numbers(find(locked, {"other": "theirs"}, password=PASSWORD)) == [3, 1, 2]


@pytest.mark.parametrize("passwords", [{}, {"thing": "wrong"}, {"other": PASSWORD}])
def test_a_locked_archive_says_how_to_open_it(locked, passwords):
    source = find(locked, passwords)
    with pytest.raises(DataMissing) as caught:
        numbers(source)
    text = str(caught.value)
    for words in ("set.zip, member deep/set/a.jsonl", "--data-password thing=PASSWORD", "BABYEVAL_DATA_PASSWORD=thing=PASSWORD"):
        assert words in text
    assert "wrong" not in text.replace("wrong password", "")
    assert PASSWORD not in text


def test_a_member_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    one = write_zip(tmp_path / "one.zip", {"a.jsonl": b" " * 5_000})
    assert len(read_member(one, "a.jsonl", None, "thing")) == 5_000
    monkeypatch.setattr("babyeval.data.archive._LARGEST", 4_999)
    with pytest.raises(DataError, match="of memory"):
        read_member(one, "a.jsonl", None, "thing")


def test_every_wrong_password_is_refused_although_the_check_byte_lets_some_through(tmp_path):
    """One in 256 passes the check byte; garbage must then be noticed, and with several members known for what it is."""
    one = write_zip(tmp_path / "one.zip", {"a.jsonl": FILES["deep/set/a.jsonl"]}, PASSWORD)
    two = write_zip(tmp_path / "two.zip", {f"{n}.jsonl": f'{{"n": {n}}}\n'.encode() * 9 for n in range(6)}, PASSWORD)
    kinds = {}
    for number in range(1500):
        with pytest.raises((DataMissing, DataError)) as caught:
            read_member(one, "a.jsonl", f"guess {number}", "thing")
        kinds[number] = type(caught.value)
    passed = [number for number, kind in kinds.items() if kind is DataError]
    assert passed, "none of the guesses passed the check byte: try more"
    assert all(issubclass(kind, DataMissing) for number, kind in kinds.items() if number not in passed)
    for number in passed:
        with pytest.raises(DataError, match="or the password of 'thing' is wrong"):
            read_member(one, "a.jsonl", f"guess {number}", "thing")
    for number in range(1500):
        with pytest.raises(DataMissing):
            read_member(two, "0.jsonl", f"guess {number}", "thing")


def test_the_password_is_shown_nowhere(locked):
    source = find(locked, {"thing": PASSWORD})
    published = card(password=PASSWORD)
    for text in (
        repr(source),
        str(source.files[0]),
        repr(published),
        published.model_dump_json(),
        json.dumps(published.model_dump()),
    ):
        assert PASSWORD not in text
        assert "sesame" not in text


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_a_wrong_checksum_inside_names_archive_and_member(tmp_path, password):
    path = write_zip(tmp_path / "set.zip", {"a.jsonl": b'{"n": 1}\n'}, password, spoil_crc=True)
    if password:  # the check byte is that of the stored checksum, whose last byte was left as it was
        assert zipfile.ZipFile(path).getinfo("a.jsonl").flag_bits & 1
    with pytest.raises(DataError, match="damaged") as caught:
        read_member(path, "a.jsonl", password, "thing")
    assert caught.value.where == f"{path}, member a.jsonl"
    assert "again" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.9, -1])
def test_a_truncated_archive_names_itself(tmp_path, keep):
    path = write_zip(tmp_path / "full_eval/thing/set.zip", FILES, PASSWORD)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(DataError, match="cannot be read") as caught:
        find(tmp_path, {"thing": PASSWORD})
    assert caught.value.where == str(path)
    assert "What next" in str(caught.value)


def test_damage_in_the_middle_is_noticed(tmp_path):
    path = write_zip(tmp_path / "set.zip", {"a.jsonl": os.urandom(400) + b"x" * 4000})
    content = bytearray(path.read_bytes())
    for place in range(60, 300):
        content[place] ^= 0x5A
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged") as caught:
        read_member(path, "a.jsonl", None, "thing")
    assert "member a.jsonl" in str(caught.value)


def test_something_else_with_that_ending_is_no_archive(tmp_path):
    path = tmp_path / "full_eval/thing/set.zip"
    path.parent.mkdir(parents=True)
    path.write_text("<html>Sign in</html>")
    with pytest.raises(DataError, match="not a zip file") as caught:
        find(tmp_path)
    assert caught.value.where == str(path)


def test_aes_is_said_to_be_the_trouble(tmp_path):
    path = write_zip(tmp_path / "set.zip", {"a.jsonl": b"{}\n"}, PASSWORD, method=99)
    with pytest.raises(DataError, match="AES") as caught:
        read_member(path, "a.jsonl", PASSWORD, "thing")
    assert "zip --encrypt" in str(caught.value)


def test_other_methods_that_cannot_be_read_are_errors_too(tmp_path):
    path = write_zip(tmp_path / "set.zip", {"a.jsonl": b"{}\n"}, method=9)
    with pytest.raises(DataError, match="cannot be read"):
        read_member(path, "a.jsonl", None, "thing")


def test_an_archive_without_fitting_members_counts_as_missing(tmp_path):
    write_zip(tmp_path / "full_eval/thing/set.zip", {"notes.txt": b"nothing"})
    with pytest.raises(DataMissing) as caught:
        find(tmp_path)
    assert f"or full_eval/thing/*.zip in {tmp_path} and " in str(caught.value)


def test_archives_of_other_tools_are_read_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    assert members(tmp_path / "set.zip", "*.jsonl") == ["deep/set/a.jsonl", "deep/set/b.jsonl"]
    assert read_member(tmp_path / "set.zip", "deep/set/a.jsonl", None, "thing") == FILES["deep/set/a.jsonl"]


def test_passwords_may_hold_equal_signs_and_a_wrong_form_is_not_repeated():
    assert parse_passwords(["a=b", "ewok=x=y ", "a=c"]) == {"a": "c", "ewok": "x=y "}
    for text in ("hush", "=hush", "ewok="):
        with pytest.raises(UsageError, match="TASK=PASSWORD") as caught:
            parse_passwords(["a=b", text])
        assert "hush" not in str(caught.value)
        assert "Password 2" in str(caught.value)


def test_the_real_entity_tracking_archive_is_read_in_memory(shared, tmp_path, monkeypatch):
    """Written by another tool, under the password that its authors publish."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    root = shared / "evaluation_data"
    before = sorted(root.rglob("*"))
    folder = "full_eval/entity_tracking"
    counts = {}
    for pattern in ("*.jsonl", "regular.jsonl"):
        spec = DataSpec(path=folder, archive=f"{folder}/entity_tracking.zip", pattern=pattern, **{"password": "iamnotaLM"})
        source = find_data(card().model_copy(update={"data": {"full": spec}}), tmp_path, "full", root)
        counts[pattern] = {file.stem: sum(1 for _ in read_jsonl(file)) for file in source.files}
    assert counts["*.jsonl"] == {"ambiref": 3224, "move_contents": 3107, "regular": 3152}
    assert sum(counts["*.jsonl"].values()) == 9483
    assert counts["regular.jsonl"] == {"regular": 3152}
    assert sorted(root.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []
