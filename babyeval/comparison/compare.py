"""Compares models or training conditions out of a results folder, and says what each number may claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from babyeval.comparison.alike import require_comparable, ways_that_differ
from babyeval.comparison.around import choices, gaps, identical, out_of_reach
from babyeval.comparison.conditions import compare_contrast, compare_pair_of_conditions
from babyeval.comparison.contrasts import Contrast, planned_contrasts
from babyeval.comparison.designs import EffectRow, Squares, factor_effects, parse_factors, plans
from babyeval.comparison.pairs import compare_pair, own_headlines, together
from babyeval.comparison.report import CORRECTIONS, LEVELS, CompareReport, ComparisonRow, Correction, Level, Measured
from babyeval.comparison.select import Choice, Side, choose, meant, near_chance, read_records, sides_of, telling
from babyeval.comparison.sentences import family_name, listed, mean_of, paragraph, row_sentence
from babyeval.comparison.trained import conditions_of, require_replications, require_seeds
from babyeval.errors import MissingError, UsageError
from babyeval.records import TaskResult
from babyeval.store import ResultStore


class _Pair(NamedTuple):
    """Two names that are compared, whom they stand for, and what was measured on each task."""

    a: str
    b: str
    sides: tuple[Sequence[Side], Sequence[Side]]
    measured: Mapping[str, Sequence[Measured]]
    contrast: str | None = None


class _Study(NamedTuple):
    """What is compared: models or conditions, by label, with their records."""

    store: ResultStore
    choice: Choice
    groups: Mapping[str, Sequence[Side]]
    by_condition: bool
    warnings: list[str]
    left_out: list[str]

    @property
    def conditions(self) -> Mapping[str, Sequence[Side]]:
        """The groups, if they are conditions."""
        return self.groups if self.by_condition else {}

    @property
    def sides(self) -> list[Side]:
        return [side for part in self.groups.values() for side in part]


def compare(
    results: str | Path = "results",
    *names: str,
    by: str | None = None,
    protocol: str | None = None,
    split: str | None = None,
    backend: str | None = None,
    revision: str | None = None,
    tasks: str | Sequence[str] = "all",
    level: Level | None = None,
    correction: Correction = "holm",
    baseline: str | None = None,
    contrasts: Sequence[str] = (),
    factors: Sequence[str] = (),
    squares: Squares | None = None,
    plan: Sequence[int] = (),
) -> CompareReport:
    """Compares models, or training conditions, from records alone: no model is loaded.

    Two models are compared on the same items, task by task: by t over the subsets' mean differences where there are ten
    subsets or more, else by the paired error over items, which speaks of these exact subsets alone; correlations by
    stems drawn or words left out for both, reading by held-out log-likelihoods, fine-tuned models over their seeds and items. Conditions are
    compared by Welch's t over training seeds (docs/how-to-report.md).

    Args:
        results: The results folder.
        names: Models, as ``NAME`` or ``NAME@REVISION``, or, with ``by="condition"``, conditions; none: all, if they are few.
        by: ``condition`` compares training conditions.
        protocol: By default ``robust``, else the only one that all share.
        split: By default, task by task, the largest that all have.
        backend: Which records to take of models that were scored in several ways.
        revision: Which revision of models with several; by default ``main`` or ``final``.
        tasks: ``all``, or names of groups and tasks.
        level: The unit: ``items``, ``subsets`` or ``seeds`` (the same as ``by="condition"``, and refused for one seed). With
            conditions, ``subsets`` widens the claim to subsets like these by a mixed model.
        correction: ``holm``, ``bh``, ``by`` or ``maxt``.
        baseline: Compare all others with this one, instead of all pairs.
        contrasts: Planned contrasts of conditions, such as ``a,b against c``.
        factors: Factors of a design, such as ``curriculum=merged:a;sequential:b,c``, with the conditions of each level.
        squares: Type of the sums of squares of their effects: 2, each effect beyond all that do not contain it, as by default,
            or 3, beyond all others.
        plan: Numbers of seeds per condition, for which to tell what a study would find.

    Returns:
        The rows, in words too, and what a reader must know.

    Raises:
        UsageError: A name or option is wrong, or what would be compared was not measured alike.
        MissingError: The folder is empty, there is nothing in common, or one that is named has no record to compare.

    Example:
        >>> report = compare("results", "tiny-llama", "tiny-bert", tasks="blimp")  # doctest: +SKIP
        >>> report.rows[0].difference, report.rows[0].p_adjusted  # doctest: +SKIP
        (4.3, 0.012)
    """
    by = _checked(by, level, correction, squares, {"contrast": contrasts, "factor": factors, "plan": plan})
    words = tasks if isinstance(tasks, str) else ",".join(tasks)
    wanted = {"tasks": words, "protocol": protocol, "split": split, "backend": backend}
    study = _study(ResultStore(Path(results)), names, by is not None, baseline, revision, level == "seeds", wanted)
    rows = _rows(study, _pairs(list(study.groups), baseline), contrasts, level, correction)
    if not rows:
        raise MissingError(
            "Nothing can be compared: no two of them have a task in common.", where="; ".join([*study.left_out, *study.warnings]),
            hint="'babyeval results list' shows what there is; evaluate them on the same tasks, split and protocol.",
        )  # fmt: skip
    warnings = [*study.warnings, *identical(study.choice), *study.left_out, *out_of_reach(rows)]
    told = choices(study.choice, study.sides, study.conditions)
    report = CompareReport(tuple(rows), tuple(_paragraphs(rows)), tuple(told), tuple(warnings))
    return _with_designs(report, study, baseline, factors, squares or 2, plan, correction) if study.by_condition else report


def _study(
    store: ResultStore, names: Sequence[str], by_condition: bool, baseline: str | None, revision: str | None, seeds: bool,
    wanted: Mapping[str, Any],
) -> _Study:  # fmt: skip
    """The records of what is compared, after all refusals."""
    named = () if by_condition else names
    stored = read_records(store, (*named, *((baseline,) if baseline and named else ())))
    given = (*names, baseline) if baseline and names and baseline not in names else names
    several = baseline is None
    with telling(stored.damaged):
        conditions = conditions_of(stored.results, given, revision, all_pairs=several) if by_condition else {}
        groups = conditions or {side.label: [side] for side in sides_of(stored.results, given, revision, all_pairs=several)}
        if seeds:
            require_seeds(conditions)
        choice = choose(stored.results, [side for part in groups.values() for side in part], **wanted)
        require_comparable(choice)
        require_replications(choice, conditions)
        left_out = [*choice.left_out, *gaps(choice, groups, stored.results, named=bool(given))]
    return _Study(store, choice, groups, by_condition, stored.damaged, left_out)


def _rows(
    study: _Study, pairs: Sequence[tuple[str, str]], contrasts: Sequence[str], level: Level | None, correction: Correction
) -> list[ComparisonRow]:
    """All pairs, and all planned contrasts: two families."""
    choice, groups = study.choice, study.groups
    if not study.by_condition:
        made = [_compare_models(study.store, choice, groups[a][0], groups[b][0], level) for a, b in pairs]
        return _family(made, choice, correction)
    asked = planned_contrasts(list(groups), contrasts)
    once = {one.pair for one in asked}  # a hypothesis belongs to one family
    made = [_compare_conditions(choice, a, b, groups, level) for a, b in pairs if frozenset((a, b)) not in once]
    planned = [_planned(choice, one, groups, level) for one in asked]
    return [*_family(made, choice, correction), *_family(planned, choice, correction)]


def _with_designs(
    report: CompareReport, study: _Study, baseline: str | None, factors: Sequence[str], squares: Squares, plan: Sequence[int],
    correction: Correction,
) -> CompareReport:  # fmt: skip
    """The same with z-scores, effects of factors, and plans."""
    from babyeval.comparison.zscores import condition_z_scores

    choice, conditions, warnings = study.choice, study.groups, list(report.warnings)
    design, effects = parse_factors(factors, list(conditions)), list[EffectRow]()
    if design:
        assert correction != "maxt", "which was refused: seeds have no signs to flip"
        effects = factor_effects(choice, conditions, design, squares=squares, correction=correction)
        without = [name for name in conditions if name not in design[0].levels]
        warnings += [f"{listed(without)}: no level of any factor, and not in the design"] if without else []
    return replace(
        report, z=condition_z_scores(choice, conditions, baseline), effects=tuple(effects),
        plan=tuple(plans(choice, conditions, plan)) if plan else (), warnings=tuple(warnings),
    )  # fmt: skip


def _checked(
    by: str | None, level: str | None, correction: str, squares: int | None, designs: Mapping[str, Sequence[object]]
) -> str | None:
    """Refuses options that do not fit, and tells whether conditions are compared."""
    if by not in (None, "condition"):
        raise UsageError(f"There is no comparison by '{by}'.", hint="Choose --by condition, or leave it out to compare models.")
    if level not in (None, *LEVELS):
        raise UsageError(f"There is no level '{level}'.", hint=f"Choose by --level: {', '.join(LEVELS)}.")
    if correction not in CORRECTIONS:
        raise UsageError(f"There is no correction '{correction}'.", hint=f"Choose by --correction: {', '.join(CORRECTIONS)}.")
    if squares not in (None, 2, 3):
        raise UsageError(f"There are no sums of squares of type {squares}.", hint="Choose 2 or 3.")
    if squares is not None and not designs["factor"]:
        raise UsageError("Sums of squares are those of factors.", hint="Add --factor, or leave out --squares.")
    if by == "condition" and level == "items":
        raise UsageError("Items are no replications of a training condition.", hint="Leave out --level items, or --by condition.")
    by = "condition" if level == "seeds" else by
    if by is None and (asked := [f"--{name}" for name, values in designs.items() if values]):
        raise UsageError(f"{asked[0]} is about conditions.", hint="Add --by condition.")
    if by is not None and correction == "maxt":
        raise UsageError(
            "max-T flips the signs of items or subsets, and conditions are compared over seeds.", hint="Take --correction holm."
        )
    return by


def _pairs(labels: Sequence[str], baseline: str | None) -> list[tuple[str, str]]:
    if baseline is None:
        return list(combinations(labels, 2))
    if baseline not in labels:
        raise UsageError(
            f"The baseline '{baseline}' is not among what is compared.", where=", ".join(labels), hint=meant(baseline, labels)
        )
    return [(label, baseline) for label in labels if label != baseline]


def _compare_models(store: ResultStore, choice: Choice, a: Side, b: Side, level: Level | None) -> _Pair:
    there = {task: records for task, records in choice.records.items() if a in records and b in records}
    measured = {task: compare_pair(store, r[a], r[b], level) for task, r in there.items()}
    return _Pair(a.label, b.label, ([a], [b]), measured)


def _compare_conditions(choice: Choice, a: str, b: str, conditions: Mapping[str, Sequence[Side]], level: Level | None) -> _Pair:
    measured = {
        task: compare_pair_of_conditions(choice, task, conditions[a], conditions[b], level)
        for task, records in choice.records.items()
        if all(any(side in records for side in conditions[name]) for name in (a, b))
    }
    return _Pair(a, b, (conditions[a], conditions[b]), measured)


def _planned(choice: Choice, one: Contrast, conditions: Mapping[str, Sequence[Side]], level: Level | None) -> _Pair:
    sides = tuple([side for name in part for side in conditions[name]] for part in (one.plus, one.minus))
    measured = {
        task: compare_contrast(choice, task, one, conditions, level)
        for task, records in choice.records.items()
        if any(side in records for part in sides for side in part)
    }
    a, b = (mean_of(part) for part in (one.plus, one.minus))
    return _Pair(a, b, (sides[0], sides[1]), measured, one.name)


def _family(pairs: Sequence[_Pair], choice: Choice, correction: Correction) -> list[ComparisonRow]:
    """The rows of all pairs; their p-values are adjusted together."""
    from babyeval.stats.multiple import adjust, max_t

    rows, flips = list[ComparisonRow](), list[Mapping[str, float]]()
    for pair in pairs:
        for task, headlines in pair.measured.items():
            for measured in headlines:
                rows.append(_row(pair, choice.records[task], measured, correction))
                flips.append(measured.flips if measured.found.p is not None else {})
    adjusted: list[float | None]
    if correction == "maxt":
        # A unit keeps its sign across pairs: what b and c have in common against a is what correlates the tests.
        keyed = {str(i): {f"{rows[i].task}: {unit}": v for unit, v in units.items()} for i, units in enumerate(flips) if units}
        found = max_t(keyed)
        rows = [_flipped(row, found[str(i)][0]) if str(i) in found else row for i, row in enumerate(rows)]
        adjusted = [found.get(str(i), (None, None))[1] for i in range(len(rows))]
    else:
        adjusted = adjust([row.p for row in rows], correction)
    tested = [row for row, p in zip(rows, adjusted, strict=True) if p is not None]
    what = "planned contrast" if any(row.contrast for row in tested) else "pair"
    family = family_name([row.label for row in tested], [(row.contrast, row.a, row.b) for row in tested], what)
    finished = []
    for row, p in zip(rows, adjusted, strict=True):
        lost = row.p is not None and p is None
        note = together(row.note, "not in the family: it has no signs to flip" if lost else None)
        whole = row.model_copy(update={"p_adjusted": p, "family": family if p is not None else "", "note": note})
        finished.append(whole.model_copy(update={"sentence": row_sentence(whole)}))
    return finished


def _flipped(row: ComparisonRow, p: float | None) -> ComparisonRow:
    """The row with the p-value that max-T adjusts, so that both are of one test."""
    test = f"sign flips (interval: {row.test})"
    return row.model_copy(update={"p": p, "p_permutation": p, "test": test})


def _row(pair: _Pair, records: Mapping[Side, TaskResult], measured: Measured, correction: Correction) -> ComparisonRow:
    first, second = ([records[side] for side in part if side in records] for part in pair.sides)
    mine = [*first, *second]
    card, found = mine[0].task, measured.found
    wins, losses, ties = measured.counts or (None, None, None)
    arms = measured.arms or (None, None)
    lacking = [s.label for part in pair.sides for s in part if measured.arms and not _valued(records.get(s), measured.subset)]
    training, tuning = (
        [_root(getattr(one, of)) for one in measured.spreads] or (None, None) for of in ("pretraining", "finetuning")
    )
    return ComparisonRow(
        a=pair.a, b=pair.b, task=card.name, subset=measured.subset, metric=measured.metric, contrast=pair.contrast,
        unit_of_value=measured.unit_of_value, revision_a=_joined(r.model.revision for r in first),
        revision_b=_joined(r.model.revision for r in second), seeds_a=arms[0], seeds_b=arms[1], lacking=tuple(lacking),
        fewest_seeds=measured.fewest,
        sd_training_a=training[0], sd_training_b=training[1], sd_tuning_a=tuning[0], sd_tuning_b=tuning[1],
        value_a=measured.values[0], value_b=measured.values[1], higher_is_better=card.higher_is_better,
        difference=found.difference, se=found.se, freedom=found.freedom, ci_low=found.low, ci_high=found.high,
        ci_level=found.level, p=found.p, correction=correction, test=found.test, unit=found.unit, clusters=found.clusters,
        n=found.n, mde=found.mde, p_permutation=found.p_permutation, smallest_p=found.smallest_p, wins=wins, losses=losses,
        ties=ties, claim=measured.claim, protocol=mine[0].protocol, split=_joined(r.split for r in mine),
        backend=_joined(r.backend for r in mine), note=together(measured.note, found.note, ways_that_differ((pair.a, pair.b), (first, second)), near_chance(mine, measured.subset)),
    )  # fmt: skip


def _valued(result: TaskResult | None, subset: str) -> bool:
    """Whether a record has this headline with a value."""
    return result is not None and any(s.subset == subset and s.value is not None for s in own_headlines(result))


def _root(variance: float | None) -> float | None:
    return None if variance is None else variance**0.5


def _joined(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _paragraphs(rows: Sequence[ComparisonRow]) -> list[str]:
    """A text for each pair, and for each planned contrast."""
    groups: dict[tuple[str | None, str, str], list[ComparisonRow]] = {}
    for row in rows:
        groups.setdefault((row.contrast, row.a, row.b), []).append(row)
    return [paragraph(part) for part in groups.values()]
