"""What section 8 of the protocol says about a submission file, checked without the code under test."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

from scipy.stats import spearmanr

KEYS = {
    "babylm-2025": (
        *("blimp", "blimp_supplement", "ewok", "entity_tracking", "wug_adj", "wug_past"),
        *("comps", "reading", "aoa", "glue", "fast_eval_results"),
    ),
    "babylm-2026": (
        *("blimp", "blimp_supplement", "ewok", "entity_tracking_filtered", "comps", "global_piqa_parallel"),
        *("global_piqa_nonparallel", "reading", "aoa_surprisals", "aoa", "glue", "fast_eval_results"),
    ),
}
RANKED = ("blimp", "blimp_supplement", "ewok", "entity_tracking", "entity_tracking_filtered", "comps")
FOLDERS = {
    "blimp": "blimp_filtered", "blimp_supplement": "supplement_filtered", "ewok": "ewok_filtered",
    "entity_tracking": "entity_tracking", "entity_tracking_filtered": "entity_tracking", "comps": "comps",
    "wug_adj": "wug_adj_nominalization", "wug_past": "wug_past_tense",
    "global_piqa_parallel": "global_piqa_parallel", "global_piqa_nonparallel": "global_piqa_nonparallel",
}  # fmt: skip


def validate_glue(part: dict[str, Any], data: Path) -> None:
    """Asserts that the fine-tuning part has the official form: a label for every line of every task's reported file."""
    assert set(part) == {"boolq", "mnli", "mrpc", "multirc", "qqp", "rte", "wsc"}
    for task, block in part.items():
        lines = (data / "full_eval/glue_filtered" / f"{task}.valid.jsonl").read_text(encoding="utf-8").splitlines()
        assert list(block) == ["predictions"]
        assert [entry["id"] for entry in block["predictions"]] == [f"{task}_{k}" for k in range(len(lines))]
        for entry in block["predictions"]:
            assert list(entry) == ["id", "pred"]
            assert type(entry["pred"]) is int
            assert 0 <= entry["pred"] < (3 if task == "mnli" else 2)


def gold_answers(key: str, year: str, data: Path) -> dict[str, list[Any]]:
    """For each UID what the right predictions are, straight from the data files; WUG: the human ratios."""
    answers: dict[str, list[Any]] = defaultdict(list)
    for path in sorted((data / "full_eval" / FOLDERS[key]).glob("*.jsonl")):
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            if key.startswith("blimp"):
                answers[line.get("UID", path.stem)].append(line["sentence_good"])
            elif key == "ewok":
                right = line["Target1"] if year == "babylm-2025" else f"{line['Context1']} {line['Target1']}"
                answers[line["Domain"]].append(right)
            elif key == "comps":
                uid = path.stem.removeprefix("comps_").replace("-", "_")
                answers[uid].append(f"{line['prefix_acceptable']} {line['property_phrase']}")
            elif key.startswith("wug"):
                answers[path.stem].append((line["ratio"], line["sentences"].split("\t")))
            elif key.startswith("global_piqa"):
                answers[line["example_id"]].append(line[f"solution{line['label']}"])
            elif key == "entity_tracking" or not any("nothing" in option for option in line["options"]):
                answers[f"{path.stem}_{line['numops']}_ops"].append(line["options"][0])
    return answers


def validate(content: dict[str, Any], year: str, data: Path) -> set[str]:
    """Asserts that the file has the official form; returns the keys that are null."""
    assert tuple(content) == KEYS[year]
    for key in FOLDERS:
        if content.get(key) is not None:
            _validate_part(key, content[key], gold_answers(key, year, data))
    return {key for key, value in content.items() if value is None}


def _validate_part(key: str, part: dict[str, Any], gold: dict[str, list[Any]]) -> None:
    assert set(part) == set(gold)
    for uid, block in part.items():
        assert list(block) == ["predictions"]
        assert [entry["id"] for entry in block["predictions"]] == [f"{uid}_{k}" for k in range(len(gold[uid]))]
        for entry, answer in zip(block["predictions"], gold[uid], strict=True):
            assert set(entry) == ({"id", "pred", "prob"} if key.startswith("wug") else {"id", "pred"})
            assert isinstance(entry["pred"], str)
            if key.startswith("wug"):
                assert entry["pred"] in answer[1]
                assert 0 <= entry["prob"] <= 1
                assert (entry["prob"] >= 0.5) == (entry["pred"] == answer[1][0]) or math.isclose(entry["prob"], 0.5)


