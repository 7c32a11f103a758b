"""Builds the leaderboard page of made-up models on 20 tasks, and sorts it in a browser:

    python -m benchmarks.leaderboard --models 50 200

prints, for each number of models, the seconds of building the page from records, its size, and the milliseconds from a click
on a column's head to the next frame, in headless Chromium. The records have the sizes of the official sets where the page
reads items (it reads none of tasks that the browser tests). Seconds of the clock depend on who else is at work, those of the
processor little.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babyeval.card import TaskCard
from babyeval.reading import EYE_TRACKING, SELF_PACED
from babyeval.records import DataInfo, FitInfo, ModelInfo, Provenance, Score, SeedFit, TaskResult, Timing
from babyeval.registry import get_task
from babyeval.store import ResultStore

Floats = NDArray[np.float64]
Record = tuple[TaskResult, pd.DataFrame]

SEEDS = 5
# Strata, subsets within each, items of each subset.
RANKING = {
    "blimp": (67, 1, 20), "ewok": (11, 1, 40), "blimp_supplement": (5, 1, 1_044), "entity_tracking": (3, 6, 500),
    "comps": (4, 1, 12_000), "global_piqa_parallel": (1, 1, 103), "global_piqa_nonparallel": (1, 1, 100),
    # Plug-ins, so that there are twenty.
    "plugin_a": (12, 1, 40), "plugin_b": (8, 1, 200), "plugin_c": (67, 1, 20),
}  # fmt: skip
FITS = {"boolq": 1_635, "mnli": 4_908, "mrpc": 204, "multirc": 2_424, "qqp": 4_000, "rte": 139, "wsc": 52}
WORDS, SENTENCES = 1_726, 205
RATINGS = {"wug_adj": 200, "wug_past": 116}
# Clicks all heads in turn, and waits for the frame after each.
SORT = """async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  }));
  const times = [];
  for (const button of [...document.querySelectorAll("th[data-key] button")].slice(0, 12)) {
    const start = performance.now();
    button.click();
    await frame();
    times.push(performance.now() - start);
  }
  return times;
}"""


def main() -> None:
    """Measures, prints, and appends to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--folder", type=Path, help="where results folders and pages are made, and kept")
    parser.add_argument("--out", type=Path, help="a JSONL file that figures are added to")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for models in arguments.models:
            report = measure(models, arguments.folder or Path(scratch))
            print(json.dumps(report), flush=True)
            if arguments.out:
                with arguments.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(report) + "\n")


def measure(models: int, folder: Path) -> dict[str, Any]:
    """Builds and sorts the page of so many models."""
    results, page = folder / f"results-{models}", folder / f"leaderboard-{models}.html"
    if not results.is_dir():
        make_results(results, models)
    command = [sys.executable, "-m", "babyeval", "leaderboard", str(results), "--out", str(page), "--json"]
    start, used = time.perf_counter(), children()
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    seconds = time.perf_counter() - start
    facts = json.loads(done.stdout)
    return {
        "models": len(facts["models"]), "tasks": len(facts["tasks"]), "build_seconds": round(seconds, 1), "build_cpu_seconds": round(children() - used, 1),
        "megabytes": round(page.stat().st_size / 1e6, 2), **in_browser(page),
    }  # fmt: skip


def children() -> float:
    """Seconds of the processor that processes started here have used: those of the clock depend on who else is at work."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def in_browser(page: Path) -> dict[str, Any]:
    """Milliseconds of opening and of sorting; none where there is no browser."""
    from tests.leaderboard.page_support import ARGUMENTS, CHROMIUM

    if not Path(CHROMIUM).exists() or importlib.util.find_spec("playwright") is None:
        return {}
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        window = started.new_page(viewport={"width": 1380, "height": 900})
        start = time.perf_counter()
        window.goto(page.resolve().as_uri())
        opened = time.perf_counter() - start
        window.evaluate(SORT)  # the first time the browser compiles the code
        session = window.context.new_cdp_session(window)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        used = busy(session)
        times = window.evaluate(SORT)
        used = 1000 * (busy(session) - used) / len(times)
        started.close()
    return {
        "open_seconds": round(opened, 2),
        "sort_cpu_ms": round(used, 1),
        "sort_ms_median": round(statistics.median(times), 1),
        "sort_ms_most": round(max(times), 1),
    }


def busy(session: Any) -> float:
    """Seconds of the processor that the page's thread has used."""
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def make_results(folder: Path, models: int) -> None:
    """Records of so many models, as runs leave them."""
    store = ResultStore(folder)
    for number in range(models):
        for result, table in model_records(number):
            store.write(result, table)


