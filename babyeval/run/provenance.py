"""How the numbers of a record came about: versions, precision, paths."""

from __future__ import annotations

import datetime
import platform
from importlib.metadata import PackageNotFoundError, version

from babyeval.records import Precision, Provenance
from babyeval.run.plan import Plan, PlannedTask, planned_dtype, planned_word_end
from babyeval.scoring import SCORING_VERSION

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "statsmodels", "scikit-learn", "pandas", "pyarrow")


def library_versions() -> dict[str, str]:
    """Versions of the libraries that numbers depend on, without importing them."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "absent"
    return versions


def provenance(plan: Plan, planned: PlannedTask, precision: Precision | None) -> Provenance:
    """Describes how a task's rows were made."""
    engine = plan.engine
    work = engine.works.get(planned_dtype(plan, planned))
    return Provenance(
        babyeval=version("babyeval"),
        task_code=planned.task.code_digest,
        protocol_version=planned.protocol.version,
        scoring_version=SCORING_VERSION,
        dtype=planned_dtype(plan, planned),
        masking=plan.config.masking,
        word_end=planned_word_end(plan, planned),
        device=engine.device_name(),
        attention=engine.attention(),
        tf32=False,  # scoring/model_view.py switches it off
        path=work.path if work else "cache",
        split_head=engine.split_head(),
        window=plan.checkpoint.window,
        truncation="context from the left",
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        libraries=library_versions(),
        precision=precision,
        finished=now(),
    )


def now() -> str:
    """The time as records state it, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
