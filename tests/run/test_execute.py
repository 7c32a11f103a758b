"""A run from end to end inside Python: what is counted, what fails alone, what several protocols share."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from tiny import make_model, make_tokenizer

import babyeval
from babyeval import registry
from babyeval.card import load_card
from babyeval.errors import MissingError, ModelError, UsageError
from babyeval.progress import Quiet
from babyeval.protocols import PROTOCOLS
from babyeval.ranking import RankingTask, ranking_item
from babyeval.records import TaskResult, load_result
from babyeval.run.execute import report
from babyeval.scoring import batching
from babyeval.types import Span

PAIRS = (
    ("The dog barks.", "The dog bark."),
    ("The dogs bark.", "The dogs barks."),
    ("She put the cup there.", "She put the cup there."),
    ("Every child sings.", "Every child sing."),
)
CARD = """
name = "{name}"
title = "Test"
version = 1
family = "ranking"
groups = ["tests"]
summary = "A test."
license = "none"
citation = "none"
chance = 50.0
protocols = {protocols}
[data]
mini = {{ path = "{name}.jsonl", bundled = true }}
full = {{ path = "{name}" }}
"""


@pytest.fixture
def add_task(tmp_path, monkeypatch) -> Iterator:
    """Registers a ranking task in this process, for this test."""
    monkeypatch.setattr(registry, "_registered", {})

    def add(name="pairs", pairs=PAIRS, decode=None, protocols=tuple(PROTOCOLS)) -> RankingTask:
        home = tmp_path / "task"
        home.mkdir(exist_ok=True)
        lines = [f'{{"good": "{a}", "bad": "{b}", "UID": "u{i % 2}"}}\n' for i, (a, b) in enumerate(pairs)]
        (home / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        (home / f"{name}.toml").write_text(CARD.format(name=name, protocols=list(protocols)), encoding="utf-8")
        task = RankingTask(load_card(home / f"{name}.toml"), home, decode or plain)
        registry.register_task(task)
        return task

    return add


def plain(record):
    return ranking_item(record, subset=record.text("UID"), spans=[Span(record.text("good")), Span(record.text("bad"))])


def run(model, out: Path, tasks=("pairs",), **options) -> list[TaskResult]:
    return babyeval.evaluate(model, list(tasks), split="mini", out=out / "results", **options)


def table(out: Path, protocol: str = "robust", task: str = "pairs") -> pd.DataFrame:
    (path,) = (out / "results").glob(f"*/*/{task}/*/{protocol}/items.parquet")
    return pd.read_parquet(path)


def test_a_tie_is_counted_and_credited_by_protocol(tiny_folder, tmp_path, add_task):
    add_task()
    results = run(tiny_folder("llama", "bos"), tmp_path, protocol="all")
    assert [result.protocol for result in results] == list(PROTOCOLS)
    assert {result.counts.ties for result in results} == {1}
    credits = {protocol: table(tmp_path, protocol).value.tolist()[2] for protocol in PROTOCOLS}
    assert credits == {"robust": 0.5, "babylm-2025": 1.0, "babylm-2026": 0.5}


def test_protocols_share_their_rows(tiny_folder, tmp_path, add_task):
    add_task()
    results = run(tiny_folder("llama", "bos"), tmp_path, protocol="all")
    assert {result.timing.rows_computed for result in results} == {len({text for pair in PAIRS for text in pair})}
    assert table(tmp_path, "robust").scores.map(tuple).equals(table(tmp_path, "babylm-2025").scores.map(tuple))


def test_another_protocol_later_computes_nothing(tiny_folder, tmp_path, add_task):
    add_task()
    run(tiny_folder("llama", "bos"), tmp_path)
    (result,) = run(tiny_folder("llama", "bos"), tmp_path, protocol="babylm-2025")
    assert (result.timing.rows_computed, result.timing.positions) == (0, 0)
    assert result.timing.rows_cached == 7
    assert result.provenance.path == "cache"


def test_a_task_is_recorded_while_others_are_scored(tiny_folder, tmp_path, add_task, monkeypatch):
    """Stopped among the long texts of one task, a run leaves the record of the task that had all of its rows."""
    long = [(" ".join([good] * count), " ".join([bad] * count)) for count in (5, 8) for good, bad in PAIRS]
    add_task("short")
    add_task("long", long)

    class Stopping(Quiet):
        def bar(self, label, total, unit="rows", share=None):
            def advance(count):
                if [*(tmp_path / "results").rglob("result.json")]:
                    raise KeyboardInterrupt

            return contextlib.nullcontext(advance)

    monkeypatch.setattr(batching, "_POSITIONS_CPU", 64)
    model = tiny_folder("bert", "cls_sep")
    with pytest.raises(KeyboardInterrupt):
        run(model, tmp_path, ("long", "short"), backend="mlm", reporter=Stopping())
    (path,) = (tmp_path / "results").rglob("result.json")
    early = load_result(path.read_text(encoding="utf-8"))
    assert early.task.name == "short"
    assert early.timing.rows_computed > 0
    results = run(model, tmp_path, ("long", "short"), backend="mlm")
    assert [result.status for result in results] == ["done", "done"]
    assert results[1] == early
    (alone,) = run(model, tmp_path / "alone", ("short",), backend="mlm")
    assert alone.scores == early.scores


def test_items_without_bos_are_counted(tiny_folder, tmp_path, add_task):
    add_task()
    (none,) = run(tiny_folder("gpt2", "none"), tmp_path / "a")
    (some,) = run(tiny_folder("gpt2", "eos"), tmp_path / "b")
    assert (none.counts.unscored, some.counts.unscored) == (4, 0)


def test_truncated_items_are_counted(tiny_folder, tmp_path, add_task):
    add_task(
        pairs=[("a b", "b a"), ("The dog barks at the moon and the old houses.", "The dog bark at the moon and the old houses.")]
    )
    (result,) = run(tiny_folder("llama", "bos", positions=16), tmp_path)
    assert (result.counts.truncated, result.provenance.window) == (1, 16)
    assert table(tmp_path).truncated.tolist() == [False, True]


def broken_model():
    """Gives NaN for one token, which one sentence holds."""
    tokenizer = make_tokenizer("bos")
    model = make_model("gpt2", tokenizer)
    model.transformer.wte.weight.data[tokenizer(" child")["input_ids"][1:]] = math.nan
    model.lm_head.weight = torch.nn.Parameter(torch.nan_to_num(model.transformer.wte.weight.data.clone()))
    return model, tokenizer


def test_nan_is_an_error_that_names_the_item_except_where_the_official_code_goes_on(tmp_path, add_task):
    """D2: it wins in 2025, loses in 2026, and both say how often."""
    add_task(pairs=[*PAIRS, ("Every cat sings.", "Every child sings."), ("A child.", "A child!")])
    model, tokenizer = broken_model()
    robust, old, new = run(model, tmp_path, tokenizer=tokenizer, protocol="all")
    assert (robust.status, robust.headline) == ("failed", None)
    assert "NaN" in robust.error
    assert "u1-" in robust.error
    assert (old.status, old.counts.nan, new.status, new.counts.nan) == ("done", 3, "done", 3)
    values = {protocol: table(tmp_path, protocol).value.tolist() for protocol in ("babylm-2025", "babylm-2026")}
    assert (values["babylm-2025"][4], values["babylm-2026"][4]) == (0.0, 1.0)
    assert (values["babylm-2025"][5], values["babylm-2026"][5]) == (1.0, 0.5)


def test_a_task_that_breaks_stops_no_other(tiny_folder, tmp_path, add_task):
    def decode(record):
        raise ZeroDivisionError("not my day")

    add_task("breaks", decode=decode)
    add_task("pairs")
    breaks, pairs = run(tiny_folder("llama", "bos"), tmp_path, ["breaks", "pairs"])
    assert (breaks.status, pairs.status) == ("failed", "done")
    assert "ZeroDivisionError: not my day" in breaks.error
    assert "test_execute.py, line" in breaks.error
    assert report(["tests"], [breaks, pairs]).exit_code == 1


def test_outcomes_that_break_fail_alone_too(tiny_folder, tmp_path, add_task, monkeypatch):
    task = add_task("breaks")
    add_task("pairs")

    def outcomes(*_):
        raise ModelError("no sense in these answers")

    monkeypatch.setattr(task, "outcomes", outcomes)
    breaks, pairs = run(tiny_folder("llama", "bos"), tmp_path, ["breaks", "pairs"])
    assert (breaks.status, breaks.error, pairs.status) == ("failed", "no sense in these answers", "done")


def test_a_failure_never_takes_the_place_of_a_good_record(tiny_folder, tmp_path, add_task, monkeypatch):
    task = add_task()
    folder = tiny_folder("llama", "bos")
    (good,) = run(folder, tmp_path)
    monkeypatch.setattr(task, "outcomes", lambda *_: 1 / 0)
    (failed,) = run(folder, tmp_path, fresh=True)
    assert (good.status, failed.status) == ("done", "failed")
    (stored,) = (tmp_path / "results").glob("**/result.json")
    assert load_result(stored.read_text(encoding="utf-8")) == good


def test_a_candidate_without_tokens_is_an_error(tiny_folder, tmp_path, add_task):
    """A single token with nothing before it has no probability: no credit is made up."""
    add_task(pairs=[("a", "b")])
    (result,) = run(tiny_folder("gpt2", "none"), tmp_path)
    assert result.status == "failed"
    assert "no token that can be scored" in result.error


def test_files_without_items_are_an_error(tiny_folder, tmp_path, add_task):
    add_task(pairs=[])
    (result,) = run(tiny_folder("gpt2", "bos"), tmp_path)
    assert result.status == "failed"
    assert "no items" in result.error


def test_a_task_of_another_year_is_not_applicable(tiny_folder, tmp_path, add_task):
    add_task(protocols=("robust", "babylm-2025"))
    results = run(tiny_folder("gpt2", "bos"), tmp_path, protocol="all")
    assert {result.protocol: result.status for result in results} == {
        "robust": "done",
        "babylm-2025": "done",
        "babylm-2026": "not_applicable",
    }
    assert report(["tests"], results).exit_code == 0


def test_absent_data_is_skipped_with_the_places_looked_at(tiny_folder, tmp_path, add_task):
    add_task()
    (tmp_path / "empty").mkdir()
    (result,) = babyeval.evaluate(tiny_folder("gpt2", "bos"), ["pairs"], data_dir=tmp_path / "empty", out=tmp_path / "results")
    assert result.status == "skipped"
    assert str(tmp_path / "empty") in result.error
    assert "--split mini" in result.error
    assert report(["tests"], [result]).exit_code == 3


def test_a_data_folder_that_does_not_exist_is_said_to(tiny_folder, tmp_path, add_task):
    add_task()
    (result,) = babyeval.evaluate(tiny_folder("gpt2", "bos"), ["pairs"], data_dir=tmp_path / "nowhere", out=tmp_path / "results")
    assert result.status == "skipped"
    assert f"The data folder '{tmp_path / 'nowhere'}' does not exist." in result.error
    assert "spelling of --data-dir" in result.error
    assert report(["tests"], [result]).exit_code == 3


def test_memory_that_does_not_suffice_ends_the_run(tiny_folder, tmp_path, add_task, monkeypatch):
    """It concerns every task: going on would fail each of them."""
    from babyeval.scoring.model_view import ModelView

    def read(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    add_task()
    monkeypatch.setattr(ModelView, "read", read)
    with pytest.raises(MissingError, match="does not fit into memory"):
        run(tiny_folder("gpt2", "bos"), tmp_path)


def test_a_limit_takes_items_spread_over_the_files(tiny_folder, tmp_path):
    folder = tiny_folder("gpt2", "bos")
    (result,) = babyeval.evaluate(folder, ["blimp"], split="mini", limit=11, out=tmp_path / "results")
    assert (result.split, result.counts.items) == ("mini@11", 11)
    items = pd.read_parquet(next((tmp_path / "results").glob("**/items.parquet")))
    assert items.subset.nunique() == 11
    (more,) = babyeval.evaluate(folder, ["blimp"], split="mini", limit=1000, out=tmp_path / "results")
    assert (more.split, more.counts.items) == ("mini@1000", 88)


def test_word_masking_is_part_of_the_label_and_changes_rows(tiny_folder, tmp_path, add_task):
    add_task()
    folder = tiny_folder("bert", "cls_sep")
    (pll,), (words,) = (run(folder, tmp_path / masking, masking=masking) for masking in ("pll", "word-l2r"))
    assert (pll.backend, words.backend) == ("mlm", "mlm-word-l2r")
    assert not table(tmp_path / "pll").scores.map(tuple).equals(table(tmp_path / "word-l2r").scores.map(tuple))


def test_word_masking_of_a_causal_model_is_refused(tiny_folder, tmp_path, add_task):
    add_task()
    with pytest.raises(UsageError, match="is for masked models"):
        run(tiny_folder("llama", "bos"), tmp_path, masking="word-l2r")


def test_a_key_named_like_a_column_is_refused(tiny_folder, tmp_path, add_task):
    """It would take the place of what was computed."""

    def decode(record):
        spans = [Span(record.text("good")), Span(record.text("bad"))]
        return ranking_item(record, subset="u", spans=spans, meta={"value": "x"})

    add_task(decode=decode)
    (result,) = run(tiny_folder("gpt2", "bos"), tmp_path)
    assert result.status == "failed"
    assert "named like a column of the table: value" in result.error
