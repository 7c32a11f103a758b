"""tasks validate: what it finds right and wrong with a task's card, data, ids, groups and determinism."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from babyeval.card import TaskCard
from babyeval.errors import UsageError
from babyeval.families import SpanTask
from babyeval.ranking import Contest, Criterion, RankingTask, ranking_item
from babyeval.registry import get_task
from babyeval.types import Item, Outcome, Span
from babyeval.validate import validate_task
from cli.support import FULL_BLIMP, assert_refused, data_folder, inside

CARD = get_task("blimp").card


def item(name: str, **changes) -> Item:
    spans = (Span("The cat sings."), Span("The cat sing."))
    meta = {"field": "syntax", "linguistics_term": "agreement"}
    return replace(Item(name, "a", name, spans, 0, meta), **changes)


class Made(SpanTask):
    """A task whose items are given, one list for each time it is read."""

    def __init__(self, home, *readings):
        super().__init__(CARD, home)
        self.readings = itertools.cycle(readings)

    def items(self, source):
        reading = next(self.readings)
        if isinstance(reading, Exception):
            raise reading
        return list(reading)

    def outcomes(self, items, rows, protocol):
        return [Outcome(item.id, 0.5, (0.0, 0.0), 0) for item in items]


@pytest.fixture
def home(tmp_path):
    """A task's folder with what every task needs."""
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "README.md").write_text("# Made")
    (tmp_path / "task" / "mini.jsonl").write_text("{}\n")
    return tmp_path / "task"


def wrong(task) -> dict[str, str]:
    return {finding.check: finding.detail for finding in validate_task(task) if finding.state == "wrong"}


def test_sound_task_has_nothing_wrong(home):
    assert wrong(Made(home, [item("a-0"), item("a-1")])) == {}


def test_every_built_in_task_is_valid(tmp_path):
    for listing in json.loads(inside("tasks", "list", "--json", cwd=tmp_path).out):
        if listing["origin"] == "babyeval":
            done = inside("tasks", "validate", listing["name"], "--json", cwd=tmp_path)
            assert done.code == 0, (listing["name"], [finding for finding in done.json if finding["state"] == "wrong"])


@pytest.mark.parametrize(
    ("readings", "check", "word"),
    [
        ([[]], "mini: items", "no items"),
        ([[item("a-0"), item("b-0"), item("a-0")]], "mini: ids", "a-0"),
        ([[item("a-0", meta={"field": "syntax"})]], "mini: groups", "linguistics_term"),
        ([[item("a-0"), item("a-1")], [item("a-1"), item("a-0")]], "mini: determinism", "differ"),
        ([[item("a-0", spans=(Span("Same."), Span("Same.")))]], "mini: candidates", "a-0"),
        ([KeyError("sentence")], "mini: items", "KeyError: 'sentence'"),
    ],
    ids=["empty", "ids", "groups", "determinism", "candidates", "code"],
)
def test_each_fault_is_found_and_named(home, readings, check, word):
    found = wrong(Made(home, *readings))
    assert list(found) == [check]
    assert word in found[check]


def test_the_key_that_is_averaged_first_is_one_of_the_groups(home):
    task = Made(home, [item("a-0")])
    task.card = CARD.model_copy(update={"within": "part"})
    assert wrong(task) == {"mini: groups": "items lack part"}


def test_missing_readme_is_told_but_no_fault(home):
    states = {finding.check: finding.state for finding in validate_task(Made(home, [item("a-0")]))}
    assert states["README.md"] == "right"
    (home / "README.md").unlink()
    states = {finding.check: finding.state for finding in validate_task(Made(home, [item("a-0")]))}
    assert states["README.md"] == "absent"
    assert "wrong" not in states.values()


def test_absent_data_is_no_fault_and_says_what_was_looked_for(home, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    findings = {finding.check: finding for finding in validate_task(Made(home, [item("a-0")]))}
    assert findings["full: data"].state == "absent"
    assert "full_eval/blimp_filtered" in findings["full: data"].detail


def test_malformed_line_of_a_download_is_found_and_placed(tmp_path):
    data = data_folder(tmp_path / "data", 3)
    path = data / FULL_BLIMP / "made_up_0.jsonl"
    path.write_text(path.read_text() + '{"UID": \n')
    done = inside("tasks", "validate", "blimp", "--data-dir", data, "--json", cwd=tmp_path)
    assert done.code == 1
    found = {finding["check"]: finding for finding in done.json}
    assert found["full: items"]["state"] == "wrong"
    assert f"{path}, line 4" in found["full: items"]["detail"]
    assert found["mini: items"]["state"] == "right"


def test_card_of_several_tasks_in_one_folder(tmp_path):
    (tmp_path / "one.card.toml").write_text((get_task("blimp").home / "card.toml").read_text(encoding="utf-8"))
    task = RankingTask.beside(str(tmp_path / "task.py"), lambda record: record, card="one.card.toml")
    assert task.card.name == "blimp"


def test_unknown_task(tmp_path):
    assert_refused(inside("tasks", "validate", "blmp", cwd=tmp_path), 2, "Unknown task 'blmp'", "Did you mean 'blimp'?")


def choices(home, chance: float, **options):
    """A task of three options per item, of which the second is right."""

    def decode(record):
        return ranking_item(record, subset="s", spans=[Span(text) for text in record["options"]], gold=record["label"])

    (home / "mini.jsonl").write_text(
        "".join(json.dumps({"options": [f"a {n}", f"b {n}", f"c {n}"], "label": 1}) + "\n" for n in range(60))
    )
    card = TaskCard.model_validate(
        {
            "name": "choices", "title": "C", "version": 1, "family": "ranking", "groups": (), "summary": "s", "license": "l",
            "citation": "c", "chance": chance, "data": {"mini": {"path": "mini.jsonl", "bundled": True}},
        }
    )  # fmt: skip
    return RankingTask(card, home, decode, **options)


def test_a_chance_that_guessing_does_not_have_is_found(tmp_path):
    assert wrong(choices(tmp_path, 100 / 3)) == {}
    found = wrong(choices(tmp_path, 50.0))
    assert set(found) == {"mini: robust", "mini: babylm-2025", "mini: babylm-2026"}
    assert all("guessing earns about 3" in detail and "chance is 50" in detail for detail in found.values())


def test_a_criterion_that_fails_is_found(tmp_path):
    def contests(item):
        return (Contest((0, 7), 0),)

    found = wrong(choices(tmp_path, 50.0, criteria=lambda _: (Criterion(contests=contests),)))
    assert "IndexError" in found["mini: items"]


def test_criteria_have_names_of_their_own_and_the_first_the_cards(tmp_path):
    for names in (["acc"], ["accuracy", "other", "other"], []):
        with pytest.raises(UsageError, match="criteria of 'choices' under robust"):
            choices(tmp_path, 50.0, criteria=lambda _, names=names: [Criterion(name) for name in names])
    with pytest.raises(UsageError, match="no normalisation 'tokens'"):
        Criterion(norm="tokens")
