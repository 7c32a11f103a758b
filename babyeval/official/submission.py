"""The official submission file of one model out of a results folder."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from babyeval.errors import MissingError, UsageError
from babyeval.families import SpanTask
from babyeval.models.checkpoint import words_in_name
from babyeval.official.carried import Carried, find_carried
from babyeval.official.glue import glue_part
from babyeval.official.parts import GLUE_TASKS, OFFICIAL_BACKENDS, Part, year_parts
from babyeval.official.predictions import counted, make_predictions
from babyeval.official.sizes import carried_problem, size_problem
from babyeval.official.steps import require_track, step_of
from babyeval.official.stored import full_data, items_of, require_same_data
from babyeval.official.sweeps import OFF_SCHEDULE, Sweep
from babyeval.protocols import PROTOCOLS
from babyeval.records import TaskResult
from babyeval.registry import get_task, list_tasks
from babyeval.store import ResultStore


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """What one submission file is about."""

    model: str
    revision: str
    backend: str

    def file_name(self) -> str:
        """The name that the official collation gives the file."""
        return f"all_full_preds_and_fast_scores_{OFFICIAL_BACKENDS[self.backend]}.json"


@dataclass(frozen=True, slots=True)
class Submission:
    """A submission file's content.

    Attributes:
        entry: Model, revision and backend.
        content: The parts by key, in the official order; null where missing.
        missing: For each missing or incomplete key why.
        advice: What would make the missing parts, as commands.
    """

    entry: Entry
    content: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    advice: tuple[str, ...] = ()


@dataclass(slots=True)
class _Folder:
    """What a results folder holds that concerns submissions of a year."""

    root: Path
    protocol: str
    results: list[TaskResult]
    carried: list[Carried] = field(default_factory=list)
    data_dir: Path | None = None

    @property
    def places(self) -> str:
        """How the commands that fill this folder name it and the data."""
        data = "" if self.data_dir is None else f" --data-dir {shlex.quote(str(self.data_dir))}"
        return f"--out {shlex.quote(str(self.root))}{data}"

    def of(self, entry: Entry) -> list[TaskResult]:
        return [
            r for r in self.results if (r.model.name, r.model.revision, r.backend) == (entry.model, entry.revision, entry.backend)
        ]

    def record(self, entry: Entry, task: str) -> TaskResult | None:
        """The record to be exported: full split, this year's protocol, items known."""
        fitting = (r for r in self.of(entry) if r.task.name == task and r.protocol == self.protocol and r.split == "full")
        return next((r for r in fitting if r.status == "done" and r.items is not None), None)

    def revisions(self, entry: Entry) -> list[TaskResult]:
        """This year's records of all revisions of the model, under the same backend."""
        wanted = (entry.model, entry.backend, self.protocol)
        return [r for r in self.results if (r.model.name, r.backend, r.protocol) == wanted]

    def steps(self, model: str) -> set[str]:
        """The revisions of a model that are official checkpoints."""
        mine = (r.model for r in self.results if r.model.name == model)
        return {model.revision for model in mine if step_of(model.revision, model.words_seen)}

    def kept(self, entry: Entry) -> dict[str, Any]:
        """The imported parts; those of this very backend before those that belong to several."""
        parts: dict[str, Any] = {}
        for backend in ("", "enc-dec" if entry.backend.startswith("enc-dec-") else "", entry.backend):
            for kept in self.carried:
                if (kept.model, kept.revision, kept.backend) == (entry.model, entry.revision, backend):
                    parts.update(kept.parts)
        return parts


