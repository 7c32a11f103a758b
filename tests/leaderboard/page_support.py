"""Made-up payloads, pages of them, and Debian's Chromium, for the tests of the leaderboard page."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHROMIUM = os.environ.get("TESTS_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
)
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\u202e\' " & 🤖 نموذج'
FORMULA = '=HYPERLINK("http://example.org","x")'
_WORD_LISTS = ("agreement", "binding", "ellipsis", "islands", "npi", "quantifiers", "filler_gap", "raising")
_CONDITIONS = ("base", "it_merged", "it_switch_wiki", "it_wiki_switch")
_SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 300 60"><text x="20" y="30" style="fill:red">figure</text></svg>'


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium under Playwright; skips where one of them is missing."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM} (apt-get install chromium, or TESTS_CHROMIUM names another)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright for Python is not installed")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield started
        finally:
            started.close()


def write_page(payload: dict[str, Any], path: Path) -> str:
    """Renders a payload as the command does; gives the address of the file."""
    from babyeval.leaderboard.page import render
    from babyeval.leaderboard.payload import Payload

    path.write_text(render(Payload.model_validate(payload)), encoding="utf-8")
    return path.resolve().as_uri()


def make_payload(models: int = 8, tasks: int | None = None, seed: int = 1) -> dict[str, Any]:
    """A page's data with all kinds of columns; with ``tasks``, so many columns with 67 subsets each."""
    rng = random.Random(seed)  # noqa: S311
    rows = [_model(i, rng) for i in range(models)]
    cards = [_task(f"task_{i:02}", f"Task {i}", "zero-shot", "subsets", 67) for i in range(tasks)] if tasks else _cards()
    scores: dict[str, dict[str, Any]] = {}
    for card in cards:
        for headline in card["headlines"]:
            scores[headline["key"]] = {str(row["id"]): _cell(card, row["id"], models, rng) for row in rows}
    if not tasks:
        _gaps(scores, models)
    payload = {
        "schema_version": 1, "babyeval": "0.1.0", "made": "2026-11-22T01:40:00+00:00", "title": "class-it-140m", "protocol": "robust",
        "split": "full", "notes": [], "models": rows,
        "tasks": [{name: value for name, value in card.items() if name != "chance"} for card in cards], "scores": scores, "pairs": {}, "pairs_note": None, "mixed": {}, "mixed_official": {},
        "groups": [{"key": "zero-shot", "title": "Zero-shot"}, {"key": "reading", "title": "Reading"}, {"key": "finetune", "title": "Fine-tuning"}],
        "best": {key: _best(cells) for key, cells in scores.items()}, "macro": {"zero-shot": _macro(scores, rows)},
        "curves": {}, "figures": {"zscores": {"title": "z-scores of the conditions", "svg": _SVG}}, "damaged": [], "conditions": None,
    }  # fmt: skip
    if not tasks:
        payload["pairs"] = {
            h["key"]: _pairs(card, scores[h["key"]], rng)
            for card in cards
            if card["test"] == "shipped"
            for h in card["headlines"]
        }
        payload["conditions"] = _conditions(rows, scores, rng)
        line = [{"revision": f"chck_{w}M", "words": w * 10**6, "value": 50 + 4 * i, "low": 48 + 4 * i, "high": 52 + 4 * i, "model": None}
                for i, w in enumerate((1, 2, 5, 10, 20, 50, 100))]  # fmt: skip
        payload["curves"] = {"blimp": [{"line": rows[0]["label"], "points": line}]}
    return payload


