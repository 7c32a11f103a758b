"""Corpus files: which are taken, and that their text comes whole or with an error that helps."""

from __future__ import annotations

import gzip
import hashlib
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from babyeval.trainers.corpus.read import domain_name, find_files, read_text
from hypothesis import given
from hypothesis import strategies as st

from babyeval.errors import DataError, MissingError, UsageError


def zstd(content: bytes) -> bytes:
    return bytes(pytest.importorskip("zstandard").ZstdCompressor().compress(content))


COMPRESS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".xz": lzma.compress, ".gz": gzip.compress, ".zst": zstd}
compressions = pytest.mark.parametrize("ending", COMPRESS)
TEXT = "Der Fluß ist breit.\r\nLe héron attend.\rIt waits… 🐸\n" * 40


@compressions
def test_text_is_the_same_however_it_is_stored_and_cut(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.txt{ending}"
    path.write_bytes(COMPRESS[ending](TEXT.encode()))
    wanted = TEXT.replace("\r\n", "\n").replace("\r", "\n")
    for size in (1, 2, 3, 7, 1 << 20):
        assert "".join(read_text(path, chunk_bytes=size)) == wanted
    assert sum(read_sizes(path)) == path.stat().st_size


def read_sizes(path: Path) -> list[int]:
    sizes: list[int] = []
    list(read_text(path, sizes.append))
    return sizes


@given(st.text(alphabet="a\r\né\ufeff ", min_size=1).filter(lambda text: text.strip("\ufeff \r\n")), st.integers(1, 9))
def test_line_breaks_at_the_edges_of_pieces(tmp_path_factory: pytest.TempPathFactory, text: str, size: int) -> None:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes(text.encode())
    wanted = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(read_text(path, chunk_bytes=size)) == wanted


def test_several_streams_behind_one_another_are_all_read(tmp_path: Path) -> None:
    for ending in (".xz", ".gz", ".zst"):
        path = tmp_path / f"a.txt{ending}"
        path.write_bytes(COMPRESS[ending](b"one ") + COMPRESS[ending](b"two"))
        assert "".join(read_text(path)) == "one two"


@pytest.mark.parametrize("ending", [".xz", ".gz", ".zst"])
@pytest.mark.parametrize("lost", [1, 5, 60])
def test_a_file_that_was_cut_off_is_an_error(tmp_path: Path, ending: str, lost: int) -> None:
    path = tmp_path / f"a.txt{ending}"
    path.write_bytes(COMPRESS[ending](hashlib.shake_256(b"").hexdigest(2000).encode())[:-lost])
    with pytest.raises(DataError, match="damaged or cut off") as caught:
        list(read_text(path))
    assert caught.value.where == str(path)
    path.write_bytes(b"this is not compressed at all")
    with pytest.raises(DataError, match="damaged"):
        list(read_text(path))


@compressions
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b" \n\r\n\t", "white space only"),
        (b"\xef\xbb\xbf", "white space only"),
        (b"text\n\x00\x01", "binary: byte 5"),
    ],
)
def test_files_that_hold_no_text(tmp_path: Path, ending: str, content: bytes, message: str) -> None:
    path = tmp_path / f"a.txt{ending}"
    path.write_bytes(COMPRESS[ending](content))
    with pytest.raises(DataError, match=message) as caught:
        list(read_text(path))
    assert caught.value.hint


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("size", [1, 4, 1 << 20])
def test_another_encoding_is_found_at_its_byte(tmp_path: Path, start: bytes, size: int) -> None:
    content = start + b"plain text, caf\xe9 noir"
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=f"byte {content.index(0xE9)}[^0-9]"):
        list(read_text(tmp_path / "a.txt", chunk_bytes=size))


def test_a_character_that_is_cut_in_two_at_the_end_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("été".encode()[:-1])
    with pytest.raises(DataError, match="where it ends"):
        list(read_text(tmp_path / "a.txt"))


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("simple_wiki.train.txt.xz", "simple_wiki"),
        ("childes.dev", "childes"),
        ("a.b.train.gz", "a.b"),
        ("train.txt", "train"),
        ("bnc_spoken.TRAIN", "bnc_spoken"),
    ],
)
def test_domains_are_named_after_their_files(name: str, domain: str) -> None:
    assert domain_name(Path("x") / name) == domain


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("text")


def test_held_out_and_other_files_are_left_out_and_named(tmp_path: Path) -> None:
    make(tmp_path, "a.train.xz", "b.txt", "devotion.txt", "a.dev.xz", "c.test", "README.txt", "code.py", ".hidden.txt")
    taken, left_out = find_files(tmp_path, ())
    assert [path.name for path in taken] == ["a.train.xz", "b.txt", "devotion.txt"]
    assert left_out == {
        "README.txt": "about the corpus, by its name",
        "a.dev.xz": "held out",
        "c.test": "held out",
        "code.py": "no text file by its name",
    }


def test_globs_take_what_they_say(tmp_path: Path) -> None:
    make(tmp_path, "a.dev", "b.train", "below/c.md")
    taken, left_out = find_files(tmp_path, ("*.dev", "below/*"))
    assert [path.name for path in taken] == ["a.dev", "c.md"]
    assert left_out == {"b.train": "not included"}
    with pytest.raises(UsageError, match=r"fits 'x\*'"):
        find_files(tmp_path, ("*.dev", "x*"))


def test_a_folder_without_text_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no text for training"):
        find_files(tmp_path, ())
    make(tmp_path, "a.dev")
    with pytest.raises(UsageError) as caught:
        find_files(tmp_path, ())
    assert "a.dev (held out)" in str(caught.value)
    with pytest.raises(MissingError, match="no corpus folder"):
        find_files(tmp_path / "nowhere", ())