FAST_FOLDERS = {
    "blimp": "fast_eval/blimp_fast", "blimp_supplement": "fast_eval/supplement_fast", "ewok": "fast_eval/ewok_fast",
}  # fmt: skip


def checkpoints(track: str) -> list[str]:
    """Section 8: strict-small has 19 checkpoints, the others 28."""
    small = [*range(1, 10), *range(10, 101, 10)]
    return [f"chck_{i}M" for i in (small if track == "strict-small" else [*small, *range(200, 1001, 100)])]


def fast_uids(key: str, year: str, data: Path) -> set[str]:
    """The keys of one checkpoint's scores."""
    if key == "reading":
        return {"spr", "rt"}
    if key.startswith("wug"):
        return {FOLDERS[key]}
    if key.startswith("global_piqa"):
        return {key}
    if key.startswith("entity"):
        return {uid for uid in gold_answers(key, year, data) if uid.startswith("regular")}
    return {path.stem for path in (data / FAST_FOLDERS[key]).glob("*.jsonl")}


def validate_fast(
    content: dict[str, Any], year: str, data: Path, track: str, there: set[str] | None = None,
    lacking: dict[str, set[str]] | None = None,
) -> None:  # fmt: skip
    """Asserts that fast scores have the official form, with nulls for the checkpoints that lack, and nowhere else."""
    steps = checkpoints(track)
    own = ("wug_adj", "wug_past") if year == "babylm-2025" else ("global_piqa_parallel", "global_piqa_nonparallel")
    entity = "entity_tracking" if year == "babylm-2025" else "entity_tracking_filtered"
    assert tuple(content) == ("blimp", "blimp_supplement", "ewok", entity, *own, "reading")
    for key, entries in content.items():
        expected = (set(steps) if there is None else there) - (lacking or {}).get(key, set())
        assert {step for step, entry in zip(steps, entries, strict=True) if entry is not None} == expected, key
        uids = fast_uids(key, year, data)
        for entry in entries:
            assert entry is None or set(entry) == uids, key
            for value in (entry or {}).values():
                assert isinstance(value, float)
                assert math.isnan(value) or (-1 if key.startswith("wug") or key == "reading" else 0) <= value <= 1


def validate_surprisals(content: dict[str, Any], data: Path, track: str) -> None:
    """Asserts that a ``surprisal.json`` has the official form: every context of every checkpoint, in order (section 5)."""
    assert list(content) == ["metadata", "results"]
    contexts = json.loads((data / "full_eval/aoa/cdi_childes.json").read_text(encoding="utf-8"))
    asked = [
        (word, i, entry["context"]) for word, entries in contexts.items() if len(word) > 1 for i, entry in enumerate(entries)
    ]
    rows = content["results"]
    assert all(list(row) == ["step", "word_count", "target_word", "context_id", "context", "surprisal"] for row in rows)
    steps = checkpoints(track)
    assert [row["step"] for row in rows] == [step for step in steps for _ in asked]
    assert all(row["word_count"] == int(row["step"][5:-1]) * 10**6 for row in rows)
    assert [(row["target_word"], row["context_id"], row["context"]) for row in rows] == asked * len(steps)
    assert all(isinstance(row["surprisal"], float) for row in rows)


def official_score(key: str, part: dict[str, Any], year: str, data: Path) -> float:
    """The score that the server computes: stripped texts compared with gold, macro means (sections 1, 3.4, 3.5)."""
    gold = gold_answers(key, year, data)
    if key.startswith("wug"):
        ((uid, ratios),) = gold.items()
        return float(spearmanr([entry["prob"] for entry in part[uid]["predictions"]], [ratio for ratio, _ in ratios])[0])
    by_uid = {}
    for uid, answers in gold.items():
        pairs = zip(part[uid]["predictions"], answers, strict=True)
        by_uid[uid] = 100 * fmean(entry["pred"].strip() == answer.strip() for entry, answer in pairs)
    if key.startswith("entity"):
        splits = ("regular", "ambiref", "move_contents")
        return fmean(fmean(value for uid, value in by_uid.items() if uid.startswith(split)) for split in splits)
    return fmean(by_uid.values())
