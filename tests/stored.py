"""Results folders made by hand for tests of comparisons: records and tables of items that no model has to make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, spearmanr

from babyeval.card import TaskCard
from babyeval.records import (
    CheckpointRef,
    DataInfo,
    FitInfo,
    ImportedFrom,
    ModelInfo,
    Provenance,
    Score,
    SeedFit,
    TaskResult,
)
from babyeval.registry import get_task
from babyeval.store import ResultStore

MEASURES = ("RTfirstfix", "RTfirstpass", "RTgopast", "RTrightbound", "self_paced_reading_time")


def score(value: float | None, n: int = 10, **changes: Any) -> Score:
    about = {"metric": "accuracy", "unit": "percent", "estimator": "macro", "se_method": "stratified", "chance": 50.0}
    return Score(**{**about, "value": value, "n": n, "n_clusters": n, "se": 1.0, "ci_low": None, "ci_high": None, **changes})


def model_info(name: str, revision: str = "main", **changes: Any) -> ModelInfo:
    about = {"source": name, "digest": f"{name}@{revision}", "parameters": 1, "kind": "causal"}
    return ModelInfo(**{**about, "name": name, "revision": revision, **changes})


def provenance(**changes: Any) -> Provenance:
    about: dict[str, Any] = {
        "babyeval": "0", "protocol_version": 1, "scoring_version": 1, "dtype": "float32", "masking": "pll", "device": "cpu",
        "attention": None, "tf32": False, "path": "trie", "split_head": None, "window": None, "truncation": "left",
        "python": "3", "platform": "x", "libraries": {}, "finished": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return Provenance(**{**about, **changes})


def store(
    root: Path,
    model: ModelInfo,
    card: TaskCard,
    scores: Sequence[Score],
    items: Mapping[str, Sequence[Any]] | None,
    *,
    headlines: int = 1,
    data: str | None = "d" * 64,
    protocol_version: int = 1,
    made: Mapping[str, Any] | None = None,
    **changes: Any,
) -> TaskResult:
    """Writes one record as a run would; ``made`` says more about its provenance."""
    about: dict[str, Any] = {"status": "done", "protocol": "robust", "split": "full", "backend": "causal", **changes}
    result = TaskResult(
        task=card, model=model, headlines=tuple(scores[:headlines]), scores=tuple(scores),
        data=DataInfo(split=about["split"], digest=data, files=()) if data else None,
        provenance=provenance(protocol_version=protocol_version, **(made or {})), **about,
    )  # fmt: skip
    return ResultStore(root).write(result, None if items is None else pd.DataFrame(items))


def hash_of(name: str) -> float:
    """A number that is another one for another name."""
    return float(crc32(name.encode()))


def ranking(
    root: Path,
    name: str,
    credits: Mapping[str, Sequence[float]],
    *,
    task: str = "blimp",
    of: Mapping[str, Any] | None = None,
    clusters: Mapping[str, Sequence[str]] | None = None,
    shuffled: bool = False,
    version: int = 1,
    without_items: bool = False,
    scored_by: str | None = None,
    **changes: Any,
) -> TaskResult:
    """A task of the ranking family from each subset's credits.

    ``of`` says more about the model, and ``scored_by`` that another one made its scores, which no two models share.
    """
    card = get_task(task).card.model_copy(update={"version": version})
    rows = [(f"{subset}-{i}", subset, value) for subset, part in credits.items() for i, value in enumerate(part)]
    groups = clusters or {subset: [f"{subset}-{i}" for i in range(len(part))] for subset, part in credits.items()}
    items = {
        "item_id": [row[0] for row in rows],
        "subset": [row[1] for row in rows],
        "cluster": [cluster for subset in credits for cluster in groups[subset]],
        "value": [row[2] for row in rows],
        "scores": [[value, hash_of(scored_by or name)] for _, _, value in rows],
    }
    if shuffled:
        items = {column: part[::-1] for column, part in items.items()}
    subsets = {subset: 100 * fmean(part) for subset, part in credits.items()}
    whole = fmean(subsets.values()) if card.strata else 100 * fmean(row[2] for row in rows)
    of_subsets = [score(value, len(credits[subset]), group="uid", subset=subset) for subset, value in subsets.items()]
    scores = [score(whole, len(rows), chance=card.chance), *of_subsets]
    return store(root, model_info(name, **(of or {})), card, scores, None if without_items else items, **changes)


def rating(
    root: Path, name: str, values: Sequence[float], gold: Sequence[float], of: Mapping[str, Any] | None = None, **changes: Any
) -> TaskResult:
    """WUG from preferences and people's ratings."""
    card, ids = get_task("wug_adj").card, [f"word-{i}" for i in range(len(values))]
    rho = float(spearmanr(values, gold).statistic)
    items = {"item_id": ids, "cluster": ids, "gold": gold, "value": values}
    headline = score(rho, len(ids), metric="spearman_rho", unit="correlation", chance=0.0)
    return store(root, model_info(name, **(of or {})), card, [headline], items, **changes)


