"""The configuration of a run: command line over BABYEVAL_* variables over a TOML file over defaults."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from babyeval.card import explain_validation
from babyeval.data.archive import parse_passwords
from babyeval.errors import MissingError, UsageError

CONFIG_FILE = "babyeval.toml"
_PREFIX = "BABYEVAL_"
# Variables of that prefix that are no fields of the configuration.
_OTHER_VARIABLES = {"BABYEVAL_CACHE", "BABYEVAL_DATA", "BABYEVAL_CONFIG"}
_LISTS = ("models", "tasks", "data_password")
_HINTS = {
    "models": "Name a model by --model.",
    "revisions": "Name checkpoints by a glob in quotes, such as --revisions 'chck_*', or leave it out.",
}


class RunConfig(BaseModel):
    """Everything that decides what a run does.

    Attributes:
        models: Each ``[NAME=]PATH_OR_ID[@REV]``.
        revisions: Glob over each model's Hub branches or sub-folders; every match is evaluated.
        tasks: Task and group names.
        split: ``full``, ``fast`` or ``mini``.
        protocol: A protocol's name, or ``all``.
        data_dir: Folder in the official ``evaluation_data`` layout.
        data_password: Passwords of data archives, each ``TASK=PASSWORD``; shown nowhere.
        out: Results folder.
        backend: How the model is asked; ``auto`` looks at its configuration.
        masking: For masked models, what is hidden besides the scored token.
        word_end: For surprisals of words, whether those corrected for the word's end are computed beside the plain ones.
        dtype: Precision of the forward pass.
        device: Where it runs.
        limit: Take only so many items of each task; never ranked or exported.
        seeds: Fine-tuning seeds under ``robust``: 1 to this number; 5 if not given. Official protocols take seed 42 alone.
        allow_split_valid: Where a task has no training file, fine-tune on a part of the file that is reported.
        condition: Training condition, where the checkpoint does not say it.
        train_seed: Training seed, where the checkpoint does not say it.
        dry_run: Show the plan and stop.
        fresh: Compute and write everything again.
        offline: Fetch nothing.
        trust_remote_code: Run code that a checkpoint brings.
        allow_pickle: Load weights stored in PyTorch's own format.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    models: tuple[str, ...] = Field(min_length=1)
    revisions: str | None = Field(default=None, min_length=1)
    tasks: tuple[str, ...] = Field(default=("all",), min_length=1)
    split: Literal["full", "fast", "mini"] = "full"
    protocol: Literal["robust", "babylm-2025", "babylm-2026", "all"] = "robust"
    data_dir: Path | None = None
    data_password: tuple[SecretStr, ...] = Field(default=(), repr=False)
    out: Path = Path("results")
    backend: Literal["auto", "causal", "mlm", "mntp", "enc-dec-mask", "enc-dec-prefix"] = "auto"
    masking: Literal["pll", "word-l2r"] = "pll"
    word_end: Literal["none", "corrected"] = "none"
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    limit: int | None = Field(default=None, ge=1)
    seeds: int | None = Field(default=None, ge=1)
    allow_split_valid: bool = False
    condition: str | None = None
    train_seed: int | None = None
    dry_run: bool = False
    fresh: bool = False
    offline: bool = False
    trust_remote_code: bool = False
    allow_pickle: bool = False

    @field_validator(*_LISTS, mode="before")
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def passwords(self) -> dict[str, str]:
        """Passwords of data archives by task.

        Raises:
            UsageError: One is not of the form ``TASK=PASSWORD``.
        """
        return parse_passwords(password.get_secret_value() for password in self.data_password)


def load_config(given: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> RunConfig:
    """Puts a run's configuration together.

    Args:
        given: What the command line or the caller says; None means not given.
        environment: The process environment, replaceable for tests.

    Raises:
        UsageError: A key is unknown (the nearest is suggested) or a value is wrong; the place is named.
        MissingError: The configuration file that was named does not exist.

    Example:
        >>> load_config({"models": ["m"], "split": None}, {"BABYEVAL_SPLIT": "mini"}).split
        'mini'
    """
    environment = os.environ if environment is None else environment
    layers = [_from_file(environment), _from_environment(environment), {k: v for k, v in given.items() if v is not None}]
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for values, origin in zip(layers, (f"the file {_file(environment)}", "the environment", "the command"), strict=True):
        merged.update(values)
        origins.update(dict.fromkeys(values, origin))
    try:
        config = RunConfig.model_validate(merged)
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0]) if error.errors()[0]["loc"] else ""
        raise UsageError(
            f"The configuration is wrong: {explain_validation(error, tuple(RunConfig.model_fields))}.",
            where=origins.get(key),
            hint=_HINTS.get(key, "'babyeval run --help' lists all options."),
        ) from error
    _ = config.passwords  # their form is checked here, before any work
    return config


def _file(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("BABYEVAL_CONFIG", CONFIG_FILE))


def _from_file(environment: Mapping[str, str]) -> dict[str, Any]:
    path = _file(environment)
    if not path.is_file():
        if "BABYEVAL_CONFIG" in environment:
            raise MissingError(f"The configuration file '{path}' does not exist.", hint="Mend or unset BABYEVAL_CONFIG.")
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"The configuration file is not valid TOML: {error}.", where=str(path)) from error
    return content


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    named = {name: value for name, value in environment.items() if name.startswith(_PREFIX) and name not in _OTHER_VARIABLES}
    return {name.removeprefix(_PREFIX).lower(): value for name, value in named.items()}
