"""Metrics: against scikit-learn itself, against hand values, and what is refused."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from babyeval.errors import MissingError, UsageError
from babyeval.fit.metrics import METRICS, get_metric, is_metric

GOLD = [1, 1, 1, 0, 0, 0, 0, 1]
PREDICTED = [1, 1, 0, 0, 0, 1, 1, 1]  # of the ones 3 found, 1 missed, 2 false


def test_hand_values():
    assert METRICS["accuracy"](GOLD, PREDICTED) == 62.5
    assert METRICS["f1"](GOLD, PREDICTED) == pytest.approx(100 * 2 * 3 / (2 * 3 + 2 + 1))
    assert METRICS["mcc"](GOLD, PREDICTED) == pytest.approx((3 * 2 - 2 * 1) / math.sqrt(5 * 4 * 4 * 3))


def test_units():
    assert {name: metric.unit for name, metric in METRICS.items()} == {
        "accuracy": "percent",
        "f1": "percent",
        "mcc": "correlation",
    }


@pytest.mark.parametrize("labels", [2, 3])
def test_equal_to_scikit_learn(labels):
    draw = np.random.default_rng(labels)
    gold, predicted = draw.integers(0, labels, (2, 200))
    assert METRICS["accuracy"](gold, predicted) == pytest.approx(100 * sklearn_metrics.accuracy_score(gold, predicted))
    assert METRICS["mcc"](gold, predicted) == pytest.approx(sklearn_metrics.matthews_corrcoef(gold, predicted))
    if labels == 2:
        assert METRICS["f1"](gold, predicted) == pytest.approx(100 * sklearn_metrics.f1_score(gold, predicted))


def test_one_label_for_all_rows():
    constant = [0] * len(GOLD)
    assert METRICS["mcc"](GOLD, constant) == 0
    assert METRICS["f1"](GOLD, constant) == 0
    assert math.isnan(METRICS["f1"](constant, constant))  # nothing to find, nothing found


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("metric", METRICS)
def test_one_label_for_all_rows_warns_of_nothing(metric):
    ones = np.ones(5, int)
    assert METRICS[metric](ones, ones) == {"accuracy": 100, "f1": 100, "mcc": 0}[metric]
    METRICS[metric](GOLD, [0] * len(GOLD))


def test_f1_is_for_two_labels():
    assert METRICS["f1"].needs == 2
    with pytest.raises(ValueError, match="multiclass"):
        METRICS["f1"]([0, 1, 2], [0, 1, 2])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_what_guessing_is_expected_to_earn(share):
    draw = np.random.default_rng(7)
    gold = (np.arange(1000) < 1000 * share).astype(int)
    for metric in METRICS.values():
        earned = np.mean([metric(gold, draw.integers(0, 2, len(gold))) for _ in range(30)])
        assert metric.guess(gold, 2) == pytest.approx(earned, abs=1.0 if metric.unit == "percent" else 0.02)
    assert METRICS["accuracy"].guess(gold, 3) == pytest.approx(100 / 3)


def test_unknown_metric():
    with pytest.raises(UsageError, match="Unknown metric 'bleu'"):
        get_metric("bleu")
    assert not is_metric("evaluate:")


def stand_in(monkeypatch, **values):
    """A library ``evaluate`` whose every metric gives these values and the number of right rows."""
    asked = []

    def load(name):
        asked.append(name)
        return SimpleNamespace(compute=lambda references, predictions: values | {"rows": len(references)})

    monkeypatch.setitem(sys.modules, "evaluate", SimpleNamespace(load=load))
    return asked


def test_metric_of_evaluate_is_looked_up_when_it_is_used(monkeypatch):
    asked = stand_in(monkeypatch, other=9, thing=0.5)
    percent, raw = get_metric("evaluate:thing"), get_metric("evaluate:thing", "correlation")
    assert asked == []
    assert (percent(GOLD, PREDICTED), raw(np.array(GOLD), np.array(PREDICTED))) == (50.0, 0.5)
    assert asked == ["thing", "thing"]
    assert percent.name == "evaluate:thing"


def test_metric_of_evaluate_that_gives_no_number(monkeypatch):
    stand_in(monkeypatch, thing=[1, 2])
    with pytest.raises(UsageError, match="one number"):
        get_metric("evaluate:thing")(GOLD, PREDICTED)


def test_evaluate_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "evaluate", None)
    metric = get_metric("evaluate:rouge")
    with pytest.raises(MissingError, match="needs the library evaluate") as caught:
        metric(GOLD, PREDICTED)
    assert "pip install" in caught.value.hint


def test_evaluate_cannot_give_the_metric(monkeypatch):
    def load(name):
        raise FileNotFoundError("no such metric")

    monkeypatch.setitem(sys.modules, "evaluate", SimpleNamespace(load=load))
    with pytest.raises(MissingError, match=r"cannot give the metric 'nonsense'.*no such metric"):
        get_metric("evaluate:nonsense")(GOLD, PREDICTED)
