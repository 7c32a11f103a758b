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
# Of our trainers' recipes: these hold paths, and never an id on the Hub.
_PATHS = frozenset({"base", "chat_template", "corpus", "data_dir", "file", "parent", "zero_config"})
_LOCAL = re.compile(r"(\.\S*)?[/\\]|~|[A-Za-z]:[/\\]")  # how a path begins that is no id
_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_WORD = re.compile(r"[^\s\"'`=,;|()\[\]{}<>]+")
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
            shared: dict[str, Any] = _shareable(recipe)
            return shared
    return None


def source_of(model: ModelInfo) -> str:
    """A Hub id, which has a commit, as it is; of a local path the last part: its folders are nobody's business."""
    return model.source if model.commit is not None else name_of(model.source)


def name_of(path: str) -> str:
    """The last part of a path.

    Example:
        >>> name_of("runs/tiny-llama"), name_of("C:\\\\texts\\\\b")
        ('tiny-llama', 'b')
    """
    return PureWindowsPath(path).name or path


def without_folders(text: str) -> str:
    """A text without the folders of local paths in it.

    What has one slash alone may be an id on the Hub, and stays.

    Example:
        >>> without_folders("--corpus /home/someone/texts --model org/tiny-llama"), without_folders("../texts/b")
        ('--corpus texts --model org/tiny-llama', 'b')
    """
    if _LOCAL.match(text):
        return name_of(text)  # whole: its folders may have spaces
    return _WORD.sub(lambda word: name_of(word[0]) if _is_path(word[0]) else word[0], text)


def without_root(text: str, root: Path) -> str:
    """A message without the folder of the results, below which paths are.

    Example:
        >>> without_root("not there (/home/someone/results/a/main)", Path("/home/someone/results"))
        'not there (a/main)'
    """
    for folder in {str(root.resolve()), str(root)} - {"."}:
        whole = re.compile(rf"(?<![\w./\\-]){re.escape(folder)}(?:([/\\])|(?![\w-]|\.\w))")
        text = whole.sub(lambda found: "" if found[1] else "the results folder", text)
    return text


def _is_path(word: str) -> bool:
    return not _URL.match(word) and (_LOCAL.match(word) is not None or len(PureWindowsPath(word).parts) > 2)


def _shareable(value: Any, key: str = "") -> Any:
    """A recipe's value without the folders of local paths in it, which dictionaries may have as keys too."""
    if isinstance(value, dict):
        shared: dict[str, Any] = {}
        for name, part in value.items():
            told = without_folders(str(name))
            alike = sum(without_folders(str(other)) == told for other in list(value)[: len(shared)])
            shared[f"{told} ({alike + 1})" if alike else told] = _shareable(part, str(name))
        return shared
    if isinstance(value, list):
        return [_shareable(part, key) for part in value]
    if isinstance(value, str):
        return name_of(value) if key in _PATHS else without_folders(value)
    return value