def make_submission(
    results: Path,
    protocol: str,
    *,
    model: str | None = None,
    revision: str | None = None,
    backend: str | None = None,
    track: str | None = None,
    data_dir: Path | None = None,
    passwords: Mapping[str, str] | None = None,
) -> Submission:
    """Puts a submission together; parts of wrong size count as missing.

    Args:
        results: The results folder.
        protocol: ``babylm-2025`` or ``babylm-2026``.
        model: The model's name, where the folder holds several.
        revision: Likewise.
        backend: Likewise.
        track: Whose checkpoints a submission lists, ``strict-small`` or ``strict``; by default told by those that there are.
        data_dir: Where the benchmark data is: records hold no texts, so it is read again.
        passwords: Passwords of data archives by task.

    Raises:
        MissingError: There is nothing to export, or data or a table is absent.
        UsageError: Several models fit, or there is no such track.
        DataError: The data is not what the records were made from.
    """
    require_track(track)
    store = ResultStore(results)
    folder = _Folder(results, protocol, list(store.results()), list(find_carried(results, protocol)), data_dir)
    entry = _chosen(folder, model, revision, backend)
    kept = folder.kept(entry)
    sweep = Sweep(store, protocol, folder.revisions(entry), track, data_dir, passwords)
    made = Submission(entry)
    absent: list[Part] = []
    for part in year_parts(protocol):
        record = folder.record(entry, part.made_by) if part.made_by else None
        if part.key == "glue":
            content, problem = _glue(store, folder, entry, kept.get("glue"))
            if problem:
                absent.append(part)
        elif record is not None:
            content, problem = _from_record(store, part, record, data_dir, passwords)
        else:
            content, problem = sweep.part(part.key) if part.swept else (None, _why_absent(folder, entry, part))
            if problem and kept.get(part.key) is not None:
                content, problem = _from_kept(part, kept[part.key], protocol, track)
            elif problem:
                absent.append(part)
        made.content[part.key] = content
        if problem:
            made.missing[part.key] = problem
    return replace(made, advice=_advice(folder, entry, absent, sweep))


def _glue(store: ResultStore, folder: _Folder, entry: Entry, kept: Any) -> tuple[Any, str | None]:
    """The part of fine-tuning, and what it lacks."""

    def why(task: str) -> str:
        return _why_absent(folder, entry, Part("glue", values=task))

    content, faults = glue_part(store, partial(folder.record, entry), why, kept)
    if len(faults) == len(GLUE_TASKS) and all(fault.endswith(": not evaluated") for fault in faults.values()):
        return None, "not evaluated"
    return content, "; ".join(faults.values()) or None


def _from_record(
    store: ResultStore, part: Part, record: TaskResult, data_dir: Path | None, passwords: Mapping[str, str] | None
) -> tuple[Any, str | None]:
    """The predictions of a record: its table says what was chosen, the data what that is."""
    if part.values:
        return _from_values(store, part.values, record)
    assert part.task is not None
    path, table = items_of(store, record, ["item_id", "subset", "prediction", "value"])
    if not part.by_example:  # sizes first: they need no data
        problem = size_problem(Counter(table["subset"]), record.protocol, part.task)
        if problem:
            return None, f"{problem} ({path})"
    task = get_task(part.task)
    assert isinstance(task, SpanTask)  # fits make the glue part
    source = full_data(task, data_dir, passwords)
    require_same_data(record, source)
    items = [item for item in task.items(source) if task.keeps(item, PROTOCOLS[record.protocol])]
    chosen = dict(zip(table["item_id"], zip(table["prediction"], table["value"], strict=True), strict=True))
    predictions = make_predictions(part, items, {name: (int(i), float(value)) for name, (i, value) in chosen.items()})
    problem = size_problem(counted(predictions), record.protocol, part.task)
    return (None, problem) if problem else (predictions, None)


def _from_values(store: ResultStore, task: str, record: TaskResult) -> tuple[Any, str | None]:
    """The surprisals of a reading record, row by row; NaN where there is no previous word, as officially."""
    path, table = items_of(store, record, ["surprisal", "previous_surprisal"])
    pairs = zip(table["surprisal"].astype(float), table["previous_surprisal"].astype(float), strict=True)
    predictions = {task: {"predictions": [{"id": i, "pred": one, "prev_pred": other} for i, (one, other) in enumerate(pairs)]}}
    problem = size_problem(counted(predictions), record.protocol, task)
    return (None, f"{problem} ({path})") if problem else (predictions, None)


def _from_kept(part: Part, content: Any, protocol: str, track: str | None) -> tuple[Any, str | None]:
    """An imported part as it is, if its size is right."""
    if part.task is None:
        problem = carried_problem(part.key, content, protocol, track)
    else:
        problem = size_problem(counted(content), protocol, part.task)
    return (None, problem) if problem else (content, None)