def model_records(number: int) -> Iterator[Record]:
    """One model on all tasks; models differ in what they are able to do."""
    rng = np.random.default_rng(number)
    digest = f"{number:064x}"
    model = ModelInfo(
        name=f"model-{number:03}", source=f"models/model-{number:03}", revision="main", digest=digest, weights=digest,
        parameters=1_000_000 * (1 + number % 7), kind="causal", condition=f"recipe-{number % 3}" if number < 9 else None,
        train_seed=number // 3 if number < 9 else None, words_seen=100_000_000,
    )  # fmt: skip
    ability = 0.55 + 0.3 * (number * 0.618 % 1)
    for task, shape in RANKING.items():
        yield ranking(task, shape, model, ability, rng)
    for task, words in RATINGS.items():
        yield rating(task, words, model, ability, rng)
    yield reading(model, ability, rng)
    for task, items in FITS.items():
        yield fit(task, items, model, ability, rng)


def a_card(task: str) -> TaskCard:
    """The task's card; a plug-in's is like that of another task."""
    if not task.startswith("plugin"):
        return get_task(task).card
    return get_task("blimp_supplement").card.model_copy(
        update={"name": task, "title": task.replace("_", " ").title(), "report": ()}
    )


def ranking(task: str, shape: tuple[int, int, int], model: ModelInfo, ability: float, rng: np.random.Generator) -> Record:
    """Credits of minimal pairs in subsets of different difficulty."""
    card, (strata, inner, items) = a_card(task), shape
    ease = np.clip(
        ability + np.random.default_rng(len(task)).normal(0, 0.1, (strata, inner, 1)) + rng.normal(0, 0.03, (strata, inner, 1)),
        0,
        1,
    )
    values = (rng.random((strata, inner, items)) < ease).astype(np.float64)
    means = values.mean(axis=2).mean(axis=1)
    names = [f"{task}_subset_{place:02}" for place in range(strata)]
    scores = [score(card, float(means.mean()), 0.4 / values.size**0.5, values.size)]
    errors = np.sqrt(means * (1 - means) / (inner * items))
    scores += [
        score(card, float(mean), float(error), inner * items, card.strata, name)
        for mean, error, name in zip(means, errors, names, strict=True)
        if card.strata
    ]
    uid = np.repeat([f"{name}_{part}" if inner > 1 else name for name in names for part in range(inner)], items)
    place = np.arange(values.size)
    table = pd.DataFrame(
        {
            "item_id": [f"i{one}" for one in place],
            "subset": uid,
            "cluster": [f"c{one // 3 if inner > 1 else one}" for one in place],
            "value": values.ravel(),
        }
    )
    if card.strata not in ("", "uid"):
        table[card.strata] = np.repeat(names, inner * items)
    return record(card, model, scores), table


def rating(task: str, words: int, model: ModelInfo, ability: float, rng: np.random.Generator) -> Record:
    """Preferences that go with people's to some degree."""
    card, gold = a_card(task), np.random.default_rng(7).normal(size=words)
    value = (ability - 0.5) * gold + rng.normal(0, 0.5, words)
    names = [f"w{one}" for one in range(words)]
    found = float(pd.Series(value).corr(pd.Series(gold), method="spearman"))
    table = pd.DataFrame({"item_id": names, "subset": task, "cluster": names, "gold": gold, "value": value})
    return record(card, model, [score(card, found, words**-0.5, words, scale=1.0)]), table


