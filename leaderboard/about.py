"""What stands beside the numbers: how each protocol scores a task, and what a checkpoint says of its training."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath
from typing import Any

from babyeval.card import TaskCard
from babyeval.errors import BabyevalError
from babyeval.protocols import PROTOCOLS
from babyeval.records import ModelInfo
from babyeval.registry import get_task

_NAMED = re.compile(r"`([\w-]+)`")
_NOTES = "babyeval.json"
_LARGEST = 1_000_000  # bytes of a checkpoint's notes that are read


def how_scored(card: TaskCard) -> dict[str, str]:
    """How each protocol scores a task, out of the table in its README, else what the protocol says of itself."""
    try:
        text = (get_task(card.name).home / "README.md").read_text(encoding="utf-8")
    except (BabyevalError, OSError, ValueError):  # a plug-in that is not installed here, or says nothing
        text = ""
    told = protocol_table(text.splitlines())
    return {name: told.get(name, PROTOCOLS[name].summary) for name in PROTOCOLS if name in card.protocols or name in told}


def protocol_table(lines: Iterable[str]) -> dict[str, str]:
    """The rows of the first Markdown table whose first column is ``protocol``, in words.

    Example:
        >>> protocol_table(["| protocol | tie | NaN |", "|---|---|---|", "| `robust` | shared | error (D2) |"])
        {'robust': 'tie: shared; NaN: error (D2)'}
    """
    header: list[str] = []
    told: dict[str, str] = {}
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not header:
            header = cells if cells and cells[0] == "protocol" else []
        elif not cells:
            break
        else:
            words = [f"{name}: {cell}".replace("`", "") for name, cell in zip(header[1:], cells[1:], strict=False)]
            told |= {name: "; ".join(words) for name in _NAMED.findall(cells[0]) if name in PROTOCOLS}
    return told


def recipe_of(model: ModelInfo) -> dict[str, Any] | None:
    """The recipe that the checkpoint was trained by, where it still lies where it was evaluated; no weights are read."""
    folder = Path(model.source)
    for path in (folder / model.revision / _NOTES, folder / _NOTES):
        try:
            if not path.is_file() or path.stat().st_size > _LARGEST:
                continue
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # no longer readable: the page does without
            continue
        about = (content.get("condition"), content.get("seed")) if isinstance(content, dict) else None
        recipe = content.get("recipe") if about == (model.condition, model.train_seed) else None
        if isinstance(recipe, dict):
            return {str(key): _shareable(value) for key, value in recipe.items()}
    return None


def without_folder(source: str) -> str:
    """The last part of a local path, whose folders are nobody's business; a Hub id as it is.

    Example:
        >>> without_folder("/home/someone/models/tiny-llama"), without_folder("org/tiny-llama")
        ('tiny-llama', 'org/tiny-llama')
    """
    windows = PureWindowsPath(source)
    local = source.startswith((".", "~")) or len(windows.parts) > 2 or bool(windows.drive or windows.root)
    return (windows.name or source) if local else source


def _shareable(value: Any) -> Any:
    """A recipe's value without the folders of local paths in it."""
    if isinstance(value, dict):
        return {str(key): _shareable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_shareable(part) for part in value]
    if isinstance(value, str) and (PureWindowsPath(value).is_absolute() or value.startswith(("/", "~"))):
        return without_folder(value)
    return value
