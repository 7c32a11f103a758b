"""Pairs and best models of the page where the obvious would mislead: other values than headlines, no test, other scoring."""

from __future__ import annotations

import numpy as np
import pytest
from babyeval.leaderboard import pairs as pairs_module
from babyeval.leaderboard.build import make_payload
from babyeval.leaderboard.payload import PAIR_FIELDS
from babyeval.leaderboard.read import read_board
from boards import BLIMP, SUPPLEMENT, a_model, credits, ranking, rating, reading, write
from page_support import write_page
from scipy.stats import pearsonr

from babyeval.comparison.compare import compare
from babyeval.records import DataInfo, ImportedFrom

WORDS = 60
GOLD = np.linspace(10, 30, WORDS)


def payload_of(folder, **choice):
    return make_payload(read_board(folder, **choice), "test")


def ages(name, values, known):
    """A record of ages of acquisition: its headline is of the words that have one, with an error that would look small."""
    record, _ = rating("aoa", a_model(name), list(values[known]), list(GOLD[known]))
    _, table = rating("aoa", a_model(name), list(np.where(known, values, np.nan)), list(GOLD))
    score = record.headlines[0].model_copy(update={"se": 0.01})
    return record.model_copy(update={"headlines": (score,), "scores": (score,)}), table.assign(
        reason=np.where(known, "", "never")
    )


def rounded(record):
    """The same as imported from an official report."""
    result, _ = record
    file = ImportedFrom(file="reports/best_temperature_report.txt", sha256="e" * 64, format="report")
    return result.model_copy(update={"imported": file, "items": None}), None


@pytest.mark.parametrize("count", [3, 14])
def test_a_narrower_range_of_words_is_not_significantly_worse(tmp_path, count):
    """Of the words that both have, all models give ages that are about as good; the first one's own have a wider range."""
    rng = np.random.default_rng(8)
    noise, narrow = rng.normal(0, 4, WORDS), (GOLD > 17) & (GOLD < 23)
    write(tmp_path, ages("m00", GOLD + noise, np.full(WORDS, True)))
    for number in range(1, count):
        write(tmp_path, ages(f"m{number:02}", GOLD + noise + rng.normal(0, 1, WORDS), narrow))
    payload = payload_of(tmp_path)
    headlines = [payload.scores["aoa"][number].value for number in range(count)]
    assert headlines[0] - max(headlines[1:]) > 0.3
    assert payload.best == {"aoa": list(range(count))}
    assert ("aoa" in payload.pairs) == (count <= pairs_module.MOST_ACQUISITION)


def test_values_that_were_compared_are_shipped_where_they_are_not_the_headlines(tmp_path):
    rng = np.random.default_rng(4)
    values = {name: GOLD + rng.normal(0, 5, WORDS) for name in "abc"}
    known = {"a": np.full(WORDS, True), "b": np.arange(WORDS) > 10, "c": np.full(WORDS, True)}
    for name in "abc":
        write(tmp_path, ages(name, values[name], known[name]))
    write(tmp_path, *(rating("wug_adj", a_model(name), list(values[name]), list(GOLD)) for name in "abc"))
    payload = payload_of(tmp_path)
    column = payload.pairs["aoa"]
    for pair, (one, other) in {"0-1": "ab", "1-2": "bc"}.items():
        both = known[one] & known[other]
        expected = [pearsonr(values[name][both], GOLD[both]).statistic for name in (one, other)]
        assert column.values[pair] == pytest.approx(expected)
        difference = column.rows[pair][PAIR_FIELDS.index("difference")]
        assert difference == pytest.approx(expected[0] - expected[1])
    assert payload.pairs["wug_adj"].values == {}


