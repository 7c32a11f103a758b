"""What the command sets in a recipe (``--set section.key=value``), and contents of recipes put together."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

from babyeval.errors import UsageError


@dataclass(frozen=True, slots=True)
class Override:
    """A key that the command sets.

    Attributes:
        text: As it was written.
        keys: Section and key.
        value: What it is set to.
    """

    text: str
    keys: tuple[str, ...]
    value: Any


def parse(text: str) -> Override:
    """Reads ``section.key=value``; a value is TOML, else text.

    Raises:
        UsageError: It has another form.

    Example:
        >>> parse("pretrain.epochs=2").value
        2
    """
    key, equals, value = text.partition("=")
    parts = tuple(part.strip() for part in key.split("."))
    if not equals or not all(parts):
        raise UsageError(f"--set takes section.key=value, not '{text}'.", hint="For example: --set pretrain.epochs=2")
    return Override(text, parts, _value(value.strip()))


def override_in(content: dict[str, Any], override: Override) -> None:
    """Sets a key in a recipe's content.

    Raises:
        UsageError: A part of the key is a value.
    """
    for part in override.keys[:-1]:
        content = content.setdefault(part, {})
        if not isinstance(content, dict):
            raise UsageError(f"--set {override.text}: '{part}' is a value, and has no keys of its own.")
    content[override.keys[-1]] = override.value


def same_as(content: dict[str, Any], keys: tuple[tuple[str, ...], ...]) -> list[Override]:
    """What a recipe says for itself, for its base."""
    found = []
    for parts in keys:
        value: Any = content
        for part in parts:
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            found.append(Override(".".join(parts), parts, value))
    return found


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Both contents, tables key by key; the second one's values win."""
    both = dict(under)
    for key, value in over.items():
        old = both.get(key)
        both[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
