"""Adjusted p-values: published vectors, statsmodels, and max-T against brute force."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from babyeval.stats.multiple import adjust, max_t
from babyeval.stats.permutation import sign_flip

# The p-values of statistics.md, section 3, with what each method makes of them.
VECTOR = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205]
KNOWN = {
    "holm": [0.008, 0.056] + [0.234] * 4 + [0.234] * 2,
    "bh": [0.008, 0.032, 0.0672, 0.0672, 0.0672, 0.08, 0.0846, 0.205],
    "by": [0.0217, 0.087, 0.1826, 0.1826, 0.1826, 0.2174, 0.2299, 0.5572],
}


@pytest.mark.parametrize("method", ["holm", "bh", "by"])
def test_published_vector_in_any_order(method):
    assert adjust(VECTOR, method) == pytest.approx(KNOWN[method], abs=1e-4)
    assert adjust(VECTOR[::-1], method) == pytest.approx(KNOWN[method][::-1], abs=1e-4)


@pytest.mark.parametrize(("method", "name"), [("holm", "holm"), ("bh", "fdr_bh"), ("by", "fdr_by")])
def test_undefined_ones_are_no_part_of_the_family(method, name):
    adjusted = adjust([0.01, None, 0.2, math.nan, 0.03], method)
    assert adjusted[1] is None
    assert adjusted[3] is None
    assert [adjusted[i] for i in (0, 2, 4)] == pytest.approx(multipletests([0.01, 0.2, 0.03], method=name)[1], abs=1e-12)
    assert adjust([None, None], method) == [None, None]
    assert adjust([], method) == []


def brute(tasks):
    """Step-down max-T by its definition: all signs, task by task from the most extreme."""
    units = sorted({unit for task in tasks.values() for unit in task})

    def statistic(task, sign):
        return abs(sum(sign[u] * d for u, d in task.items())) / math.sqrt(sum(d * d for d in task.values()))

    observed = {name: statistic(task, dict.fromkeys(units, 1)) for name, task in tasks.items()}
    flips = [dict(zip(units, signs, strict=True)) for signs in product((1, -1), repeat=len(units))]
    drawn = [{name: statistic(task, sign) for name, task in tasks.items()} for sign in flips]
    order = sorted(tasks, key=lambda name: -observed[name])
    result, before = {}, 0.0
    for i, name in enumerate(order):
        raw = np.mean([d[name] >= observed[name] - 1e-9 for d in drawn])
        share = np.mean([max(d[other] for other in order[i:]) >= observed[name] - 1e-9 for d in drawn])
        before = max(before, share)
        result[name] = (pytest.approx(raw), pytest.approx(before))
    return result


def draw(rng, names, mean=0.0):
    return {name: float(rng.normal(mean)) for name in names}


def test_max_t_against_brute_force_with_shared_and_own_units():
    rng = np.random.default_rng(5)
    for _ in range(3):
        tasks = {"a": draw(rng, "stuv", 1.5), "b": draw(rng, "uvwx", 0.7), "c": draw(rng, "yz")}
        assert max_t(tasks) == brute(tasks)


def test_a_task_alone_has_the_p_of_its_sign_flips():
    task = draw(np.random.default_rng(6), "abcdefgh", 0.5)
    (p, adjusted) = max_t({"one": task})["one"]
    assert p == adjusted == pytest.approx(sign_flip(list(task.values()))[0], abs=1e-12)
    many = {str(i): d for i, d in enumerate(np.random.default_rng(7).normal(0.2, 1, 60))}
    (p, adjusted) = max_t({"one": many})["one"]
    assert p == adjusted == pytest.approx(sign_flip(list(many.values()))[0], abs=0.02)
    assert max_t({"one": many}) == max_t({"one": many}), "the same seed gives the same p"


def test_scale_and_direction_of_a_task_do_not_matter():
    rng = np.random.default_rng(8)
    tasks = {"a": draw(rng, "abcdef", 1), "b": draw(rng, "abcdef", 0.5)}
    scaled = {"a": {u: -1e200 * d for u, d in tasks["a"].items()}, "b": {u: 1e-200 * d for u, d in tasks["b"].items()}}
    assert max_t(scaled) == max_t(tasks)


def test_tasks_that_say_nothing_are_no_part_of_the_family():
    good = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 2.0, "e": 1.0}
    bad = {"one": {"a": 1.0}, "zero": dict.fromkeys(good, 0.0), "nan": {**good, "a": math.nan}, "none": {}}
    found = max_t({"good": good, **bad})
    assert found["good"] == (0.0625, 0.0625)
    assert {found[name] for name in bad} == {(None, None)}
    assert max_t({}) == {}
