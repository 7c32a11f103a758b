"""Readers of instruction and preference files that others made: one function for each form."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babyeval.errors import DataError, UsageError, unreadable

from ..corpus.read import COMPRESSIONS, read_text
from .rows import Candidate, Message, Row
from .spec import Format

Entry = dict[str, Any]

_ROLES = {"human": "user", "prompter": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
_NO_INPUT = {"", "<noinput>", "noinput", "<no input>"}


@dataclass(frozen=True, slots=True)
class Origin:
    """What rows say of themselves where the file does not.

    Attributes:
        source: The file's name without its endings.
        language: Code of a language.
    """

    source: str
    language: str

    def row(self, entry: Entry, before: Sequence[Message], reply: str, rejected: str | None = None) -> Candidate:
        """A row out of what was said before a reply, or the reason why it is none."""
        roles = [message.role for message in before]
        turns = roles[1:] if roles[:1] == ["system"] else roles
        if turns != ["user", "assistant"] * (len(turns) // 2) + ["user"]:
            return Candidate((), reason="roles out of order" if turns else "no prompt")
        if not all(message.content for message in before):
            return Candidate((), reason="no prompt")
        if not reply:
            return Candidate((), reason="no reply")
        if rejected is not None and (not rejected or rejected == reply):
            return Candidate((), reason="equal sides" if rejected else "one side missing")
        source = _text(entry.get("source")) or self.source
        language = _text(entry.get("lang")) or _text(entry.get("language")) or self.language
        # Rows that begin in the same way are kept together: they may be one conversation, or one question answered twice.
        first = before[len(roles) - len(turns)].content
        return Candidate(
            (f"{self.source} {first}",),
            Row(before[-1].content, reply, source, language, history=tuple(before[:-1]), rejected=rejected),
        )


def read_set(path: Path, form: Format, language: str) -> Iterator[Candidate]:
    """Reads a file of instruction or preference rows.

    Args:
        path: JSON Lines, a JSON list, CSV, TSV or Parquet; the text forms possibly compressed. A TSV file without a
            header holds prompts and replies.
        form: How the rows are written, or ``auto``.
        language: Of rows that do not name theirs.

    Yields:
        A candidate for each reply, or the reason why an entry gives none.

    Raises:
        DataError: The file is damaged, or holds rows of no known form.
        MissingError: It cannot be read.
        UsageError: Its name does not say what it is.
    """
    entries = _entries(path)
    if not entries:
        raise DataError("The file holds no rows.", where=str(path))
    known = form if form != "auto" else _form(entries[0], path)
    reader = _READERS[known]
    return reader(entries, Origin(path.name.split(".")[0], language))


def _form(entry: Entry, path: Path) -> Format:
    keys = entry.keys()
    if {"chosen", "rejected"} <= keys:
        return "preference"
    if keys & {"messages", "conversations"}:
        return "messages"
    if {"message_id", "text"} <= keys or {"message_tree_id", "prompt"} <= keys:
        return "oasst"
    if "instruction" in keys and keys & {"output", "instances"}:
        return "alpaca"
    if {"prompt", "completion"} <= keys:
        return "prompt_completion"
    if {"prompt", "reply"} <= keys:
        return "columns"
    raise DataError(
        f"The rows are of no form that babyeval reads; the first has the fields {', '.join(map(repr, keys))}.",
        where=str(path),
        hint="Readable are prompt and reply, prompt and completion, instruction and output, messages, OpenAssistant's, "
        "and for preferences chosen and rejected.",
    )


def _entries(path: Path) -> list[Entry]:
    name = path.stem if path.suffix.lower() in COMPRESSIONS else path.name
    ending = Path(name).suffix.lower()
    if ending == ".parquet":
        return _parquet(path)
    if ending not in (".json", ".jsonl", ".csv", ".tsv"):
        raise UsageError(
            "The name of an instruction file does not say what it is.",
            where=str(path),
            hint="It ends in .jsonl, .json, .csv, .tsv or .parquet; the text forms perhaps followed by .xz, .gz or .zst.",
        )
    text = "".join(read_text(path))
    if ending in (".csv", ".tsv"):
        return _table(text, ending, path)
    if text.lstrip().startswith("["):
        return [_object(entry, f"{path}, entry {number}") for number, entry in enumerate(_json(text, str(path)), start=1)]
    lines = ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())
    return [_object(_json(line, f"{path}, line {number}"), f"{path}, line {number}") for number, line in lines]


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"This is not valid JSON ({error}).", where=where, hint="Was the file cut off?") from error


def _object(entry: Any, where: str) -> Entry:
    if not isinstance(entry, dict):
        raise DataError(f"A row is no JSON object but a {type(entry).__name__}.", where=where)
    return entry


def _table(text: str, ending: str, path: Path) -> list[Entry]:
    try:
        if ending == ".csv":
            found = list(csv.reader(io.StringIO(text), strict=True))
        else:
            found = [line.split("\t") for line in text.split("\n")]
    except csv.Error as error:
        raise DataError(f"The file is no valid CSV: {error}.", where=str(path)) from error
    lines = [(number, line) for number, line in enumerate(found) if len(line) > 1 or "".join(line).strip()]  # none is empty
    if not lines:
        return []
    header = [cell.strip().lower() for cell in lines[0][1]]
    if not set(header) & {"prompt", "instruction", "chosen"}:
        if len(header) != 2:
            raise DataError("The table has no header that names its columns.", where=str(path), hint="Name prompt and reply.")
        header = ["prompt", "reply"]
    else:
        lines = lines[1:]
    for number, line in lines:
        if len(line) != len(header):
            raise DataError(f"Row {number + 1} has {len(line)} cells, not {len(header)}.", where=str(path))
    return [dict(zip(header, line, strict=True)) for _, line in lines]


def _parquet(path: Path) -> list[Entry]:
    import pyarrow
    import pyarrow.parquet

    try:
        return [dict(entry) for entry in pyarrow.parquet.read_table(path).to_pylist()]
    except (pyarrow.ArrowInvalid, UnicodeDecodeError) as error:
        raise DataError(f"The Parquet file is damaged: {str(error).splitlines()[0]}", where=str(path)) from error
    except OSError as error:
        raise unreadable(error) from error


def _text(value: Any) -> str:
    """A text without white space and byte-order marks around it; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip().strip("\ufeff").strip()


