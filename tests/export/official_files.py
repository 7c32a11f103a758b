"""Official files as the official pipelines write them: parts that no task of ours makes, and results trees."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.support import inside, records_in

from babyeval.records import load_result
from export.official_data import small

YEARS = ("babylm-2025", "babylm-2026")
OFFICIAL_NAME = "all_full_preds_and_fast_scores_causal.json"
STEPS = [f"chck_{i}M" for i in (*range(1, 10), *range(10, 101, 10))]
GLUE = {"boolq": 1635, "mnli": 4908, "mrpc": 204, "multirc": 2424, "qqp": 20215, "rte": 139, "wsc": 52}
PLACES = {
    "blimp": "blimp/blimp_filtered", "blimp_supplement": "blimp/supplement_filtered", "ewok": "ewok/ewok_filtered",
    "entity_tracking": "entity_tracking/entity_tracking", "entity_tracking_filtered": "entity_tracking/entity_tracking",
    "comps": "comps/comps", "wug_adj": "wug_adj/wug_adj_nominalization", "wug_past": "wug_past/wug_past_tense",
    "global_piqa_parallel": "global_piqa_parallel/global_piqa_parallel",
    "global_piqa_nonparallel": "global_piqa_nonparallel/global_piqa_nonparallel",
}  # fmt: skip


def reading() -> dict[str, Any]:
    rows = [{"id": i, "pred": 0.5 + i, "prev_pred": float("nan") if i % 5 == 0 else i / 3} for i in range(small(1726))]
    return {"reading": {"predictions": rows}}


def surprisals() -> dict[str, Any]:
    rows = [{"step": step, "target_word": "otter", "context_id": i, "surprisal": i / 7} for step in STEPS for i in range(5)]
    return {"metadata": {"made": "up"}, "results": rows}


def glue() -> dict[str, Any]:
    return {task: {"predictions": [{"id": f"{task}_{k}", "pred": k % 2} for k in range(small(n))]} for task, n in GLUE.items()}


def fast_scores(year: str) -> dict[str, Any]:
    entity = "entity_tracking" if year == "babylm-2025" else "entity_tracking_filtered"
    own = ("wug_adj", "wug_past") if year == "babylm-2025" else ("global_piqa_parallel", "global_piqa_nonparallel")
    tasks = ("blimp", "blimp_supplement", "ewok", entity, *own)
    return {**{task: [{"made_up": 0.5} for _ in STEPS] for task in tasks}, "reading": [{"spr": 0.0, "rt": 0.1} for _ in STEPS]}


def carried_parts(year: str) -> dict[str, Any]:
    """Everything that babyeval's tasks do not make."""
    common = {"reading": reading(), "glue": glue(), "fast_eval_results": fast_scores(year)}
    return (
        {**common, "aoa": surprisals()}
        if year == "babylm-2025"
        else {**common, "aoa_surprisals": surprisals(), "aoa": {"aoa": 0.2}}
    )


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def report_text(average: float, uids: Mapping[str, float], temperature: float = 1.0, metric: str = "ACCURACY") -> str:
    """A best_temperature_report.txt."""
    blocks = [f"### UID {metric}", *(f"{uid}: {value:.2f}" for uid, value in uids.items())]
    return "\n".join([f"TEMPERATURE: {temperature:.2f}", "", *blocks, "", f"### AVERAGE {metric}", f"{average:.2f}", "", ""])


def write_tree(
    root: Path, parts: Mapping[str, Any], *, model: str = "guesser", revision: str = "main", backend: str = "causal"
) -> Path:
    """A results tree with these parts of a submission; returns the folder of the revision."""
    folder = root / model / revision
    zero_shot = folder / "zero_shot" / backend
    for key, part in parts.items():
        if key in PLACES:
            write_json(zero_shot / PLACES[key] / "predictions.json", part)
        elif key == "reading":
            write_json(zero_shot / "reading" / "predictions.json", part)
        elif key == "aoa_surprisals" or (key == "aoa" and "results" in part):
            write_json(zero_shot / "AoA_word" / "surprisal.json", part)
        elif key == "aoa":
            write_json(zero_shot / "AoA_word" / "aoa_score.json", part)
        elif key == "glue":
            for task, block in part.items():
                write_json(folder / "finetune" / task / "predictions.json", {task: block})
    return folder


def imported(path: Any, year: str, data: Path | None, cwd: Path, *more: str, code: int = 0) -> Any:
    """Imports into ``imported`` and expects this exit code."""
    given = ("--data-dir", data) if data else ()
    done = inside("import", path, "--protocol", year, "--out", "imported", *given, *more, cwd=cwd)
    assert done.code == code, (done.out, done.err)
    assert "Traceback" not in done.err
    return done


def records(cwd: Path) -> dict[str, Any]:
    """The imported records by task."""
    return {path.parents[2].name: load_result(path.read_text()) for path in records_in(cwd / "imported")}


def same(a, b) -> bool:
    """Equal as text, for NaN equals nothing."""
    return json.dumps(a) == json.dumps(b)
