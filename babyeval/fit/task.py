"""A task on which a checkpoint is fine-tuned: its card, and two files of labelled texts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

from babyeval.card import TaskCard, load_card
from babyeval.data.jsonl import Record, read_jsonl
from babyeval.data.lookup import DataFile, DataSource, how_to_get
from babyeval.errors import DataError, DataMissing, UsageError
from babyeval.families import Task
from babyeval.fit.metrics import METRICS, Metric, get_metric
from babyeval.fit.spec import FitSpec, fields_of, fill
from babyeval.fit.split import split_off
from babyeval.fit.types import Example

REPORTED_SHARE = 0.2  # of the reported file, where it has to serve for training too


class Examples(NamedTuple):
    """What a fit reads.

    Attributes:
        train: Examples to learn from; under ``robust`` a part of them chooses the epoch.
        reported: Examples whose predictions are scored.
        split_valid: True if both are parts of the reported file, because there is no other: such a number is
            not comparable with the benchmark's.
    """

    train: list[Example]
    reported: list[Example]
    split_valid: bool


class FitTask(Task):
    """A classification task; its card says everything, so that a further one needs no code.

    Args:
        card: What the task is, of the family ``fit``.
        home: The folder that holds the card and the bundled files.

    Raises:
        UsageError: The card has no table [fit].
    """

    def __init__(self, card: TaskCard, home: Path) -> None:
        super().__init__(card, home)
        if card.fit is None:
            raise UsageError(f"The card of '{card.name}' has no table [fit].", hint="Its family is 'fit': see docs/authors.md.")
        self.spec: FitSpec = card.fit
        self.does = f"fine-tunes a copy of it to tell {' from '.join(self.spec.labels)}, for each seed anew"

    @classmethod
    def beside(cls, module_file: str, card: str = "card.toml") -> Self:
        """Makes the task from a card that lies in the same folder as the calling module.

        Args:
            module_file: The caller's ``__file__``.
            card: Name of the card's file.

        Raises:
            UsageError: The card is absent or wrong.
        """
        home = Path(module_file).resolve().parent
        return cls(load_card(home / card), home)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """The card's metrics, that of the headline first."""
        names = dict.fromkeys((self.card.metric, *self.spec.metrics))
        return tuple(get_metric(name, self.card.unit) for name in names)

    def guessed(self, metric: str, gold: Sequence[int]) -> float | None:
        """What guessing every label equally often is expected to earn; None where that is not known."""
        guess = METRICS[metric].guess if metric in METRICS else None
        return None if guess is None or not gold else guess(gold, len(self.spec.labels))

    def read(self, source: DataSource, allow_split_valid: bool = False) -> Examples:
        """Reads the examples of a split, in file order.

        Args:
            source: Files named ``*.train.jsonl`` and ``*.valid.jsonl``.
            allow_split_valid: Where there is no training file, whether to learn from a part of the reported one.

        Raises:
            DataError: A line is malformed, its label is not among the card's, or a file holds none; file and line are named.
            DataMissing: One of the files is not there.
        """
        files = {_role(file): file for file in source.files}
        if len(files) < len(source.files) or not files.keys() <= {"train", "valid"}:
            raise DataError(
                f"'{self.card.name}' needs one file that ends in .train.jsonl and one that ends in .valid.jsonl.",
                where=", ".join(file.place for file in source.files),
                hint="Make the pattern of its card fit these two alone.",
            )
        if "valid" not in files:
            raise self._missing("reported file (.valid.jsonl)", source)
        if "train" in files:
            return Examples(self._examples(files["train"]), self._examples(files["valid"]), False)
        if not allow_split_valid:
            raise self._missing(
                "training file (.train.jsonl)",
                source,
                f"Or add --allow-split-valid: {1 - REPORTED_SHARE:.0%} of the reported file are learnt from and the rest is "
                "reported; the result is marked, since it is no number of the benchmark.",
            )
        train, reported = split_off(self._examples(files["valid"]), REPORTED_SHARE)
        if not (train and reported):
            raise DataError("The file holds too few lines to be split.", where=files["valid"].place)
        return Examples(train, reported, True)

    def _missing(self, what: str, source: DataSource, more: str = "") -> DataMissing:
        return DataMissing(
            f"The {what} of '{self.card.name}' is not here.",
            where=f"beside {source.files[0].place}",
            hint=" ".join(filter(None, (how_to_get(self.card, source.split), more))),
        )

    def _examples(self, file: DataFile) -> list[Example]:
        examples = [self._example(record, number) for number, record in enumerate(read_jsonl(file))]
        if not examples:
            raise DataError(
                "The file holds no line.",
                where=file.place,
                hint="Get it again: 'babyeval data verify' compares it with its source.",
            )
        return examples

    def _example(self, record: Record, number: int) -> Example:
        spec, name = self.spec, f"{self.card.name}_{number}"
        cluster = f"{spec.cluster}-{_digest(str(record[spec.cluster]))}" if spec.cluster else name
        return Example(
            id=name,
            text_a=_text(record, spec.text_a),
            text_b=_text(record, spec.text_b) if spec.text_b else None,
            label=self._label(record),
            cluster=cluster,
            place=f"{record.stem}, {record.where.rpartition(', ')[2]}",
            digest=record.digest,
        )

    def _label(self, record: Record) -> int:
        """The label's index; the file may hold the index, or the label's name."""
        value, labels = record[self.spec.label], self.spec.labels
        if isinstance(value, str) and value in labels:
            return labels.index(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(labels):
            return value
        meanings = ", ".join(f"{i} ({label})" for i, label in enumerate(labels))
        shown = repr(value) if isinstance(value, int | float | None) else f"a {type(value).__name__}"
        raise DataError(
            f"The label is {shown}; '{self.card.name}' has {meanings}.",
            where=record.where,
            hint="Labels that are kept secret stand as -1 in test files: take the file for validation.",
        )


def _role(file: DataFile) -> str:
    return file.stem.rpartition(".")[2]


def _text(record: Record, template: str) -> str:
    """One text of an example.

    Raises:
        DataError: A field is missing or is no text, or the whole is blank.
    """
    values: dict[str, str] = {}
    for name in fields_of(template):
        value: Any = record[name]
        if not isinstance(value, str):
            raise DataError(f"The field '{name}' is a {type(value).__name__}, not a text.", where=record.where)
        values[name] = value
    text = fill(template, values)
    if not text.strip() or not any(value.strip() for value in values.values()):
        raise DataError(
            f"The text of {', '.join(values)} is empty.",
            where=record.where,
            hint="Mend the line, or get the file again from its source.",
        )
    return text


def _digest(text: str) -> str:
    """Equal for texts of the same words: lines of WSC about one passage differ in its spaces and full stops."""
    words = " ".join(re.findall(r"\w+", text.casefold())) or text
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:12]
