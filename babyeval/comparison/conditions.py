"""The tests of training conditions: seeds are the unit, and what their number or origin cannot carry is not claimed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from babyeval.comparison.contrasts import Contrast
from babyeval.comparison.pairs import NO_LEVEL, caveats, few_subsets, own_headlines, together
from babyeval.comparison.report import Level, Measured
from babyeval.comparison.select import Choice, Side
from babyeval.comparison.sentences import equals, listed, number
from babyeval.models.naming import counted
from babyeval.records import Score
from babyeval.stats.types import ENOUGH_SEEDS, Comparison

if TYPE_CHECKING:
    import pandas as pd

    from babyeval.stats.conditions import SeedVariance

ITEMS, _SUBSETS = "on these exact items", "on subsets like these"
TRAINED = "training in these ways with other seeds"
_ONE_SEED = "these checkpoints alone: one training seed shows no condition"


@dataclass(frozen=True, slots=True)
class Sample:
    """What a condition has of independent values.

    Attributes:
        runs: The values of each replication's checkpoints.
        unit_of: The replication to which each checkpoint belongs: itself, or the parent that it shares with others.
        one_parent: All checkpoints go on from one: their seeds show the noise of what followed, and nothing of the parent's.
    """

    runs: Mapping[str, list[float]]
    unit_of: Mapping[Side, str]
    one_parent: bool

    @property
    def values(self) -> list[float]:
        """One per replication."""
        return [fmean(values) for values in self.runs.values()]


def sample_of(choice: Choice, task: str, scores: Mapping[Side, Score]) -> Sample:
    """The independent values of a condition.

    Checkpoints that were trained on from one parent are no replications of its training: they are averaged, and parents are
    the unit. Of a single parent, its descendants are, and the claim is conditional on it (statistics.md, section 5).

    Args:
        choice: The records.
        task: The task.
        scores: The headlines of the condition's checkpoints.
    """
    parents = origins_of(choice, task, scores)
    known = all(choice.records[task][side].model.parent_digest is not None for side in scores)
    one_parent = known and len(scores) > 1 and len(set(parents.values())) == 1
    unit_of = {side: side.label if one_parent else parent for side, parent in parents.items()}
    units: dict[str, list[float]] = {}
    for side, score in scores.items():
        if score.value is not None:
            units.setdefault(unit_of[side], []).append(score.value)
    return Sample(units, unit_of, one_parent)


def origins_of(choice: Choice, task: str, sides: Iterable[Side]) -> dict[Side, str]:
    """The digest of the checkpoint from which each goes on; of one that goes on from none, its own: it may be a parent."""
    origins = {}
    for side in sides:
        models = [records[side].model for records in choice.records.values() if side in records and not records[side].checkpoints]
        model = models[0] if models else choice.records[task][side].model
        origins[side] = choice.records[task][side].model.parent_digest or model.digest
    return origins


def headline_keys(choice: Choice, task: str) -> list[Score]:
    """One score for each headline of a task that any record has."""
    found: dict[str, Score] = {}
    for result in choice.records[task].values():
        for score in own_headlines(result):
            found.setdefault(score.subset, score)
    return list(found.values())


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
    from babyeval.stats.conditions import compare_conditions

    scores = [values_of(choice, task, headline.subset, part) for part in (a, b)]
    samples = [sample_of(choice, task, part) for part in scores]
    first, second = (sample.values for sample in samples)
    notes = remarks(choice, task, headline, [*a, *b], scores, samples)
    claim = _claim(scores, samples, ITEMS)
    if not first or not second:
        found = _without_value(headline, len(first) + len(second))
    else:
        found = compare_conditions(first, second, n=headline.n)
        if level == "subsets":
            cells = _cells(choice, task, dict(zip("ab", samples, strict=True)))
            if cells is None:
                notes.append(NO_LEVEL)
            else:
                found, few = _widened(found, cells, headline.n)
                notes += few
                claim = _claim(scores, samples, _SUBSETS) if found.p is not None else claim
    arms = (len(first), len(second))
    found = _with_reach(found, dict(enumerate((1.0, -1.0))), dict(enumerate(arms)))
    means = (fmean(first) if first else None, fmean(second) if second else None)
    spreads = tuple(tuning_variance(choice, task, part) for part in scores)
    return Measured(
        headline.subset, headline.metric, headline.unit, means, found, claim, arms=arms, fewest=min(arms), note=together(*notes),
        spreads=spreads,
    )  # fmt: skip


def _without_value(headline: Score, count: int) -> Comparison:
    return Comparison(None, None, None, None, None, "none", "seeds", headline.n, count, note="a condition has no value")


def _claim(scores: Sequence[Mapping[Side, Score]], samples: Sequence[Sample], where: str) -> str:
    """What so many seeds, from such parents, can speak of."""
    if min(len(sample.values) for sample in samples) < 2:
        return _ONE_SEED
    bound = [next(iter(part)).condition or "a condition" for part, s in zip(scores, samples, strict=True) if s.one_parent]
    return f"{TRAINED}, {where}" + (f", conditional on the parent checkpoint of {' and of '.join(bound)}" if bound else "")


def remarks(
    choice: Choice, task: str, headline: Score, sides: Sequence[Side], scores: Sequence[Mapping[Side, Score]], samples: Sequence[Sample]
) -> list[str]:  # fmt: skip
    """What is missing, how seeds are nested and spread, and what the checkpoints' own headlines say."""
    from babyeval.stats.conditions import seed_variance

    there = choice.records[task]
    lacking = [side.label for side in sides if not any(side in part for part in scores)]
    notes = [f"without {listed(lacking)}, which {'has' if len(lacking) == 1 else 'have'} no value"] if lacking else []
    for part, sample in zip(scores, samples, strict=True):
        name, runs, parents = next((side.condition for side in part), None), len(part), len(sample.values)
        if sample.one_parent:
            notes.append(f"all {runs} models of {name} go on from one checkpoint: only the noise of what followed is visible")
        elif parents < runs:
            nested = f"{name}: {runs} models from {counted(parents, 'checkpoint')}, averaged within each, which is the unit"
            spread = _spread(seed_variance(sample.runs), headline.unit, "checkpoints", "models of one")
            notes.append(nested + (f" ({spread})" if spread else ""))
        if spread := _spread(tuning_variance(choice, task, part), headline.unit, "training seeds", "fine-tuning seeds of one"):
            notes.append(f"{name}: {spread}")
    used = {side.label: there[side] for part in scores for side in part}
    if len({result.fit.hyper_digest for result in used.values() if result.fit is not None}) > 1:
        notes.append("they were fine-tuned with different hyper-parameters")
    return [*notes, *caveats(used, headline.subset)]