def test_other_scoring_and_values_near_chance_are_told_of_as_by_compare(tmp_path, visit):
    """The browser makes these remarks of every pair: shipped, those of 50 models would be megabytes."""
    rng = np.random.default_rng(2)
    for name, backend, share in (("a", "causal", 0.5), ("b", "mlm", 0.51), ("c", "causal", 0.9), ("d", "mlm-corrected", 0.5)):
        for task, subsets in (("blimp_supplement", SUPPLEMENT), ("blimp", BLIMP)):
            write(tmp_path / "r", ranking(task, a_model(name), credits(rng, share, subsets, 40), backend=backend))
        write(tmp_path / "r", reading(a_model(name), share, 3, backend=backend))
    payload = payload_of(tmp_path / "r")
    labels = [model.label for model in payload.models]
    assert labels == list("abcd")
    shipped = [note["note"] for column in payload.pairs.values() for note in column.notes.values() if "note" in note]
    assert not [note for note in shipped if "different ways" in note or "near chance" in note]
    page = visit(write_page(payload.model_dump(mode="json"), tmp_path / "page.html"))
    told = {}
    for row in compare(tmp_path / "r").rows:
        key = f"{row.task}:{row.subset}" if row.subset else row.task
        pair = [labels.index(row.a), labels.index(row.b)]
        told[key, row.a + row.b] = row.note
        found = page.evaluate("([key, a, b]) => BE.pair(BE.columnByKey.get(key), BE.models[a], BE.models[b]).note", [key, *pair])
        assert found == row.note, (key, row.a, row.b)
    assert len(told) == 4 * 6
    assert "scored in different ways: a as causal, b as mlm; near chance" in told["blimp_supplement", "ab"]
    assert "near chance" not in (told["blimp_supplement", "bc"] or "")
    assert "different ways" not in (told["blimp_supplement", "bd"] or "")  # of which one is corrected for the word's end
    turned = page.evaluate("BE.pair(BE.columnByKey.get('blimp_supplement'), BE.models[1], BE.models[0]).note")
    assert turned.startswith("scored in different ways: b as mlm, a as causal; near chance")


@pytest.mark.parametrize(("reports", "best"), [((), True), ((20,), False), ((0,), False)])
def test_best_of_many_models_with_and_without_rounded_reports(tmp_path, reports, best):
    """Above the limit each is compared with the best alone; one whose scores are rounded cannot be, whatever its place."""
    rng = np.random.default_rng(6)
    for number in range(pairs_module.MOST + 2):
        model = a_model(f"m{number:02}")
        share = 0.95 if number == 0 else 0.9 if number == 1 else 0.5
        for task, subsets in (("comps", "abcd"), ("blimp", BLIMP)):
            record = ranking(task, model, credits(rng, share, subsets, 60))
            write(tmp_path, rounded(record) if number in reports else record)
    payload = payload_of(tmp_path)
    assert payload.pairs == {}
    if not best:
        assert payload.best == {}
        return
    assert sorted(payload.best) == ["blimp", "comps"]
    for column, models in payload.best.items():
        assert 0 in models, column
        assert set(models) <= {0, 1}, column


def test_what_was_not_measured_alike_has_no_pairs(tmp_path):
    rng = np.random.default_rng(2)
    for name, digest in (("a", "d"), ("b", "e")):
        data = DataInfo(split="full", digest=digest * 64, files=())
        write(tmp_path, ranking("comps", a_model(name), credits(rng, 0.5, "ab"), data=data))
        write(tmp_path, ranking("blimp_supplement", a_model(name), credits(rng, 0.5, SUPPLEMENT)))
    payload = payload_of(tmp_path)
    assert list(payload.mixed) == ["comps"]
    assert list(payload.pairs) == ["blimp_supplement"]
    assert not any("comps" in note for note in payload.notes)  # the page tells of it by its `mixed`


def test_a_subset_over_fewer_items_leaves_no_test(tmp_path):
    rng = np.random.default_rng(2)
    for name, share in (("a", 0.9), ("b", 0.5), ("c", 0.5)):
        given = credits(rng, share, BLIMP, 30)
        if name == "c":
            given[BLIMP[3]] = given[BLIMP[3]][:29]
        write(tmp_path, ranking("blimp", a_model(name), given))
    assert payload_of(tmp_path).best == {}
