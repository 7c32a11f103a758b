"""Official results into records: what was predicted is scored anew, what cannot be is kept for the submission file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from babyeval.data.lookup import DataSource, find_data
from babyeval.errors import BabyevalError, DataError, DataLocked, DataMissing, UsageError
from babyeval.families import SpanTask
from babyeval.models.checkpoint import words_in_name
from babyeval.models.kind import BACKENDS, kind_of
from babyeval.official.carried import Carried, require_readable, update_carried
from babyeval.official.parts import part_of_task
from babyeval.official.predictions import checked_predictions, counted, matched_outcomes
from babyeval.official.reports import Report, report_scores
from babyeval.official.sizes import carried_problem, size_problem
from babyeval.official.sources import Found, digest_of, find_official
from babyeval.protocols import PROTOCOLS
from babyeval.records import DataInfo, FileInfo, ImportedFrom, ModelInfo, Score, TaskResult
from babyeval.registry import get_task, list_tasks
from babyeval.store import ResultStore
from babyeval.types import Item, Outcome

if TYPE_CHECKING:
    import pandas as pd

State = Literal["scored", "rounded", "kept", "not scored", "ignored"]
_ROUNDING = 0.0051  # half of a report's last digit, and a little


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one official result.

    Attributes:
        found: The result.
        state: ``scored`` from predictions, ``rounded`` from a report, ``kept`` as it is for the
            submission file, ``not scored`` (kept too) for want of data, or ``ignored``.
        note: What a reader must know.
        result: The record, if there is one.
        items: Its table.
        carry: The content to be kept, if any.
    """

    found: Found
    state: State
    note: str = ""
    result: TaskResult | None = None
    items: pd.DataFrame | None = None
    carry: Any = None