def tuning_variance(choice: Choice, task: str, sides: Iterable[Side]) -> SeedVariance:
    """How much a condition's training seeds differ on a fine-tuned task, and how much fine-tuning seeds of one of them.

    Args:
        choice: The records.
        task: The task; of one that is not fine-tuned nothing is known.
        sides: The condition's checkpoints.
    """
    from babyeval.stats.conditions import seed_variance

    fits = {side.label: choice.records[task][side].fit for side in sides}
    return seed_variance(
        {label: [one.value for one in fit.fits if one.value is not None] for label, fit in fits.items() if fit is not None}
    )


def _spread(found: SeedVariance, unit: str, outer: str, inner: str) -> str:
    """The variances in words; nothing where they cannot be told apart."""
    if found.pretraining is None or found.finetuning is None or found.f is None:
        return ""
    between, within = (number(variance**0.5, unit) for variance in (found.pretraining, found.finetuning))
    ratio = f"F({found.pretraining_seeds - 1}, {found.runs - found.pretraining_seeds}) = {found.f:.2f}, p {equals(found.p)}"
    return f"standard deviation between {outer} {between}, between {inner} {within}; {ratio}"


def _widened(plain: Comparison, cells: pd.DataFrame, n: int) -> tuple[Comparison, list[str]]:
    """The mixed model's test, and what is to be said of few subsets; the seeds' permutation can give no less than before."""
    from babyeval.stats.conditions import mixed_model

    found = mixed_model(cells, n=n)
    few = few_subsets(cells["subset"].nunique())
    return replace(found, smallest_p=plain.smallest_p), [few] if few else []


def _cells(choice: Choice, task: str, samples: Mapping[str, Sample]) -> pd.DataFrame | None:
    """The mean of each replication on each subset; None where the task has no subsets."""
    import pandas as pd

    rows = []
    for condition, sample in samples.items():
        for side, unit in sample.unit_of.items():
            result = choice.records[task][side]
            own = (result.task.strata, result.task.metric) if result.task.strata else None
            for score in result.scores:
                if (score.group, score.metric) == own:
                    rows.append({"condition": condition, "seed": unit, "subset": score.subset, "value": score.value})
    frame = pd.DataFrame(rows, columns=["condition", "seed", "subset", "value"])
    if frame["subset"].nunique() < 2:
        return None
    # A checkpoint without a subset leaves its replication without it: pandas would average the others.
    means = frame.groupby(["condition", "seed", "subset"], sort=False)["value"].agg(lambda values: values.mean(skipna=False))
    return means.reset_index()


