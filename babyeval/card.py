"""The task card: everything about a benchmark that is data, read from its card.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from babyeval.errors import UsageError
from babyeval.protocols import PROTOCOLS

SPLITS = ("full", "fast", "mini")


class DataSpec(BaseModel):
    """Where the files of one split lie.

    Attributes:
        path: Folder or file below the data folder (official layout), or, for a bundled split,
            beside the card.
        pattern: Which files of a folder belong to the split.
        bundled: True if the files are part of the package that holds the card.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    pattern: str = "*.jsonl"
    bundled: bool = False


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
        strata: The item key whose values are averaged without weights (``uid``: the subsets).
        report: Further item keys by which scores are reported.
        protocols: Protocols under which the task is defined.
        data: One entry per split.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    version: int = Field(ge=1)
    family: Literal["ranking"]
    groups: tuple[str, ...]
    summary: str
    license: str
    citation: str
    homepage: str = ""
    language: str = "en"
    metric: str = "accuracy"
    unit: Literal["percent"] = "percent"
    higher_is_better: bool = True
    chance: float
    strata: str = "uid"
    report: tuple[str, ...] = ()
    protocols: tuple[str, ...] = tuple(PROTOCOLS)
    data: dict[Literal["full", "fast", "mini"], DataSpec]

    @model_validator(mode="after")
    def _consistent(self) -> TaskCard:
        unknown = [name for name in self.protocols if name not in PROTOCOLS]
        if unknown:
            raise ValueError(f"unknown protocol {unknown[0]!r}: choose from {', '.join(PROTOCOLS)}")
        if self.name in self.groups or self.name == "all":
            raise ValueError(f"a task may not be named like a group: {self.name!r}")
        if "full" not in self.data and "mini" not in self.data:
            raise ValueError("a card needs at least the split 'full' or 'mini'")
        return self


def explain_validation(error: ValidationError, known: tuple[str, ...]) -> str:
    """The first problem of a pydantic error in plain words, with a suggestion for a typo."""
    import difflib

    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"]) or "the whole"
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        return f"unknown key '{place}'" + (f" (did you mean '{near[0]}'?)" if near else "")
    if problem["type"] == "missing":
        return f"the key '{place}' is missing"
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
        known = tuple(TaskCard.model_fields) + tuple(DataSpec.model_fields)
        raise UsageError(
            f"A task card is wrong: {explain_validation(error, known)}.",
            where=str(path),
            hint="Compare it with the output of 'babyeval tasks new example'.",
        ) from error
