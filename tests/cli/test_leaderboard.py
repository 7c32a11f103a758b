"""babyeval leaderboard: what it says, and how it refuses."""

from __future__ import annotations

import pytest
from boards import a_model, bare, whole, write

from cli.support import assert_refused, files_in, inside, process


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two models, a limited run, and a damaged record."""
    root = tmp_path_factory.mktemp("board")
    results = root / "results"
    write(results, *whole(a_model("one"), 1, 0.6), *whole(a_model("[red]two[/red]"), 2, 0.8))
    write(results, bare("ewok", a_model("one"), 90.0, split="full@200"), bare("comps", a_model("one"), 51.0))
    next(results.glob("one/main/comps/**/result.json")).write_text("{")
    return root


def test_it_says_what_is_on_the_page_what_is_not_and_how_to_open_it(place):
    done = process("leaderboard", "results", "--out", "out/page.html", cwd=place)
    assert done.code == 0, done.err
    page = place / "out/page.html"
    size = f"{page.stat().st_size / 1e6:.1f} MB"
    assert f"Wrote out/page.html ({size}): 2 models, 5 tasks." in done.out
    assert "Protocol robust, split full." in done.out
    assert "1 record of limited runs (full@200) not shown." in done.out
    assert "Left out: one/main/comps/full-causal/robust/result.json: A record cannot be read" in done.out
    assert f"Open it in a browser: {page.as_uri()}" in done.out
    assert done.err == ""
    assert files_in(place / "out") == ["page.html"]


def test_json_alone_stands_on_stdout(place, tmp_path):
    done = inside("leaderboard", place / "results", "--out", tmp_path / "page.html", "--json", cwd=place)
    assert done.code == 0, done.err
    facts = done.json
    assert (facts["protocol"], facts["split"], facts["models"]) == ("robust", "full", ["[red]two[/red]", "one"])
    assert facts["tasks"] == ["rte", "blimp", "blimp_supplement", "wug_adj", "reading"]
    assert facts["bytes"] == (tmp_path / "page.html").stat().st_size
    assert [one["path"] for one in facts["damaged"]] == ["one/main/comps/full-causal/robust/result.json"]


def test_what_was_not_measured_alike_is_said(tmp_path):
    newer, _ = bare("ewok", a_model("two"), 61.0)
    newer = newer.model_copy(update={"task": newer.task.model_copy(update={"version": 2})})
    write(tmp_path / "results", bare("ewok", a_model("one"), 60.0), (newer, None))
    done = inside("leaderboard", "results", "--out", "page.html", cwd=tmp_path)
    assert done.code == 0, done.err
    told = "ewok: different versions of the task (version 1: one; version 2: two): no best is marked, no pair is tested."
    assert told in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("missing",), 3, "no results folder 'missing'"),
        (("empty",), 3, "nothing that could be shown"),
        (("results", "--protocol", "babylm-2025"), 2, "No record is of the protocol 'babylm-2025'"),
        (("results", "--split", "mini"), 2, "No record is of the split 'mini'"),
        (("results", "--out", "empty"), 2, "needs the name of a file"),
    ],
)
def test_refusals(place, arguments, code, words):
    (place / "empty").mkdir(exist_ok=True)
    before = files_in(place)
    assert_refused(inside("leaderboard", *arguments, cwd=place), code, words)
    assert files_in(place) == before
