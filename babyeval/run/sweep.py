"""Several checkpoints in one run: which they are, in what order, and what becomes of one that fails."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from babyeval.config import RunConfig
from babyeval.data.archive import require_known_tasks
from babyeval.errors import BabyevalError, MissingError, UsageError, unusable
from babyeval.families import SpanTask
from babyeval.models.checkpoint import Checkpoint, open_checkpoint, words_in_name
from babyeval.models.naming import ModelRef, folder_name, parse_model
from babyeval.models.revisions import by_words, matching_revisions, require_different_weights
from babyeval.protocols import get_protocols
from babyeval.records import ModelInfo, TaskResult
from babyeval.registry import resolve_tasks


@dataclass(frozen=True, slots=True)
class Unopened:
    """A revision of a sweep that cannot be evaluated; the others are.

    Attributes:
        name: The model's name.
        source: The folder or Hub id.
        revision: Which it is.
        error: Why.
    """

    name: str
    source: str
    revision: str
    error: BabyevalError

    @property
    def words_seen(self) -> int | None:
        return words_in_name(self.revision)


def open_models(config: RunConfig) -> list[Checkpoint | Unopened]:
    """Opens every model of a configuration, their weights not loaded, so that a typo shows before any work.

    Returns:
        The models in the order given, the revisions of one by words seen, then name.

    Raises:
        UsageError: A task is unknown, a model is given twice or one name to two, or all revisions of a model are equal.
        MissingError: A model is not there, or no revision of it matches.
    """
    resolve_tasks(list(config.tasks))
    require_known_tasks(config.passwords)
    models: list[Checkpoint | Unopened] = []
    for text in config.models:
        ref = parse_model(text)
        if config.revisions is None:
            models.append(_open(config, ref))
        else:
            models.extend(open_revisions(config, ref, config.revisions))
    _require_given_once(config, models)
    _require_different_names([model for model in models if isinstance(model, Checkpoint)])
    return models


def open_revisions(config: RunConfig, ref: ModelRef, pattern: str) -> list[Checkpoint | Unopened]:
    """Opens the revisions of a model that match a glob, by words seen, then name.

    Raises:
        UsageError: The reference names a revision itself, all revisions have equal weights (D36), or the glob is too
            long for the folder of the record over all.
        MissingError: None matches, or the model is not there.
    """
    if any(isinstance(task, SpanTask) and task.across for task in resolve_tasks(list(config.tasks))):
        try:
            folder_name(pattern)
        except UsageError as error:
            raise UsageError(
                "The glob is too long: the record over all checkpoints lies in a folder of its name.",
                where=f"--revisions '{pattern[:40]}...'",
                hint="Write it shorter, such as --revisions 'chck_*'.",
            ) from error
    opened: list[Checkpoint] = []
    refused: list[tuple[ModelRef, BabyevalError]] = []
    for one in matching_revisions(ref, pattern, offline=config.offline):
        try:
            opened.append(_open(config, one))
        except BabyevalError as error:
            refused.append((one, error))
        except OSError as error:
            refused.append((one, unusable(error)))
    if not opened:
        raise refused[0][1]
    require_different_weights(opened)
    name = opened[0].name
    models: list[Checkpoint | Unopened] = [*opened]
    models += [Unopened(name, one.source, str(one.revision), error) for one, error in refused]
    return sorted(models, key=lambda model: by_words(model.words_seen, model.revision))


def _open(config: RunConfig, ref: ModelRef) -> Checkpoint:
    return open_checkpoint(
        ref,
        backend=config.backend,
        trust_remote_code=config.trust_remote_code,
        allow_pickle=config.allow_pickle,
        offline=config.offline,
    )


def _require_given_once(config: RunConfig, models: Sequence[Checkpoint | Unopened]) -> None:
    """A model given twice would be listed twice, and in a sweep two under one name would become one curve."""
    opened: set[tuple[str, str, str]] = set()
    places: dict[str, str] = {}
    for model in models:
        place = os.path.realpath(model.source) if Path(model.source).exists() else model.source
        if (key := (model.name, place, model.revision)) in opened:
            raise UsageError(f"The model '{model.name}' is given twice.", where=model.source, hint="Name it once by --model.")
        opened.add(key)
        if config.revisions is not None and places.setdefault(model.name, place) != place:
            raise UsageError(
                f"Two models have the name '{model.name}', and the checkpoints of both would be taken for one training run.",
                where=f"{places[model.name]} and {place}",
                hint="Name one of them otherwise: --model NAME=PATH.",
            )


def _require_different_names(checkpoints: Sequence[Checkpoint]) -> None:
    """Two models under one name would meet in the results folder, hours later."""
    named: dict[tuple[str, str], Checkpoint] = {}
    for checkpoint in checkpoints:
        other = named.setdefault((checkpoint.name, checkpoint.revision), checkpoint)
        if other.digest != checkpoint.digest:
            raise UsageError(
                f"Two models have the name '{checkpoint.name}'.",
                where=f"{other.source} and {checkpoint.source}",
                hint="Name one of them otherwise: --model NAME=PATH.",
            )


def results_of_failure(config: RunConfig, model: Checkpoint | Unopened, error: BabyevalError) -> list[TaskResult]:
    """What is reported, and never stored, of a checkpoint that stopped as a whole: each task, with the reason."""
    about = ModelInfo(
        name=model.name,
        source=model.source,
        revision=model.revision,
        digest=model.digest if isinstance(model, Checkpoint) else "",
        parameters=None,
        kind="unknown",
        words_seen=model.words_seen,
    )
    return [
        TaskResult(
            status="skipped" if isinstance(error, MissingError) else "failed",
            error=str(error),
            task=task.card,
            model=about,
            protocol=protocol.name,
            split=config.split,
            backend=model.backend if isinstance(model, Checkpoint) else config.backend,
        )
        for task in resolve_tasks(list(config.tasks))
        for protocol in get_protocols(config.protocol)
    ]
