"""Results folders made by hand: models of known scores on a few tasks, records and tables as a run writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from babyeval.card import TaskCard
from babyeval.fit.summary import Predicted, fit_scores
from babyeval.fit.task import FitTask
from babyeval.reading import EYE_TRACKING, SELF_PACED
from babyeval.records import DataInfo, FitInfo, ModelInfo, Provenance, Score, SeedFit, TaskResult, Timing
from babyeval.registry import get_task
from babyeval.stats.aggregate import accuracy_scores, make_score
from babyeval.stats.intervals import Estimate
from babyeval.store import ResultStore
from babyeval.types import Item, Outcome

HOSTILE = (
    '<script>document.title = "broken"</script>',
    "\"quoted\" & 'single' <b>bold</b>",
    "emoji 🦙 and \u202eright to left\u202c نموذج",
    "</script><!-- {{ braces }} ${dollars} $x^2$",
)


def a_model(name: str, **about: Any) -> ModelInfo:
    """A model whose digest is made of its name and revision."""
    key = f"{name}@{about.get('revision', 'main')}".encode().hex()
    given = {"source": "models/none", "revision": "main", "parameters": 1_000_000, "kind": "causal", **about}
    return ModelInfo.model_validate({"name": name, "digest": f"{key:0<64}"[-64:], "weights": f"{key:1<64}"[-64:], **given})


def _record(card: TaskCard, model: ModelInfo, scores: Sequence[Score], headlines: int = 1, **given: Any) -> TaskResult:
    about: dict[str, Any] = {"protocol": "robust", "split": "full", "backend": "causal", "status": "done", **given}
    if "data" not in about:
        about["data"] = DataInfo(split=about["split"], digest="d" * 64, files=())
    if "provenance" not in about:
        about["provenance"] = provenance()
    timing = Timing(seconds=3.0, rows_computed=10, rows_cached=0, positions=100, trie_nodes=90)
    return TaskResult(task=card, model=model, scores=tuple(scores), headlines=tuple(scores[:headlines]), timing=timing, **about)


def provenance(**changes: Any) -> Provenance:
    """A run on one machine."""
    return Provenance.model_validate(
        {
            "babyeval": "0.1.0", "protocol_version": 1, "scoring_version": 1, "dtype": "float32", "masking": "pll",
            "device": "cpu", "attention": "sdpa", "tf32": False, "path": "trie", "split_head": True, "window": 512,
            "truncation": "context from the left", "python": "3.11.7", "platform": "Linux", "libraries": {"torch": "2.13.0"},
            "finished": "2026-01-01T00:00:00+00:00", **changes,
        }
    )  # fmt: skip


def ranking(task: str, model: ModelInfo, credits: dict[str, Sequence[float]], **given: Any) -> tuple[TaskResult, pd.DataFrame]:
    """A record of credits by subset, each item a cluster of its own."""
    card = get_task(task).card
    items, outcomes = [], []
    for subset, values in credits.items():
        for place, value in enumerate(values):
            name = f"{subset}-{place}"
            meta = {key: subset for key in (card.strata, *card.report) if key not in ("", "uid")}
            items.append(Item(name, subset, name, (), 0, meta))
            outcomes.append(Outcome(name, float(value), (0.0, 0.0), int(value < 1)))
    scores = accuracy_scores(card, items, outcomes)
    columns = {key: [item.meta[key] for item in items] for key in (card.strata,) if key not in ("", "uid")}
    table = pd.DataFrame(
        {
            "item_id": [item.id for item in items], "subset": [item.subset for item in items],
            "cluster": [item.cluster for item in items], "value": [outcome.value for outcome in outcomes], **columns,
        }
    )  # fmt: skip
    return _record(card, model, scores, **given), table


def rating(
    task: str, model: ModelInfo, preference: Sequence[float], gold: Sequence[float], **given: Any
) -> tuple[TaskResult, pd.DataFrame]:
    """A record of a rank correlation."""
    from scipy.stats import spearmanr

    card, n = get_task(task).card, len(gold)
    rho = float(spearmanr(preference, gold).statistic) if len(set(preference)) > 1 else None
    if rho is None:
        estimate = Estimate(None, None, None, None, "none", n, n, "all values are equal")
    else:
        estimate = Estimate(rho, 0.1, rho - 0.2, rho + 0.2, "bonett-wright", n, n)
    score = make_score(card, estimate, "micro", metric=card.metric, chance=card.chance)
    names = [f"word-{place}" for place in range(n)]
    table = pd.DataFrame({"item_id": names, "subset": card.name, "cluster": names, "gold": gold, "value": preference})
    return _record(card, model, [score], **given), table


def reading(model: ModelInfo, gain: float, seed: int, **given: Any) -> tuple[TaskResult, pd.DataFrame]:
    """A record of both headlines, with held-out likelihoods of twenty sentences."""
    card, rng = get_task("reading").card, np.random.default_rng(seed)
    scores = []
    for place, subset in enumerate(("eye_tracking", "self_paced")):
        value = (gain + place) / 100
        estimate = Estimate(value, 0.004, value - 0.005, value + 0.009, "bootstrap of sentences", 100, 20)
        scores.append(make_score(card, estimate, "micro", metric="partial_r2", chance=0.1, subset=subset))
    table = pd.DataFrame({"item_id": [f"w{i}" for i in range(100)], "cluster": [f"s{i // 5}" for i in range(100)]})
    for measure in (*EYE_TRACKING, SELF_PACED):
        table[f"ll_base_{measure}"] = -5.0
        table[f"ll_full_{measure}"] = -5.0 + gain / 10 + rng.normal(0, 0.3, 100)
    return _record(card, model, scores, 2, **given), table


def fit(
    task: str, model: ModelInfo, predictions: dict[int, Sequence[int]], gold: Sequence[int], **given: Any
) -> tuple[TaskResult, pd.DataFrame]:
    """A record over several fine-tuning seeds."""
    found = get_task(task)
    names = [f"{task}_{place}" for place in range(len(gold))]
    assert isinstance(found, FitTask)
    scores, mde = fit_scores(found, Predicted(gold, names, predictions))
    fits = [
        SeedFit(
            seed=seed, value=found.metrics[0](gold, labels),
            constant=len(set(labels)) == 1, best_epoch=1, losses=(0.7,), selection=(50.0,), updates=10, truncated=0,
            batch_size=16, accumulation=1, seconds=5.0,
        )
        for seed, labels in predictions.items()
    ]  # fmt: skip
    info = FitInfo(
        fits=tuple(fits), hyper={"epochs": 1}, hyper_digest="h" * 64, train_labels=(10, 10), reported_labels=(5, 5), mde=mde
    )
    table = pd.DataFrame(
        {
            "item_id": names, "cluster": names, "gold": list(gold),
            "value": np.mean([np.array(labels) == np.array(gold) for labels in predictions.values()], axis=0),
            "predictions": np.array(list(predictions.values())).T.tolist(),
        }
    )  # fmt: skip
    return _record(found.card, model, scores, fit=info, **given), table


def bare(task: str, model: ModelInfo, value: float | None, **given: Any) -> tuple[TaskResult, None]:
    """A record of one number without items."""
    card = get_task(task).card
    ends = (None, None, None) if value is None else (value - 2, value + 2, 1.0)
    score = Score(
        metric=card.metric, value=value, unit=card.unit, estimator="micro", n=100, se=ends[2], se_method="wilson",
        n_clusters=100, ci_low=ends[0], ci_high=ends[1], chance=card.chance,
        note="it is undefined" if value is None else None,
    )  # fmt: skip
    return _record(card, model, [score], **given), None


def write(folder: Path, *records: tuple[TaskResult, pd.DataFrame | None]) -> Path:
    """Writes records into a results folder."""
    store = ResultStore(folder)
    for result, table in records:
        store.write(result, table)
    return folder


def credits(rng: np.random.Generator, share: float, subsets: Sequence[str], items: int = 20) -> dict[str, list[float]]:
    """Random credits by subset."""
    return {subset: (rng.random(items) < share).astype(float).tolist() for subset in subsets}


BLIMP = tuple(f"paradigm_{number:02}" for number in range(12))
SUPPLEMENT = ("hypernym", "qa_congruence_easy", "qa_congruence_tricky", "subject_aux_inversion", "turn_taking")


def whole(model: ModelInfo, seed: int, ability: float) -> list[tuple[TaskResult, pd.DataFrame]]:
    """A model on one task of every kind."""
    rng = np.random.default_rng(seed)
    gold = np.random.default_rng(99).normal(size=40)
    labels = np.random.default_rng(98).integers(0, 2, 60)
    tuned = {k: np.where(rng.random(60) < ability, labels, 1 - labels).tolist() for k in (1, 2, 3)}
    return [
        ranking("blimp", model, credits(rng, ability, BLIMP)),
        ranking("blimp_supplement", model, credits(rng, ability, SUPPLEMENT)),
        rating("wug_adj", model, (ability * gold + rng.normal(size=40)).tolist(), gold.tolist()),
        reading(model, ability, seed),
        fit("rte", model, tuned, labels.tolist()),
    ]