def least_p(weights: Mapping[int, float], sizes: Mapping[int, int]) -> float:
    """The least two-sided p-value that an exchange of seeds could give.

    Two over the number of arrangements that give different sums: seeds of the same weight may change places.

    Args:
        weights: Each group's weight in the difference.
        sizes: Each group's number of seeds.

    Example:
        >>> least_p({0: 1.0, 1: -1.0}, {0: 3, 1: 3}), least_p({0: 0.5, 1: 0.5, 2: -1.0}, {0: 2, 1: 2, 2: 2})
        (0.1, 0.13333333333333333)
    """
    classes: dict[float, int] = {}
    for key, weight in weights.items():
        share = round(weight / sizes[key], 12)
        classes[share] = classes.get(share, 0) + sizes[key]
    return min(1.0, 2 * math.prod(map(math.factorial, classes.values())) / math.factorial(sum(classes.values())))


def _with_reach(found: Comparison, weights: Mapping[int, float], sizes: Mapping[int, int]) -> Comparison:
    """The same with the least p of a permutation, which is a matter of the numbers of seeds alone."""
    if found.p is None or found.smallest_p is not None or min(sizes.values()) < 1:
        return found
    return replace(found, smallest_p=least_p(weights, sizes))


def compare_contrast(
    choice: Choice, task: str, contrast: Contrast, conditions: Mapping[str, Sequence[Side]], level: Level | None = None
) -> list[Measured]:
    """A planned contrast on a task, headline by headline; of two conditions it is their pair."""
    from babyeval.stats.conditions import together_by_parent
    from babyeval.stats.designs import contrast as tested

    if contrast.pair:
        return compare_pair_of_conditions(choice, task, conditions[contrast.plus[0]], conditions[contrast.minus[0]], level)
    names, measured = list(contrast.weights), []
    for headline in headline_keys(choice, task):
        scores = {name: values_of(choice, task, headline.subset, conditions[name]) for name in names}
        samples = {name: sample_of(choice, task, part) for name, part in scores.items()}
        groups = {name: sample.values for name, sample in samples.items()}
        sides = [side for name in names for side in conditions[name]]
        notes = remarks(choice, task, headline, sides, list(scores.values()), list(samples.values()))
        if level == "subsets":
            notes.append("a contrast of more than two conditions speaks of these exact items at any level")
        lacking = [name for name, values in groups.items() if not values]
        values: tuple[float | None, float | None] = (None, None)
        if lacking:
            found = replace(_without_value(headline, sum(map(len, groups.values()))), note=f"no value of {', '.join(lacking)}")
        else:
            parents = {name: list(sample.runs) for name, sample in samples.items()}
            found = tested(groups, contrast.weights, parents=parents, n=headline.n)
            joint = together_by_parent([contrast.weights[name] for name in names], [parents[name] for name in names])
            units = {i: {unit for k in part for unit in parents[names[k]]} for i, part in enumerate(joint)}
            weights = {i: math.fsum(contrast.weights[names[k]] for k in part) for i, part in enumerate(joint)}
            found = _with_reach(found, weights, {i: len(part) for i, part in units.items()})
            notes += [
                f"{listed(names[k] for k in part)} go on from the same {counted(len(units[i]), 'checkpoint')}, which are the unit"
                for i, part in enumerate(joint)
                if len(part) > 1
            ]
            if found.p is not None and min(map(len, groups.values())) < ENOUGH_SEEDS:
                notes.append("so few seeds rest on normality: no permutation is run of three or more conditions")
            values = (fmean(fmean(groups[n]) for n in contrast.plus), fmean(fmean(groups[n]) for n in contrast.minus))
        claim = _claim(list(scores.values()), list(samples.values()), ITEMS)
        arms = (
            len({u for n in contrast.plus for u in samples[n].runs}),
            len({u for n in contrast.minus for u in samples[n].runs}),
        )
        measured.append(
            Measured(
                headline.subset, headline.metric, headline.unit, values, found, claim, arms=arms,
                fewest=min(map(len, groups.values())), note=together(*notes),
            )
        )  # fmt: skip
    return measured