def _chosen(folder: _Folder, model: str | None, revision: str | None, backend: str | None) -> Entry:
    """The one model, revision and backend that is asked for or there."""
    everything = {Entry(r.model.name, r.model.revision, r.backend) for r in folder.results if not r.checkpoints}
    everything |= {Entry(kept.model, kept.revision, kept.backend) for kept in folder.carried}
    if not everything:
        raise MissingError("The results folder holds no records.", where=str(folder.root), hint="Make some by 'babyeval run'.")
    name = _one(sorted({entry.model for entry in everything}), model, "model", "--model")
    here = {entry for entry in everything if entry.model == name}
    ready = {entry for entry in here if _exportable(folder, entry)}
    if not ready:
        raise _nothing(folder, name, here, revision)
    if revision is None:  # the checkpoints of a sweep are parts of the submission of another revision
        ready = {entry for entry in ready if entry.revision not in folder.steps(name)} or ready
        # Those that stand on no official schedule are parts of none, and seldom meant.
        final = {entry for entry in ready if words_in_name(entry.revision) is None}
        ready = final if {entry.revision for entry in final} == {"main"} else ready
    at = _one(sorted({entry.revision for entry in ready}), revision, "revision", "--revision")
    ready = {entry for entry in ready if entry.revision == at}
    how = _one(sorted({entry.backend for entry in ready}), backend, "backend", "--backend")
    return Entry(name, at, how)


def _exportable(folder: _Folder, entry: Entry) -> bool:
    if entry.backend not in OFFICIAL_BACKENDS:
        return False
    here = any(kept.parts and (kept.model, kept.revision, kept.backend) == (entry.model, entry.revision, entry.backend)
               for kept in folder.carried)  # fmt: skip
    makers = (*(part.made_by for part in year_parts(folder.protocol)), *GLUE_TASKS)
    return here or any(folder.record(entry, maker) for maker in makers if maker)


def _one(names: Sequence[str], wanted: str | None, what: str, option: str) -> str:
    if wanted is not None and wanted not in names:
        raise UsageError(
            f"There is no {what} '{wanted}' to export.", where=f"there are: {', '.join(names)}", hint=f"Choose by {option}."
        )
    if wanted is None and len(names) > 1:
        raise UsageError(
            f"A submission is about one {what}, and the folder holds {len(names)}.",
            where=", ".join(names),
            hint=f"Choose one by {option}." + (f" {OFF_SCHEDULE}" if any(map(words_in_name, names)) else ""),
        )
    return wanted if wanted is not None else names[0]


def _nothing(folder: _Folder, name: str, entries: Iterable[Entry], revision: str | None) -> MissingError:
    """Why a model has nothing to export, and the command that would change it."""
    mine = [r for r in folder.results if r.model.name == name and not r.checkpoints]
    right = [r for r in mine if r.protocol == folder.protocol]
    splits = sorted({r.split for r in right})
    protocols = sorted({r.protocol for r in mine if r.protocol != folder.protocol})
    if right and splits != ["full"]:
        what = f"'{name}' has records of {folder.protocol} on {', '.join(splits)} only; submissions take the full split, without --limit."
    elif right:
        odd = sorted({entry.backend for entry in entries if entry.backend not in OFFICIAL_BACKENDS})
        what = f"'{name}' has no finished record of {folder.protocol}" + (
            f" with an official scoring ({', '.join(odd)})." if odd else "."
        )
    else:
        what = f"'{name}' has no record of {folder.protocol}" + (f", only of {', '.join(protocols)}." if protocols else ".")
    return MissingError(what, where=str(folder.root), hint=_command(folder, name, mine, ["zero-shot"], revision or "main"))


def _why_absent(folder: _Folder, entry: Entry, part: Part) -> str:
    """Why there is nothing for a part."""
    if part.made_by is None:
        return "not in the imported files"
    mine = [r for r in folder.of(entry) if r.task.name == part.made_by]
    right = [r for r in mine if r.protocol == folder.protocol]
    full = next((r for r in right if r.split == "full"), None)
    if full is not None and full.imported is not None:
        return "imported without its predictions"
    if full is not None:
        return f"{full.status}: {full.error.splitlines()[0]}" if full.error else f"{full.status}, without items"
    if right:
        return f"only on {', '.join(sorted({r.split for r in right}))}"
    return f"only under {', '.join(sorted({r.protocol for r in mine}))}" if mine else "not evaluated"


