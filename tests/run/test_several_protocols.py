"""Several protocols in one run: each has its own items and criteria, and what both ask is computed once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import babyeval
from babyeval import registry
from babyeval.card import TaskCard
from babyeval.families import SpanTask
from babyeval.protocols import PROTOCOLS
from babyeval.ranking import Contest, Criterion, RankingTask, ranking_item
from babyeval.rating import RatingTask, rating_item
from babyeval.records import TaskResult
from babyeval.scoring.encode import Encoder
from babyeval.types import Span

WORDS = ("dog", "cup", "house", "child", "moon", "table", "place", "cat", "lid", "soup", "lamp", "desk")


def card(name: str, **changes) -> TaskCard:
    return TaskCard(
        name=name, title="T", version=1, family="ranking", groups=("tests",), summary="s", license="l", citation="c", chance=50,
        data={"mini": {"path": f"{name}.jsonl", "bundled": True}}, **changes,
    )  # fmt: skip


def decode(record):
    word = record.text("word")
    spans = [Span(f"The {word} barks."), Span(f"The {word} bark.")]
    return ranking_item(record, subset=record.text("UID"), spans=spans, meta={"kept": record.text("kept")})


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A folder for bundled files; tasks registered by a test are gone after it."""
    monkeypatch.setattr(registry, "_registered", {})
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def filtered(home) -> RankingTask:
    """Twelve items, of which 2026 keeps every other one."""
    lines = [{"word": word, "UID": f"u{i // 6}", "kept": "yes" if i % 2 else "no"} for i, word in enumerate(WORDS)]
    (home / "filtered.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    task = RankingTask(
        card("filtered"), home, decode, keeps=lambda item, protocol: protocol.name != "babylm-2026" or item.meta["kept"] == "yes"
    )
    registry.register_task(task)
    return task


def run(model: Path, out: Path, task: str, **options) -> dict[str, TaskResult]:
    results = babyeval.evaluate(model, [task], split="mini", out=out / "results", **options)
    return {result.protocol: result for result in results}


def table(out: Path, task: str, protocol: str) -> pd.DataFrame:
    (path,) = (out / "results").glob(f"*/*/{task}/*/{protocol}/items.parquet")
    return pd.read_parquet(path)


def items_of(task: SpanTask):
    from babyeval.data.lookup import find_data

    return task.items(find_data(task.card, task.home, "mini", None))


def test_each_protocol_has_its_own_items(tiny_folder, tmp_path, filtered):
    results = run(tiny_folder("llama", "bos"), tmp_path, "filtered", protocol="all")
    assert {name: result.counts.items for name, result in results.items()} == {
        "robust": 12,
        "babylm-2025": 12,
        "babylm-2026": 6,
    }
    ids = [item.id for item in items_of(filtered)]
    assert table(tmp_path, "filtered", "robust").item_id.tolist() == ids
    assert table(tmp_path, "filtered", "babylm-2026").item_id.tolist() == ids[1::2]
    assert set(table(tmp_path, "filtered", "babylm-2026").kept) == {"yes"}


def test_rows_are_those_of_the_same_items_whatever_is_filtered(tiny_folder, tmp_path, filtered):
    """An item's answers must not shift to its neighbour's place."""
    run(tiny_folder("llama", "bos"), tmp_path, "filtered", protocol="all")
    tables = {name: table(tmp_path, "filtered", name).set_index("item_id").scores.map(tuple) for name in PROTOCOLS}
    assert tables["robust"].is_unique
    assert tables["babylm-2026"].equals(tables["robust"].loc[tables["babylm-2026"].index])


def test_a_limit_counts_what_the_protocol_keeps(tiny_folder, tmp_path, filtered):
    """Spread evenly over the kept items, so that a limited run sees every subset under each protocol."""
    results = run(tiny_folder("llama", "bos"), tmp_path, "filtered", protocol="all", limit=4)
    assert {(result.split, result.counts.items) for result in results.values()} == {("mini@4", 4)}
    ids = [item.id for item in items_of(filtered)]
    assert table(tmp_path, "filtered", "babylm-2025").item_id.tolist() == [ids[i] for i in (0, 3, 6, 9)]
    assert table(tmp_path, "filtered", "babylm-2026").item_id.tolist() == [ids[1::2][i] for i in (0, 1, 3, 4)]


def test_a_second_protocol_computes_nothing_that_the_first_had(tiny_folder, tmp_path, filtered):
    folder = tiny_folder("llama", "bos")
    (first,) = run(folder, tmp_path, "filtered").values()
    (second,) = run(folder, tmp_path, "filtered", protocol="babylm-2026").values()
    assert (first.timing.rows_computed, second.timing.rows_computed, second.timing.rows_cached) == (24, 0, 12)
    assert second.timing.positions == 0