def trajectory(
    root: Path, name: str, ages: Sequence[float | None], gold: Sequence[float], revisions: Sequence[str], **of: Any
) -> TaskResult:
    """Age of acquisition over several checkpoints; None for a word without an age."""
    card = get_task("aoa").card
    there = [(age, g) for age, g in zip(ages, gold, strict=True) if age is not None]
    headline = score(float(pearsonr(*zip(*there, strict=True)).statistic), len(there), metric="pearson_r", unit="correlation")
    items = {
        "item_id": [f"word-{i}" for i in range(len(ages))],
        "gold": gold,
        "value": [float("nan") if age is None else age for age in ages],
        "reason": ["model: flat" if age is None else "" for age in ages],
    }
    seen = [CheckpointRef(revision=r, words_seen=i + 1, digest=r, weights=None) for i, r in enumerate(revisions)]
    return store(root, model_info(name, "chck_*", **of), card, [headline], items, checkpoints=tuple(seen))


def reading(
    root: Path, name: str, gains: Mapping[str, Sequence[float]], sentences: Sequence[str], *,
    of: Mapping[str, Any] | None = None, notes: Sequence[str | None] = (None, None), headlines: int = 2, **changes: Any,
) -> TaskResult:  # fmt: skip
    """Reading from each measure's gain in log-likelihood, word by word, over a baseline of -2."""
    card, n = get_task("reading").card, len(sentences)
    own = list(np.random.default_rng(list(name.encode())).random(n))  # no two models give the same surprisal
    items: dict[str, Sequence[Any]] = {"item_id": [f"word-{i}" for i in range(n)], "cluster": sentences, "surprisal": own}
    if changes.get("protocol", "robust") == "robust":
        items |= {f"ll_base_{measure}": [-2.0] * n for measure in MEASURES}
        items |= {f"ll_full_{measure}": [-2.0 + gain for gain in gains[measure]] for measure in MEASURES}
    values = ((2.0, "eye_tracking"), (1.0, "self_paced"))
    scores = [score(v, n, metric="partial_r2", subset=s, note=note) for (v, s), note in zip(values, notes, strict=True)]
    return store(root, model_info(name, **(of or {})), card, scores, items, headlines=headlines, **changes)


def accuracy(labels: Sequence[int], gold: Sequence[int]) -> float:
    """In percent."""
    return 100 * fmean(x == y for x, y in zip(labels, gold, strict=True))


def f1(labels: Sequence[int], gold: Sequence[int]) -> float:
    """In percent, of label 1."""
    return 200 * sum(x and y for x, y in zip(labels, gold, strict=True)) / (sum(labels) + sum(gold))


def fitted(
    root: Path, name: str, predictions: Mapping[int, Sequence[int]], gold: Sequence[int], *, task: str = "rte",
    hyper: str = "h", note: str | None = None, of: Mapping[str, Any] | None = None, **changes: Any,
) -> TaskResult:  # fmt: skip
    """A fine-tuned task from each seed's predictions of labels 0 and 1."""
    card, ids = get_task(task).card, [f"{task}_{i}" for i in range(len(gold))]
    measured = {"accuracy": accuracy, "f1": f1}[card.metric]
    values = {seed: measured(labels, gold) for seed, labels in predictions.items()}
    fits = tuple(
        SeedFit(
            seed=seed, value=values[seed], constant=False, best_epoch=1, losses=(1.0,), selection=(1.0,), updates=1, truncated=0,
            batch_size=1, accumulation=1, seconds=1.0,
        )
        for seed in predictions
    )  # fmt: skip
    fit = FitInfo(fits=fits, hyper={}, hyper_digest=hyper, train_labels=(1, 1), reported_labels=(1, 1))
    by_item = [list(labels) for labels in zip(*predictions.values(), strict=True)]
    items = {"item_id": ids, "cluster": ids, "gold": gold, "predictions": by_item, "value": [0.0] * len(gold)}
    headline = score(fmean(values.values()), len(gold), metric=card.metric, estimator="micro", note=note)
    return store(root, model_info(name, **(of or {})), card, [headline], items, fit=fit, **changes)


def reported(root: Path, name: str, value: float, task: str = "blimp") -> TaskResult:
    """Rounded scores, as imported from a report."""
    card = get_task(task).card
    source = ImportedFrom(file="report.txt", sha256="0" * 64, format="report")
    return store(root, model_info(name), card, [score(value, 100)], None, data=None, imported=source)
