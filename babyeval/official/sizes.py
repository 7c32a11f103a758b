"""How many predictions each part of a submission must hold; the official collation refuses other numbers."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from babyeval.official.parts import GLUE_TASKS, PARTS

_SHORT = tuple(f"chck_{i}M" for i in (*range(1, 10), *range(10, 101, 10)))
_LONG = (*_SHORT, *(f"chck_{i}M" for i in range(200, 1001, 100)))
TRACKS = {"strict-small": _SHORT, "strict": _LONG}  # 19 and 28 checkpoints; the other tracks list those of strict

FAST_TASKS = {  # keys of the fast scores; each year's official order
    "babylm-2025": ("blimp", "blimp_supplement", "ewok", "entity_tracking", "wug_adj", "wug_past", "reading"),
    "babylm-2026": (
        *("blimp", "blimp_supplement", "ewok", "entity_tracking_filtered"),
        *("global_piqa_parallel", "global_piqa_nonparallel", "reading"),
    ),
}


_Steps = Mapping[int, tuple[str, ...]]  # the checkpoints of a track, by their number


@cache
def _tables() -> dict[str, dict[str, int]]:
    return tomllib.loads((Path(__file__).parent / "sizes.toml").read_text(encoding="utf-8"))


def expected_sizes(protocol: str, task: str, split: str) -> dict[str, int] | None:
    """Number of predictions of each UID, lower-cased; None for a task whose UIDs have no fixed names.

    Example:
        >>> expected_sizes("babylm-2026", "blimp_supplement", "fast")["hypernym"]
        50
    """
    name = f"{task}_{protocol.removeprefix('babylm-')}" if task == "entity_tracking" else task
    full = _tables().get(name)
    if split != "fast" or full is None:
        return full
    if task == "entity_tracking":
        return {uid: size for uid, size in full.items() if uid.startswith("regular")}
    return dict.fromkeys(full, _tables()["fast"][task]) if task in _tables()["fast"] else full


def expected_total(protocol: str, task: str, split: str) -> int:
    """Number of predictions of a task."""
    tables = _tables()
    single = tables["single"].get(task) or tables["examples"].get(task)
    return single if single is not None else sum((expected_sizes(protocol, task, split) or {}).values())


def size_problem(counts: Mapping[str, int], protocol: str, task: str, split: str = "full") -> str | None:
    """What is wrong with the numbers of predictions, in words; None if nothing is.

    Args:
        counts: Number of predictions of each UID (of each example, where these are the keys).
        protocol: The year.
        task: The task.
        split: ``full`` or ``fast``.

    Example:
        >>> size_problem({"made_up": 49}, "babylm-2025", "wug_past")
        'it holds 49 predictions, and 50 are expected'
    """
    tables = _tables()
    if task in tables["single"]:
        size = tables["single"][task]
        if list(counts.values()) == [size]:
            return None
        return f"it holds {_total(counts)}, and {size:,} are expected"
    if task in tables["examples"]:
        size = tables["examples"][task]
        odd = next(
            (f"the example '{name}' has {count} predictions instead of 1" for name, count in counts.items() if count != 1), ""
        )
        return odd or (None if len(counts) == size else f"it holds {len(counts):,} examples, and {size:,} are expected")
    expected = expected_sizes(protocol, task, split) or {}
    found = Counter[str]()
    for uid, count in counts.items():
        found[uid.lower()] += count
    for uid in sorted({*expected, *found}):
        if found[uid] != expected.get(uid, 0):
            return f"'{uid}' holds {found[uid]:,} predictions, and {expected.get(uid, 0):,} are expected"
    return None


def _total(counts: Mapping[str, int]) -> str:
    uids = f" of {len(counts)} UIDs" if len(counts) > 1 else ""
    return f"{sum(counts.values()):,} predictions{uids}"


def task_of_sizes(counts: Mapping[str, int], protocol: str) -> tuple[str, str] | None:
    """The task and the split that predictions of these sizes belong to."""
    for part in PARTS[protocol]:
        for split in ("full", "fast") if part.task else ():
            if part.task and size_problem(counts, protocol, part.task, split) is None:
                return part.task, split
    return None


def carried_problem(key: str, content: Any, protocol: str, track: str | None = None) -> str | None:
    """What is wrong with a part that is carried over as it is; None if nothing is.

    Args:
        key: Its key in the submission file.
        content: The part.
        protocol: The year.
        track: Whose checkpoints are expected, where a part is about several; None: those of any track.
    """
    tracks = TRACKS if track is None else {track: TRACKS[track]}
    by_number = {len(steps): steps for steps in tracks.values()}
    try:
        if key == "reading":
            return size_problem({uid: len(block["predictions"]) for uid, block in content.items()}, protocol, "reading")
        if key == "glue":
            return next(filter(None, (glue_problem(task, content.get(task)) for task in GLUE_TASKS)), None)
        if key == "fast_eval_results":
            return _fast_problem(content, protocol, by_number)
        if key == "aoa" and protocol == "babylm-2026":
            return None if isinstance(content["aoa"], int | float) else "it holds no number"
        return _surprisals_problem(content, by_number)
    except (AttributeError, KeyError, TypeError):
        return "it has not the official form"


def glue_problem(task: str, block: Any) -> str | None:
    """What is wrong with the predictions of one GLUE task."""
    if not isinstance(block, dict) or not isinstance(block.get("predictions"), list):
        return f"the predictions of '{task}' are missing"
    found, size = len(block["predictions"]), _tables()["glue"][task]
    return None if found == size else f"'{task}' holds {found:,} predictions, and {size:,} are expected"


def _surprisals_problem(content: Any, by_number: _Steps) -> str | None:
    """Age of acquisition: the same rows for every checkpoint of a track."""
    rows = Counter(row["step"] for row in content["results"])
    steps = by_number.get(len(rows))
    if steps is None:
        return f"it holds {len(rows)} checkpoints, and {' or '.join(map(str, by_number))} are expected"
    return next(filter(None, (acquisition_problem(step, rows[step]) for step in steps)), None)


def acquisition_problem(step: str, rows: int) -> str | None:
    """What is wrong with the number of surprisals of one checkpoint."""
    size = _tables()["aoa"]["rows_per_checkpoint"]
    return None if rows == size else f"checkpoint '{step}' holds {rows:,} rows, and {size:,} are expected"


def _fast_problem(content: Any, protocol: str, by_number: _Steps) -> str | None:
    """The fast scores: one entry per checkpoint of a track for each task."""
    lengths = {task: len(content[task]) for task in FAST_TASKS[protocol] if task in content}
    for task in FAST_TASKS[protocol]:
        if lengths.get(task) not in by_number:
            expected = " or ".join(map(str, by_number))
            return f"'{task}' holds {lengths.get(task, 0)} checkpoints, and {expected} are expected"
    return None if len(set(lengths.values())) == 1 else "its tasks hold different numbers of checkpoints"