def _advice(folder: _Folder, entry: Entry, absent: Sequence[Part], sweep: Sweep) -> tuple[str, ...]:
    """The commands that would make what is absent."""
    known = {listing.name for listing in list_tasks() if listing.task is not None}
    tasks = [part.made_by for part in absent if part.made_by in known and part.made_by is not None]
    if any(part.key == "glue" for part in absent):
        lacking = [task for task in GLUE_TASKS if folder.record(entry, task) is None and task in known]
        tasks += ["finetune"] if len(lacking) == len(GLUE_TASKS) else lacking
    mine = [r for r in folder.results if (r.model.name, r.model.revision) == (entry.model, entry.revision)]
    can_run = not mine or any(r.imported is None for r in mine)  # a computed record cannot join imported ones
    lines = [_command(folder, entry.model, mine, tasks, entry.revision, entry.backend)] if tasks and can_run else []
    swept = [part.key for part in absent if part.swept]
    if can_run and swept:
        lines.append(_sweep_command(folder, entry, mine, sweep, sweep.wanted(swept)))
    unmade = [part for part in absent if part.made_by not in known and part.key != "glue"]
    if absent and (unmade or not can_run):
        lines.append(_import_command(folder, entry.model, entry.revision))
    return tuple(lines)


def _sweep_command(folder: _Folder, entry: Entry, mine: Sequence[TaskResult], sweep: Sweep, tasks: str) -> str:
    """The command that evaluates the checkpoints; what is done already is kept."""
    source = next((r.model.source for r in sweep.of_checkpoints() if r.imported is None), None)
    if source is None:  # the finished model of a local run lies apart from its checkpoints
        own = next((r.model.source for r in mine if r.imported is None), "PATH")
        source = "PATH" if Path(own).exists() else own
    what = f"--revisions 'chck_*' --tasks {tasks} --split fast --protocol {folder.protocol}{_how(entry.backend)}"
    return f"babyeval run --model {shlex.quote(f'{entry.model}={source}')} {what} {folder.places}"


def _command(
    folder: _Folder, name: str, mine: Sequence[TaskResult], tasks: Sequence[str], revision: str = "main", backend: str = ""
) -> str:
    """The command that computes tasks under the year's protocol, or imports them if all records of the model are imported.

    Its model is that of the revision if there are records of it, else ``main``, else the one that has seen the most words.
    """
    there = [r.model for r in mine if r.imported is None]
    own = max(there, key=lambda m: (m.revision == revision, m.revision == "main", m.words_seen or 0), default=None)
    if own is None and mine:
        return _import_command(folder, name, mine[0].model.revision)
    model = _model_option(name, own.source if own is not None else "PATH", own.revision if own is not None else revision)
    command = f"babyeval run {model} --tasks {','.join(tasks)} --protocol {folder.protocol}{_how(backend)} {folder.places}"
    return f"{command} (cached rows need no weights)" if own is not None else command


def _model_option(name: str, source: str, revision: str) -> str:
    """The options that name a revision: of a local folder it is a sub-folder, which ``--revisions`` alone keeps the name of."""
    if revision != "main" and Path(source).is_dir():
        return f"--model {shlex.quote(f'{name}={source}')} --revisions {shlex.quote(revision)}"
    return f"--model {shlex.quote(f'{name}={source}' + ('' if revision == 'main' else f'@{revision}'))}"


def _how(backend: str) -> str:
    return f" --backend {backend}" if backend in ("mntp", "enc-dec-prefix") else ""  # the others are found by themselves


def _import_command(folder: _Folder, model: str, revision: str) -> str:
    at = "" if revision == "main" else f" --revision {shlex.quote(revision)}"
    command = f"babyeval import PATH --protocol {folder.protocol} --model {shlex.quote(model)}{at} {folder.places}"
    return f"{command} (what the official pipeline made)"


def official_text(content: Mapping[str, Any]) -> str:
    """The file's text; NaN is written as the official pipeline writes it."""
    import json

    return json.dumps(content) + "\n"
