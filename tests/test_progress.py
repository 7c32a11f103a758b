"""Progress: bars on a terminal, plain lines elsewhere, silence in Python."""

from __future__ import annotations

import io
import sys

import pytest

from babyeval import progress
from babyeval.progress import Bars, Lines, Quiet, reporter


def test_lines_say_the_beginning_and_the_end(capsys):
    with Lines().bar("model", 1200) as advance:
        advance(600)
        advance(600)
    out, err = capsys.readouterr()
    assert out == "", "what a script reads stays clean"
    first, last = err.splitlines()
    assert first == "model: 1,200 rows"
    assert last.startswith("model: done, 1,200 rows in ")


def test_lines_come_every_few_seconds_with_rate_and_time_left(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Lines().bar("model", 100) as advance:
        for _ in range(4):
            now[0] += 6.0
            advance(10)
        advance(60)
    lines = capsys.readouterr().err.splitlines()
    assert lines[1:3] == ["model: 20 of 100 rows, 2 rows/s, 48 s left", "model: 40 of 100 rows, 2 rows/s, 36 s left"]
    assert len(lines) == 4


def test_quiet_says_nothing(capsys):
    with Quiet().bar("model", 10) as advance:
        advance(10)
    Quiet().note("text")
    assert capsys.readouterr() == ("", "")


def test_bars_draw_on_stderr(capsys):
    bars = Bars()
    with bars.bar("model", 10) as advance:
        advance(4)
        advance(6)
    bars.note("a [note] with brackets")
    out, err = capsys.readouterr()
    assert out == ""
    assert "10/10" in err
    assert "a [note] with brackets" in err


@pytest.mark.parametrize(("terminal", "kind"), [(True, Bars), (False, Lines)])
def test_a_terminal_gets_bars(monkeypatch, terminal, kind):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stream)
    assert isinstance(reporter(), kind)


def test_the_time_left_follows_the_work_where_rows_differ_in_cost(capsys, monkeypatch):
    """Half of the rows are done, and a tenth of the work: nine times as long is left."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Lines().bar("model", 100, share=lambda: 0.1) as advance:
        now[0] += 20.0
        advance(50)
    assert capsys.readouterr().err.splitlines()[1] == "model: 50 of 100 rows, 2 rows/s, 180 s left"


def test_a_bar_shows_the_time_left_by_work_too(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_left", lambda elapsed, share: 4000.0 * share)
    with Bars().bar("model", 10, share=lambda: 0.95) as advance:
        advance(4)
    assert "1:03:20" in capsys.readouterr().err
