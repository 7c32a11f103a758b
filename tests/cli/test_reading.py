"""babyeval run over reading times: both headlines are shown, and a damaged table is named."""

from __future__ import annotations

from cli.support import inside, records_in


def test_both_headlines_are_shown_with_their_intervals(tiny, tmp_path):
    done = inside("run", "--model", tiny, "--tasks", "reading", "--split", "mini", cwd=tmp_path)
    assert done.code == 0, done.err
    shown = [
        line
        for line in done.out.splitlines()
        if line.strip().startswith(("reading eye", "reading self", "delta_log_likelihood "))
    ]
    assert [line.split()[:2] for line in shown] == [
        ["reading", "eye_tracking"], ["reading", "self_paced"],
        ["delta_log_likelihood", "eye_tracking"], ["delta_log_likelihood", "self_paced"],
    ]  # fmt: skip
    assert all(" to " in line for line in shown)
    assert done.out.count("\nreading (robust): delta_log_likelihood is in nats per 1,000 words.\n") == 1


def test_a_limited_run_says_why_it_has_no_number(tiny, tmp_path):
    done = inside("run", "--model", tiny, "--tasks", "reading", "--split", "mini", "--limit", "6", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "eye_tracking: too few complete rows or sentences" in " ".join(done.out.split())


def test_a_table_that_is_no_utf8_fails_the_task_and_is_named(tiny, tmp_path):
    path = tmp_path / "data/full_eval/reading/reading_data.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(b",item,word\n0,The,caf\xe9\n")
    done = inside("run", "--model", tiny, "--tasks", "reading", "--data-dir", tmp_path / "data", "--json", cwd=tmp_path)
    assert done.code == 1
    (result,) = done.json["results"]
    assert (result["status"], len(records_in(tmp_path / "results"))) == ("failed", 1)
    assert "byte 20 is 0xe9" in result["error"]
    assert "reading_data.csv, line 2" in result["error"]