def test_protocols_of_one_encoding_ask_once(tiny_folder, tmp_path, filtered, monkeypatch):
    """2025 and 2026 turn text into the same questions: an item of both is encoded once, and computed once."""
    asked: list[int] = []
    encode = Encoder.encode

    def counting(self, spans):
        asked.append(len(spans))
        return encode(self, spans)

    monkeypatch.setattr(Encoder, "encode", counting)
    results = run(tiny_folder("llama", "bos"), tmp_path, "filtered", protocol="all")
    assert sum(asked) == 2 * 24, "twelve pairs under each of two encodings"
    assert {result.timing.rows_computed for result in results.values()} == {24}


def test_a_protocol_that_keeps_nothing_fails_alone(tiny_folder, tmp_path, home):
    (home / "none.jsonl").write_text('{"word": "dog", "UID": "u", "kept": "no"}\n', encoding="utf-8")
    task = RankingTask(card("none"), home, decode, keeps=lambda item, protocol: protocol.name != "babylm-2025")
    registry.register_task(task)
    results = run(tiny_folder("llama", "bos"), tmp_path, "none", protocol="all")
    assert {name: result.status for name, result in results.items()} == {
        "robust": "done",
        "babylm-2025": "failed",
        "babylm-2026": "done",
    }
    assert "no items of babylm-2025" in results["babylm-2025"].error


def test_criteria_by_protocol_and_their_columns(tiny_folder, tmp_path, home):
    """Variants stand in the table of items and in the scores of the protocol that has them."""
    lines = [{"word": word, "UID": "u", "kept": "no"} for word in WORDS]
    (home / "norms.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    turned = Criterion("turned", contests=lambda item: (Contest((0, 1), 1),), chance=10.0)
    task = RankingTask(card("norms"), home, decode, lambda p: (Criterion(), turned) if p.name == "robust" else (Criterion(),))
    registry.register_task(task)
    results = run(tiny_folder("llama", "bos"), tmp_path, "norms", protocol="all")
    robust = table(tmp_path, "norms", "robust")
    assert (robust.turned == 1 - robust.value).all()
    assert "turned" not in table(tmp_path, "norms", "babylm-2025")
    (score,) = [s for s in results["robust"].scores if (s.metric, s.group) == ("turned", "")]
    assert score.value == pytest.approx(100 - results["robust"].headline.value)
    assert (score.chance, results["robust"].headlines) == (10.0, results["robust"].scores[:1])


def ratings(home: Path, forms: str) -> RatingTask:
    lines = [{"forms": forms.format(word).split("|"), "rating": n / 12} for n, word in enumerate(WORDS)]
    (home / "rated.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    task = RatingTask(
        card("rated", metric="spearman_rho", unit="correlation", strata="", protocols=("robust", "babylm-2025")),
        home,
        lambda record: rating_item(record, subset="rated", forms=record["forms"], rating=record["rating"]),
    )
    registry.register_task(task)
    return task


def test_a_rating_is_a_correlation_under_both_protocols(tiny_folder, tmp_path, home):
    from scipy.stats import spearmanr

    ratings(home, "The {0} barks.|The {0} bark.")
    results = run(tiny_folder("llama", "bos"), tmp_path, "rated", protocol="all", dtype="bfloat16")
    assert {name: result.status for name, result in results.items()} == {
        "robust": "done",
        "babylm-2025": "done",
        "babylm-2026": "not_applicable",
    }
    for name in ("robust", "babylm-2025"):
        found = table(tmp_path, "rated", name)
        differences = [scores[0] - scores[1] for scores in found.scores]
        assert results[name].headline.value == pytest.approx(spearmanr(differences, found.gold).statistic)
        assert results[name].headline.unit == "correlation"
        assert results[name].provenance.dtype == "float32", "a value is never rounded"


def test_a_model_without_preference_has_no_correlation(tiny_folder, tmp_path, home):
    """D31: the record says null and why, and the task is done."""
    ratings(home, "The {0}.|The {0}.")
    results = run(tiny_folder("llama", "bos"), tmp_path, "rated", protocol="all")
    for name in ("robust", "babylm-2025"):
        assert (results[name].status, results[name].headline.value) == ("done", None)
        assert "equal" in results[name].headline.note


def test_items_that_share_an_id_are_refused(home, tiny_folder, tmp_path):
    """Answers are shared between protocols by id: one item's would stand for another's."""

    class Careless(RankingTask):
        def items(self, source):
            return [replace(item, id="same") for item in super().items(source)]

    (home / "careless.jsonl").write_text(
        '{"word": "dog", "UID": "u", "kept": "yes"}\n{"word": "cup", "UID": "u", "kept": "yes"}\n'
    )
    registry.register_task(Careless(card("careless"), home, decode))
    result = run(tiny_folder("gpt2", "bos"), tmp_path, "careless")["robust"]
    assert result.status == "failed"
    assert "The id 'same' is given to 2 items" in (result.error or "")
