"""Which records the page shows: one protocol, one split per task, one row per model and way of scoring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from babyeval.card import SPLITS
from babyeval.comparison.alike import ALIKE, settings_that_differ, way_of_scoring
from babyeval.comparison.pairs import own_headlines
from babyeval.comparison.select import Choice, Side
from babyeval.errors import MissingError, UsageError
from babyeval.models.naming import counted
from babyeval.models.revisions import by_words, equal_weights
from babyeval.protocols import PROTOCOLS
from babyeval.records import ModelInfo, TaskResult
from babyeval.run.groups import FIRST, revisions_of
from babyeval.store import DamagedRecord, ResultStore

from .about import without_root

_NAMED = 3  # of many models so many are named in a warning
_DIGEST = 12  # letters of a digest
_TRAINED = ("condition", "train_seed", "parent_digest")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the page: a model at one revision, scored in one way.

    Attributes:
        name: The model's name.
        revision: Its revision.
        backend: How it was scored; values corrected for the word's end are no way of their own.
        label: How it is shown: the name, with revision and backend where they are needed.
    """

    name: str
    revision: str
    backend: str
    label: str


@dataclass(frozen=True, slots=True)
class Damaged:
    """A record that cannot be read."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Board:
    """What the page is made from.

    Attributes:
        store: The results folder.
        protocol: The protocol of all scores.
        splits: By task the split that is shown.
        models: The rows, each with its model.
        records: By task and row the record, done or failed.
        official: By task, row and protocol the same model's records under the other protocols.
        series: Records of the shown tasks and splits of all revisions, for learning curves.
        mixed: Tasks whose records were not measured alike, with the reason.
        mixed_official: The same of the other protocols' records, by task and protocol.
        readable: All records, of any protocol and split, done or not.
        damaged: Records that cannot be read.
        notes: What a reader of the page must know.
    """

    store: ResultStore
    protocol: str
    splits: Mapping[str, str]
    models: Mapping[Row, ModelInfo]
    records: Mapping[str, Mapping[Row, TaskResult]]
    official: Mapping[str, Mapping[Row, Mapping[str, TaskResult]]]
    series: Sequence[TaskResult]
    mixed: Mapping[str, str]
    mixed_official: Mapping[str, Mapping[str, str]]
    readable: Sequence[TaskResult]
    damaged: tuple[Damaged, ...]
    notes: tuple[str, ...]

    @property
    def split(self) -> str:
        """The split, or those that there are, the largest first."""
        return ", ".join(split for split in SPLITS if split in self.splits.values())


@dataclass(slots=True)
class _Chosen:
    """The records of one task while they are chosen."""

    by_row: dict[Row, dict[str, TaskResult]] = field(default_factory=dict)  # by split
    failed: dict[Row, TaskResult] = field(default_factory=dict)


def read_board(folder: Path, *, protocol: str | None = None, split: str | None = None) -> Board:
    """Reads a results folder; what is damaged stops nothing, what was not measured alike is told.

    Args:
        folder: The results folder.
        protocol: By default ``robust``, unless another is the only one that all models share; models without it are not shown.
        split: By default, task by task, the one that most models have, of equals the largest; never a limited one, and the
            bundled mini split only where there is nothing else.

    Raises:
        MissingError: There is no such folder, or nothing in it that could be shown.
        UsageError: Protocol or split are not there, or have to be chosen.
    """
    store = ResultStore(folder)
    results, damaged = _read(store)
    whole = [result for result in results if result.split in SPLITS]
    usable = [result for result in whole if result.status == "done" and own_headlines(result)]
    if not usable:
        raise MissingError(
            f"The results folder '{folder}' holds nothing that could be shown.",
            where=f"{counted(len(results), 'record')}, {len(damaged)} that cannot be read; limited runs are never shown",
            hint="Fill it by 'babyeval run --out FOLDER'.",
        )
    notes = [*_left_out_limited(results), *_not_known(usable)]
    protocol = _protocol(usable, protocol, notes)
    rows = _rows([result for result in usable if result.protocol == protocol], notes)
    tasks = _by_task(whole, rows, protocol)
    splits = _splits(tasks, split, notes)
    records = {name: _shown(tasks[name], chosen) for name, chosen in splits.items()}
    mixed = {name: reason for name, shown in records.items() if (reason := _differ(shown.items()))}
    notes += _other_differences(protocol, records)
    official = _other_protocols(usable, rows, protocol, records, splits)
    mixed_official = {name: _differ_by_protocol(by_row) for name, by_row in official.items()}
    notes += [
        f"{name} under {other}: {reason}: these scores cannot be compared, and enter no mean."
        for name, reasons in mixed_official.items()
        for other, reason in reasons.items()
    ]
    shown_rows = [row for row in rows if any(row in shown for shown in records.values())]
    models = dict(zip(shown_rows, _models_of(shown_rows, records, results), strict=True))
    notes += _absent([row.label for row in rows if row not in models], "of the splits that are shown")
    series = [r for r in usable if r.protocol == protocol and splits.get(r.task.name) == r.split and not r.checkpoints]
    return Board(
        store, protocol, splits, models, records, official, series, mixed, mixed_official, tuple(results), tuple(damaged),
        tuple(notes),
    )  # fmt: skip


def _read(store: ResultStore) -> tuple[list[TaskResult], list[Damaged]]:
    """All records of tasks; those of single fine-tuning seeds lie one folder below."""
    if not store.root.is_dir():
        raise MissingError(f"There is no results folder '{store.root}'.", hint="Name it, or make one by 'babyeval run'.")
    errors: list[DamagedRecord] = []
    models = sorted(folder.name for folder in store.root.iterdir() if folder.is_dir())
    results = list(store.results(damaged=errors, models=models))
    places = [Path(error.where or store.root).relative_to(store.root).as_posix() for error in errors]
    reasons = [without_root(f"{error.what} {error.hint}", store.root) for error in errors]
    return results, [Damaged(place, reason) for place, reason in zip(places, reasons, strict=True)]


def _left_out_limited(results: Iterable[TaskResult]) -> list[str]:
    limited = [result.split for result in results if result.split not in SPLITS]
    if not limited:
        return []
    return [f"{counted(len(limited), 'record')} of limited runs ({', '.join(sorted(set(limited)))}) not shown."]


def _not_known(usable: Iterable[TaskResult]) -> list[str]:
    """Tells of protocols of a later version, whose scores are shown as they are."""
    names = sorted({result.protocol for result in usable} - PROTOCOLS.keys())
    return [f"Not known to this version of babyeval, and so without means: the protocol {', '.join(names)}."] if names else []


def _protocol(usable: Sequence[TaskResult], asked: str | None, notes: list[str]) -> str:
    """The protocol of the page; models without it are told of."""
    per_model: dict[str, set[str]] = {}
    for result in usable:
        per_model.setdefault(result.model.name, set()).add(result.protocol)
    there = set().union(*per_model.values())
    if asked is not None and asked not in there:
        raise UsageError(
            f"No record is of the protocol '{asked}'.", where=f"there is {', '.join(sorted(there))}", hint="Choose one of these."
        )
    shared = set.intersection(*per_model.values())
    only = next(iter(shared)) if len(shared) == 1 else None
    chosen = asked or ("robust" if "robust" in shared else only) or ("robust" if "robust" in there else None)
    if chosen is None:
        raise UsageError(
            "There are results under several protocols.", where=", ".join(sorted(there)), hint="Choose one by --protocol."
        )
    notes += _absent([name for name, names in per_model.items() if chosen not in names], f"of the protocol {chosen}")
    return chosen


def _absent(labels: Sequence[str], what: str) -> list[str]:
    return [f"Without results {what}, and so not shown: {_few(labels)}."] if labels else []


def _few(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
    return ", ".join(labels[:_NAMED]) + more


def _rows(results: Sequence[TaskResult], notes: list[str]) -> list[Row]:
    """One row per model and backend, at ``main`` or ``final``, else at the revision that has seen the most words."""
    ways: dict[str, dict[str, dict[str, int | None]]] = {}  # name, backend, revision: words
    for result in sorted(results, key=lambda one: (one.model.name, bool(one.checkpoints), one.task.family == "fit")):
        backends = ways.setdefault(result.model.name, {})
        if result.task.family == "fit" and any(_covers(backend, result) for backend in backends):
            continue
        revisions = backends.setdefault(way_of_scoring(result), {})
        if not (result.checkpoints and revisions):  # a glob of revisions stands for a model that has nothing else
            revisions.setdefault(result.model.revision, result.model.words_seen)
    rows = []
    for name, backends in ways.items():
        for backend, revisions in backends.items():
            known = [revision for revision, words in revisions.items() if words is not None]
            ordered = sorted(known or revisions, key=lambda one: by_words(revisions[one], one))
            revision = next((one for one in FIRST if one in revisions), ordered[-1])
            label = name if revision in FIRST else f"{name}@{revision}"
            rows.append(Row(name, revision, backend, f"{label} ({backend})" if len(backends) > 1 else label))
    further = sum(len(revisions) for backends in ways.values() for revisions in backends.values()) - len(rows)
    if further:
        notes.append(f"{counted(further, 'further checkpoint')} of these models are shown in learning curves only.")
    return rows


def _covers(backend: str, result: TaskResult) -> bool:
    """Whether a record belongs to a row scored in this way; how questions are masked does not concern fits."""
    own = way_of_scoring(result)
    return own == backend or (result.task.family == "fit" and backend.startswith(f"{own}-"))


def _by_task(results: Sequence[TaskResult], rows: Sequence[Row], protocol: str) -> dict[str, _Chosen]:
    """By task the records of each row, by split."""
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        by_name.setdefault(row.name, []).append(row)
    tasks: dict[str, _Chosen] = {}
    for result in results:
        if result.protocol != protocol:
            continue
        revisions = (result.model.revision, *revisions_of(result))
        mine = [row for row in by_name.get(result.model.name, ()) if row.revision in revisions and _covers(row.backend, result)]
        task = tasks.setdefault(result.task.name, _Chosen()) if mine else _Chosen()
        for row in mine:
            if result.status == "failed":
                task.failed[row] = result
            elif result.status == "done" and own_headlines(result):
                splits = task.by_row.setdefault(row, {})
                if result.split not in splits or _weight(result) > _weight(splits[result.split]):
                    splits[result.split] = result
    return tasks


def _weight(result: TaskResult) -> tuple[int, bool]:
    """Of several records the one over the most checkpoints; plain values before those corrected for the word's end."""
    return len(result.checkpoints), result.backend == way_of_scoring(result)


