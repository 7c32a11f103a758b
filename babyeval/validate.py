"""Checking a task: its card, data, item ids and determinism."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from babyeval.card import SPLITS
from babyeval.data.lookup import DataSource, find_data
from babyeval.errors import BabyevalError, DataMissing
from babyeval.families import SpanTask, Task
from babyeval.fit.task import FitTask
from babyeval.fit.types import Example
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


def validate_task(task: Task, data_dir: Path | None = None, passwords: Mapping[str, str] | None = None) -> list[Finding]:
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


def _check_split(task: Task, split: str, data_dir: Path | None, passwords: Mapping[str, str] | None) -> list[Finding]:
    try:
        source = find_data(task.card, task.home, split, data_dir, passwords)
        found = Finding(f"{split}: data", "right", f"{len(source.files)} files")
        if isinstance(task, FitTask):
            return [found, *_check_examples(task, split, source)]
        assert isinstance(task, SpanTask), f"a task of an unknown kind, {type(task).__name__}"
        return [found, *_check_items(task, split, source)]
    except DataMissing as error:  # not there, or locked
        return [Finding(f"{split}: data", "absent", f"{error.what} {error.where or ''}".strip())]
    except BabyevalError as error:
        return [Finding(f"{split}: items", "wrong", f"{error.what} {error.where or ''}")]
    except Exception as error:  # a plug-in's own code may fail in any way; the reason is shown
        return [Finding(f"{split}: items", "wrong", f"{type(error).__name__}: {error}")]


def _check_examples(task: FitTask, split: str, source: DataSource) -> list[Finding]:
    """Two files of labelled texts; the training file of some sets is not given away, and half of a check is better than none."""
    read, bundled = task.read(source, allow_split_valid=True), task.card.data[source.split].bundled
    together = len(read.train) + len(read.reported)
    sizes = (
        f"{together:,} to report on"
        if read.split_valid
        else f"{len(read.train):,} to learn from, {len(read.reported):,} to report on"
    )
    findings = [Finding(f"{split}: examples", "right", sizes)]
    if read.split_valid:
        findings.append(Finding(f"{split}: training file", "absent", "not here: a run needs it, or --allow-split-valid"))
    for part, examples in (("train", read.train), ("reported", read.reported)):
        counts = Counter(example.label for example in examples)
        lacking = [label for i, label in enumerate(task.spec.labels) if not counts[i]]
        shares = ", ".join(f"{label} {counts[i]:,}" for i, label in enumerate(task.spec.labels))
        findings.append(_finding(f"{split}: {part} labels", not lacking, shares, f"no line has the label {', '.join(lacking)}"))
        if bundled:
            level = max(counts.values()) - min(counts.values()) <= 1
            findings.append(_finding(f"{split}: {part} balance", level, "every label equally often", shares))
    common = {(e.text_a, e.text_b) for e in read.train} & {(e.text_a, e.text_b) for e in read.reported}
    detail = f"{len(common)} texts are in both files" if common else "no text is in both files"  # official files have a few
    findings.append(_finding(f"{split}: overlap", not (common and bundled), detail, detail))
    ids = {e.id for e in read.reported}
    findings.append(_finding(f"{split}: ids", len(ids) == len(read.reported), "all different", "some are used twice"))
    again = task.read(source, allow_split_valid=True)
    findings.append(_finding(f"{split}: determinism", read == again, "read twice, equal", "two readings differ"))
    return [*findings, _check_chance(task, split, bundled, read.reported)]


def _check_chance(task: FitTask, split: str, bundled: bool, reported: Sequence[Example]) -> Finding:
    """Holds the card's chance against what a guess is expected to earn on these labels."""
    gold = [example.label for example in reported]
    guessed, chance = task.guessed(task.card.metric, gold), task.card.chance
    if guessed is None:
        return Finding(f"{split}: chance", "absent", f"it is not known what guessing earns by {task.card.metric}")
    wide = 5.0 if task.card.unit == "percent" else 0.05
    # The card speaks of the benchmark; F1 of a guess depends on how often label 1 is right, a half in a bundled split.
    far = abs(guessed - chance) > wide and not bundled
    found = f"guessing earns {guessed:.1f} {task.card.metric} by expectation"
    return _finding(f"{split}: chance", not far, found, f"{found}, and the card's chance is {chance:g}")


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
