"""Which checkpoints are kept at which update of a training, known before it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from babyeval.errors import UsageError
from babyeval.models.naming import counted, short_count

from .recipe import Checkpoints

MILLION = 1_000_000

# The BabyLM challenge's ages: each million words up to ten, each ten up to a hundred, each hundred up to a thousand.
BABYLM: tuple[int, ...] = (
    *range(MILLION, 10 * MILLION, MILLION),
    *range(10 * MILLION, 100 * MILLION, 10 * MILLION),
    *range(100 * MILLION, 1000 * MILLION + 1, 100 * MILLION),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The checkpoints of one training.

    Attributes:
        updates: Updates in all.
        at: Names of the checkpoints kept after an update.
        states: Whether after this update the state is saved from which an interrupted training goes on.
        skipped: Names of the recipe that no checkpoint gets, because the next one falls on the same update.
        unreached: Names of the recipe that need more words than the training sees.
        past: Names of the recipe that the parent has seen already.
        uncounted: Names of the recipe for which nobody knows the words, since nothing says how many the parent has seen.
    """

    updates: int
    at: dict[int, tuple[str, ...]]
    resume_steps: int
    skipped: tuple[str, ...] = ()
    unreached: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()

    def part(self, first: int, updates: int) -> Schedule:
        """The schedule of so many updates after the first ones, numbered from 1 on, with the names of the whole."""
        at = {update - first: names for update, names in self.at.items() if first < update <= first + updates}
        return replace(self, updates=updates, at=at)

    def state_at(self, update: int) -> bool:
        """Whether the state to go on from is saved after this update; after the last one the final weights are."""
        return bool(self.resume_steps) and update % self.resume_steps == 0 and update < self.updates

    def remarks(self) -> list[str]:
        """What to tell whoever asked for other checkpoints than there will be."""
        said = []
        if self.skipped:
            said.append(
                f"Several checkpoints fall on one update, so the last of them is kept, without {', '.join(self.skipped)}."
            )
        if self.unreached:
            said.append(f"The training sees too few words for {', '.join(self.unreached)}.")
        if self.past:
            said.append(f"The parent has already seen the words of {', '.join(self.past)}.")
        if self.uncounted:
            said.append(
                "Nothing says how many words the parent has seen, so there are no checkpoints by words: "
                f"{', '.join(self.uncounted)}."
            )
        return said


def plan_checkpoints(settings: Checkpoints, updates: int, words_after: Callable[[int], int], before: int | None = 0) -> Schedule:
    """Finds for each wanted number of words the first update after which at least so many have been seen.

    Two ages that fall on one update would be two names of the same weights, which a learning curve must not
    take for two ages (D36): the later name is kept.

    Args:
        settings: The recipe's section.
        updates: Updates of the training, all stages of a tuning together.
        words_after: Words seen after an update (1 is the first), the parent's not counted; it never falls.
        before: Words that the parent has seen; None if nobody knows.

    Raises:
        UsageError: Two numbers of words would give one name.

    Example:
        >>> schedule = plan_checkpoints(Checkpoints(words=(10, 20, 25, 90)), 4, lambda update: 10 * update)
        >>> schedule.at, schedule.unreached
        ({1: ('chck_10',), 2: ('chck_20',), 3: ('chck_25',)}, ('chck_90',))
    """
    marks = BABYLM if settings.words == "babylm" else settings.words
    _require_different_names(marks)
    names: dict[int, list[str]] = {}
    skipped = []
    left = [] if before is None else [mark for mark in marks if mark > before]
    position = 0
    for update in range(1, updates + 1):
        seen = (before or 0) + words_after(update)
        first = position
        while position < len(left) and left[position] <= seen:
            position += 1
        if position > first:
            names[update] = [_name(left[position - 1])]
            skipped += [_name(mark) for mark in left[first : position - 1]]
        if settings.steps and update % settings.steps == 0:
            names.setdefault(update, []).append(f"step_{update}")
    return Schedule(
        updates=updates,
        at={update: tuple(found) for update, found in names.items()},
        resume_steps=settings.resume_steps,
        skipped=tuple(skipped),
        unreached=tuple(_name(mark) for mark in left[position:]),
        past=tuple(_name(mark) for mark in marks if before is not None and mark <= before),
        uncounted=tuple(map(_name, marks)) if before is None else (),
    )


def _name(words: int) -> str:
    return f"chck_{short_count(words)}"


def _require_different_names(marks: tuple[int, ...]) -> None:
    for one, other in pairwise(marks):
        if _name(one) == _name(other):
            raise UsageError(
                f"{one:,} and {other:,} words would both be called {_name(one)}.",
                where="checkpoints.words",
                hint="Round them to six digits.",
            )


def warm_up_remarks(warmup_steps: int, updates: int) -> list[str]:
    """What has to be said of a warm-up that fills the training.

    Example:
        >>> warm_up_remarks(500, 20)
        ['The warm-up (500 updates) is no shorter than the training (20): the learning rate only rises.']
    """
    if warmup_steps < updates:
        return []
    return [
        f"The warm-up ({warmup_steps:,} updates) is no shorter than the training ({updates:,}): the learning rate only rises."
    ]


def in_words(updates: int, batch: int, items: int, left_over: int, unit: str) -> str:
    """A training's updates and passes over its data, in a sentence.

    Example:
        >>> in_words(updates=3, batch=4, items=7, left_over=2, unit="row")
        '3 updates of 4 rows, 1.71 passes over 7 rows; 2 rows at the end fill no batch and are left out.'
    """
    left = f"; {counted(left_over, unit)} at the end fill no batch and are left out" if left_over else ""
    passes = f"{updates * batch / items:.2f} passes over {counted(items, unit)}"
    return f"{counted(updates, 'update')} of {counted(batch, unit)}, {passes}{left}."


@dataclass(frozen=True, slots=True)
class BatchShape:
    """How a batch is divided.

    Attributes:
        size: Sequences of an update.
        micro: Sequences of one forward pass on one device.
        accumulation: Forward passes of one device before an update.
    """

    size: int
    micro: int
    accumulation: int


def divide_batch(size: int, micro: int | None, devices: int, section: str = "pretrain") -> BatchShape:
    """Divides a batch among devices and forward passes, so that all of them always have the same number of sequences.

    Raises:
        UsageError: It cannot be divided; the text has the numbers.

    Example:
        >>> divide_batch(32, 4, 2)
        BatchShape(size=32, micro=4, accumulation=4)
    """
    if size % devices:
        raise UsageError(
            f"A batch of {size} sequences cannot be divided among {devices} devices.",
            where=f"{section}.batch_size",
            hint=f"Take a multiple of {devices}: --set {section}.batch_size={_nearest_multiple(size, devices)}",
        )
    share = size // devices
    micro = micro or share
    if share % micro:
        raise UsageError(
            f"A batch of {size} sequences on {devices} {'devices' if devices > 1 else 'device'} cannot be divided into "
            f"passes of {micro}.",
            where=f"{section}.micro_batch_size",
            hint=f"Take a divisor of {share}, the share of a device.",
        )
    return BatchShape(size, micro, share // micro)


def _nearest_multiple(number: int, of: int) -> int:
    return max(1, round(number / of)) * of
