"""The metrics of classification tasks: one registry for selection, scores and tables (D14)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from babyeval.errors import MissingError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Labels = Sequence[int] | NDArray[np.int_]

ADAPTER = "evaluate:"


class MetricMissing(MissingError):
    """A task's metric cannot be had; other tasks have their own."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number of right and predicted labels.

    Attributes:
        name: As cards and records name it.
        function: Takes right and predicted labels, as indices into the card's labels; gives the value in ``unit``, NaN
            where it is undefined.
        unit: ``percent``, or ``correlation`` for a raw number.
        needs: Number of labels that a task must have; None: any number.
        guess: Expected value of a guess that gives every label equally often, from the right labels and the number of
            labels; None where it is not known.
        without: Takes right and predicted labels and blocks of items; gives the values without each block. None where
            `function` has to be asked for each.
    """

    name: str
    function: Callable[[Labels, Labels], float]
    unit: str
    needs: int | None = None
    guess: Callable[[Sequence[int], int], float] | None = None
    without: Callable[[Labels, Labels, Sequence[Sequence[int]]], NDArray[np.float64]] | None = None

    def __call__(self, gold: Labels, predicted: Labels) -> float:
        return self.function(gold, predicted)


def _accuracy(gold: Labels, predicted: Labels) -> float:
    from sklearn.metrics import accuracy_score

    return 100 * float(accuracy_score(gold, predicted))


def _f1(gold: Labels, predicted: Labels) -> float:
    """F1 of label 1; NaN where no label 1 is right or predicted, 0 where none is found."""
    from sklearn.metrics import f1_score

    return 100 * float(f1_score(gold, predicted, pos_label=1, average="binary", zero_division=float("nan")))


def _f1_without(gold: Labels, predicted: Labels, blocks: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """F1 from its counts, 2 TP / (2 TP + FP + FN), for scikit-learn takes twenty milliseconds for what thousands of pairs ask."""
    import numpy as np

    right, said = (np.asarray(labels) == 1 for labels in (gold, predicted))
    block_of = np.full(len(right), len(blocks))
    block_of[np.concatenate(blocks)] = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])
    found, labelled = (
        counts.sum() - np.bincount(block_of, counts, len(blocks) + 1)[:-1]
        for counts in (right & said, right.astype(np.int_) + said)
    )
    without: NDArray[np.float64] = np.divide(200 * found, labelled, out=np.full(len(blocks), np.nan), where=labelled > 0)
    return without


def _mcc(gold: Labels, predicted: Labels) -> float:
    """Matthews correlation; 0 where one label is given to all, by convention."""
    import numpy as np
    from sklearn.metrics import matthews_corrcoef

    if len(np.union1d(gold, predicted)) < 2:  # scikit-learn gives 0 too, and a warning
        return 0.0
    return float(matthews_corrcoef(gold, predicted))


def _guessed_f1(gold: Sequence[int], labels: int) -> float:
    """Of a coin, precision is the share of label 1, recall a half."""
    share = sum(label == 1 for label in gold) / max(1, len(gold))
    return 100 * share / (share + 0.5)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", _accuracy, "percent", guess=lambda gold, labels: 100 / labels),
        Metric("f1", _f1, "percent", needs=2, guess=_guessed_f1, without=_f1_without),
        Metric("mcc", _mcc, "correlation", guess=lambda gold, labels: 0.0),
    )
}


def is_metric(name: str) -> bool:
    """Whether a card may name it; metrics of Hugging Face ``evaluate`` are looked up when they are used only."""
    return name in METRICS or (name.startswith(ADAPTER) and len(name) > len(ADAPTER))


def get_metric(name: str, unit: str = "percent") -> Metric:
    """The metric of that name.

    Args:
        name: A key of `METRICS`, or ``evaluate:NAME`` for a metric of the Hugging Face library ``evaluate``.
        unit: For the latter: ``percent`` multiplies by 100 what the library gives, ``correlation`` leaves it.

    Raises:
        UsageError: The name is unknown.

    Example:
        >>> get_metric("accuracy")([0, 1, 1, 1], [0, 1, 1, 0])
        75.0
    """
    if name in METRICS:
        return METRICS[name]
    if not is_metric(name):
        raise UsageError(
            f"Unknown metric '{name}'.", hint=f"Choose one of {', '.join(METRICS)}, or '{ADAPTER}NAME' of Hugging Face evaluate."
        )
    return Metric(name, partial(_of_evaluate, name.removeprefix(ADAPTER), 100 if unit == "percent" else 1), unit)


def _of_evaluate(name: str, factor: int, gold: Labels, predicted: Labels) -> float:
    """A metric of the library; it may fetch the metric's code from the Hub.

    Raises:
        MetricMissing: The library is absent, or it cannot give the metric.
        UsageError: The metric does not give one number.
    """
    try:
        import evaluate
    except ImportError as error:
        raise MetricMissing(
            f"The metric '{ADAPTER}{name}' needs the library evaluate.", hint="Install it: pip install 'babyeval[evaluate]'."
        ) from error
    try:
        found: Any = evaluate.load(name).compute(references=[*map(int, gold)], predictions=[*map(int, predicted)])
    except Exception as error:  # foreign code, fetched or local, may fail in any way
        raise MetricMissing(
            f"The library evaluate cannot give the metric '{name}': {type(error).__name__}: {error}.",
            hint="Is it spelled right, and can the Hugging Face Hub be reached?",
        ) from error
    value = found.get(name, next(iter(found.values()))) if found else None
    if not isinstance(value, int | float):
        raise UsageError(f"The metric '{ADAPTER}{name}' does not give one number.", hint="Name another one in the card.")
    return factor * float(value)
