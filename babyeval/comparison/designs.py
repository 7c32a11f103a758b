"""Designs of conditions: what factors do together, and how many seeds a study needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import stdev
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from babyeval.comparison.alike import way_of_scoring
from babyeval.comparison.conditions import ITEMS, TRAINED, Sample, headline_keys, origins_of, remarks, sample_of, values_of
from babyeval.comparison.contrasts import condition_names
from babyeval.comparison.pairs import NOTHING, together
from babyeval.comparison.report import CORRECTIONS
from babyeval.comparison.select import Choice, Side, meant
from babyeval.comparison.sentences import NO_VERDICT, amount, equals, family_name, listed, number
from babyeval.errors import UsageError
from babyeval.models.naming import counted
from babyeval.stats.types import ENOUGH_SEEDS

if TYPE_CHECKING:
    import pandas as pd

    from babyeval.records import Score
    from babyeval.stats.designs import Effect, Factorial

Squares = Literal[2, 3]
Adjusted = Literal["holm", "bh", "by"]

_SEED, _VALUE = "(seed)", "(value)"  # columns that no factor is called


class Factor(NamedTuple):
    """What conditions are varied in.

    Attributes:
        name: How it is called.
        levels: Each condition's level.
    """

    name: str
    levels: Mapping[str, str]


class EffectRow(BaseModel):
    """A factor or an interaction on one headline.

    Attributes:
        task: The task's name.
        subset: Which of its headlines, where it has several.
        term: The factor, or the factors of an interaction, as ``size:curriculum``.
        squares: Sum of squares.
        freedom: Degrees of freedom.
        residual: Mean square within cells.
        residual_freedom: Its degrees of freedom.
        f: The ratio of mean squares.
        p: Its p-value.
        p_adjusted: The same, adjusted for the family.
        correction: How.
        family: The tests that were adjusted for together.
        test: The test, as a paper can print it.
        unit: What it takes for replications.
        n: How many of them there are.
        claim: What the test speaks of.
        sentence: The row in words.
        note: Why something is null, or what a reader must know.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")

    task: str
    subset: str
    term: str
    squares: float
    freedom: int
    residual: float | None
    residual_freedom: int
    f: float | None
    p: float | None
    p_adjusted: float | None = None
    correction: Adjusted
    family: str = ""
    test: str
    unit: Literal["seeds"] = "seeds"
    n: int
    claim: str
    sentence: str = ""
    note: str | None = None

    @property
    def label(self) -> str:
        """The task, with its headline where it has several."""
        return f"{self.task} {self.subset}".rstrip()


