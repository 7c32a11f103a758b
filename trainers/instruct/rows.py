"""Rows of prompts and replies, in memory and in Parquet files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """A turn of a conversation.

    Attributes:
        role: ``system``, ``user`` or ``assistant``.
        content: What is said.
    """

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt and its reply; of a preference set, also the reply that was not preferred.

    Attributes:
        prompt: What the user says last.
        reply: What the model is to answer; the preferred reply.
        source: The file or collection that it comes from.
        language: Code of its language.
        writer: What wrote it, where babyeval had it written: ``template`` or a model's name.
        history: What was said before the prompt, a system text included.
        rejected: The reply that was not preferred.
    """

    prompt: str
    reply: str
    source: str
    language: str
    writer: str = ""
    history: tuple[Message, ...] = ()
    rejected: str | None = None

    @property
    def words(self) -> int:
        """Words of all its texts, each counted once.

        Example:
            >>> Row("What is tea?", "A drink.", "mine", "en").words
            5
        """
        return self.shown_words + len((self.rejected or "").split())

    @property
    def prompt_words(self) -> int:
        """Words of all that stands before the reply: prompt and history."""
        return sum(len(text.split()) for text in (self.prompt, *(message.content for message in self.history)))

    @property
    def shown_words(self) -> int:
        """Words of prompt, history and reply: what instruction tuning shows, which never shows the rejected one."""
        return self.prompt_words + len(self.reply.split())

    @property
    def storable(self) -> bool:
        r"""Whether all its texts are Unicode: half of a surrogate pair is a character in JSON, but stands in no file.

        Example:
            >>> Row("What is \ud83d?", "Nothing.", "mine", "en").storable
            False
        """
        try:
            json.dumps(self.as_json(), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return False
        return True

    @property
    def messages(self) -> list[dict[str, str]]:
        """All that stands before the reply, as chat templates take it."""
        before = [{"role": message.role, "content": message.content} for message in self.history]
        return [*before, {"role": "user", "content": self.prompt}]

    def as_json(self) -> dict[str, Any]:
        """The row with its words, as it is stored."""
        return {
            "prompt": self.prompt,
            "reply": self.reply,
            "rejected": self.rejected,
            "history": [{"role": message.role, "content": message.content} for message in self.history],
            "source": self.source,
            "language": self.language,
            "writer": self.writer,
            "words": self.words,
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a source offers: a row, or the reason why it offers none.

    Attributes:
        groups: What must not be divided between training and validation: an article, a conversation. A row that belongs
            to two groups is left out where these are divided.
        row: The row.
        reason: Why there is none.
        place: Of the row in its source, for the order in which rows are stored.
    """

    groups: tuple[str, ...]
    row: Row | None = None
    reason: str = ""
    place: int = 0


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Writes rows as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet

    text = pa.string()
    history = pa.list_(pa.struct([("role", text), ("content", text)]))
    fields = [("prompt", text), ("reply", text), ("rejected", text), ("history", history)]
    fields += [("source", text), ("language", text), ("writer", text), ("words", pa.int64())]
    pa.parquet.write_table(pa.Table.from_pylist([row.as_json() for row in rows], schema=pa.schema(fields)), path)


def read_rows(path: Path) -> Iterator[Row]:
    """Yields the rows of a Parquet file that `write_rows` wrote."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=256):
            for entry in batch.to_pylist():
                history = tuple(Message(**message) for message in entry.pop("history"))
                del entry["words"]
                yield Row(**entry, history=history)


def rows_digest(rows: Iterable[Row]) -> str:
    """SHA-256 of rows in their order, whatever the file that holds them looks like."""
    total = hashlib.sha256()
    for row in rows:
        total.update(json.dumps(row.as_json(), sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    return total.hexdigest()
