"""Tasks of a user's own: registered in this process, and failing in every way without stopping others."""

from __future__ import annotations

from pathlib import Path

import pytest

import babyeval
from babyeval.data.jsonl import read_jsonl
from babyeval.errors import UsageError
from babyeval.families import number_equals
from babyeval.ranking import RankingTask
from babyeval.registry import get_task, resolve_tasks
from cli.support import files_in

CARD = """
name = "{name}"
title = "Own"
version = 1
family = "ranking"
groups = ["own-group"]
summary = "A task of the tests."
license = "none"
citation = "none"
chance = 50.0
{more}

[data]
mini = {{ path = "mini.jsonl", bundled = true }}
"""
LINES = [f'{{"UID": "{uid}", "good": "The {x} sings.", "bad": "The {x} sing."}}' for uid in "ab" for x in ("cat", "dog", "owl")]


def decode(record):
    spans = [babyeval.Span(record.text("good")), babyeval.Span(record.text("bad"))]
    return babyeval.ranking_item(record, subset=record.text("UID"), spans=spans, meta={"kind": "x"})


@pytest.fixture
def make_task(tmp_path, monkeypatch):
    """Makes and registers a task of a given class; it is forgotten after the test."""
    monkeypatch.setattr("babyeval.registry._registered", {})

    def make(kind=RankingTask, name="own", more="", decode=decode):
        home = tmp_path / name
        home.mkdir()
        (home / "card.toml").write_text(CARD.format(name=name, more=more))
        (home / "mini.jsonl").write_text("\n".join(LINES))
        task = kind.beside(str(home / "task.py"), decode)
        babyeval.register_task(task)
        return task

    return make


def test_registered_task_is_run_and_named_like_any_other(make_task, tiny, tmp_path):
    make_task(more='report = ["kind"]')
    (result,) = babyeval.evaluate(tiny, ["own"], split="mini", out=tmp_path / "out")
    assert (result.status, result.headline.n, result.task.title) == ("done", 6, "Own")
    assert {(score.group, score.subset) for score in result.scores} == {("", ""), ("uid", "a"), ("uid", "b"), ("kind", "x")}
    assert [r.task.name for r in babyeval.evaluate(tiny, "own-group", split="mini", out=tmp_path / "out")] == ["own"]
    assert "own" not in {task.card.name for task in resolve_tasks(["all"])}


def test_name_that_is_taken_is_refused(make_task):
    own = make_task()
    babyeval.register_task(own)
    for task in (own, get_task("blimp")):
        with pytest.raises(UsageError, match=f"already a task named '{task.card.name}'"):
            babyeval.register_task(RankingTask(task.card, Path("elsewhere"), decode))


class RaisesInOutcomes(RankingTask):
    def outcomes(self, items, rows, protocol):
        return {}["not here"]


class OneOutcomeTooMany(RankingTask):
    def outcomes(self, items, rows, protocol):
        found = super().outcomes(items, rows, protocol)
        return [*found, found[0]]


class OneOutcomeTooFew(RankingTask):
    def outcomes(self, items, rows, protocol):
        return super().outcomes(items, rows, protocol)[1:]


class RaisesInItems(RankingTask):
    def items(self, source):
        raise ZeroDivisionError("by design")


class GroupsThatAreNotThere(RankingTask):
    def items(self, source):
        items = number_equals(self.decode(record) for file in source.files for record in read_jsonl(file.path))
        return [type(i)(i.id, i.subset, i.cluster, i.spans, i.gold, {}) for i in items]


class NoNumber(RankingTask):
    def outcomes(self, items, rows, protocol):
        return [type(o)(o.item_id, o.value, None, o.prediction) for o in super().outcomes(items, rows, protocol)]


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (RaisesInOutcomes, "KeyError: 'not here'"),
        (RaisesInItems, "ZeroDivisionError: by design"),
        (OneOutcomeTooMany, "own"),
        (OneOutcomeTooFew, "own"),
        (GroupsThatAreNotThere, "KeyError: 'kind'"),
        (NoNumber, "own"),
    ],
)
def test_faulty_task_fails_alone(make_task, tiny, tmp_path, kind, word):
    make_task(kind, more='report = ["kind"]')
    faulty, good = babyeval.evaluate(tiny, ["own", "blimp"], split="mini", out=tmp_path / "out")
    assert (faulty.status, good.status) == ("failed", "done")
    assert word in faulty.error
    assert "What next: " in faulty.error
    assert "items.parquet" not in "".join(path for path in files_in(tmp_path / "out") if "/own/" in path)


class RaisesInMargins(RankingTask):
    def margins(self, items, rows, protocol):
        raise KeyError("margin")


def test_task_that_fails_in_its_margins_fails_alone(make_task, tiny, tmp_path):
    make_task(RaisesInMargins)
    faulty, good = babyeval.evaluate(tiny, ["own", "blimp"], split="mini", out=tmp_path / "out", dtype="bfloat16")
    assert (faulty.status, good.status) == ("failed", "done")
    assert "KeyError: 'margin'" in faulty.error


def test_place_of_the_fault_is_named(make_task, tiny, tmp_path):
    make_task(RaisesInOutcomes)
    (faulty,) = babyeval.evaluate(tiny, ["own"], split="mini", out=tmp_path / "out")
    assert f"{__file__}, line " in faulty.error


def test_task_that_one_protocol_lacks_is_not_applicable_there(make_task, tiny, tmp_path):
    make_task(more='protocols = ["robust"]')
    results = babyeval.evaluate(tiny, ["own"], split="mini", protocol="all", out=tmp_path / "out")
    states = {result.protocol: result.status for result in results}
    assert states == {"robust": "done", "babylm-2025": "not_applicable", "babylm-2026": "not_applicable"}
    assert len(files_in(tmp_path / "out")) == 2


def test_split_that_a_task_lacks(make_task, tiny, tmp_path):
    make_task()
    (result,) = babyeval.evaluate(tiny, ["own"], split="full", out=tmp_path / "out")
    assert result.status == "failed"
    assert "'own' has no split 'full'" in result.error
    assert "It has mini" in result.error


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ('sumary = "x"', "did you mean 'summary'"),
        ('protocols = ["robst"]', "unknown protocol 'robst'"),
        ("version = 0", "version"),
        ('groups = ["own"]', "named like a group"),
    ],
)
def test_wrong_card_says_what_is_wrong_and_where(tmp_path, more, word):
    key = more.split(" ")[0]
    lines = [line for line in CARD.format(name="own", more="").splitlines() if not line.startswith(key)]
    path = tmp_path / "card.toml"
    path.write_text("\n".join([more, *lines]))
    with pytest.raises(UsageError, match=word) as error:
        RankingTask.beside(str(tmp_path / "task.py"), decode)
    assert str(path) in str(error.value)
