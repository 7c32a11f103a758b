"""The pairs of many models are those of `babyeval.compare`: numbers, tests, claims, counts and remarks."""

from __future__ import annotations

import numpy as np
import pytest
from boards import SUPPLEMENT, a_model, fit, ranking, rating, reading, write

from babyeval.comparison.many import Many
from babyeval.comparison.pairs import compare_pair
from babyeval.errors import UsageError
from babyeval.reading import SELF_PACED
from babyeval.store import ResultStore

NUMBERS = ("difference", "se", "low", "high", "p", "mde", "freedom")
FACTS = ("test", "unit", "n", "clusters", "level", "note")


def assert_same(found, expected):
    """Equal but for rounding; companion permutations are not computed for many."""
    assert [one.subset for one in found] == [one.subset for one in expected]
    for one, other in zip(found, expected, strict=True):
        for name in ("metric", "unit_of_value", "claim", "counts", "note"):
            assert getattr(one, name) == getattr(other, name), name
        assert one.values == pytest.approx(other.values, rel=1e-12)
        for name in FACTS:
            assert getattr(one.found, name) == getattr(other.found, name), name
        for name in NUMBERS:
            assert getattr(one.found, name) == near(getattr(other.found, name)), name


def near(number, rel=1e-9):
    return None if number is None else pytest.approx(number, rel=rel, abs=1e-12)


def credits(rng, share, subsets, items):
    return {subset: (rng.random(items) < share).astype(float) for subset in subsets}


def grouped(record, groups, **columns):
    """The record with items in clusters of so many, and other columns."""
    result, table = record
    return result, table.assign(cluster=[f"c{place // groups}" for place in range(len(table))], **columns)


def nested(model, seed, share):
    """Entity tracking: stories reach over the splits' subsets of different sizes."""
    rng = np.random.default_rng(seed)
    result, table = ranking("entity_tracking", model, credits(rng, share, ("one", "two", "three"), 60))
    inner = [f"{name}_{place % 60 // (15 if name == 'one' else 20)}" for place, name in enumerate(table["split"])]
    return result, table.assign(subset=inner, cluster=[f"story {place % 25}" for place in range(len(table))])


def tuned(task, model, seed, ability):
    rng, gold = np.random.default_rng(seed), np.random.default_rng(5).integers(0, 2, 70)
    return fit(task, model, {k: np.where(rng.random(70) < ability, gold, 1 - gold).tolist() for k in (1, 2, 3)}, gold.tolist())


def with_gaps(record, seed):
    """Some words have no likelihood."""
    result, table = record
    column, gap = f"ll_full_{SELF_PACED}", np.random.default_rng(seed).random(len(table)) < 0.1
    return result, table.assign(**{column: table[column].mask(gap)})


GOLD = np.random.default_rng(3).normal(size=40)
KINDS = {
    "strata": lambda model, k: ranking("blimp_supplement", model, credits(np.random.default_rng(k), 0.5 + k / 20, SUPPLEMENT, 30)),
    "clusters": lambda model, k: grouped(ranking("comps", model, credits(np.random.default_rng(k), 0.5 + k / 20, "abcd", 40)), 3),
    "nested": lambda model, k: nested(model, k, 0.4 + k / 10),
    "one cell": lambda model, k: grouped(ranking("global_piqa_parallel", model, credits(np.random.default_rng(k), 0.5 + k / 20, ["all"], 60)), 2),
    "right or wrong": lambda model, k: ranking("global_piqa_parallel", model, credits(np.random.default_rng(k), 0.5 + k / 9, ["all"], 60)),
    "shared credits": lambda model, k: ranking("global_piqa_parallel", model, {"all": np.random.default_rng(k).integers(0, 3, 60) / 2}),
    "few clusters": lambda model, k: grouped(ranking("blimp_supplement", model, credits(np.random.default_rng(k), 0.7, SUPPLEMENT, 8)), 8),
    "many strata": lambda model, k: ranking("blimp", model, credits(np.random.default_rng(k), 0.5 + k / 20, [f"p{i}" for i in range(11)], 9)),
    "ratings": lambda model, k: rating("wug_adj", model, (k / 3 * GOLD + np.random.default_rng(k).normal(size=40)).tolist(), GOLD.tolist()),
    "few ratings": lambda model, k: rating("wug_past", model, np.random.default_rng(k).normal(size=7).tolist(), GOLD[:7].tolist()),
    "reading": lambda model, k: reading(model, k / 2, k),
    "reading with gaps": lambda model, k: with_gaps(reading(model, k / 2, k), k),
    "accuracy of fits": lambda model, k: tuned("rte", model, k, 0.6 + k / 20),
    "f1 of fits": lambda model, k: tuned("mrpc", model, k, 0.6 + k / 20),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_many_give_what_two_give(kind, tmp_path):
    made = [KINDS[kind](a_model(name), k) for k, name in enumerate(("a", "b", "c"))]
    made[2] = made[2][0], made[2][1].sample(frac=1, random_state=1)  # rows in another order
    store = ResultStore(write(tmp_path, *made).resolve())
    records = list(store.results())
    many = Many(store)
    for a, b in ((0, 1), (1, 0), (0, 2), (2, 1)):
        assert_same(many.compare(records[a], records[b]), compare_pair(store, records[a], records[b]))


@pytest.mark.parametrize("kind", ["strata", "right or wrong", "ratings", "reading", "accuracy of fits"])
def test_equal_models_and_missing_items_are_told_of_likewise(kind, tmp_path):
    made = [KINDS[kind](a_model(name), k) for name, k in (("a", 1), ("b", 1), ("c", 2))]
    store = ResultStore(write(tmp_path, *made))
    next(tmp_path.glob("c/**/items.parquet")).unlink()
    records = list(store.results())
    many = Many(store)
    for a, b in ((0, 1), (0, 2), (2, 1)):
        assert_same(many.compare(records[a], records[b]), compare_pair(store, records[a], records[b]))


def test_an_item_without_credit_leaves_no_test(tmp_path):
    result, table = KINDS["strata"](a_model("a"), 1)
    table.loc[3, "value"] = np.nan
    store = ResultStore(write(tmp_path, (result, table), KINDS["strata"](a_model("b"), 2)))
    one, other = store.results()
    (found,) = Many(store).compare(one, other)
    assert found.found.p is None
    assert "no credit" in found.found.note


def test_other_items_are_refused(tmp_path):
    store = ResultStore(
        write(tmp_path, KINDS["strata"](a_model("a"), 1), ranking("blimp_supplement", a_model("b"), {"x": [1.0, 0.0]}))
    )
    one, other = store.results()
    with pytest.raises(UsageError, match="do not join"):
        Many(store).compare(one, other)