def _model(i: int, rng: random.Random) -> dict[str, Any]:
    condition, train_seed = _CONDITIONS[i // 2 % 4], i % 2 + 1
    name = f"{condition}-seed_{train_seed}" + (f"-{i // 8}" if i >= 8 else "")
    return {
        "id": i, "name": name, "revision": "main", "label": name, "kind": ("causal", "mlm")[i % 3 == 2], "backend": ("causal", "mlm")[i % 3 == 2],
        "parameters": (2_557_632, 12_000_000, 98_500_000, 139_870_464)[i % 4], "condition": condition, "train_seed": train_seed,
        "words_seen": 100_000_000, "digest": f"{rng.getrandbits(256):064x}", "weights": f"{rng.getrandbits(256):064x}", "parent_digest": None,
        "source": f"runs/{condition}/seed_{train_seed}/final", "recipe": {"condition": condition, "pretrain": {"lr": 0.0003, "steps": [1, 2]}},
        "environment": {"python": "3.11.7", "device": "cpu", "libraries": {"torch": "2.13.0"}},
        "timing": {"seconds": 1832.4, "rows_computed": 1316}, "official": {"babylm-2025": {"zero-shot": 40.0 + i / 10}}, "imported": None, "notes": [],
    }  # fmt: skip


def _task(name: str, title: str, group: str, test: str, strata: int = 0, **facts: Any) -> dict[str, Any]:
    about = f"What a model knows that {title} asks for, in sentences of our own."
    return {
        "id": name, "title": title, "group": group, "family": "ranking", "metric": "accuracy", "unit": "percent", "higher_is_better": True,
        "chance": 50.0, "about": about, "citation": "A. Author 2020, A benchmark", "homepage": "https://example.org/", "version": 1, "split": "full",
        "protocols": {"robust": "ties share the credit; BOS or EOS is put in front", "babylm-2025": "ties count as right", "babylm-2026": "ties share"},
        "headlines": [{"key": name, "subset": "", "title": title}], "test": test,
        "strata": [f"{_WORD_LISTS[i % 8]}_{i // 8 + 1}" for i in range(strata)], "strata_n": [900] * strata,
    } | facts  # fmt: skip


def _cards() -> list[dict[str, Any]]:
    reading = [{"key": f"reading:{part}", "subset": part, "title": title} for part, title in
               (("eye_tracking", "Eye tracking"), ("self_paced", "Self-paced reading"))]  # fmt: skip
    correlation = {"metric": "spearman", "unit": "correlation", "chance": 0.0}
    return [
        _task("blimp", "BLiMP", "zero-shot", "subsets", 67), _task("blimp_supplement", "BLiMP supplement", "zero-shot", "shipped", 5),
        _task("ewok", "EWoK", "zero-shot", "subsets", 11), _task("entity_tracking", "Entity tracking", "zero-shot", "shipped", 3, chance=20.0),
        _task("comps", "COMPS", "zero-shot", "shipped", 4), _task("wug_adj", "WUG adjectives", "zero-shot", "shipped", **correlation),
        _task("reading", "Reading times", "reading", "shipped", metric="partial_r2", family="reading", chance=None, headlines=reading),
        _task("rte", "RTE", "finetune", "shipped", family="fit"), _task("mrpc", "MRPC", "finetune", "shipped", metric="f1", family="fit", chance=None),
        _task("perplexity", "Surprisal per word", "zero-shot", "shipped", metric="surprisal", unit="nats", chance=None, higher_is_better=False),
    ]  # fmt: skip


def _cell(card: dict[str, Any], i: int, models: int, rng: random.Random) -> dict[str, Any]:
    middle, half, chance = {"correlation": (0.35, 0.12, 0.0), "nats": (4.2, 0.05, None)}.get(
        card["unit"], (56 + 14 * i / models, 1.4, card["chance"])
    )
    if card["metric"] == "partial_r2":
        middle, half = 2.4, 0.6
    if chance == 20.0:
        middle -= 30
    value = middle + rng.gauss(0, 1.8 * half)
    strata = None
    if card["strata"]:
        values = [min(99.0, max(3.0, rng.gauss(value, 9))) for _ in card["strata"]]
        value = sum(values) / len(values)
        strata = {"value": values, "low": [v - 3 for v in values], "high": [v + 3 for v in values], "n": None}
    fit = None
    if card["family"] == "fit":
        seeds = [{"seed": s, "value": value + s - 2, "diverged": None, "constant": False} for s in (1, 2, 3)]
        fit = {"seeds": seeds, "diverged": 0, "constant": 0, "mde": 8.1, "sd": 1.0, "majority": 53.0}
    other = {"babylm-2025": [value + 1.7, value + 0.2, value + 3.2, 250 + i, card["chance"]]}
    official = other if card["family"] == "ranking" and card["unit"] == "percent" else {}
    return {
        "value": value, "low": value - half, "high": value + half, "level": 0.95, "se": half / 2, "method": "stratified", "n": 60_300 if strata else 277,
        "clusters": 900, "chance": card["chance"], "backend": "causal", "split": "full", "status": "done", "note": None, "fit": fit, "strata": strata,
        "variants": {"accuracy_per_token": value - 2} if card["id"] == "entity_tracking" else {}, "official": official,
    }  # fmt: skip


def _gaps(scores: dict[str, dict[str, Any]], models: int) -> None:
    """What results folders are like: one number undefined, one never made."""
    if models > 3:
        scores["wug_adj"]["1"] |= {
            "value": None,
            "low": None,
            "high": None,
            "se": None,
            "note": "the model gives all words one value",
        }
        del scores["comps"]["3"]


def _best(cells: dict[str, Any]) -> list[int]:
    order = sorted((i for i, cell in cells.items() if cell["value"] is not None), key=lambda i: -cells[i]["value"])
    return [int(i) for i in order if cells[i]["high"] >= cells[order[0]]["value"]]


def _macro(scores: dict[str, dict[str, Any]], rows: list[dict[str, Any]]) -> dict[str, Any]:
    first = next(iter(scores.values()))
    return {str(row["id"]): {"value": first[str(row["id"])]["value"] - 3, "missing": []} if row["id"] != 3 else {"value": None, "missing": ["comps"]}
            for row in rows}  # fmt: skip


def _pairs(card: dict[str, Any], cells: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    rows = {}
    for a in cells:
        for b in cells:
            if int(a) < int(b) and cells[a]["value"] is not None and cells[b]["value"] is not None:
                difference, half = cells[a]["value"] - cells[b]["value"], 2.2 * (cells[a]["high"] - cells[a]["value"])
                p = min(1.0, max(1e-6, 0.04 * (half / max(abs(difference), 1e-9)) ** 2))
                rows[f"{a}-{b}"] = [difference, difference - half, difference + half, p, 1.4 * half, 900, 400, 3, 2, 0]
    claim = "these two checkpoints, on these exact subsets"
    return {
        "test": "stratified paired t",
        "unit": "items",
        "claim": claim,
        "unit_of_value": "nats" if card["family"] == "reading" else card["unit"],
        "rows": rows,
        "notes": {},
    }


def _conditions(rows: list[dict[str, Any]], scores: dict[str, dict[str, Any]], rng: random.Random) -> dict[str, Any]:
    names = sorted({row["condition"] for row in rows})
    values: dict[str, Any] = {}
    for key in list(scores)[:6]:
        values[key] = {}
        for name in names:
            points = [{"model": row["id"], "seed": row["train_seed"], "value": scores[key][str(row["id"])]["value"]} for row in rows
                      if row["condition"] == name and scores[key].get(str(row["id"]), {"value": None})["value"] is not None]  # fmt: skip
            values[key][name] = {
                "mean": sum(p["value"] for p in points) / len(points) if points else None,
                "sd": 1.0,
                "units": len(points),
                "points": points,
            }
    effect = {"difference": 2.5, "low": -1.0, "high": 6.0, "p": 0.21, "p_adjusted": 0.6, "p_permutation": 0.33, "smallest_p": 0.33, "verdict": False,
              "test": "Welch t over seeds", "unit": "seeds", "clusters": 4, "arms": [2, 2], "claim": "training in these ways with other seeds", "mde": 9.0, "note": "with 2 against 2 seeds no permutation gives p < 0.33"}  # fmt: skip
    effects = [
        {"contrast": None, "a": a, "b": b, "column": key, **effect}
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        for key in values
    ]
    spread = {name: {"median": 0.2 * i - 0.3, "q1": -0.6, "q3": 0.7, "n": 5} for i, name in enumerate(names)}
    z = {"k": len(names), "ddof": 1, "bound": (len(names) - 1) / len(names) ** 0.5, "summary": {"zero-shot": spread, "all": spread},
         "values": {key: {name: rng.uniform(-1, 1) for name in names} for key in values}, "uninformative": {"comps": "conditions differ by less than their mean standard error"}}  # fmt: skip
    return {"names": names, "models": {name: [row["id"] for row in rows if row["condition"] == name] for name in names}, "values": values, "effects": effects,
            "correction": "Holm over the columns of each pair", "z": z, "notes": []}  # fmt: skip


def holm(p):
    """Holm's adjustment as its paper has it: sorted, multiplied, never falling."""
    order = np.argsort(p)
    adjusted, least = [0.0] * len(p), 0.0
    for place, index in enumerate(order):
        least = max(least, min(1.0, (len(p) - place) * p[index]))
        adjusted[index] = least
    return adjusted
