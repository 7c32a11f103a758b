"""In which order a curriculum shows the rows of its sets: known before training, and a function of the seed alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from babyeval.errors import UsageError
from babyeval.models.naming import counted

from .spec import Curriculum

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a curriculum.

    Attributes:
        name: Its sets, joined by ``+``.
        order: The row of each item, numbered through all sets of the curriculum; whole batches only.
        updates: Of this stage.
        rows: Rows of one epoch.
        left_over: Items of the last epoch that fill no batch.
    """

    name: str
    order: np.ndarray
    updates: int
    rows: int
    left_over: int


@dataclass(frozen=True, slots=True)
class Run:
    """Stages that are trained with one optimiser.

    Attributes:
        number: From 1 on.
        stages: One, or all where the optimiser does not begin anew.
    """

    number: int
    stages: tuple[Stage, ...]

    @property
    def updates(self) -> int:
        """Of all its stages."""
        return sum(stage.updates for stage in self.stages)

    @property
    def order(self) -> np.ndarray:
        """The rows of all its items."""
        import numpy as np

        return np.concatenate([stage.order for stage in self.stages])

    def stage_of(self, update: int) -> Stage:
        """The stage that an update (1 is the first) belongs to."""
        for stage in self.stages[:-1]:
            if update <= stage.updates:
                return stage
            update -= stage.updates
        return self.stages[-1]

    def epochs(self, update: int, batch: int) -> float:
        """Passes over the stages' data after an update, those of earlier stages of the run included."""
        total = 0.0
        for stage in self.stages:
            total += min(update, stage.updates) * batch / stage.rows
            update = max(0, update - stage.updates)
        return total


def plan_runs(curriculum: Curriculum, sizes: Mapping[str, int], batch: int, seed: int, max_steps: int | None) -> list[Run]:
    """Lays out a curriculum.

    Args:
        curriculum: What the recipe says.
        sizes: Rows of each set's training part; their order numbers the rows: the first set's first row is 0.
        batch: Rows of an update.
        seed: Of the training.
        max_steps: Updates of each stage, whatever its epochs are; None: as many as the epochs fill.

    Raises:
        UsageError: A stage does not fill a batch.

    Example:
        >>> sizes = {"talk": 6, "wiki": 4}
        >>> runs = plan_runs(Curriculum(sequential=("wiki", "talk"), epochs=2), sizes, 2, 0, None)
        >>> [(run.stages[0].name, run.updates, sorted(set(run.order.tolist()))) for run in runs]
        [('wiki', 4, [6, 7, 8, 9]), ('talk', 6, [0, 1, 2, 3, 4, 5])]
    """
    stages = []
    for number, (names, epochs) in enumerate(zip(curriculum.stages, curriculum.stage_epochs, strict=True)):
        if max_steps:  # an epoch is drawn for itself: those before are the same, however many follow
            epochs = -(-max_steps * batch // sum(sizes[name] for name in names))
        shares = [curriculum.mixture[name] for name in names] if curriculum.mixture else None
        order, rows = stage_order(names, sizes, shares, epochs, (seed, number))
        updates = max_steps or len(order) // batch
        if not updates:
            raise UsageError(
                f"{counted(epochs, 'epoch')} of {counted(rows, 'row')} fill no batch of {batch} (stage {'+'.join(names)}).",
                where="instruct.batch_size",
                hint="Take smaller batches, more epochs or a larger set.",
            )
        left = 0 if max_steps else len(order) - updates * batch
        stages.append(Stage("+".join(names), order[: updates * batch], updates, rows, left))
    if curriculum.restart == "all":
        return [Run(number, (stage,)) for number, stage in enumerate(stages, 1)]
    return [Run(1, tuple(stages))]


def stage_order(
    names: tuple[str, ...], sizes: Mapping[str, int], shares: list[float] | None, epochs: int, seed: tuple[int, int]
) -> tuple[np.ndarray, int]:
    """The rows of all epochs of a stage, each epoch shuffled anew, and the number of rows of an epoch.

    With shares, an epoch is as long as the sets together, and each set gives its share of it: of a set that gives
    less than all its rows the next epoch takes those that follow; one that gives more begins again.

    Args:
        names: The stage's sets.
        sizes: Rows of all sets, in the order that numbers them.
        shares: Weights of the stage's sets; None: each gives each of its rows once per epoch.
        epochs: Passes.
        seed: Of the training, and the stage's number.
    """
    import numpy as np

    firsts = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
    total = sum(sizes[name] for name in names)
    counts = [sizes[name] for name in names] if shares is None else divide(total, shares)
    parts = [_stream(sizes[name], count * epochs, (*seed, 1, place)) + firsts[name]
             for place, (name, count) in enumerate(zip(names, counts, strict=True))]  # fmt: skip
    order = []
    for epoch in range(epochs):
        rows = np.concatenate([part[epoch * count : (epoch + 1) * count] for part, count in zip(parts, counts, strict=True)])
        order.append(np.random.default_rng((*seed, 0, epoch)).permutation(rows))
    return np.concatenate(order), total


def _stream(size: int, length: int, seed: tuple[int, ...]) -> np.ndarray:
    """Rows of a set in an order drawn anew for each pass, as many as are needed."""
    import numpy as np

    passes = -(-length // size)
    return np.concatenate([np.random.default_rng((*seed, n)).permutation(size) for n in range(passes)])[:length]


def divide(total: int, shares: list[float]) -> list[int]:
    """Divides a number by weights, as evenly as whole numbers allow (largest remainders); each gets at least one.

    Example:
        >>> divide(10, [0.7, 0.15, 0.15])
        [7, 2, 1]
    """
    exact = [total * share / sum(shares) for share in shares]
    counts = [max(1, int(one)) for one in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: (counts[i] - exact[i], i))
    for i in by_remainder[: max(0, total - sum(counts))]:
        counts[i] += 1
    return counts