@dataclass(slots=True)
class _Importer:
    protocol: str
    data_dir: Path | None
    passwords: Mapping[str, str]
    name: str | None
    revision: str | None
    available: frozenset[str]
    data: dict[tuple[str, str], tuple[DataSource, list[Item]]] = field(default_factory=dict)
    digests: dict[Path, str] = field(default_factory=dict)

    def model(self, found: Found) -> ModelInfo:
        """The model as records show it.

        Its digest is made of name and revision, not of the files: results of one model come in
        many files, and more of them may be imported later. It never equals a real model's, which
        is 64 hexadecimal digits, so that imported and computed records never mix under one name.
        """
        name, revision = self.name or found.model, self.revision or found.revision
        return ModelInfo(
            name=name,
            source=f"imported: {found.model}",
            revision=revision,
            digest=f"imported:{name}@{revision}",
            parameters=None,
            kind=kind_of(found.backend) if found.backend in BACKENDS else "unknown",
            words_seen=words_in_name(revision),
        )

    def items(self, task: SpanTask, split: str) -> tuple[DataSource, list[Item]]:
        """The task's items under the protocol, read once.

        Raises:
            DataMissing: The data is not here.
        """
        key = task.card.name, split
        if key not in self.data:
            source = find_data(task.card, task.home, split, self.data_dir, self.passwords)
            kept = [item for item in task.items(source) if task.keeps(item, PROTOCOLS[self.protocol])]
            self.data[key] = source, kept
        return self.data[key]

    def digest(self, path: Path) -> str:
        if path not in self.digests:
            self.digests[path] = digest_of(path)
        return self.digests[path]

    def bring_in(self, found: Found) -> Imported:
        """Finds out what a result is worth; nothing is written yet."""
        if not found.key:
            reason = f"'{found.task}' is no part of {self.protocol}" if found.task else "it is of no official data or backend"
            return Imported(found, "ignored", f"{reason}: {found.path}")
        if not found.task:
            content = found.read()
            if found.key == "glue" and not isinstance(content, dict):
                raise DataError(
                    "The predictions of fine-tuning hold no object.", where=str(found.path), hint="Get the file again."
                )
            problem = carried_problem(found.key, content, self.protocol) if found.key != "glue" else None
            return Imported(found, "kept", f"export will not take it: {problem}" if problem else "for export", carry=content)
        if found.task not in self.available:
            return Imported(found, "kept", "this version has no such task", carry=_predictions(found))
        task = get_task(found.task)
        assert isinstance(task, SpanTask)  # fine-tuning has one key, and is carried
        if found.kind == "report":
            reason = "its predictions are not here (--save_predictions)"
            return self._from_report(found, task, found.read_report(), None, reason)
        try:
            source, items = self.items(task, found.split)
        except DataMissing as error:
            reason = error.what.rstrip(".") if isinstance(error, DataLocked) else "its data is not here"
            return self._without_data(found, task, reason)
        return self._with_data(found, task, source, items)

    def _with_data(self, found: Found, task: SpanTask, source: DataSource, items: list[Item]) -> Imported:
        report, unread = _report_beside(found)
        predictions = checked_predictions(found.read(), str(found.path))
        part = part_of_task(self.protocol, found.task)
        assert part is not None
        outcomes = matched_outcomes(part, items, predictions, str(found.path))
        scores = task.scores(items, outcomes, PROTOCOLS[self.protocol])
        files = tuple(FileInfo(name=file.name, sha256=file.sha256, size=file.size) for file in source.files)
        data = DataInfo(split=source.split, digest=source.digest, files=files)
        result = self._record(found, task, scores, task.headline_count, source.split).model_copy(update={"data": data})
        problem = size_problem(counted(predictions), self.protocol, found.task, found.split)
        notes = [f"export will not take it: {problem}"] if problem and found.split == "full" else []
        notes += unread + _disagreement(report, scores[0])
        return Imported(found, "scored", "; ".join(notes), result, items_table(items, outcomes))

    def _without_data(self, found: Found, task: SpanTask, reason: str) -> Imported:
        content = _predictions(found)
        report, unread = _report_beside(found)
        if report is not None:
            return self._from_report(found, task, report, content, reason)
        return Imported(found, "not scored", "; ".join([reason, *unread]), carry=content)

    def _from_report(self, found: Found, task: SpanTask, report: Report | None, content: Any, reason: str) -> Imported:
        assert report is not None
        assert found.report is not None
        counts = counted(content) if content is not None else {}
        scores = report_scores(task.card, report, self.protocol, found.split, counts)
        result = self._record(found, task, scores, 1, found.split, found.report)
        return Imported(found, "rounded", f"2 decimals, no error, no interval: {reason}", result, carry=content)

    def _record(
        self, found: Found, task: SpanTask, scores: Sequence[Score], headlines: int, split: str, report: Path | None = None
    ) -> TaskResult:
        file = report or found.path
        return TaskResult(
            status="done",
            task=task.card,
            model=self.model(found),
            protocol=self.protocol,
            split=split,
            backend=found.backend,
            headlines=tuple(scores[:headlines]),
            scores=tuple(scores),
            imported=ImportedFrom(file=str(file), sha256=self.digest(file), format="report" if report else found.kind),
        )


def _predictions(found: Found) -> Any:
    """The content to be kept, if it has the form of predictions."""
    return checked_predictions(found.read(), str(found.path)) if found.kind != "report" else None


def _report_beside(found: Found) -> tuple[Report | None, list[str]]:
    """The report beside predictions, which are worth more: one that cannot be read stops nothing, and is noted."""
    try:
        return found.read_report(), []
    except BabyevalError as error:
        return None, [f"its report cannot be used: {error.what.rstrip('.')}"]


def _disagreement(report: Report | None, headline: Score) -> list[str]:
    """Where predictions and the report beside them do not say the same."""
    if report is None:
        return []
    notes = [f"temperature {report.temperature:g}, chosen on the test set (D32)"] if report.temperature != 1 else []
    if report.average is not None and headline.value is not None and abs(report.average - headline.value) > _ROUNDING:
        notes.append(f"its report says {report.average:.2f}: is it of another run?")
    return notes


