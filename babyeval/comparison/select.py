"""Which records are compared: models by name, one protocol, one split and backend per task; what cannot be is refused."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from babyeval.comparison.pairs import own_headlines
from babyeval.errors import BabyevalError, MissingError, UsageError
from babyeval.models.naming import folder_name
from babyeval.models.revisions import by_words
from babyeval.records import TaskResult
from babyeval.run.groups import FIRST, revisions_of
from babyeval.store import DamagedRecord, ResultStore, first_damaged

MOST = 6  # models or conditions that are compared without being named
_SPLITS = ("full", "fast", "mini")  # the largest first
CORRECTED = "-corrected"


@dataclass(frozen=True, slots=True)
class Side:
    """A model at one revision.

    Attributes:
        label: How it is shown: the name, with the revision where that is needed.
        name: Its name.
        revision: Its revision.
        condition: Its training condition, if known.
        seed: Its training seed, if known.
    """

    label: str
    name: str
    revision: str
    condition: str | None = None
    seed: int | None = None


class Stored(NamedTuple):
    """The records of a folder that can be read, and in words those that cannot."""

    results: list[TaskResult]
    damaged: list[str]


@dataclass(frozen=True, slots=True)
class Choice:
    """What is compared.

    Attributes:
        protocol: The protocol of all.
        records: By task, and below it by side.
        left_out: Why further tasks are not compared.
    """

    protocol: str
    records: Mapping[str, Mapping[Side, TaskResult]]
    left_out: tuple[str, ...]


def read_records(store: ResultStore, names: Iterable[str] = ()) -> Stored:
    """Reads the records of these models, or of all; a damaged one stops nothing.

    Args:
        store: The results folder.
        names: ``NAME`` or ``NAME@REVISION``; if one of them fits no folder, all records are read.

    Raises:
        MissingError: There is no such folder, or it holds no record.
    """
    if not store.root.is_dir():
        raise MissingError(
            f"There is no results folder '{store.root}'.", hint="Name it by --results, or fill it by 'babyeval run'."
        )
    folders = {folder.name: unquote(folder.name) for folder in store.root.iterdir() if folder.is_dir()}
    wanted = {folder_name(part) for name in names for part in (name, name.rpartition("@")[0]) if part}
    known = all(folder_name(name) in folders or folder_name(name.rpartition("@")[0] or name) in folders for name in names)
    searched = sorted(wanted & folders.keys()) if wanted and known else sorted(folders)
    errors: list[DamagedRecord] = []
    results = list(store.results(damaged=errors, models=searched))
    damaged = [f"{error.what.rstrip('.')} ({error.where}): {_continued(error.hint)}" for error in errors]
    if not results and not damaged:
        raise MissingError(f"The results folder '{store.root}' holds no record.", hint="Fill it by 'babyeval run --out FOLDER'.")
    return Stored(results, first_damaged(damaged))


@contextmanager
def telling(damaged: Sequence[str]) -> Iterator[None]:
    """Adds the records that cannot be read to an error: what they would have held may be what is missing."""
    try:
        yield
    except BabyevalError as error:
        error.where = "; ".join(filter(None, (error.where, *damaged))) or None
        raise


def meant(name: str, known: Iterable[str], otherwise: str = "Name one of these.") -> str:
    """What to do about a name that nothing has.

    Example:
        >>> meant("it_mergd", ["it_merged", "base"]), meant("x", ["base"])
        ("Did you mean 'it_merged'?", 'Name one of these.')
    """
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean '{near[0]}'?" if near else otherwise


def require_two(chosen: Sequence[object], names: Sequence[str], where: str, hint: str) -> None:
    """Refuses a comparison of one with itself.

    Raises:
        UsageError: There are fewer than two.
    """
    if len(chosen) < 2:
        twice = [name for name, count in Counter(names).items() if count > 1]
        what = f"'{twice[0]}' was named twice" if twice else "One alone cannot be compared"
        what = what if names or not chosen else f"'{getattr(chosen[0], 'label', chosen[0])}' is all there is"
        raise UsageError(f"{what}: a comparison takes two.", where=where, hint=hint)


def near_chance(results: Sequence[TaskResult], subset: str) -> str | None:
    """Says so if no side is told from chance by its own interval: there is little to compare."""
    scores = [score for result in results for score in own_headlines(result) if score.subset == subset]
    for score in scores:
        if score.chance is None or score.ci_low is None or score.ci_high is None:
            return None
        if not score.ci_low <= score.chance <= score.ci_high:
            return None
    return "near chance: each of these models' own intervals includes it" if scores else None


def _continued(hint: str | None) -> str:
    """What to do, within a sentence."""
    return f"{hint[0].lower()}{hint[1:].rstrip('.')}" if hint else ""


def sides_of(
    results: Sequence[TaskResult], names: Sequence[str], revision: str | None = None, *, all_pairs: bool = True
) -> list[Side]:
    """The models that are named, or all.

    Args:
        results: All records.
        names: ``NAME`` or ``NAME@REVISION``; none: all of them.
        revision: The revision of those whose name states none.
        all_pairs: Whether all pairs are meant, which of many models are too many.

    Raises:
        UsageError: A name fits no model (those there are are listed), a model has several revisions, or too many are meant.
    """
    there = by_name(results)
    if not names and all_pairs and len(there) > MOST:
        raise UsageError(
            f"There are {len(there)} models, too many to compare all pairs.", where=", ".join(sorted(there)),
            hint="Name those to be compared: babyeval compare A B; or one to compare all others with: --baseline A.",
        )  # fmt: skip
    found = [find_side(there, name, revision) for name in names or sorted(there)]
    sides = list(dict.fromkeys(found))
    hint = "Name two: babyeval compare A B; two checkpoints of one model as NAME@REVISION."
    require_two(sides, names, f"there is {', '.join(_listed(there))}", hint)
    several = {side.name for side in sides if sum(other.name == side.name for other in sides) > 1}
    return [
        Side(f"{side.name}@{side.revision}" if side.name in several else side.name, side.name, side.revision, side.condition, side.seed)
        for side in sides
    ]  # fmt: skip


def by_name(results: Iterable[TaskResult]) -> dict[str, list[TaskResult]]:
    """The records of each model."""
    there: dict[str, list[TaskResult]] = {}
    for result in results:
        there.setdefault(result.model.name, []).append(result)
    return there


def find_side(there: Mapping[str, Sequence[TaskResult]], text: str, revision: str | None) -> Side:
    """The model that ``NAME`` or ``NAME@REVISION`` means; without a revision ``main``, ``final``, or the only one.

    Raises:
        UsageError: There is no such model or revision (those there are are listed), or one has to be chosen.
    """
    name, asked = (text, None) if text in there else (text.rpartition("@")[0], text.rpartition("@")[2])
    if name not in there:
        trained = {result.model.condition for mine in there.values() for result in mine}
        raise UsageError(
            f"There is no model '{text}' in the results.",
            where=f"there is {', '.join(_listed(there))}",
            hint=f"'{text}' is a condition: add --by condition." if text in trained else meant(text, there),
        )
    mine = there[name]
    revisions = sorted(
        {result.model.revision for result in mine if not result.checkpoints} or {result.model.revision for result in mine},
        key=lambda one: by_words(next((r.model.words_seen for r in mine if r.model.revision == one), None), one),
    )
    asked = asked or revision
    default = next((one for one in FIRST if one in revisions), revisions[0] if len(revisions) == 1 else None)
    chosen = asked or default
    if chosen is None:
        raise UsageError(
            f"'{name}' has {len(revisions)} revisions.", where=", ".join(revisions),
            hint=f"Choose one: '{name}@{revisions[-1]}', or --revision {revisions[-1]} for all.",
        )  # fmt: skip
    swept = {one for r in mine for one in (r.model.revision, *revisions_of(r))} - {"final"}  # that only where it is there
    if chosen not in (*revisions, *swept):
        raise UsageError(
            f"'{name}' has no revision '{chosen}'.", where=f"there is {', '.join(revisions)}", hint="Choose one of these."
        )
    model = next((result.model for result in mine if result.model.revision == chosen), mine[0].model)
    return Side(name, name, chosen, model.condition, model.train_seed)


def _listed(there: Mapping[str, Sequence[TaskResult]]) -> list[str]:
    lines = []
    for name, mine in sorted(there.items()):
        revisions = sorted({result.model.revision for result in mine})
        lines.append(f"{name} ({len(revisions)} revisions)" if len(revisions) > 1 else name)
    return lines


def choose(
    results: Sequence[TaskResult],
    sides: Sequence[Side],
    *,
    tasks: str = "all",
    protocol: str | None = None,
    split: str | None = None,
    backend: str | None = None,
) -> Choice:
    """The record of every side on every task that at least two of them share.

    Args:
        results: All records.
        sides: What is compared.
        tasks: ``all``, groups, or names, with commas.
        protocol: By default ``robust`` where all have it, else the only one that all share.
        split: By default, task by task, the largest that all have which have the task; ``mini`` only where there is
            nothing else.
        backend: Which records to take of a model that was scored in several ways.

    Raises:
        UsageError: A task is unknown, or protocol, split or backend have to be chosen.
        MissingError: The sides have no task in common.
    """
    mine = {
        side: [r for r in results if _counts(r) and r.model.name == side.name and side.revision in _revisions(r)]
        for side in sides
    }
    wanted = _wanted([r for part in mine.values() for r in part], tasks)
    mine = {side: [result for result in part if result.task.name in wanted] for side, part in mine.items()}
    protocol = protocol or _shared_protocol(mine)
    left_out: list[str] = []
    by_task: dict[str, dict[Side, dict[str, TaskResult]]] = {}  # task, side, split
    for side, part in mine.items():
        for task in dict.fromkeys(result.task.name for result in part):
            ours = [result for result in part if result.task.name == task and result.protocol == protocol]
            if ours:
                by_task.setdefault(task, {})[side] = _per_split(side, ours, backend)
    records: dict[str, dict[Side, TaskResult]] = {}
    for task in sorted(by_task):
        chosen = _split_of(by_task[task], split)
        if chosen is None or len(by_task[task]) < 2:
            left_out.append(f"{task}: {_why_not(by_task[task], split)}")
        else:
            records[task] = {side: splits[name] for side, splits in by_task[task].items() for name in [_taken(splits, chosen)]}
    left_out += [f"{task}: no record under {protocol}" for task in sorted(wanted - by_task.keys())]
    if split is None:
        _drop_mini(records, left_out)
    if not records:
        raise MissingError(
            "The models have no task in common that could be compared.",
            where="; ".join(left_out)
            or f"under {protocol}: " + ", ".join(f"{s.label} {len(p)} records" for s, p in mine.items()),
            hint="'babyeval results list' shows what there is; evaluate them on the same tasks, split and protocol.",
        )
    return Choice(protocol, dict(sorted(records.items(), key=lambda pair: _order(pair[1]))), tuple(left_out))


def _counts(result: TaskResult) -> bool:
    return result.status == "done" and bool(own_headlines(result))


def _revisions(result: TaskResult) -> tuple[str, ...]:
    return (result.model.revision, *revisions_of(result))


def _wanted(results: Sequence[TaskResult], tasks: str) -> set[str]:
    names = {result.task.name for result in results}
    groups: dict[str, set[str]] = {"all": names}
    for result in results:
        for group in result.task.groups:
            groups.setdefault(group, set()).add(result.task.name)
    wanted: set[str] = set()
    for part in filter(None, (word.strip() for word in tasks.split(","))):
        if part not in names and part not in groups:
            raise UsageError(
                f"The models have no results of '{part}'.", where=f"there is {', '.join(sorted(names))}; {', '.join(sorted(groups))}",
                hint="Choose by --tasks among these.",
            )  # fmt: skip
        wanted |= groups.get(part, {part})
    return wanted


def _shared_protocol(mine: Mapping[Side, Sequence[TaskResult]]) -> str:
    per_side = {side: {result.protocol for result in part} for side, part in mine.items() if part}
    shared = set.intersection(*per_side.values()) if per_side else set()
    if "robust" in shared or len(shared) == 1:
        return "robust" if "robust" in shared else shared.pop()
    said = "The models share several protocols" if shared else "No protocol is common to all of the models"
    raise UsageError(
        f"{said}.",
        where="; ".join(f"{side.label}: {', '.join(sorted(names))}" for side, names in per_side.items()),
        hint="Choose one by --protocol." if shared else "Evaluate them under the same protocol: 'babyeval run --protocol ...'.",
    )


def _per_split(side: Side, results: Sequence[TaskResult], backend: str | None) -> dict[str, TaskResult]:
    """The side's record of a task in each split: of one backend, and over the most checkpoints."""
    splits: dict[str, TaskResult] = {}
    for split in dict.fromkeys(result.split for result in results):
        ours = [result for result in results if result.split == split]
        if backend in {result.backend for result in ours}:
            ours = [result for result in ours if result.backend == backend]
        names = {result.backend for result in ours}
        # Values that are corrected for the word's end stand beside the plain ones, which are the headlines of both.
        ours = [r for r in ours if not (r.backend.endswith(CORRECTED) and r.backend.removesuffix(CORRECTED) in names)]
        if len({result.backend for result in ours}) > 1:
            raise UsageError(
                f"'{side.label}' was scored in several ways.", where=f"{ours[0].task.name}, {split}: {', '.join(sorted(names))}",
                hint="Choose one by --backend.",
            )  # fmt: skip
        splits[split] = max(ours, key=lambda result: len(result.checkpoints))
    return splits


