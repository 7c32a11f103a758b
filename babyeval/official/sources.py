"""Finding official result files: in a results tree, as a single file of predictions, or as a collated submission."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from babyeval.errors import DataError, MissingError, UsageError
from babyeval.official.parts import DATA_FOLDERS, GLUE_TASKS, MULTIMODAL, OFFICIAL_BACKENDS, OWN_BACKENDS, PARTS, Part, year_parts
from babyeval.official.predictions import checked_predictions, counted
from babyeval.official.reports import Report, parse_report
from babyeval.official.sizes import task_of_sizes

_COLLATED = re.compile(r"all_full_preds_and_fast_scores_(\w+)\.json")
_PREDICTIONS, _REPORT = "predictions.json", "best_temperature_report.txt"


@dataclass(frozen=True, slots=True)
class Found:
    """One official result.

    Attributes:
        model: The model's name in the official tree.
        revision: Its revision there.
        backend: Our name of the backend; empty for fine-tuning.
        key: The key of the submission file; empty for what the year does not have.
        task: The task; empty if the part is only carried over, or not known.
        split: ``full`` or ``fast``.
        path: The file; a report's if there are no predictions.
        kind: What kind of file it is.
        content: What it holds, if that is read already.
        report: The report beside it.
    """

    model: str
    revision: str
    backend: str
    key: str
    task: str
    split: str
    path: Path
    kind: Literal["predictions", "report", "submission"]
    content: Any = None
    report: Path | None = None

    def read(self) -> Any:
        """The content.

        Raises:
            DataError: The file is damaged.
        """
        return self.content if self.content is not None else read_json(self.path)

    def read_report(self) -> Report | None:
        """The report, if there is one.

        Raises:
            DataError: It is damaged.
        """
        if self.report is None:
            return None
        with _readable(self.report):
            return parse_report(self.report.read_text(encoding="utf-8", errors="replace"), str(self.report))


def read_json(path: Path) -> Any:
    """Reads an official file; a key that stands twice in one object is an error, not overwritten.

    Raises:
        DataError: The file is no JSON.
        MissingError: It cannot be read.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise DataError(f"The key '{twice}' is declared twice.", where=str(path), hint="Get the file again from its source.")
        return content

    try:
        with _readable(path):
            return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, a number or a nesting beyond all bounds
        raise DataError(
            f"The file is not valid JSON ({error}).", where=str(path), hint="It may be truncated: get it again from its source."
        ) from error


