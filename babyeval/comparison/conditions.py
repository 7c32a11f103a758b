"""Training conditions compared: seeds are the unit, and one seed supports no claim about a condition."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from babyeval.comparison.pairs import own_headlines
from babyeval.comparison.report import Level, Measured
from babyeval.comparison.select import MOST, Choice, Side, by_name, find_side
from babyeval.errors import UsageError
from babyeval.models.naming import counted
from babyeval.records import Score, TaskResult
from babyeval.stats.types import Comparison

if TYPE_CHECKING:
    import pandas as pd

_TRAINED = "training in these ways with other seeds, on these exact items"
_TRAINED_SUBSETS = "training in these ways with other seeds, on subsets like these"
_ONE_SEED = "these checkpoints alone: one training seed shows no condition"
_AGAINST = re.compile(r"\s+against\s+")


@dataclass(frozen=True, slots=True)
class Contrast:
    """A planned comparison of means of conditions.

    Attributes:
        name: How it is called.
        plus: Conditions whose mean comes first.
        minus: Those whose mean is taken off.
    """

    name: str
    plus: tuple[str, ...]
    minus: tuple[str, ...]

    @property
    def weights(self) -> dict[str, float]:
        """Each condition's weight."""
        return {**{c: 1 / len(self.plus) for c in self.plus}, **{c: -1 / len(self.minus) for c in self.minus}}


# The questions of CLASS-IT: does the order of instruction data matter, and does an order beat one mixture?
PLANNED = (
    Contrast("sequential against merged", ("it_switch_wiki", "it_wiki_switch"), ("it_merged",)),
    Contrast("order", ("it_switch_wiki",), ("it_wiki_switch",)),
)


def parse_contrast(text: str, there: Sequence[str]) -> Contrast:
    """Reads ``a,b against c``.

    Raises:
        UsageError: It has another form, or names a condition that is not compared.

    Example:
        >>> parse_contrast("a,b against c", ["a", "b", "c"]).weights
        {'a': 0.5, 'b': 0.5, 'c': -1.0}
    """
    sides = [tuple(part.strip() for part in side.split(",")) for side in _AGAINST.split(text.strip())]
    named = [name for side in sides for name in side]
    if len(sides) != 2 or not all(named) or len(set(named)) < len(named):
        raise UsageError(f"'{text}' is no contrast.", hint="Write conditions once each: --contrast 'a,b against c'.")
    for name in named:
        if name not in there:
            raise UsageError(
                f"The contrast '{text}' names the condition '{name}', which is not compared.",
                where=f"compared are {', '.join(there)}", hint="Name that one too, or leave it out of the contrast.",
            )  # fmt: skip
    return Contrast(text.strip(), *sides)


def planned_contrasts(there: Sequence[str], texts: Sequence[str]) -> list[Contrast]:
    """The contrasts that are asked for, else those of CLASS-IT as far as its conditions are compared."""
    if texts:
        return [parse_contrast(text, there) for text in texts]
    return [contrast for contrast in PLANNED if set(contrast.weights) <= set(there)]


def conditions_of(results: Sequence[TaskResult], names: Sequence[str], revision: str | None) -> dict[str, list[Side]]:
    """The checkpoints of each condition, one per training seed.

    Args:
        results: All records.
        names: Conditions; none: all of them.
        revision: Which revision of each model counts.

    Raises:
        UsageError: A condition does not exist (those that do are listed), there are fewer than two or too many, or two
            models claim one seed.
    """
    known: dict[str, list[str]] = {}
    for result in results:
        if result.model.condition is not None:
            models = known.setdefault(result.model.condition, [])
            if result.model.name not in models:
                models.append(result.model.name)
    if not known:
        raise UsageError(
            "No record says in which condition its model was trained.",
            hint="Say it when you evaluate: babyeval run --condition NAME --train-seed K; checkpoints of our trainers know it.",
        )
    listing = ", ".join(f"{name} ({counted(len(models), 'model')})" for name, models in sorted(known.items()))
    for name in names:
        if name not in known:
            raise UsageError(
                f"There is no condition '{name}' in the results.", where=f"there is {listing}", hint="Name one of these."
            )
    chosen = list(dict.fromkeys(names)) or sorted(known)
    if len(chosen) < 2 or (not names and len(chosen) > MOST):
        many = len(chosen) > MOST
        raise UsageError(
            f"There are {len(chosen)} conditions, too many to compare all pairs." if many else "A comparison takes two conditions.",
            where=f"there is {listing}", hint="Name them: babyeval compare --by condition A B.",
        )  # fmt: skip
    return {name: _seeds_of(results, name, known[name], revision) for name in chosen}


def _seeds_of(results: Sequence[TaskResult], condition: str, models: Sequence[str], revision: str | None) -> list[Side]:
    mine = [result for result in results if result.model.condition == condition]
    sides = [find_side(by_name(mine), name, revision) for name in models]
    by_seed: dict[int, Side] = {}
    for side in sides:
        if side.seed is not None and side.seed in by_seed:
            raise UsageError(
                f"Two models of the condition '{condition}' have the training seed {side.seed}.",
                where=f"{by_seed[side.seed].name} and {side.name}",
                hint="Is one a copy? Else evaluate it again under its own --train-seed.",
            )
        if side.seed is not None:
            by_seed[side.seed] = side
    return sorted(sides, key=lambda side: (side.seed is None, side.seed or 0, side.name))