def _pairs(field: str) -> Callable[[list[Entry], Origin], Iterator[Candidate]]:
    """Prompts and replies as texts, or as messages: then each reply among those of `field` is a row."""

    def read(entries: list[Entry], origin: Origin) -> Iterator[Candidate]:
        for entry in entries:
            asked, said = (_turns(entry.get(name), role) for name, role in (("prompt", "user"), (field, "assistant")))
            if asked is None or said is None:
                yield Candidate((), reason="unknown roles")
            else:
                yield from _replies(entry, [*asked, *said], len(asked), origin)

    return read


def _turns(value: Any, role: str) -> list[Message] | None:
    """A text as one message, or messages as they are; None if they are not messages."""
    if isinstance(value, list | dict):
        return _conversation([value] if isinstance(value, dict) else value)
    return [Message(role, _text(value))]


def _replies(entry: Entry, messages: list[Message], first: int, origin: Origin) -> Iterator[Candidate]:
    """A row for each reply from a message on, with what was said before as its history."""
    replies = [number for number in range(first, len(messages)) if messages[number].role == "assistant"]
    if not replies:
        yield Candidate((), reason="no reply")
    for number in replies:
        yield origin.row(entry, messages[:number], messages[number].content)


def _alpaca(entries: list[Entry], origin: Origin) -> Iterator[Candidate]:
    """Instruction, perhaps with an input below; the seed tasks of self-instruct have several ``instances`` of these."""
    for entry in entries:
        instruction = _text(entry.get("instruction"))
        if not instruction:
            yield Candidate((), reason="no prompt")
            continue
        instances = entry.get("instances") or [entry]
        for instance in instances if isinstance(instances, list) else []:
            content = _text(instance.get("input")) if isinstance(instance, dict) else ""
            prompt = instruction if content.lower() in _NO_INPUT else f"{instruction}\n\n{content}"
            yield origin.row(
                entry, [Message("user", prompt)], _text(instance.get("output")) if isinstance(instance, dict) else ""
            )