class PlanRow(BaseModel):
    """What a study of so many seeds would find on one headline.

    Attributes:
        task: The task's name.
        subset: Which of its headlines, where it has several.
        unit_of_value: Unit of ``sd`` and ``mde``.
        sd: Standard deviation between seeds in the pilot, pooled over conditions.
        freedom: Its degrees of freedom.
        mde: By the number of seeds of each of two conditions the least true difference that Welch's t finds with 80% power
            at the unadjusted two-sided 5% level.
        sentence: The row in words.
        note: Why something is null, or what a reader must know.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")

    task: str
    subset: str
    unit_of_value: str
    sd: float | None
    freedom: int
    mde: dict[int, float | None]
    sentence: str
    note: str | None = None

    @property
    def label(self) -> str:
        """The task, with its headline where it has several."""
        return f"{self.task} {self.subset}".rstrip()


def parse_factor(text: str, there: Sequence[str]) -> Factor:
    """Reads ``name=level:condition,condition;level:condition``.

    Raises:
        UsageError: It has another form, or names a condition that is not compared.

    Example:
        >>> parse_factor("order=one:a;both:b,c", ["a", "b", "c"]).levels
        {'a': 'one', 'b': 'both', 'c': 'both'}
    """
    name, _, rest = (part.strip() for part in text.partition("="))
    parts = [(level.strip(), names) for level, _, names in (part.partition(":") for part in rest.split(";"))]
    named = [(level, condition) for level, names in parts for condition in condition_names(names, there)]
    levels = {condition: level for level, condition in named}
    whole = name and all(level and condition for level, condition in named)
    if whole and len(parts) == 1:
        raise UsageError(
            f"'{text}' is no factor: it has one level.",
            hint="Give two levels, and write each condition once: --factor 'curriculum=merged:a;sequential:b,c'.",
        )
    if not whole or len({level for level, _ in parts}) < max(2, len(parts)) or len(levels) < len(named):
        raise UsageError(
            f"'{text}' is no factor.", hint="Write each condition once: --factor 'curriculum=merged:a;sequential:b,c'."
        )
    for condition in levels:
        if condition not in there:
            raise UsageError(
                f"The factor '{name}' names the condition '{condition}', which is not compared.",
                where=f"compared are {', '.join(there)}", hint=meant(name=condition, known=there, otherwise="Name that one too, or leave it out of the factor."),
            )  # fmt: skip
    return Factor(name, levels)


def parse_factors(texts: Sequence[str], there: Sequence[str]) -> list[Factor]:
    """Reads all factors of a design.

    Raises:
        UsageError: One cannot be read, two have one name, or they do not have the same conditions.
    """
    factors = [parse_factor(text, there) for text in texts]
    if len({factor.name for factor in factors}) < len(factors):
        raise UsageError("Two factors have one name.", where=", ".join(factor.name for factor in factors))
    for factor in factors[1:]:
        apart = factor.levels.keys() ^ factors[0].levels.keys()
        if apart:
            raise UsageError(
                f"The factors '{factors[0].name}' and '{factor.name}' are not of the same conditions.",
                where=f"only one of them has {', '.join(sorted(apart))}", hint="Give each condition a level of every factor.",
            )  # fmt: skip
    return factors


def factor_effects(
    choice: Choice, conditions: Mapping[str, Sequence[Side]], factors: Sequence[Factor], *, squares: Squares, correction: Adjusted
) -> list[EffectRow]:  # fmt: skip
    """The analysis of variance of each headline; all its tests are one family.

    Seeds are the replications of a cell. Models of one cell that go on from one checkpoint are averaged. Seeds are not
    matched between cells (statistics.md, section 5); where cells share checkpoints, effects between these have no test.

    Args:
        choice: The records.
        conditions: The checkpoints of each condition.
        factors: What the conditions are varied in.
        squares: Type of the sums of squares, 2 or 3.
        correction: How p-values are adjusted.
    """
    from babyeval.stats.designs import factorial
    from babyeval.stats.multiple import adjust

    rows, names = list[EffectRow](), [factor.name for factor in factors]
    test = f"analysis of variance over seeds (type {'I' * squares})"
    for task in choice.records:
        for headline in headline_keys(choice, task):
            cells = _cells(choice, task, headline.subset, conditions, factors)
            found = factorial(cells, names, value=_VALUE, seed=_SEED, kind=squares, shared=True)
            about = _about(choice, task, headline, {name: conditions[name] for name in factors[0].levels})
            rows += [_effect_row(task, headline, found, effect, test, correction, about) for effect in found.effects]
    adjusted = adjust([row.p for row in rows], correction)
    tested = [row for row in rows if row.p is not None]
    family = family_name([row.label for row in tested], [row.term for row in tested], "effect")
    changed = [
        row.model_copy(update={"p_adjusted": p, "family": family if p is not None else ""})
        for row, p in zip(rows, adjusted, strict=True)
    ]
    return [row.model_copy(update={"sentence": effect_sentence(row)}) for row in changed]


def _cells(
    choice: Choice, task: str, subset: str, conditions: Mapping[str, Sequence[Side]], factors: Sequence[Factor]
) -> pd.DataFrame:
    """The value of each checkpoint, with its levels and the checkpoint from which it goes on, or itself."""
    import pandas as pd

    rows = []
    for condition in factors[0].levels:
        scores = values_of(choice, task, subset, conditions[condition])
        unit_of = origins_of(choice, task, scores)
        levels = {factor.name: factor.levels[condition] for factor in factors}
        rows += [{**levels, _SEED: unit_of[side], _VALUE: score.value} for side, score in scores.items()]
    return pd.DataFrame(rows, columns=[*(factor.name for factor in factors), _SEED, _VALUE])


def _about(choice: Choice, task: str, headline: Score, conditions: Mapping[str, Sequence[Side]]) -> list[str]:
    """What a reader must know of a headline of these conditions, as of a pair of them."""
    scores = {name: values_of(choice, task, headline.subset, sides) for name, sides in conditions.items()}
    there = {name: part for name, part in scores.items() if part}
    samples = [sample_of(choice, task, part) for part in there.values()]
    absent = [name for name, part in scores.items() if not part]
    notes = [f"no value of {listed(absent)}"] if absent else []
    sides = [side for name in there for side in conditions[name]]
    notes += remarks(choice, task, headline, sides, list(there.values()), samples)
    if any(sample.one_parent for sample in samples):
        notes.append("models of one checkpoint are averaged here, and one replication")
    ways: dict[str, list[str]] = {}
    for name, part in there.items():
        ways.setdefault(way_of_scoring(choice.records[task][next(iter(part))]), []).append(name)
    if len(ways) > 1:
        told = "; ".join(f"{listed(names)} as {way}" for way, names in ways.items())
        notes.append(f"scored in different ways: {told}")
    return notes


def _effect_row(
    task: str, headline: Score, found: Factorial, effect: Effect, test: str, correction: Adjusted, about: Sequence[str]
) -> EffectRow:  # fmt: skip
    few = effect.p is not None and found.fewest < ENOUGH_SEEDS
    why = together(effect.note, found.note, f"p rests on normality: {NO_VERDICT}" if few else None)
    return EffectRow(
        task=task, subset=headline.subset, term=effect.term, squares=effect.squares, freedom=effect.freedom,
        residual=found.residual, residual_freedom=found.freedom, f=effect.f, p=effect.p, correction=correction, test=test,
        n=found.n, claim=f"{TRAINED}, {ITEMS}" if effect.p is not None else NOTHING, note=together(why, *about),
    )  # fmt: skip


def effect_sentence(row: EffectRow) -> str:
    """An effect in words."""
    if row.f is None:
        return f"{row.label}: no test of {row.term} is possible ({row.note})."
    return (
        f"{row.label}: {row.term}, F({row.freedom}, {row.residual_freedom}) = {row.f:.2f}, p {equals(row.p)}, "
        f"{CORRECTIONS[row.correction]}-adjusted over {row.family} p {equals(row.p_adjusted)} ({row.test}, unit seeds, "
        f"{counted(row.n, 'value')}; claim: {row.claim}; seeds are taken to vary normally, and alike in all cells)."
    )


def plans(choice: Choice, conditions: Mapping[str, Sequence[Side]], seeds: Sequence[int]) -> list[PlanRow]:
    """What studies of so many seeds would find, with these records as their pilot.

    Args:
        choice: The records.
        conditions: The checkpoints of each condition.
        seeds: Numbers of seeds of each of two conditions.

    Raises:
        UsageError: A number of seeds is below 2.
    """
    from babyeval.stats.designs import planned_mde

    few = [count for count in seeds if count < 2]
    if few:
        raise UsageError(f"A study of {counted(few[0], 'seed')} finds nothing about a condition.", hint="Plan for 2 or more.")
    rows = []
    for task in choice.records:
        for headline in headline_keys(choice, task):
            scores = {name: values_of(choice, task, headline.subset, sides) for name, sides in conditions.items()}
            samples = {name: sample_of(choice, task, part) for name, part in scores.items()}
            found = planned_mde({name: sample.values for name, sample in samples.items()}, seeds)
            spread = [name for name, sample in samples.items() if len(sample.values) > 1]
            alone = [name for name in spread if samples[name].one_parent]
            notes = [f"conditional on the parent checkpoint of {listed(alone)}"] if alone else []
            if found[0].sd is None:
                notes.append("no condition has two seeds that differ")
            elif len(sds := [stdev(samples[name].values) for name in spread]) > 1 and max(sds) > 3 * min(sds):
                notes.append("the conditions' seeds spread very differently, and are pooled")
            notes += _inner(choice, task, samples)
            mde = {plan.seeds: plan.mde for plan in found}
            label, unit = f"{task} {headline.subset}".rstrip(), headline.unit
            said = _plan_sentence(label, unit, found[0].sd, found[0].pilot_freedom, mde)
            rows.append(
                PlanRow(
                    task=task, subset=headline.subset, unit_of_value=unit, sd=found[0].sd, freedom=found[0].pilot_freedom,
                    mde=mde, sentence=said, note=together(*notes),
                )
            )  # fmt: skip
    return rows


def _inner(choice: Choice, task: str, samples: Mapping[str, Sample]) -> list[str]:
    """Says so if the pilot's values are means themselves, whose spread depends on how many models are behind each."""
    tuned = {len(fit.fits) for s in samples.values() for side in s.unit_of if (fit := choice.records[task][side].fit) is not None}
    runs = {len(values) for sample in samples.values() for values in sample.runs.values()}
    notes = []
    for counts, what in ((tuned, "fine-tuning seeds"), (runs, "models of one checkpoint")):
        if max(counts, default=1) > 1:
            many = " to ".join(str(count) for count in sorted({min(counts), max(counts)}))
            notes.append(f"a value of the pilot is the mean of {many} {what}, of which the study needs as many")
    return notes


def _plan_sentence(label: str, unit: str, sd: float | None, freedom: int, mde: Mapping[int, float | None]) -> str:
    if sd is None:
        return f"{label}: nothing can be planned, as no condition has two seeds that differ."
    least = listed(f"{number(value, unit)} with {count}" for count, value in mde.items())
    few = f"; {NO_VERDICT}" if min(mde) < ENOUGH_SEEDS else ""
    return (
        f"{label}: with a standard deviation between seeds of {amount(sd, unit)} ({counted(freedom, 'degree')} of freedom), "
        f"Welch's t over seeds finds a difference of two conditions with 80% power at the unadjusted two-sided 5% level only if it "
        f"is at least {least} seeds each{few}."
    )