def reading(model: ModelInfo, ability: float, rng: np.random.Generator) -> Record:
    """Held-out log-likelihoods of reading times."""
    card = a_card("reading")
    scores = [score(card, 0.02 * ability, 0.005, WORDS, subset=part, group="") for part in ("eye_tracking", "self_paced")]
    columns: dict[str, Any] = {
        "item_id": [f"w{one}" for one in range(WORDS)],
        "cluster": [f"s{one * SENTENCES // WORDS}" for one in range(WORDS)],
    }
    for measure in (*EYE_TRACKING, SELF_PACED):
        columns[f"ll_base_{measure}"] = np.full(WORDS, -5.0)
        columns[f"ll_full_{measure}"] = -5.0 + ability / 50 + rng.normal(0, 0.1, WORDS)
    return record(card, model, scores, headlines=2), pd.DataFrame(columns)


def fit(task: str, items: int, model: ModelInfo, ability: float, rng: np.random.Generator) -> Record:
    """Predictions of several fine-tuning seeds."""
    card, gold = a_card(task), np.random.default_rng(items).integers(0, 2, items)
    labels = np.where(rng.random((SEEDS, items)) < ability, gold, 1 - gold)
    value = labels == gold
    names = [f"e{one}" for one in range(items)]
    of_seeds = value.mean(axis=1)
    fits = [
        SeedFit(seed=seed, value=100 * float(of_seeds[seed]), constant=False, best_epoch=3, losses=(0.7, 0.6, 0.5), selection=(50.0, 55.0, 60.0),
                updates=100, truncated=0, batch_size=16, accumulation=1, seconds=5.0)
        for seed in range(SEEDS)
    ]  # fmt: skip
    info = FitInfo(
        fits=tuple(fits), hyper={"epochs": 3}, hyper_digest="h" * 64, train_labels=(10, 10), reported_labels=(5, 5), mde=3.0
    )
    head = score(card, float(of_seeds.mean()), 0.5 / items**0.5, items)
    sd = score(card, float(of_seeds.std(ddof=1)), None, SEEDS, "seeds").model_copy(update={"metric": "sd"})
    table = pd.DataFrame(
        {"item_id": names, "cluster": names, "gold": gold, "value": value.mean(axis=0), "predictions": labels.T.tolist()}
    )
    return record(card, model, [head, sd], fit=info), table


def score(
    card: TaskCard, value: float, se: float | None, n: int, group: str = "", subset: str = "", scale: float = 100.0
) -> Score:
    """A number with an interval of two standard errors."""
    ends = (None, None) if se is None else (scale * (value - 2 * se), scale * (value + 2 * se))
    return Score(
        metric=card.metric, group=group, subset=subset, value=scale * value, unit=card.unit, estimator="macro", n=n, n_clusters=n,
        se=None if se is None else scale * se, se_method="stratified", ci_low=ends[0], ci_high=ends[1], chance=card.chance,
    )  # fmt: skip


def record(card: TaskCard, model: ModelInfo, scores: Sequence[Score], headlines: int = 1, **given: Any) -> TaskResult:
    """A record of a run like others."""
    provenance = Provenance(
        babyeval="0.1.0", protocol_version=1, scoring_version=1, dtype="float32", masking="pll", device="cpu", attention="sdpa", tf32=False,
        path="trie", split_head=True, window=512, truncation="context from the left", python="3.11.7", platform="Linux",
        libraries={"torch": "2.13.0"}, finished="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    timing = Timing(seconds=3.0, rows_computed=10, rows_cached=0, positions=100, trie_nodes=90)
    return TaskResult(
        task=card, model=model, scores=tuple(scores), headlines=tuple(scores[:headlines]), timing=timing, provenance=provenance, protocol="robust",
        split="full", backend="causal", status="done", data=DataInfo(split="full", digest="d" * 64, files=()), **given,
    )  # fmt: skip


if __name__ == "__main__":
    main()
