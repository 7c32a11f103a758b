"""Made-up fast sets, and the records of a model's checkpoints on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from babyeval.records import ModelInfo, Score, TaskResult
from babyeval.registry import get_task
from babyeval.store import ResultStore
from export.official_data import EWOK, OFFICIAL, SUPPLEMENT, blimp, ewok, make_model, minimal_pairs, small, write_record

STEPS_SMALL = [f"chck_{i}M" for i in (*range(1, 10), *range(10, 101, 10))]
STEPS_STRICT = [f"chck_{i}M" for i in (*range(1, 10), *range(10, 100, 10), *range(100, 1001, 100))]
WITH_FAST_SET = ("blimp", "blimp_supplement", "ewok", "entity_tracking")
WHOLE = {"babylm-2025": ("wug_adj", "wug_past"), "babylm-2026": ("global_piqa_parallel", "global_piqa_nonparallel")}
KEYS = {  # section 8 of the protocol
    "babylm-2025": ["blimp", "blimp_supplement", "ewok", "entity_tracking", "wug_adj", "wug_past", "reading"],
    "babylm-2026": [
        *("blimp", "blimp_supplement", "ewok", "entity_tracking_filtered"),
        *("global_piqa_parallel", "global_piqa_nonparallel", "reading"),
    ],
}  # fmt: skip


def write_fast_data(root: Path) -> None:
    """The fast sets that lie apart, of small sizes; those of the other tasks are their whole sets."""
    fast = root / "fast_eval"
    for uid in OFFICIAL["blimp"]:
        _write(fast / "blimp_fast" / f"{uid}.jsonl", blimp(uid, small(200)))
    for uid in SUPPLEMENT:
        _write(fast / "supplement_fast" / f"{uid}.jsonl", minimal_pairs(uid, small(50)))
    for domain in EWOK:
        _write(fast / "ewok_fast" / f"{domain}.jsonl", ewok(domain, small(100)))


def _write(path: Path, lines: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def reading_record(root: Path, year: str, model: ModelInfo, eye: float = 2.0, self_paced: float = -1.0) -> TaskResult:
    """A record of reading with made-up numbers."""
    rows = small(1726)
    heads = tuple(
        Score(
            metric="partial_r2", subset=subset, value=value, unit="percent", estimator="macro", n=rows - 3, n_clusters=4,
            se=None, se_method="none", ci_low=None, ci_high=None, chance=0.0,
        )
        for subset, value in (("eye_tracking", eye), ("self_paced", self_paced))
    )  # fmt: skip
    record = TaskResult(
        status="done", task=get_task("reading").card, model=model, protocol=year, split="full", backend="causal",
        headlines=heads, scores=heads,
    )  # fmt: skip
    table = pd.DataFrame({"surprisal": np.arange(rows) / 7, "previous_surprisal": [float("nan"), *np.arange(rows - 1) / 7]})
    return ResultStore(root).write(record, table)


def write_checkpoint(
    root: Path, year: str, data: Path, revision: str, seed: int = 0, words: int | None = None
) -> dict[str, TaskResult]:
    """All fast records of one checkpoint."""
    model = make_model(revision=revision).model_copy(update={"words_seen": words})
    records = {task: write_record(root, task, year, data, model=model, split="fast", seed=seed) for task in WITH_FAST_SET}
    records |= {task: write_record(root, task, year, data, model=model, seed=seed) for task in WHOLE[year]}
    records["reading"] = reading_record(root, year, model, eye=2.0 + seed, self_paced=-1.0 - seed)
    return records
