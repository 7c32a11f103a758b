"""Which checkpoints make up a training condition; what is no replication of it is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from babyeval.comparison.alike import way_of_scoring
from babyeval.comparison.select import MOST, Choice, Side, by_name, find_side, meant, require_two
from babyeval.errors import UsageError
from babyeval.models.naming import counted
from babyeval.models.revisions import equal_weights
from babyeval.records import TaskResult

_SCORED = ("ranking", "rating", "reading")  # families whose items hold a model's own scores


def conditions_of(
    results: Sequence[TaskResult], names: Sequence[str], revision: str | None, *, all_pairs: bool = True
) -> dict[str, list[Side]]:
    """The checkpoints of each condition, one per training seed.

    Args:
        results: All records.
        names: Conditions; none: all of them.
        revision: Which revision of each model counts.
        all_pairs: Whether all pairs are meant, which of many conditions are too many.

    Raises:
        UsageError: A condition does not exist (those that do are listed), there are fewer than two or too many, two
            models claim one seed, one model claims several, or a seed is not known.
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
            own = next((condition for condition, models in known.items() if name in models), None)
            model = (
                f"'{name}' is a model of the condition '{own}': name that one, or compare models without --by and --level seeds."
            )
            raise UsageError(
                f"There is no condition '{name}' in the results.", where=f"there is {listing}",
                hint=model if own else meant(name, known),
            )  # fmt: skip
    chosen = list(dict.fromkeys(names)) or sorted(known)
    hint = "Name them: babyeval compare --by condition A B"
    require_two(chosen, names, f"there is {listing}", f"{hint}.")
    if not names and all_pairs and len(chosen) > MOST:
        raise UsageError(
            f"There are {len(chosen)} conditions, too many to compare all pairs.", where=f"there is {listing}",
            hint=f"{hint}; or one to compare all others with: --baseline A.",
        )  # fmt: skip
    require_one_origin(results, chosen)
    return {name: _seeds_of(results, name, known[name], revision) for name in chosen}


def require_one_origin(results: Sequence[TaskResult], conditions: Sequence[str]) -> None:
    """Refuses a model whose records name several conditions or training seeds: it would count under each.

    Raises:
        UsageError: One of these conditions has such a model.
    """
    found: dict[tuple[str, str], dict[str, TaskResult]] = {}
    for result in results:
        model = result.model
        origin = f"condition {model.condition}, seed {'unknown' if model.train_seed is None else model.train_seed}"
        found.setdefault((model.name, model.revision), {}).setdefault(origin, result)
    for (name, revision), origins in found.items():
        models = [result.model for result in origins.values()]
        several = any(len({getattr(m, key) for m in models} - {None}) > 1 for key in ("condition", "train_seed"))
        if several and {model.condition for model in models} & set(conditions):
            raise UsageError(
                f"The records of '{name}' at revision '{revision}' name several conditions or training seeds.",
                where="; ".join(f"{origin}: {result.task.name} ({result.protocol})" for origin, result in origins.items()),
                hint="Evaluate it again under the right --condition and --train-seed, or give the other model its own name.",
            )


def _seeds_of(results: Sequence[TaskResult], condition: str, models: Sequence[str], revision: str | None) -> list[Side]:
    there = by_name([result for result in results if result.model.condition == condition])
    sides: dict[tuple[str | None, int | None], Side] = {}
    for name in models:
        side = find_side(there, name, revision)
        mine = [result.model for result in there[name] if result.model.revision == side.revision] or [there[name][0].model]
        seed = next((model.train_seed for model in mine if model.train_seed is not None), None)
        parent = next((model.parent_digest for model in mine if model.parent_digest is not None), None)
        if seed is None and len(models) > 1:
            raise UsageError(
                f"The training seed of '{name}' is not known: it may repeat another model of the condition '{condition}'.",
                where=", ".join(models),
                hint="Say it: 'babyeval run ... --condition NAME --train-seed K' makes the record anew; rows are cached.",
            )
        if (parent, seed) in sides:  # seeds of tuning may recur from parent to parent
            raise UsageError(
                f"Two models of the condition '{condition}' have the training seed {seed}.",
                where=f"{sides[parent, seed].name} and {name}",
                hint="Is one a copy? Else evaluate it again under its own --train-seed.",
            )
        sides[parent, seed] = replace(side, seed=seed)
    return sorted(sides.values(), key=lambda side: (side.seed is None, side.seed or 0, side.name))


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


def require_replications(choice: Choice, conditions: Mapping[str, Sequence[Side]]) -> None:
    """Refuses one model under several seeds or conditions, and a condition that was scored in several ways.

    Raises:
        UsageError: Two checkpoints are the same (D36), or backends differ within a condition.
    """
    sides = [side for part in conditions.values() for side in part]
    records = {side: [there[side] for there in choice.records.values() if side in there] for side in sides}
    for one, other in _copies(records):
        raise UsageError(
            f"'{one.label}' and '{other.label}' are one model: a copy is no other training seed.",
            where=f"conditions {one.condition} (seed {one.seed}) and {other.condition} (seed {other.seed})",
            hint="Were the right weights evaluated? Evaluate the other ones, or delete the copy's folder in the results.",
        )
    for name, part in conditions.items():
        for task, there in choice.records.items():
            ways: dict[str, list[str]] = {}
            for side in part:
                if side in there:
                    ways.setdefault(way_of_scoring(there[side]), []).append(side.label)
            if len(ways) > 1:
                raise UsageError(
                    f"The models of the condition '{name}' were scored in several ways.",
                    where=f"{task}: " + "; ".join(f"{way}: {', '.join(labels)}" for way, labels in ways.items()),
                    hint="Choose one by --backend, after evaluating all of them in that way: 'babyeval run --backend ...'.",
                )


def _copies(records: Mapping[Side, Sequence[TaskResult]]) -> Iterator[tuple[Side, Side]]:
    """Pairs with the same weights, digest, or items.

    Tables of items hold scores as the model gave them, so that no two models share them on all tasks; predicted labels, and
    words without an age, they may.
    """
    singles = {side: [r.model for r in mine if not r.checkpoints][:1] for side, mine in records.items()}
    for of in ("weights", "digest"):
        known = {side: getattr(model, of) for side, models in singles.items() for model in models}
        labels = {side.label: side for side in known}
        for names in equal_weights((side.label, digest) for side, digest in known.items()):
            yield labels[names[0]], labels[names[1]]
    items = {
        side: {r.task.name: r.items.sha256 for r in mine if r.items is not None and r.task.family in _SCORED}
        for side, mine in records.items()
    }
    for one, other in combinations(records, 2):
        shared = items[one].keys() & items[other].keys()
        if shared and all(items[one][task] == items[other][task] for task in shared):
            yield one, other