def _taken(splits: Mapping[str, TaskResult], split: str) -> TaskResult | None:
    """The record of a split; the full one where the task's fast set is its full one."""
    if split in splits:
        return splits[split]
    full = splits.get("full")
    falls_back = split == "fast" and full is not None and "fast" not in full.task.data and full.task.fast_falls_back
    return full if falls_back else None


def _splits(tasks: Mapping[str, _Chosen], asked: str | None, notes: list[str]) -> dict[str, str]:
    """The split of each task; the bundled one, which would be taken for the benchmark, only where there is nothing else."""
    there = {split for task in tasks.values() for splits in task.by_row.values() for split in splits}
    offered = (asked,) if asked is not None else tuple(split for split in SPLITS if split != "mini" or there == {"mini"})
    chosen: dict[str, str] = {}
    for name, task in tasks.items():
        having = {split: [row for row, its in task.by_row.items() if _taken(its, split)] for split in offered}
        split = max(having, key=lambda one: len(having[one]))  # the first of equals is the largest split
        if having[split]:
            chosen[name] = split
            lacking = [row.label for row in task.by_row if row not in having[split]]
            notes += [f"{name}: the {split} split is shown, which {_few(lacking)} lack."] if lacking else []
    if not chosen:
        known = ", ".join(sorted(there, key=SPLITS.index))
        raise UsageError(f"No record is of the split '{asked}'.", where=f"there is {known}", hint="Choose one of these.")
    minis = [name for name, task in tasks.items() if asked is None and task.by_row and name not in chosen]
    if minis:
        notes.append(f"Not shown, since there is only the bundled mini split of {', '.join(minis)} (--split mini shows that).")
    return chosen


