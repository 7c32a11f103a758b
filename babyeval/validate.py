"""Checking a task: its card, data, item ids and determinism."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from babyeval.card import SPLITS
from babyeval.data.lookup import DataSource, find_data
from babyeval.errors import BabyevalError, DataMissing
from babyeval.families import SpanTask
from babyeval.protocols import PROTOCOLS
from babyeval.stats.aggregate import UID, group_value
from babyeval.types import Item, Row

_GUESSED, _DRAWS = 1000, 10  # items and rounds of made-up answers


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: What was looked at.
        state: ``right``, ``wrong``, or ``absent`` where there was nothing to look at.
        detail: What was found.
    """

    check: str
    state: Literal["right", "wrong", "absent"]
    detail: str


def validate_task(task: SpanTask, data_dir: Path | None = None, passwords: Mapping[str, str] | None = None) -> list[Finding]:
    """Checks a task as far as its data is there.

    Args:
        task: The task.
        data_dir: Folder in the official layout.
        passwords: Passwords of data archives by task.

    Example:
        >>> from babyeval.registry import get_task
        >>> {finding.state for finding in validate_task(get_task("blimp"))} <= {"right", "absent"}
        True
    """
    card = task.card
    findings = [Finding("card", "right", f"version {card.version}, groups {', '.join(card.groups) or 'none'}")]
    has_readme = any((home / "README.md").is_file() for home in (task.home, task.home.parent))
    readme = Finding("README.md", "right", "there") if has_readme else Finding("README.md", "absent", "none beside the card")
    findings.append(readme)
    for split in SPLITS:
        if split in card.data:
            findings.extend(_check_split(task, split, data_dir, passwords))
    return findings


def _check_split(task: SpanTask, split: str, data_dir: Path | None, passwords: Mapping[str, str] | None) -> list[Finding]:
    try:
        source = find_data(task.card, task.home, split, data_dir, passwords)
        return [Finding(f"{split}: data", "right", f"{len(source.files)} files"), *_check_items(task, split, source)]
    except DataMissing as error:  # not there, or locked
        return [Finding(f"{split}: data", "absent", f"{error.what} {error.where or ''}".strip())]
    except BabyevalError as error:
        return [Finding(f"{split}: items", "wrong", f"{error.what} {error.where or ''}")]
    except Exception as error:  # a plug-in's own code may fail in any way; the reason is shown
        return [Finding(f"{split}: items", "wrong", f"{type(error).__name__}: {error}")]


def _check_items(task: SpanTask, split: str, source: DataSource) -> list[Finding]:
    items = task.items(source)
    if not items:
        return [Finding(f"{split}: items", "wrong", "the files hold no items")]
    findings = [Finding(f"{split}: items", "right", f"{len(items):,} in {len({i.subset for i in items})} subsets")]
    twice = [name for name, count in Counter(item.id for item in items).items() if count > 1]
    findings.append(_finding(f"{split}: ids", not twice, "all different", f"used twice: {twice[:3]}"))
    findings.append(_finding(f"{split}: determinism", items == task.items(source), "read twice, equal", "two readings differ"))
    keys = [key for key in (task.card.strata, task.card.within, *task.card.report) if key not in ("", UID)]
    lacking = sorted({key for key in keys for item in items if key not in item.meta})
    findings.append(_finding(f"{split}: groups", not lacking, "every item has them", f"items lack {', '.join(lacking)}"))
    if task.card.strata and not lacking:
        strata = Counter(group_value(item, task.card.strata) for item in items)
        findings.append(_finding(f"{split}: strata", True, f"{len(strata)} by '{task.card.strata}'", ""))
    same = [item.id for item in items if len(set(item.spans)) < len(item.spans)]
    findings.append(_finding(f"{split}: candidates", not same, "different in every item", f"equal in {same[:3]}"))
    return findings if lacking else [*findings, *_check_scores(task, split, items)]


def _check_scores(task: SpanTask, split: str, items: list[Item]) -> list[Finding]:
    """Scores items with made-up answers under every protocol, and compares what guessing earns with the card's chance."""
    findings = []
    for protocol in map(PROTOCOLS.__getitem__, task.card.protocols):
        kept = [item for item in items if task.keeps(item, protocol)][:_GUESSED]
        draw = random.Random(0)  # noqa: S311 - no secret
        values = []
        for _ in range(_DRAWS if kept else 0):
            rows = [[Row((draw.uniform(-9, -1),)) for _ in item.spans] for item in kept]
            headline = task.scores(kept, task.outcomes(kept, rows, protocol), protocol)[0]
            values.append(math.nan if headline.value is None else headline.value)
        if not values:
            findings.append(Finding(f"{split}: {protocol.name}", "absent", "no items under this protocol"))
            continue
        guessed, chance = math.fsum(values) / len(values), task.card.chance
        far = task.card.unit == "percent" and abs(guessed - chance) > 5 + 200 / math.sqrt(len(kept) * _DRAWS)
        found = f"guessing earns about {guessed:.0f}" if task.card.unit == "percent" else "can be scored"
        findings.append(_finding(f"{split}: {protocol.name}", not far, found, f"{found}, and the card's chance is {chance:g}"))
    return findings


def _finding(check: str, good: bool, if_good: str, if_bad: str) -> Finding:
    return Finding(check, "right" if good else "wrong", if_good if good else if_bad)
