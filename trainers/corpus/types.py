"""What a built corpus is: documents in Parquet files, and a manifest that accounts for every word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Part = Literal["train", "valid"]

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Document:
    """A piece of text that a model reads on its own.

    Attributes:
        text: The text; lines, paragraphs or turns are divided by line breaks.
        words: ``len(text.split())``.
        domain: The domain's name.
    """

    text: str
    words: int
    domain: str


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceFile(_Model):
    """A file of the corpus as it was found.

    Attributes:
        name: Path below the corpus folder.
        sha256: Digest of the file as it lies on disk.
        bytes: Its size on disk.
        form: How it was read: ``titled``, ``turns`` or ``lines``.
        words: Words in it, before cleaning.
    """

    name: str
    sha256: str
    bytes: int
    form: str
    words: int


class Removed(_Model):
    """What a rule removed.

    Attributes:
        entries: Lines, paragraphs, turns or documents that went; with `join_turns`, turns that became part of the one before.
        words: Words that went, net: where a sign between two words became a space, there is one more.
    """

    entries: int = 0
    words: int = 0


class Tally:
    """Counts what each rule removes."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])

    def add(self, rule: str, words: int, entries: int = 1) -> None:
        """Notes that a rule removed something."""
        count = self._counts[rule]
        count[0] += entries
        count[1] += words

    def entries(self, rule: str) -> int:
        """How many entries a rule has removed so far."""
        return self._counts[rule][0]

    def removed(self) -> dict[str, Removed]:
        """The counts by rule, of rules that removed anything."""
        return {rule: Removed(entries=count[0], words=count[1]) for rule, count in sorted(self._counts.items()) if any(count)}


class DomainCounts(_Model):
    """The account of one domain.

    Attributes:
        train_words: Words kept for training.
        valid_words: Words kept for validation.
        train_documents: Documents kept for training.
        valid_documents: Documents kept for validation.
        files: The files it was read from.
        removed: By rule, what was removed: ``marks`` (equals signs and file names at the heads of documents), the
            cleaning rules by their names in the recipe, and ``budget`` (documents that sampling left out). The words
            of the files are those kept and those removed.
    """

    train_words: int
    valid_words: int
    train_documents: int
    valid_documents: int
    files: tuple[SourceFile, ...]
    removed: dict[str, Removed]

    @property
    def words(self) -> int:
        """Words kept, for training and validation."""
        return self.train_words + self.valid_words

    @property
    def documents(self) -> int:
        """Documents kept, for training and validation."""
        return self.train_documents + self.valid_documents


class Manifest(_Model):
    """The account of a corpus.

    Attributes:
        schema_version: Of this file.
        digest: Of the documents' text, their domains, parts and order; what is built of the corpus depends on nothing else.
        domains: By name.
        budget: The words that the recipe allows; None: all.
        left_out: Files of the corpus folder that were not taken, each with the reason.
        notes: What a reader should know of this corpus, in sentences.
        settings: The recipe's section ``data`` without the corpus's place.
        outputs: The files beside this one, with their SHA-256.
    """

    schema_version: int = SCHEMA_VERSION
    digest: str
    domains: dict[str, DomainCounts]
    budget: int | None
    left_out: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    settings: dict[str, Any]
    outputs: dict[str, str]


def part_file(domain: str, part: Part) -> str:
    """The name of a domain's file."""
    return f"{domain}.{part}.parquet"


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus that was built.

    Attributes:
        folder: Where it lies.
        manifest: Its account.
    """

    folder: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        """Of the text, its division and order."""
        return self.manifest.digest

    @property
    def domains(self) -> tuple[str, ...]:
        """The names of the domains, sorted."""
        return tuple(sorted(self.manifest.domains))

    @property
    def train_words(self) -> int:
        """Words for training."""
        return sum(domain.train_words for domain in self.manifest.domains.values())

    @property
    def valid_words(self) -> int:
        """Words for validation."""
        return sum(domain.valid_words for domain in self.manifest.domains.values())

    def documents(self, part: Part, domain: str | None = None) -> Iterator[Document]:
        """Yields the documents, domain by domain in the order of their names, each domain's in the order of its files.

        Only some hundred documents are in memory at a time.

        Args:
            part: For training or for validation.
            domain: Only this domain.
        """
        import pyarrow.parquet

        for name in self.domains if domain is None else (domain,):
            with pyarrow.parquet.ParquetFile(self.folder / part_file(name, part)) as file:
                for batch in file.iter_batches(batch_size=256, columns=["text", "words"]):
                    texts, words = batch.column(0).to_pylist(), batch.column(1).to_pylist()
                    for text, count in zip(texts, words, strict=True):
                        yield Document(text, count, name)