def items_table(items: Sequence[Item], outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One line per item; what only the model could say (scores, ties, tokens) is absent."""
    import pandas as pd

    columns: dict[str, list[Any]] = {
        "item_id": [item.id for item in items],
        "subset": [item.subset for item in items],
        "cluster": [item.cluster for item in items],
        "gold": [item.gold for item in items],
        "value": [outcome.value for outcome in outcomes],
        "prediction": [outcome.prediction for outcome in outcomes],
    }
    for key in items[0].meta if items else ():
        columns[key] = [item.meta.get(key) for item in items]
    return pd.DataFrame(columns)


def import_results(
    path: Path,
    protocol: str,
    *,
    out: Path,
    model: str | None = None,
    revision: str | None = None,
    backend: str | None = None,
    data_dir: Path | None = None,
    passwords: Mapping[str, str] | None = None,
) -> list[Imported]:
    """Imports official results; a faulty file stops the import before anything is written.

    Args:
        path: An official results tree or any folder in or above it, a ``predictions.json``, or a submission file.
        protocol: ``babylm-2025`` or ``babylm-2026``.
        out: The results folder.
        model: The model's name in records, if not the official one.
        revision: Its revision, if not the official one (of a submission file: ``main``).
        backend: How it was scored, for files that do not say it.
        data_dir: A folder in the official ``evaluation_data`` layout.
        passwords: Passwords of data archives by task.

    Returns:
        What became of each result.

    Raises:
        MissingError: Nothing official is there, or the results folder cannot be written.
        UsageError: It cannot be told what a file is, ``model`` names several, or the name is taken
            by a model that was computed here.
        DataError: A file is damaged, or its predictions do not fit the data.
    """
    found = find_official(path, protocol, backend, revision)
    _require_one(found, "models", lambda result: result.model, "--model NAME", model)
    _require_one(found, "revisions", lambda result: result.revision, "--revision NAME", revision)
    available = frozenset(listing.name for listing in list_tasks() if listing.task is not None)
    importer = _Importer(protocol, data_dir, passwords or {}, model, revision, available)
    imports = [importer.bring_in(result) for result in found]
    store = ResultStore(out)
    updates = _updates(importer, imports)
    _require_place(store, imports, updates)
    imports = [_with_warning(store, made) for made in imports]
    for made in imports:
        if made.result is not None:
            store.write(made.result, made.items)
    for update in updates:
        update_carried(out, update.identity, update.add, update.files, update.drop)
    return imports


def _require_place(store: ResultStore, imports: Sequence[Imported], updates: Sequence[_Update]) -> None:
    """Refuses, before anything is written, what cannot be written or belongs to a model that was computed here."""
    store.require_writable()
    for update in updates:
        require_readable(store.root, update.identity)
    for made in imports:
        if made.result is not None:
            store.require_same_model(made.result.model)


def _with_warning(store: ResultStore, made: Imported) -> Imported:
    """Says so if other results were imported under this name before: official names are short, and may clash (D27)."""
    new = made.result
    old = store.find(new.model, new.task.name, new.split, new.backend, new.protocol) if new is not None else None
    if new is None or old is None or old.imported is None or new.imported is None or old.imported.sha256 == new.imported.sha256:
        return made
    return replace(made, note="; ".join(filter(None, (made.note, f"replaces what was imported from {old.imported.file}"))))


def _require_one(found: Sequence[Found], what: str, of: Callable[[Found], str], option: str, given: str | None) -> None:
    names = sorted({of(result) for result in found})
    if given is not None and len(names) > 1:
        raise UsageError(
            f"{option} names one, and there are {len(names)} {what} here: {', '.join(names)}.", hint="Import them one by one."
        )


@dataclass(frozen=True, slots=True)
class _Update:
    """What is to be kept of one model and backend, and what records replace; see `update_carried`."""

    identity: Carried
    add: dict[str, Any]
    files: dict[str, dict[str, str]]
    drop: frozenset[str]


def _updates(importer: _Importer, imports: Sequence[Imported]) -> list[_Update]:
    """What export needs as it is."""
    updates = []
    groups: dict[tuple[str, str, str], list[Imported]] = {}
    for made in imports:
        model = importer.model(made.found)
        groups.setdefault((model.name, model.revision, made.found.backend), []).append(made)
    for (name, revision, backend), members in groups.items():
        add: dict[str, Any] = {}
        files: dict[str, dict[str, str]] = {}
        for made in members:
            if made.carry is not None and made.found.split == "full":
                both = made.found.key == "glue" and "glue" in add
                add[made.found.key] = {**add["glue"], **made.carry} if both else made.carry
                files[made.found.key] = {"file": str(made.found.path), "sha256": importer.digest(made.found.path)}
        scored = frozenset(made.found.key for made in members if made.state == "scored" and made.found.split == "full")
        updates.append(_Update(Carried(name, revision, importer.protocol, backend), add, files, scored))
    return updates
