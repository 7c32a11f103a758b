"""Locked archives in a run: opened in memory, recorded without their password, and skipped where it is not known."""

from __future__ import annotations

import hashlib

import pytest
from locked_zip import write_zip

from cli.support import assert_refused, data_folder, inside, records_in, write_lines

PASSWORD = "tea and cake"  # noqa: S105
LINES_OF_SUPPLEMENT = [{"sentence_good": f"Cup {i} is full.", "sentence_bad": f"Cup {i} are full."} for i in range(4)]
BLIMP_FILE = "full_eval/blimp_filtered/made_up_0.jsonl"


@pytest.fixture
def locked_task(tmp_path, monkeypatch):
    """A task whose data lies in a locked archive."""
    from babyeval import registry
    from babyeval.card import DataSpec
    from babyeval.ranking import RankingTask

    blimp = registry.get_task("blimp")
    data = data_folder(tmp_path / "plain", 4) / BLIMP_FILE
    write_zip(tmp_path / "data/full_eval/locked.zip", {"made_up_0.jsonl": data.read_bytes()}, PASSWORD)
    spec = DataSpec(path="full_eval/locked", archive="full_eval/locked.zip")
    card = blimp.card.model_copy(update={"name": "locked", "data": {"full": spec}, "sources": ()})
    monkeypatch.setattr(registry, "_registered", {"locked": RankingTask(card, tmp_path, blimp.decode)})
    return ("run", "--tasks", "locked,blimp_supplement", "--data-dir", tmp_path / "data", "--json")


def test_a_run_reads_a_locked_archive_and_records_it_without_its_password(locked_task, tiny, tmp_path):
    write_lines(tmp_path / "data/full_eval/supplement_filtered/hypernym.jsonl", LINES_OF_SUPPLEMENT)
    done = inside(*locked_task, "--model", tiny, "--data-password", f"locked={PASSWORD}", cwd=tmp_path)
    assert done.code == 0, (done.out, done.err)
    locked = next(result for result in done.json["results"] if result["task"]["name"] == "locked")
    archive = tmp_path / "data/full_eval/locked.zip"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert locked["data"]["files"] == [
        {"name": "full_eval/locked.zip/made_up_0.jsonl", "sha256": digest, "size": archive.stat().st_size}
    ]
    assert locked["headline"]["n"] == 4
    for text in (done.out, done.err, *(path.read_text() for path in records_in(tmp_path / "results"))):
        assert PASSWORD not in text
    kept = inside(*locked_task, "--model", tiny, "--dry-run", cwd=tmp_path)
    assert [task["state"] for plan in kept.json for task in plan["tasks"]] == ["kept", "kept"], "reading again needs no password"


@pytest.mark.parametrize("given", [None, "wrong"])
def test_a_locked_task_is_skipped_and_the_others_go_on(locked_task, tiny, tmp_path, given):
    write_lines(tmp_path / "data/full_eval/supplement_filtered/hypernym.jsonl", LINES_OF_SUPPLEMENT)
    env = {"BABYEVAL_DATA_PASSWORD": f"locked={given}"} if given else {}
    done = inside(*locked_task, "--model", tiny, cwd=tmp_path, env=env)
    assert done.code == 3, (done.out, done.err)
    results = {result["task"]["name"]: result for result in done.json["results"]}
    assert results["blimp_supplement"]["status"] == "done"
    assert results["locked"]["status"] == "skipped"
    assert "--data-password locked=PASSWORD" in results["locked"]["error"]


def test_the_variable_opens_an_archive_too(locked_task, tiny, tmp_path):
    env = {"BABYEVAL_DATA_PASSWORD": f"locked={PASSWORD},blimp=other"}
    done = inside(*locked_task, "--model", tiny, "--tasks", "locked", "--dry-run", cwd=tmp_path, env=env)
    assert [task["state"] for plan in done.json for task in plan["tasks"]] == ["run"], done.err
    assert PASSWORD not in done.out + done.err


def test_a_published_password_stands_in_no_record_and_the_record_is_kept(locked_task, tiny, tmp_path):
    from babyeval import registry

    task = registry.get_task("locked")
    spec = task.card.data["full"].model_copy(update={"password": PASSWORD})
    task.card = task.card.model_copy(update={"data": {"full": spec}})
    run = (*locked_task, "--model", tiny, "--tasks", "locked")
    done = inside(*run, cwd=tmp_path)
    assert done.code == 0, done.err
    assert PASSWORD not in done.out + records_in(tmp_path / "results")[0].read_text()
    again = inside(*run, "--dry-run", cwd=tmp_path)
    assert [task["state"] for plan in again.json for task in plan["tasks"]] == ["kept"]


def test_passwords_of_a_wrong_form_or_for_no_task_are_refused(tiny, tmp_path):
    run = ("run", "--model", tiny, "--tasks", "blimp", "--split", "mini")
    done = inside(*run, "--data-password", PASSWORD, cwd=tmp_path)
    assert_refused(done, 2, "TASK=PASSWORD")
    assert PASSWORD not in done.err
    assert_refused(inside(*run, "--data-password", f"blmp={PASSWORD}", cwd=tmp_path), 2, "Unknown task 'blmp'", "'blimp'")