def require_seeds(conditions: Mapping[str, Sequence[Side]]) -> None:
    """Refuses a claim about conditions that one training seed cannot support.

    Raises:
        UsageError: A condition has fewer than two seeds.
    """
    few = [name for name, sides in conditions.items() if len(sides) < 2]
    if few:
        raise UsageError(
            "No test supports a claim about a condition that was trained with one seed.",
            where=", ".join(f"{name}: 1 seed" for name in few),
            hint="Train it with other seeds, or compare the checkpoints as such: leave out --level seeds and --by condition.",
        )


def headline_keys(choice: Choice, task: str) -> list[Score]:
    """The headlines of a task, as far as all records have them."""
    first, *others = (own_headlines(result) for result in choice.records[task].values())
    return [score for score in first if all(any(score.subset == other.subset for other in part) for part in others)]


def values_of(choice: Choice, task: str, subset: str, sides: Sequence[Side]) -> dict[Side, Score]:
    """The headline of each checkpoint that has one with a value."""
    found = {}
    for side in sides:
        result = choice.records[task].get(side)
        for score in own_headlines(result) if result is not None else ():
            if score.subset == subset and score.value is not None:
                found[side] = score
    return found


def compare_pair_of_conditions(
    choice: Choice, task: str, a: Sequence[Side], b: Sequence[Side], level: Level | None
) -> list[Measured]:
    """Compares two conditions on a task, headline by headline."""
    return [_measured(choice, task, headline, a, b, level) for headline in headline_keys(choice, task)]


def _measured(choice: Choice, task: str, headline: Score, a: Sequence[Side], b: Sequence[Side], level: Level | None) -> Measured:
    from babyeval.stats.conditions import compare_conditions, mixed_model

    sides = [values_of(choice, task, headline.subset, part) for part in (a, b)]
    values = [[score.value for score in part.values() if score.value is not None] for part in sides]
    means = tuple(sum(part) / len(part) if part else None for part in values)
    claim = _TRAINED if min(map(len, values)) > 1 else _ONE_SEED
    notes = _absent(sides, (a, b))
    if not all(values):
        found = Comparison(None, None, None, None, None, "none", "seeds", headline.n, sum(map(len, values)), note="no value")
    else:
        found = compare_conditions(values[0], values[1], n=headline.n)
        if level == "subsets":
            cells = _cells(choice, task, (a, b))
            if cells is None:
                notes.append("the task has no subsets")
            else:
                found, claim = mixed_model(cells, n=headline.n), _TRAINED_SUBSETS
    return Measured(
        headline.subset, headline.metric, headline.unit, (means[0], means[1]), found, claim, note="; ".join(notes) or None
    )


def _absent(sides: Sequence[Mapping[Side, Score]], all_: Sequence[Sequence[Side]]) -> list[str]:
    lacking = [side.label for part, every in zip(sides, all_, strict=True) for side in every if side not in part]
    return [f"without {', '.join(lacking)}, which have no value"] if lacking else []


def _cells(choice: Choice, task: str, sides: Sequence[Sequence[Side]]) -> pd.DataFrame | None:
    """The mean of each seed on each subset; None where the task has no subsets."""
    import pandas as pd

    rows = []
    for condition, part in zip("ab", sides, strict=True):
        for side in part:
            result = choice.records[task].get(side)
            for score in result.scores if result is not None else ():
                if (
                    result is not None
                    and result.task.strata
                    and (score.group, score.metric) == (result.task.strata, result.task.metric)
                ):
                    rows.append({"condition": condition, "seed": side.label, "subset": score.subset, "value": score.value})
    frame = pd.DataFrame(rows, columns=["condition", "seed", "subset", "value"])
    return frame if frame["subset"].nunique() > 1 else None


def compare_contrast(choice: Choice, task: str, contrast: Contrast, conditions: Mapping[str, Sequence[Side]]) -> list[Measured]:
    """A planned contrast on a task, headline by headline."""
    from babyeval.stats.designs import contrast as tested

    measured = []
    for headline in headline_keys(choice, task):
        scores = {name: values_of(choice, task, headline.subset, conditions[name]) for name in contrast.weights}
        groups = {name: [score.value for score in part.values() if score.value is not None] for name, part in scores.items()}
        if not all(groups.values()):
            continue
        found = tested(groups, contrast.weights, n=headline.n)
        means = {name: sum(part) / len(part) for name, part in groups.items()}
        sides = tuple(sum(means[name] for name in part) / len(part) for part in (contrast.plus, contrast.minus))
        claim = _TRAINED if all(len(part) > 1 for part in groups.values()) else _ONE_SEED
        measured.append(Measured(headline.subset, headline.metric, headline.unit, (sides[0], sides[1]), found, claim))
    return measured