def _shown(task: _Chosen, split: str) -> dict[Row, TaskResult]:
    """The records of the split, and failures of models that have no other."""
    done = {row: taken for row, splits in task.by_row.items() if (taken := _taken(splits, split)) is not None}
    failed = {row: result for row, result in task.failed.items() if row not in task.by_row and result.split == split}
    return {**done, **failed}


def _other_protocols(
    usable: Sequence[TaskResult], rows: Sequence[Row], protocol: str, records: Mapping[str, Mapping[Row, TaskResult]],
    splits: Mapping[str, str],
) -> dict[str, dict[Row, dict[str, TaskResult]]]:  # fmt: skip
    """The records of what is shown under the other protocols."""
    found: dict[str, dict[Row, dict[str, TaskResult]]] = {name: {row: {} for row in shown} for name, shown in records.items()}
    for other in sorted({result.protocol for result in usable} - {protocol}):
        for name, task in _by_task(usable, rows, other).items():
            for row, there in task.by_row.items():
                if row in found.get(name, {}) and (taken := _taken(there, splits[name])) is not None:
                    found[name][row][other] = taken
    return found


def _models_of(
    rows: Iterable[Row], records: Mapping[str, Mapping[Row, TaskResult]], readable: Iterable[TaskResult]
) -> Iterator[ModelInfo]:
    """The model of each row; that of a record over several checkpoints only where there is no other.

    One run may have been told the condition, and another not: as `babyeval compare`, what any record knows of its training.
    """
    by_name: dict[str, list[TaskResult]] = {}
    for result in sorted(readable, key=lambda one: bool(one.checkpoints)):
        by_name.setdefault(result.model.name, []).append(result)
    for row in rows:
        model = min((shown[row] for shown in records.values() if row in shown), key=lambda result: bool(result.checkpoints)).model
        mine = [model, *(r.model for r in by_name[row.name] if row.revision in (r.model.revision, *revisions_of(r)))]
        known = {key: next((of for one in mine if (of := getattr(one, key)) is not None), None) for key in _TRAINED}
        words = next((one.words_seen for one in mine if one.revision == row.revision and one.words_seen is not None), None)
        yield model.model_copy(update={**known, "words_seen": words})


