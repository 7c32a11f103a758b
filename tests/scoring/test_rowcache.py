"""The row cache: what was put comes back, from any process, and damage costs time but never an answer."""

from __future__ import annotations

import math
import multiprocessing
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyeval.errors import MissingError
from babyeval.scoring.rowcache import RowCache, cache_root

ROWS = {
    b"one": (-1.5,),
    b"several": (-0.1, -1e-300, -123456.789012345678),
    b"none": (),
    b"odd": (math.nan, -math.inf, math.inf, -0.0),
}


def opened(root: Path, dtype: str = "float32", version: int = 1, digest: str = "d1") -> RowCache:
    return RowCache(digest, dtype, version, root)


def same(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Bit by bit, so that NaN equals NaN."""
    return [x.hex() for x in a] == [x.hex() for x in b]


def test_rows_come_back_bit_by_bit_after_the_file_was_closed(tmp_path):
    with opened(tmp_path) as cache:
        assert cache.get(list(ROWS)) == {}
        cache.put(ROWS.items())
    with opened(tmp_path) as cache:
        found = cache.get([*ROWS, b"unknown"])
    assert found.keys() == ROWS.keys()
    assert all(same(found[key], row) for key, row in ROWS.items())


@given(st.dictionaries(st.binary(min_size=16, max_size=16), st.lists(st.floats(), max_size=5).map(tuple), max_size=20))
def test_any_floats_come_back(tmp_path_factory, rows):
    with opened(tmp_path_factory.mktemp("any")) as cache:
        cache.put(rows.items())
        found = cache.get(list(rows))
    assert found.keys() == rows.keys()
    assert all(same(found[key], row) for key, row in rows.items())


def test_more_keys_than_fit_into_one_lookup(tmp_path):
    rows = {n.to_bytes(16, "big"): (float(n),) for n in range(1203)}
    with opened(tmp_path) as cache:
        cache.put(rows.items())
        assert cache.get(list(rows)) == rows
        assert cache.get([]) == {}


def test_a_later_answer_takes_the_place_of_an_earlier_one(tmp_path):
    with opened(tmp_path) as cache:
        cache.put([(b"q", (-1.0,))])
        cache.put([(b"q", (-2.0, -3.0))])
        assert cache.get([b"q"]) == {b"q": (-2.0, -3.0)}


def test_precisions_versions_and_models_do_not_see_each_other(tmp_path):
    settings = [("float32", 1, "d1"), ("bfloat16", 1, "d1"), ("float32", 2, "d1"), ("float32", 1, "d2")]
    for n, setting in enumerate(settings):
        with opened(tmp_path, *setting) as cache:
            assert cache.get([b"q"]) == {}
            cache.put([(b"q", (float(n),))])
    for n, setting in enumerate(settings):
        with opened(tmp_path, *setting) as cache:
            assert cache.get([b"q"]) == {b"q": (float(n),)}


def test_two_caches_of_one_model_may_be_open_at_once(tmp_path):
    with opened(tmp_path) as a, opened(tmp_path, "bfloat16") as b, opened(tmp_path) as c:
        a.put([(b"q", (-1.0,))])
        b.put([(b"q", (-2.0,))])
        assert (c.get([b"q"]), b.get([b"q"])) == ({b"q": (-1.0,)}, {b"q": (-2.0,)})


def test_the_folder_follows_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("BABYEVAL_CACHE", str(tmp_path / "here"))
    assert cache_root() == tmp_path / "here"
    with RowCache("digest", "float32", 1) as cache:
        assert cache.path == tmp_path / "here" / "rows" / "digest.sqlite"
    monkeypatch.delenv("BABYEVAL_CACHE")
    assert cache_root().name == "babyeval"


def _write(root: Path, who: int, barrier: object, failures: object) -> None:
    """One of several processes: opens at the same moment as the others, then writes many small batches."""
    try:
        barrier.wait(60)
        with opened(root, "float32" if who % 3 else "bfloat16") as cache:
            for batch in range(25):
                keys = [f"{who}-{batch}-{n}".encode() for n in range(20)]
                cache.put([(key, (float(batch),)) for key in keys])
                assert len(cache.get(keys)) == 20
    except BaseException as error:
        failures.put(f"{who}: {type(error).__name__}: {error}")


def test_processes_write_at_once_and_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, failures = context.Barrier(6), context.Queue()
    processes = [context.Process(target=_write, args=(tmp_path, who, barrier, failures)) for who in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
    assert [process.exitcode for process in processes] == [0] * 6
    assert failures.empty(), failures.get()
    for who in range(6):
        with opened(tmp_path, "float32" if who % 3 else "bfloat16") as cache:
            keys = [f"{who}-{batch}-{n}".encode() for batch in range(25) for n in range(20)]
            assert len(cache.get(keys)) == 500


def filled(root: Path, rows: int = 2000) -> Path:
    with opened(root) as cache:
        cache.put([(n.to_bytes(16, "big"), (float(n),)) for n in range(rows)])
    return cache.path


DAMAGES = {
    "garbage": lambda path: path.write_bytes(b"this is no database at all, " * 400),
    "cut in the header": lambda path: path.write_bytes(path.read_bytes()[:50]),
    "cut in the first page": lambda path: path.write_bytes(path.read_bytes()[:2000]),
    "cut in the middle": lambda path: os.truncate(path, path.stat().st_size // 2),
    "overwritten behind the first page": lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 40_000),
    "overwritten leaves": lambda path: _overwrite_leaves(path),
}


def _overwrite_leaves(path: Path) -> None:
    """The schema and the root of the table are whole, what they point to is not: it shows on touching."""
    content = bytearray(path.read_bytes())
    content[2 * 4096 :] = b"\xff" * (len(content) - 2 * 4096)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_file_is_set_aside_and_counts_as_empty(tmp_path, damage):
    path = filled(tmp_path)
    damage(path)
    broken = path.read_bytes()
    keys = [n.to_bytes(16, "big") for n in range(2000)]
    with opened(tmp_path) as cache:
        assert cache.get(keys) == {}
        assert cache.discarded is not None
        assert cache.discarded.read_bytes()[:1000] == broken[:1000], "kept, in case somebody wants to look"
        cache.put([(keys[0], (-1.0,))])
    with opened(tmp_path) as cache:
        assert cache.get(keys) == {keys[0]: (-1.0,)}
        assert cache.discarded is None


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_damage_that_shows_only_in_writing_does_not_stop_the_run(tmp_path, damage):
    """``--fresh`` reads nothing, so that the first to notice is ``put``."""
    path = filled(tmp_path)
    damage(path)
    with opened(tmp_path) as cache:
        for n in range(0, 4000, 400):
            cache.put([(m.to_bytes(16, "big"), (float(m),)) for m in range(n, n + 400)])
        assert cache.get([(3999).to_bytes(16, "big")]) == {(3999).to_bytes(16, "big"): (3999.0,)}


def test_a_row_of_a_broken_length_is_damage_too(tmp_path):
    path = filled(tmp_path, 3)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE rows_v1_float32 SET row = x'0102030405'")
    db.close()
    with opened(tmp_path) as cache:
        assert cache.get([(1).to_bytes(16, "big")]) == {}
        assert cache.discarded is not None


def test_a_full_disk_is_an_error_that_says_so_and_keeps_earlier_batches(tmp_path):
    first = {n.to_bytes(16, "big"): (float(n),) for n in range(100)}
    with opened(tmp_path) as cache:
        cache.put(first.items())
        pages = cache._db.execute("PRAGMA page_count").fetchone()[0]
        cache._db.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(MissingError, match="full") as caught:
            cache.put((n.to_bytes(16, "big"), (float(n),) * 10) for n in range(1000, 3000))
        assert "BABYEVAL_CACHE" in str(caught.value)
        assert cache.get(list(first)) == first
        assert cache.get([(1000).to_bytes(16, "big")]) == {}, "all of a batch or nothing"
    with opened(tmp_path) as cache:
        assert cache.get(list(first)) == first
        assert cache.discarded is None


def test_a_folder_that_cannot_be_made_is_missing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MissingError, match="row cache cannot be used") as caught:
        opened(tmp_path / "file")
    assert str(tmp_path) in str(caught.value)
    assert "BABYEVAL_CACHE" in str(caught.value)


def test_a_folder_where_the_file_should_be_is_missing(tmp_path):
    (tmp_path / "rows" / "d1.sqlite").mkdir(parents=True)
    with pytest.raises(MissingError, match="row cache cannot be used"):
        opened(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_missing(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(MissingError, match="row cache cannot be used"):
        opened(tmp_path)


def test_a_file_that_may_not_be_written_is_an_error_at_the_first_row(tmp_path):
    filled(tmp_path, 3)
    with opened(tmp_path) as cache:
        cache._db.execute("PRAGMA query_only = 1")
        with pytest.raises(MissingError, match="row cache cannot be used"):
            cache.put([(b"q", (-1.0,))])
        assert len(cache.get([(1).to_bytes(16, "big")])) == 1