def _split_of(task: Mapping[Side, Mapping[str, TaskResult]], asked: str | None) -> str | None:
    """The largest split that all sides have; limited ones only if they are asked for."""
    for split in (asked,) if asked else _SPLITS:
        if all(_has(splits, split) for splits in task.values()):
            return split
    return None


def _has(splits: Mapping[str, TaskResult], split: str) -> bool:
    return split in splits or (split == "fast" and _falls_back(splits))


def _falls_back(splits: Mapping[str, TaskResult]) -> bool:
    """Whether the task's fast set is its full one, as for small sets."""
    return "full" in splits and "fast" not in splits["full"].task.data and splits["full"].task.fast_falls_back


def _taken(splits: Mapping[str, TaskResult], split: str) -> str:
    return split if split in splits else "full"


def _why_not(task: Mapping[Side, Mapping[str, TaskResult]], asked: str | None) -> str:
    if len(task) < 2:
        return f"only {next(iter(task)).label} has it"
    there = "; ".join(f"{side.label} {', '.join(splits)}" for side, splits in task.items())
    return f"no split {f'{asked} ' if asked else ''}in common ({there})"


def _drop_mini(records: dict[str, dict[Side, TaskResult]], left_out: list[str]) -> None:
    """The bundled split is for trying things out: beside a benchmark's own data it would be taken for the benchmark."""
    of = {task: next(iter(sides.values())).split for task, sides in records.items()}
    if "mini" in of.values() and set(of.values()) != {"mini"}:
        for task in [task for task, split in of.items() if split == "mini"]:
            del records[task]
            left_out.append(f"{task}: only the mini split is common (--split mini compares that)")


def _order(records: Mapping[Side, TaskResult]) -> tuple[bool, str]:
    first = next(iter(records.values()))
    return first.task.family == "fit", first.task.name
