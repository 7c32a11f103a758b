"""Made-up benchmark files in the official layout, of official or smaller sizes, and records of a model that guesses."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from babyeval.data.lookup import find_data
from babyeval.official import sizes as official_sizes
from babyeval.protocols import PROTOCOLS
from babyeval.records import DataInfo, FileInfo, ModelInfo, TaskResult
from babyeval.registry import get_task
from babyeval.run.execute import items_table
from babyeval.run.plan import PlannedTask
from babyeval.store import ResultStore
from babyeval.types import Row

TASKS_2025 = ("blimp", "blimp_supplement", "ewok", "entity_tracking", "wug_adj", "wug_past", "comps")
TASKS_2026 = (
    *("blimp", "blimp_supplement", "ewok", "entity_tracking", "comps"),
    *("global_piqa_parallel", "global_piqa_nonparallel"),
)
TASKS = {"babylm-2025": TASKS_2025, "babylm-2026": TASKS_2026}

# protocol.md, section 2, typed once more: what the data files hold.
SUPPLEMENT = {
    "hypernym": 842,
    "qa_congruence_easy": 64,
    "qa_congruence_tricky": 165,
    "subject_aux_inversion": 3867,
    "turn_taking": 280,
}
EWOK = {
    "agent-properties": 2210, "social-relations": 1548, "physical-relations": 818, "material-dynamics": 770,
    "physical-interactions": 556, "spatial-relations": 490, "social-properties": 328, "quantitative-properties": 314,
    "social-interactions": 294, "material-properties": 170, "physical-dynamics": 120,
}  # fmt: skip
COMPS = {"comps_base": 49340, "comps_wugs": 13896, "comps_wugs_dist-before": 13896, "comps_wugs_dist-in-between": 13896}
ENTITY = {  # all items, and those that 2026 keeps
    "regular": ((606, 607, 606, 606, 568, 159), (517, 409, 405, 425, 388, 94)),
    "ambiref": ((607, 607, 604, 604, 615, 187), (508, 428, 413, 409, 434, 123)),
    "move_contents": ((605, 606, 605, 606, 529, 156), (516, 437, 399, 406, 353, 116)),
}
WUG = {"wug_adj_nominalization": 200, "wug_past_tense": 50}
PIQA = {"global_piqa_parallel": (103, 4), "global_piqa_nonparallel": (100, 2)}

NOUNS = ("otter", "lamp", "violin", "harbour", "teacup", "lantern", "meadow", "engine", "kettle", "window", "pebble")
OFFICIAL = official_sizes._tables()  # before any test changes it
Shrink = Callable[[int], int]
Line = Mapping[str, Any]


def whole(n: int) -> int:
    """The official size."""
    return n


def small(n: int) -> int:
    """A small size that still tells most UIDs and tasks apart; even where lines come in pairs."""
    return 6 + 2 * (n // 400) + (n in (200, 103))


def shrink_tables(monkeypatch: Any) -> None:
    """From here on the package expects the small sizes."""
    tables = {name: {uid: 5 if name == "aoa" else small(n) for uid, n in table.items()} for name, table in OFFICIAL.items()}
    for year, which in (("2025", 0), ("2026", 1)):
        kept = {f"{split}_{i}_ops": entity_sizes(split, i, small)[which] for split in ENTITY for i in range(6)}
        tables[f"entity_tracking_{year}"] = kept
    monkeypatch.setattr(official_sizes, "_tables", lambda: tables)


def entity_sizes(split: str, numops: int, shrink: Shrink) -> tuple[int, int]:
    """Number of items, and how many of them have no option that holds the word 'nothing'."""
    everything, kept = (ENTITY[split][which][numops] for which in (0, 1))
    return (everything, kept) if shrink is whole else (4, 3)


def noun(k: int) -> str:
    return NOUNS[k % len(NOUNS)]


def minimal_pairs(uid: str, count: int) -> Iterator[Line]:
    """Every eleventh line repeats the one before, as official files do now and then."""
    for k in range(count):
        at = k - 1 if k % 11 == 10 else k
        text = f"In room {at} of {uid} the {noun(at)}"
        yield {"sentence_good": f"{text} hums.", "sentence_bad": f"{text} hum."}


def blimp(uid: str, count: int) -> Iterator[Line]:
    field = "syntax_semantics" if len(uid) % 2 else "morphology"
    return ({**pair, "UID": uid, "field": field, "linguistics_term": "made_up"} for pair in minimal_pairs(uid, count))


def ewok(domain: str, count: int) -> Iterator[Line]:
    for k in range(count // 2):
        contexts = (f"The {noun(k)} {k} is in the {domain} room.", f"The {noun(k)} {k} is out of the {domain} room.")
        targets = (f"It is inside, says {noun(k + 1)}.", f"It is outside, says {noun(k + 1)}.")
        common = {"Domain": domain, "ContextType": "direct", "ContextDiff": "antonym", "TargetDiff": "concept swap"}
        for a, b in ((0, 1), (1, 0)):
            yield {**common, "Context1": contexts[a], "Context2": contexts[b], "Target1": targets[a], "Target2": targets[b]}


def entity(split: str, shrink: Shrink) -> Iterator[Line]:
    number = 0
    for numops in range(6):
        everything, kept = entity_sizes(split, numops, shrink)
        for k in range(everything):
            right = "an empty nothing" if k >= kept else f"the {noun(k)}"  # what 2026 drops stands at the end
            options = [right, *(f"the {noun(k + i)} and the {noun(k + i + 1)}" for i in range(1, 5))]
            prefix = f"Box {k} holds things after {numops} moves in {split}. Box {k} contains "
            yield {"input_prefix": prefix, "options": options, "numops": numops, "example_id": number, "sample_id": k}
            number += 1


def comps(stem: str, count: int) -> Iterator[Line]:
    for k in range(count):
        yield {
            "prefix_acceptable": f"A {noun(k)} {k} of {stem}", "prefix_unacceptable": f"A {noun(k + 1)} {k} of {stem}",
            "property_phrase": f"can {noun(k + 2)} well {k % 997}.",
        }  # fmt: skip


def wug(stem: str, count: int) -> Iterator[Line]:
    for k in range(count):
        yield {"sentences": f"The {stem} is {noun(k)}{k}ness.\tThe {stem} is {noun(k)}{k}ity.", "ratio": k * 37 % 101 / 101}


def piqa(name: str, count: int, solutions: int) -> Iterator[Line]:
    for k in range(count):
        texts = {f"solution{i}": f"use the {noun(k + i)} {i} times." for i in range(solutions)}
        yield {"prompt": f"How to mend a {noun(k)} {k}?", **texts, "label": k % solutions, "example_id": f"{name}_{k:03d}_made"}


def write_data(root: Path, shrink: Shrink = whole) -> Path:
    """Writes all files of both years below ``root``."""
    full = root / "full_eval"
    for uid, n in OFFICIAL["blimp"].items():
        named = uid.replace("principle_a", "principle_A").replace("complex_np", "complex_NP")  # as the real files
        _write(full / "blimp_filtered" / f"{named}.jsonl", blimp(named, shrink(n)))
    for uid, n in SUPPLEMENT.items():
        _write(full / "supplement_filtered" / f"{uid}.jsonl", minimal_pairs(uid, shrink(n)))
    for domain, n in EWOK.items():
        _write(full / "ewok_filtered" / f"{domain}.jsonl", ewok(domain, shrink(n)))
    for split in ENTITY:
        _write(full / "entity_tracking" / f"{split}.jsonl", entity(split, shrink))
    for stem, n in COMPS.items():
        _write(full / "comps" / f"{stem}.jsonl", comps(stem, shrink(n)))
    for stem, n in WUG.items():
        _write(full / stem / f"{stem}.jsonl", wug(stem, shrink(n)))
    for name, (n, solutions) in PIQA.items():
        _write(full / name / "eng_latn.jsonl", piqa(name, shrink(n), solutions))
    return root


def _write(path: Path, lines: Iterator[Line]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def guesses(
    task: str, protocol: str, data: Path, seed: int = 0, split: str = "full", spread: float = 3.0
) -> tuple[Any, list[Any], list[Any], Any]:
    """What a model that guesses makes of a task: source, items, rows, outcomes; without spread everything ties."""
    implementation, rules = get_task(task), PROTOCOLS[protocol]
    source = find_data(implementation.card, implementation.home, split, data)
    items = [item for item in implementation.items(source) if implementation.keeps(item, rules)]
    draw = random.Random(f"{seed} {task}")  # noqa: S311 - no secret
    rows = [[Row((draw.gauss(-20, spread),)) for _ in item.spans] for item in items]
    return source, items, rows, implementation.outcomes(items, rows, rules)


def make_model(name: str = "guesser", revision: str = "main") -> ModelInfo:
    return ModelInfo(
        name=name,
        source=f"models/{name}",
        revision=revision,
        digest=(name.encode().hex() + "0" * 64)[:64],
        parameters=7,
        kind="causal",
    )


def write_record(
    root: Path, task: str, protocol: str, data: Path, *, model: ModelInfo | None = None, backend: str = "causal",
    split: str = "full", label: str | None = None, seed: int = 0, spread: float = 3.0,
) -> TaskResult:  # fmt: skip
    """Writes the record and the table that a run would write."""
    source, items, rows, outcomes = guesses(task, protocol, data, seed, split, spread)
    implementation, rules = get_task(task), PROTOCOLS[protocol]
    planned = PlannedTask(implementation, rules, "run", split, source, items=items)
    scores = implementation.scores(items, outcomes, rules)
    files = tuple(FileInfo(name=file.name, sha256=file.sha256, size=file.size) for file in source.files)
    result = TaskResult(
        status="done", task=implementation.card, model=model or make_model(), protocol=protocol, split=label or source.split,
        backend=backend, headlines=tuple(scores[: implementation.headline_count]), scores=tuple(scores),
        data=DataInfo(split=source.split, digest=source.digest, files=files),
    )  # fmt: skip
    return ResultStore(root).write(result, items_table(planned, rows, outcomes))


def write_records(root: Path, protocol: str, data: Path, **options: Any) -> dict[str, TaskResult]:
    """All tasks of a year."""
    return {task: write_record(root, task, protocol, data, **options) for task in TASKS[protocol]}
