"""Parts of official files that are kept as they are, for the submission file: no task of ours reads them (yet)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from babyeval.errors import UsageError, disk_error
from babyeval.models.naming import folder_name
from babyeval.store import atomic_path

FOLDER = "imported"


@dataclass(frozen=True, slots=True)
class Carried:
    """The kept parts of one model under one backend.

    Attributes:
        model: Its name.
        revision: Its revision.
        protocol: The year.
        backend: The backend; empty for parts that have none (fine-tuning).
        parts: The content by key of the submission file.
        files: Where each part came from: name and sha256.
    """

    model: str
    revision: str
    protocol: str
    backend: str
    parts: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, str]] = field(default_factory=dict)

    def path(self, root: Path) -> Path:
        """``ROOT/<model>/<revision>/imported/<year>[-<backend>].json``."""
        name = "-".join(filter(None, (self.protocol, self.backend)))
        return root / folder_name(self.model) / folder_name(self.revision) / FOLDER / f"{name}.json"


def find_carried(root: Path, protocol: str) -> Iterator[Carried]:
    """Everything of a year that is kept in a results folder.

    Raises:
        UsageError: A file is damaged.
    """
    for path in sorted(root.glob(f"*/*/{FOLDER}/{protocol}*.json")):
        yield _read(path)


def require_readable(root: Path, identity: Carried) -> None:
    """Finds out before anything is written whether what is kept can be added to.

    Raises:
        UsageError: It is damaged.
    """
    path = identity.path(root)
    if path.is_file():
        _read(path)


def _read(path: Path) -> Carried:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        identity = (content["model"], content["revision"], content["protocol"], content["backend"])
        parts, files = content["parts"], content["files"]
        if not all(isinstance(text, str) for text in identity) or not isinstance(parts, dict) or not isinstance(files, dict):
            raise TypeError("it is no file of imported parts")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"A file of imported parts cannot be read: {error}.", where=str(path), hint="Delete it and import the results again."
        ) from error
    return Carried(*identity, parts, files)


def update_carried(
    root: Path, identity: Carried, add: Mapping[str, Any], files: Mapping[str, Mapping[str, str]], drop: frozenset[str]
) -> None:
    """Adds parts to what is kept, and drops those that became records.

    Args:
        root: The results folder.
        identity: Whose parts they are; its own parts are not looked at.
        add: New parts by key; a GLUE part is merged task by task.
        files: Name and sha256 of the file of each new part.
        drop: Keys that are no longer needed.

    Raises:
        MissingError: The folder cannot be written.
        UsageError: What is kept is damaged.
    """
    path = identity.path(root)
    old = _read(path) if path.is_file() else identity
    parts = {key: content for key, content in old.parts.items() if key not in drop}
    for key, content in add.items():
        mergeable = key == "glue" and isinstance(parts.get(key), dict)
        parts[key] = {**parts[key], **content} if mergeable else content
    if parts == old.parts and (parts or not path.is_file()):
        return
    known = {**old.files, **files}
    try:
        if not parts:
            path.unlink()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = {
            "schema_version": 1, "model": identity.model, "revision": identity.revision, "protocol": identity.protocol,
            "backend": identity.backend, "files": {key: known[key] for key in parts if key in known}, "parts": parts,
        }  # fmt: skip
        with atomic_path(path) as draft:
            draft.write_text(json.dumps(whole), encoding="utf-8")  # NaN stays NaN, as official files write it
    except OSError as error:
        raise disk_error(error, str(path)) from error
