"""The task card: everything about a benchmark that is data, read from its card.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from babyeval.errors import UsageError
from babyeval.fit.spec import FitSpec, Training
from babyeval.protocols import PROTOCOLS

SPLITS = ("full", "fast", "mini")


class DataSpec(BaseModel):
    """Where the files of one split lie.

    Attributes:
        path: Folder or file below the data folder (official layout), or, for a bundled split,
            beside the card.
        pattern: Which files of a folder, or members of an archive, belong to the split.
        bundled: True if the files are part of the package that holds the card.
        archive: Zip below the data folder (or a glob of several) that holds the files, read in memory
            where they do not lie unpacked.
        password: The archive's password, only where its authors publish it; it stands in no record.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    pattern: str = "*.jsonl"
    bundled: bool = False
    archive: str = ""
    password: str = Field(default="", repr=False, exclude=True)


class SourceSpec(BaseModel):
    """Where the files of some splits can be got: a data set on the Hub at a fixed commit, or by hand.

    Attributes:
        repo: Data set on the Hub; empty if the files can only be got by hand.
        revision: Commit of the data set, 40 hexadecimal digits.
        splits: The splits that it serves.
        files: Paths or globs inside the data set; ``**/`` stands for any folders.
        to: Folder below the data folder (official layout) into which the files go.
        build: How they become data: copied as they are, or built (``ewok``, ``global_piqa``).
        rows: Number of rows that a build must give, if that is known.
        sha256: Digest of a build's one source file, if it is known.
        gated: True if its authors give the files only to users who accepted their terms.
        note: How to get the files by hand, or what to know about them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: str = ""
    revision: str = Field(default="", pattern=r"^([0-9a-f]{40})?$")
    splits: tuple[Literal["full", "fast"], ...] = Field(min_length=1)
    files: tuple[str, ...] = ()
    to: str = ""
    build: Literal["copy", "ewok", "global_piqa"] = "copy"
    rows: int | None = Field(default=None, ge=1)
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    gated: bool = False
    note: str = ""

    @model_validator(mode="after")
    def _complete(self) -> SourceSpec:
        if self.repo and not (self.revision and self.files and self.to):
            raise ValueError("a source with 'repo' needs 'revision', 'files' and 'to'")
        if not self.repo and not self.note:
            raise ValueError("a source without 'repo' needs a 'note' that says how to get the files")
        if self.to.startswith("/") or ".." in self.to.split("/"):
            raise ValueError("'to' is a folder below the data folder")
        return self

    @property
    def label(self) -> str:
        """The data set and its commit in one word; empty if it is got by hand."""
        return f"{self.repo}@{self.revision[:12]}" if self.repo else ""


class TaskCard(BaseModel):
    """What a benchmark is, where its data lies, and what its number means.

    Attributes:
        name: The name used on the command line, in folders and in records.
        title: The benchmark's name as its authors write it.
        version: Rises whenever the task's number may change for the same data.
        family: The kind of evaluation.
        groups: Names under which ``--tasks`` selects it together with others.
        summary: One sentence: what is measured.
        license: Terms of the data.
        citation: The paper to cite.
        homepage: Where the data comes from.
        language: BCP-47 tag of the texts.
        metric: Name of the headline's metric.
        unit: Unit of the headline.
        chance: Expected headline of a model that guesses.
        strata: The item key whose values are averaged without weights (``uid``: the subsets; empty:
            the headline is the mean over all items).
        within: The item key that is averaged inside each stratum first; empty: the items themselves.
        candidates: Number of candidates of every item; None if it may vary.
        id_field: The field by which the data files name their items; no value may occur twice in a file.
        report: Further item keys by which scores are reported.
        protocols: Protocols under which the task is defined.
        fast_falls_back: Whether ``--split fast`` takes the full set where there is no fast one, as the
            official suite does for sets that are small.
        mini_note: What a reader of a number on the bundled split must know, as where its gold is invented.
        data: One entry per split; of a fit, the pattern covers ``*.train.jsonl`` and ``*.valid.jsonl``.
        sources: Where the data can be got.
        fit: How the task is fine-tuned, for the family ``fit``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    version: int = Field(ge=1)
    family: Literal["ranking", "rating", "reading", "acquisition", "fit"]
    groups: tuple[str, ...]
    summary: str
    license: str
    citation: str
    homepage: str = ""
    language: str = "en"
    metric: str = "accuracy"
    unit: Literal["percent", "correlation"] = "percent"
    higher_is_better: bool = True
    chance: float
    strata: str = "uid"
    within: str = ""
    candidates: int | None = Field(default=None, ge=2)
    id_field: str = ""
    report: tuple[str, ...] = ()
    protocols: tuple[str, ...] = tuple(PROTOCOLS)
    fast_falls_back: bool = True
    mini_note: str = ""
    data: dict[Literal["full", "fast", "mini"], DataSpec]
    sources: tuple[SourceSpec, ...] = ()
    fit: FitSpec | None = None

    def sources_of(self, split: str) -> tuple[SourceSpec, ...]:
        """Where the files of a split can be got."""
        return tuple(source for source in self.sources if split in source.splits)

    @model_validator(mode="after")
    def _consistent(self) -> TaskCard:
        unknown = [name for name in self.protocols if name not in PROTOCOLS]
        if unknown:
            raise ValueError(f"unknown protocol {unknown[0]!r}: choose from {', '.join(PROTOCOLS)}")
        if self.name in self.groups or self.name == "all":
            raise ValueError(f"a task may not be named like a group: {self.name!r}")
        if "full" not in self.data and "mini" not in self.data:
            raise ValueError("a card needs at least the split 'full' or 'mini'")
        if (self.family == "fit") != (self.fit is not None):
            raise ValueError("the family 'fit' and the table [fit] go together")
        if self.fit is not None and self.metric not in self.fit.metrics:
            raise ValueError(f"the headline's metric '{self.metric}' is not among the metrics of [fit]")
        return self


def first_problem(error: ValidationError) -> Any:
    """The problem to speak of: an unknown key before all others, since a misspelt key is also a missing one."""
    problems = error.errors()
    return next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])


def explain_validation(error: ValidationError, known: tuple[str, ...]) -> str:
    """The first problem of a pydantic error in plain words, with a suggestion for a typo."""
    import difflib

    problem = first_problem(error)
    place = ".".join(str(part) for part in problem["loc"]) or "the whole"
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        return f"unknown key '{place}'" + (f" (did you mean '{near[0]}'?)" if near else "")
    if problem["type"] == "missing":
        return f"the key '{place}' is missing"
    if problem["type"] == "string_too_short":
        return f"'{place}' is empty"
    return f"{place}: {problem['msg']}"


def load_card(path: Path) -> TaskCard:
    """Reads and checks a card.

    Args:
        path: A TOML file with the fields of `TaskCard` at its top level.

    Raises:
        UsageError: The file is absent, is not TOML, or a field is missing, unknown or wrong.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("A task card cannot be read.", where=f"{path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError("A task card is not valid TOML.", where=f"{path}: {error}") from error
    try:
        return TaskCard.model_validate(content)
    except ValidationError as error:
        known = (
            *TaskCard.model_fields,
            *DataSpec.model_fields,
            *SourceSpec.model_fields,
            *FitSpec.model_fields,
            *Training.model_fields,
        )
        raise UsageError(
            f"A task card is wrong: {explain_validation(error, known)}.",
            where=str(path),
            hint="Compare it with the output of 'babyeval tasks new example'.",
        ) from error
