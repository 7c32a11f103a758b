"""A stand-in for the fit engine: predictions by a seeded coin, at once, so that tests of what surrounds a fit are fast."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from babyeval.fit.types import FitOutcome

Key = tuple[str, int]  # task and seed


@dataclass
class FakeFit:
    """Notes what it is asked, and gives right labels with a probability.

    Attributes:
        right: Probability of a right label.
        diverge: Fits that diverge.
        constant: Fits that give every example label 0.
        fail: Raised in place of an outcome.
        calls: Tasks and seeds, in order.
        given: The arguments of each call.
    """

    right: float = 0.7
    diverge: Sequence[Key] = ()
    constant: Sequence[Key] = ()
    fail: dict[Key, Callable[[], BaseException]] = field(default_factory=dict)
    calls: list[Key] = field(default_factory=list)
    given: list[dict[str, Any]] = field(default_factory=list)
    bodies: int = 0

    def install(self, monkeypatch: Any) -> FakeFit:
        monkeypatch.setattr("babyeval.fit.engine.fit", self)
        monkeypatch.setattr("babyeval.fit.classifier.open_body", self._open)
        return self

    def _open(self, *_: Any) -> str:
        self.bodies += 1
        return "body"

    def __call__(self, checkpoint, train, reported, card, hyper, seed, **more: Any) -> FitOutcome:
        key = (card.name, seed)
        self.calls.append(key)
        self.given.append({"train": train, "reported": reported, "hyper": hyper, **more})
        if key in self.fail:
            raise self.fail[key]()
        more["folder"].mkdir(parents=True, exist_ok=True)
        (more["folder"] / "state").write_text("unfinished")
        with more["reporter"].bar(f"{card.name}, seed {seed}", hyper.epochs, "updates") as advance:
            advance(hyper.epochs)
        diverged = "the loss is NaN in epoch 2" if key in self.diverge else None
        logits = np.full((len(reported), len(card.fit.labels)), np.nan, np.float32)
        if diverged is None:
            logits[:] = 0
            for row, label in enumerate(predicted(self, key, [one.label for one in reported], len(card.fit.labels))):
                logits[row, label] = 1
        losses = (0.7, float("nan")) if diverged else (0.7, 0.5)
        return FitOutcome(logits, losses, (60.0, 70.0), 2, diverged, 10, 1, 0.1, hyper.batch_size, 1)


def predicted(fake: FakeFit, key: Key, gold: Sequence[int], labels: int) -> list[int]:
    """The labels that a fake fit gives."""
    if key in fake.constant:
        return [0] * len(gold)
    draw = random.Random(f"{key}")  # noqa: S311 - no secret
    return [label if draw.random() < fake.right else (label + 1) % labels for label in gold]
