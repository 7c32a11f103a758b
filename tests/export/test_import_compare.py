"""Imported official runs compared: predictions have items and a test, rounded reports a difference alone."""

from __future__ import annotations

import copy
from statistics import fmean

import pytest
from cli.support import WATCHED, process

import babyeval
from export.official_files import imported, write_tree


def test_two_imported_runs_are_compared_over_their_items(submission, data, tmp_path):
    one = {"blimp_supplement": submission["babylm-2026"]["blimp_supplement"]}
    other = copy.deepcopy(one)
    agrees: dict[str, list[float]] = {}
    for uid, block in other["blimp_supplement"].items():
        for i, entry in enumerate(block["predictions"]):
            right = entry["pred"].endswith("hums.")
            if i % 3 == 0:
                entry["pred"] = entry["pred"].replace("hums.", "hum.") if right else entry["pred"].replace("hum.", "hums.")
            agrees.setdefault(uid, []).append((right - (not right)) * (i % 3 == 0))
    for name, parts in (("one", one), ("other", other)):
        write_tree(tmp_path / name, parts, model=name)
        imported(name, "babylm-2026", data, tmp_path)
    (row,) = babyeval.compare(tmp_path / "imported", "one", "other").rows
    assert (row.task, row.protocol, row.unit) == ("blimp_supplement", "babylm-2026", "items")
    assert row.difference == pytest.approx(100 * fmean(map(fmean, agrees.values())))
    assert row.difference == pytest.approx(row.value_a - row.value_b)
    assert row.n == sum(map(len, agrees.values()))
    assert row.p is not None
    done = process("compare", "one", "other", "--results", "imported", cwd=tmp_path, python=("-c", WATCHED))
    assert done.code == 0, done.err
    assert "LOADED []" in done.err