def _conversation(value: Any) -> list[Message] | None:
    """Messages in either spelling (role and content, from and value); None if they are not."""
    if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
        return None
    found = []
    for message in value:
        role = _ROLES.get(str(message.get("role", message.get("from"))).lower())
        if role is None:
            return None
        found.append(Message(role, _text(message.get("content", message.get("value")))))
    return found


def _messages(entries: list[Entry], origin: Origin) -> Iterator[Candidate]:
    """Each reply of a conversation is a row, with what was said before as its history."""
    for entry in entries:
        messages = _conversation(entry.get("messages", entry.get("conversations")))
        if messages is None:
            yield Candidate((), reason="unknown roles")
        else:
            yield from _replies(entry, messages, 0, origin)


def _oasst(entries: list[Entry], origin: Origin) -> Iterator[Candidate]:
    """OpenAssistant's messages, flat or as trees: to each prompt the best ranked reply, with the way to it as history."""
    below: dict[Any, list[Entry]] = {}
    seen: set[Any] = set()
    for entry in entries:
        tree = entry.get("prompt")
        for message in _flat(tree) if isinstance(tree, dict) else [entry]:
            known = message.get("message_id")
            if not known or known in seen:
                yield Candidate((), reason="a message with the id of another" if known else "a message without an id")
            elif message.get("deleted"):
                yield Candidate((), reason="a deleted message")
            else:
                seen.add(known)
                below.setdefault(message.get("parent_id"), []).append(message)
    for _ in range(len(seen) - _reached(below)):
        yield Candidate((), reason="a message whose thread has no beginning")
    pending = [(prompt, list[Message]()) for prompt in reversed(below.get(None, []))]
    while pending:
        prompt, before = pending.pop()
        asked = [*before, Message("user", _text(prompt.get("text")))]
        replies = below.get(prompt.get("message_id"), [])
        if not replies:
            if not before:
                yield Candidate((), reason="no reply")
            continue
        best = min(replies, key=lambda reply: reply["rank"] if isinstance(reply.get("rank"), int | float) else math.inf)
        yield origin.row(prompt, asked, _text(best.get("text")))
        answered = [*asked, Message("assistant", _text(best.get("text")))]
        pending += [(following, answered) for following in reversed(below.get(best.get("message_id"), []))]


def _reached(below: dict[Any, list[Entry]]) -> int:
    """How many messages hang, by way of others, on one that begins a thread."""
    count, pending = 0, [*below.get(None, [])]
    while pending:
        count += 1
        pending += below.get(pending.pop()["message_id"], [])
    return count


def _flat(message: Entry) -> Iterator[Entry]:
    stack: list[tuple[Entry, Any]] = [(message, None)]
    while stack:
        one, above = stack.pop()
        yield {**one, "parent_id": above}
        stack += [(reply, one.get("message_id")) for reply in reversed(one.get("replies") or [])]


def _preference(entries: list[Entry], origin: Origin) -> Iterator[Candidate]:
    """Two replies to one prompt, of which one was preferred: as texts, as messages, or as whole conversations."""
    for entry in entries:
        sides = [_side(entry.get(name)) for name in ("chosen", "rejected")]
        if any(side is None or not side[1] for side in sides):
            yield Candidate((), reason="one side missing")
            continue
        (before, chosen), (other, rejected) = (side for side in sides if side is not None)
        if other != before:
            yield Candidate((), reason="two different prompts")
            continue
        asked: Any = next((entry[key] for key in ("prompt", "conversations", "messages", "question") if entry.get(key)), None)
        prompt = _conversation(asked) if isinstance(asked, list) else [Message("user", _text(asked))] if asked else []
        yield origin.row(entry, before or prompt or [], chosen, rejected)


def _side(value: Any) -> tuple[list[Message], str] | None:
    """A reply, and what stands before it where the side is a whole conversation."""
    messages = _conversation([value] if isinstance(value, dict) else value)
    if messages is None:
        return ([], _text(value)) if isinstance(value, str) else None
    return (messages[:-1], messages[-1].content) if messages and messages[-1].role == "assistant" else None


_READERS: dict[Format, Callable[[list[Entry], Origin], Iterator[Candidate]]] = {
    "columns": _pairs("reply"),
    "prompt_completion": _pairs("completion"),
    "alpaca": _alpaca,
    "oasst": _oasst,
    "messages": _messages,
    "preference": _preference,
}