def digest_of(path: Path) -> str:
    """The sha256 of a file.

    Raises:
        MissingError: It cannot be read.
    """
    with _readable(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MissingError(
            f"The file cannot be read: {error.strerror}.", where=str(path), hint="Is it there, and may you read it?"
        ) from error


def find_official(path: Path, protocol: str, backend: str | None, revision: str | None) -> list[Found]:
    """Everything official at a path.

    Args:
        path: A results tree or any folder in or above it, a predictions file, or a submission file.
        protocol: The year.
        backend: For files whose place does not say it.
        revision: Likewise.

    Returns:
        One entry per task and split of each model, revision and backend; results of the tree take
        precedence over those of a submission file that lies in it.

    Raises:
        MissingError: There is no such path, or nothing official is there.
        UsageError: It cannot be told what a file belongs to.
        DataError: A file is damaged.
    """
    with _readable(path):  # a path may be too long to be looked for
        if not path.exists():
            raise MissingError(f"There is no '{path}'.", hint="Name a folder of the official results, or a file of them.")
    found: dict[tuple[str, ...], Found] = {}
    for result in _in_folder(path, protocol, revision) if path.is_dir() else _in_file(path, protocol, backend, revision):
        own = result.path.as_posix() if result.task == "" and result.key in ("", "glue") else ""
        found[result.model, result.revision, result.backend, result.key, result.task, result.split, own] = result
    if not found:
        raise MissingError(
            "There are no official results here.",
            where=str(path),
            hint=f"The official tree is results/MODEL/REVISION/zero_shot/BACKEND/TASK/DATA/{_PREDICTIONS}; "
            "predictions are written with --save_predictions.",
        )
    tuned = {(result.model, result.revision) for result in found.values() if result.key == "glue" and not result.backend}
    return [
        result for result in found.values()
        if not (result.key == "glue" and result.backend and (result.model, result.revision) in tuned)
    ]  # fmt: skip


def _in_folder(folder: Path, protocol: str, revision: str | None) -> Iterator[Found]:
    for path in sorted(folder.rglob("all_full_preds_and_fast_scores_*.json")):
        if _COLLATED.fullmatch(path.name):
            yield from _collated(path, read_json(path), protocol, None, revision)
    names = (_PREDICTIONS, _REPORT, "surprisal.json", "aoa_score.json")
    for path in sorted(path for name in names for path in folder.rglob(name)):
        result = _placed(path, protocol)
        if result is not None:
            yield result


def _in_file(path: Path, protocol: str, backend: str | None, revision: str | None) -> Iterator[Found]:
    placed = _placed(path, protocol)
    if placed is not None:
        yield placed
        return
    if path.suffix != ".json":
        raise UsageError("This is no official result file.", where=str(path), hint=f"Name a folder, or a {_PREDICTIONS}.")
    content = read_json(path)
    keys = {part.key for parts in PARTS.values() for part in parts}
    if isinstance(content, dict) and keys & set(content) and not _has_form_of_predictions(content):
        yield from _collated(path, content, protocol, backend, revision)
        return
    checked = checked_predictions(content, str(path))
    guess = task_of_sizes(counted(checked), protocol)
    if guess is None:
        raise UsageError(
            "It cannot be told which task these predictions belong to.",
            where=str(path),
            hint=f"Leave the file in its official place: .../zero_shot/BACKEND/TASK/DATA/{_PREDICTIONS}.",
        )
    task, split = guess
    key = next(part.key for part in year_parts(protocol) if part.task == task)
    own = _own_backend(backend, path)
    yield Found(path.absolute().parent.name, revision or "main", own, key, task, split, path, "predictions", checked)


def _has_form_of_predictions(content: dict[str, Any]) -> bool:
    return all(isinstance(block, dict) and "predictions" in block for block in content.values())


def _own_backend(backend: str | None, path: Path) -> str:
    """Our name of a backend given by its official name or by ours."""
    names = {**OWN_BACKENDS, **{own: own for own in OFFICIAL_BACKENDS}}
    if backend not in names:
        raise UsageError(
            f"'{backend}' is no official way to score a model." if backend else "It cannot be told how the model was scored.",
            where=str(path),
            hint=f"Say it: --backend {'|'.join(OFFICIAL_BACKENDS)}.",
        )
    return names[backend]


def _collated(path: Path, content: Any, protocol: str, backend: str | None, revision: str | None) -> Iterator[Found]:
    """The parts of a submission file."""
    if not isinstance(content, dict):
        raise DataError("The submission file holds no object.", where=str(path))
    keys = {part.key for part in year_parts(protocol)}
    strange = [key for key in content if key not in keys and key not in MULTIMODAL]
    if strange:
        other = next(
            (year for year, parts in PARTS.items() if set(content) <= {part.key for part in parts} | {*MULTIMODAL}), None
        )
        raise UsageError(
            f"The submission file has a key that {protocol} does not know: '{strange[0]}'.",
            where=str(path),
            hint=f"It looks like one of the other year: --protocol {other}." if other else "Is it a file of the strict track?",
        )
    named = _COLLATED.fullmatch(path.name)
    model = path.absolute().parent.name if named else path.stem
    own = _own_backend(named[1] if named else backend, path)
    for part in year_parts(protocol):
        value = content.get(part.key)
        if value is not None:
            yield Found(model, revision or "main", own, part.key, part.task or "", "full", path, "submission", value)


def _placed(path: Path, protocol: str) -> Found | None:
    """What a file is by its place in the official tree; None if it has none there."""
    parts = path.absolute().parts
    for i in range(len(parts) - 2, 1, -1):
        if parts[i] == "zero_shot":
            return _zero_shot(path, parts[i - 2], parts[i - 1], parts[i + 1 :], protocol)
        if parts[i] == "finetune":
            task, *name = parts[i + 1 :]
            if task in GLUE_TASKS and name == [_PREDICTIONS]:
                return Found(parts[i - 2], parts[i - 1], "", "glue", "", "full", path, "predictions")
            return None
    return None


def _zero_shot(path: Path, model: str, revision: str, rest: tuple[str, ...], protocol: str) -> Found | None:
    backend, *place = rest
    if backend not in OWN_BACKENDS:
        return Found(model, revision, backend, "", "", "full", path, "predictions")
    own = OWN_BACKENDS[backend]
    whole = {
        ("reading", _PREDICTIONS): "reading",
        ("AoA_word", "surprisal.json"): "aoa" if protocol == "babylm-2025" else "aoa_surprisals",
        ("AoA_word", "aoa_score.json"): "aoa" if protocol == "babylm-2026" else None,
    }
    if len(place) == 2:
        key = whole.get((place[0], place[1]))
        return Found(model, revision, own, key, "", "full", path, "predictions") if key else None
    if len(place) != 3 or place[0] in MULTIMODAL:
        return None
    predictions, report = path.with_name(_PREDICTIONS), path.with_name(_REPORT)
    content = None
    if place[1] in DATA_FOLDERS:
        task, split = DATA_FOLDERS[place[1]]
    else:
        content = checked_predictions(read_json(predictions), str(predictions)) if predictions.is_file() else None
        guess = task_of_sizes(counted(content), protocol) if content else None
        task, split = guess or ("", "")
    part = next((part for part in year_parts(protocol) if task and part.task == task), Part(""))
    there = predictions.is_file()
    return Found(
        model, revision, own, part.key, task, split, predictions if there else report,
        "predictions" if there else "report", content, report if report.is_file() else None,
    )  # fmt: skip
