"""Which fits a run has to make: seeds that are asked for and have no record that would say the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING

from babyeval.data.lookup import DataSource, resolved_split
from babyeval.fit import FIT_VERSION
from babyeval.fit.spec import hyper_for
from babyeval.fit.types import Hyper
from babyeval.records import ModelInfo, TaskResult

if TYPE_CHECKING:
    from babyeval.fit.task import FitTask
    from babyeval.run.plan import Plan
    from babyeval.run.planned import PlannedFit

OFFICIAL_SEED = 42
DEFAULT_SEEDS = 5


def find_fits(plan: Plan, task: FitTask, wanted: Sequence[PlannedFit]) -> None:
    """Finds a task's data, the fits that are there, and those to be made, under each protocol.

    Seeds that were fitted before stay in the summary beside those asked for: more seeds later add to them.

    Raises:
        DataMissing: A file is not there.
        DataError: A line is malformed.
    """
    config = plan.config
    source = plan.prepared.source(task)
    split_valid = config.allow_split_valid and not any(file.stem.endswith(".train") for file in source.files)
    split = resolved_split(task.card, config.split) + ("@split-valid" if split_valid else "")
    for planned in wanted:
        planned.split = split + (f"@{config.limit}" if config.limit else "")
        planned.source = source
        planned.split_valid = split_valid
        planned.hyper = hyper_for(task.card, planned.protocol.name, planned.split)
        asked = range(1, (config.seeds or DEFAULT_SEEDS) + 1) if planned.protocol.name == "robust" else (OFFICIAL_SEED,)
        _look_for_records(plan, planned)
        planned.seeds = tuple(sorted({*asked, *planned.kept}))
        whole = planned.result.fit if planned.result is not None else None
        if whole is not None and set(planned.seeds) <= set(whole.seeds):
            planned.state, planned.seeds = "kept", whole.seeds
        else:
            planned.result = None
            examples = plan.prepared.examples(task)
            planned.train, planned.reported = examples.train, examples.reported


def _look_for_records(plan: Plan, planned: PlannedFit) -> None:
    """The records of single seeds and of all, as far as they say what this run would say."""
    planned.kept = kept_seeds(plan, planned)
    whole = None if plan.config.fresh else plan.store.find(*_place(plan, planned))
    if whole is not None and whole.status == "done" and holds(plan, planned, whole):
        planned.result = whole


def kept_seeds(plan: Plan, planned: PlannedFit) -> dict[int, TaskResult]:
    """The records of single seeds, as far as they say what this run would say."""
    found = {} if plan.config.fresh else plan.store.seeds(*_place(plan, planned))
    return {seed: old for seed, old in found.items() if settled(old) and holds(plan, planned, old)}


def _place(plan: Plan, planned: PlannedFit) -> tuple[ModelInfo, str, str, str, str]:
    return plan.model, planned.task.card.name, planned.split, fit_backend(plan), planned.protocol.name


def fit_backend(plan: Plan) -> str:
    """The backend's label; how zero-shot questions are masked does not concern fits."""
    return plan.checkpoint.backend


def settled(result: TaskResult) -> bool:
    """Whether a seed's fit came to an end; fitting a diverged one again would give the same."""
    return result.status == "done" or (result.fit is not None and not result.fit.counted)


def holds(plan: Plan, planned: PlannedFit, old: TaskResult) -> bool:
    """Whether a record was made from the same model, data, code and hyper-parameters; what is said of the model does not count."""
    card = planned.task.card
    if old.provenance is None or old.data is None or old.fit is None or planned.source is None or planned.hyper is None:
        return False
    return (
        old.model.digest == plan.model.digest
        and old.task.model_dump() == card.model_dump()  # a password that the card publishes stands in no record
        and old.data.digest == planned.source.digest
        and old.fit.hyper_digest == hyper_digest(planned.hyper)
        and old.provenance.protocol_version == planned.protocol.version
        and old.provenance.task_code == planned.task.code_digest
        and old.provenance.babyeval == version("babyeval")
        and old.provenance.scoring_version == FIT_VERSION
        and old.provenance.dtype == plan.config.dtype
        and plan.store.items_whole(old)
    )


def hyper_digest(hyper: Hyper) -> str:
    """Digest of all hyper-parameters."""
    return hashlib.sha256(json.dumps(asdict(hyper), sort_keys=True).encode()).hexdigest()


def state_name(planned: PlannedFit, source: DataSource, seed: int, dtype: str) -> str:
    """The name of the folder that keeps an unfinished fit: all that the fit depends on besides the model."""
    assert planned.hyper is not None
    parts = (
        planned.split, source.digest, hyper_digest(planned.hyper), planned.task.code_digest,
        planned.task.card.model_dump_json(), version("babyeval"), str(FIT_VERSION), dtype,
    )  # fmt: skip
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return f"{planned.task.card.name}-{planned.protocol.name}-seed_{seed}-{digest}"