def _differ(shown: Iterable[tuple[Row, TaskResult]]) -> str | None:
    """What is not alike in records that stand in one column."""
    done = [(row, result) for row, result in shown if result.status == "done"]
    for what, of in ALIKE.items():
        if told := _told(what, [(row.label, (of(result) or "")[:_DIGEST] or None) for row, result in done]):
            return told
    return None


def _differ_by_protocol(by_row: Mapping[Row, Mapping[str, TaskResult]]) -> dict[str, str]:
    """What is not alike in one task's records under the other protocols."""
    protocols = sorted({protocol for there in by_row.values() for protocol in there})
    found = {name: _differ((row, there[name]) for row, there in by_row.items() if name in there) for name in protocols}
    return {name: reason for name, reason in found.items() if reason}


def _told(what: str, values: Iterable[tuple[str, str | None]]) -> str | None:
    groups: dict[str, list[str]] = {}
    for label, value in values:
        if value is not None:
            groups.setdefault(value, []).append(label)
    if len(groups) < 2:
        return None
    return f"{what} ({'; '.join(f'{value}: {_few(labels)}' for value, labels in groups.items())})"


def alike(a: TaskResult, b: TaskResult) -> bool:
    """Whether two records of a task were measured alike, as far as they say."""
    values = [(of(a), of(b)) for of in ALIKE.values()]
    return all(None in pair or pair[0] == pair[1] for pair in values)


def _other_differences(protocol: str, records: Mapping[str, Mapping[Row, TaskResult]]) -> list[str]:
    """Differences that leave scores comparable, but that a reader should know."""
    notes: list[str | None] = []
    sides = {row: Side(row.label, row.name, row.revision) for shown in records.values() for row in shown}
    notes.append(_told("Scored in different ways", ((row.label, row.backend) for row in sides)))
    done = {
        name: {sides[row]: result for row, result in shown.items() if result.status == "done"} for name, shown in records.items()
    }
    notes += [line.removesuffix(".") for line in settings_that_differ(Choice(protocol, done, ()), _few)]
    versions = {
        row.label: result.provenance.babyeval
        for shown in records.values()
        for row, result in shown.items()
        if result.provenance is not None
    }
    notes.append(_told("Evaluated with different versions of babyeval", versions.items()))
    for name, shown in records.items():
        digests = [(row.label, result.fit.hyper_digest[:12]) for row, result in shown.items() if result.fit is not None]
        notes.append(_told(f"{name}: fine-tuned with different hyper-parameters", digests))
    weights: dict[str, str | None] = {}
    for shown in records.values():
        for row, result in shown.items():
            if not result.checkpoints:
                weights[row.label] = result.model.weights or result.model.digest
    twins = [f"{_few(group)} have the same weights" for group in equal_weights(weights.items())]  # D36
    return [f"{note}." for note in (*notes, *twins) if note]
