"""The official report files: scores rounded to two decimals, all that is left where predictions or data are absent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from babyeval.card import TaskCard
from babyeval.errors import DataError
from babyeval.official.sizes import expected_sizes, expected_total
from babyeval.records import Score

ROUNDED = "imported: rounded to 2 decimals by the official pipeline"
_SPLITS = ("regular", "ambiref", "move_contents")  # means over UIDs that the report lists among the UIDs
_TITLE = re.compile(r"###\s+(.+?)\s+(?:ACCURACY|SPEARMAN'S RHO)\s*$")
_LINE = re.compile(r"(.+): (-?\d+(?:\.\d+)?|nan)\s*$")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?|nan")


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says.

    Attributes:
        average: The headline; None if it is not a number.
        temperature: The temperature at which it was reached.
        groups: For each grouping key, lower-cased, the value of each subset.
    """

    average: float | None
    temperature: float
    groups: dict[str, dict[str, float]] = field(default_factory=dict)


def parse_report(text: str, where: str) -> Report:
    """Reads a ``best_temperature_report.txt``.

    Raises:
        DataError: It has no average.

    Example:
        >>> parse_report("TEMPERATURE: 1.00\\n\\n### UID ACCURACY\\na: 50.00\\n\\n### AVERAGE ACCURACY\\n50.00\\n", "r.txt")
        Report(average=50.0, temperature=1.0, groups={'uid': {'a': 50.0}})
    """
    temperature, averages, groups, key = 1.0, list[float](), dict[str, dict[str, float]](), ""
    for line in text.splitlines():
        title, pair = _TITLE.match(line), _LINE.match(line)
        if title:
            key = title[1].lower()
        elif key == "average" and _NUMBER.fullmatch(line.strip()):
            averages.append(float(line))
        elif pair and key:
            groups.setdefault(key, {})[pair[1]] = float(pair[2])
        elif pair and pair[1] == "TEMPERATURE":
            temperature = float(pair[2])
    if not averages:
        raise DataError("The report has no average.", where=where, hint="Evaluate again, or delete the file.")
    return Report(averages[0] if averages[0] == averages[0] else None, temperature, groups)


def report_scores(card: TaskCard, report: Report, protocol: str, split: str, counts: Mapping[str, int]) -> list[Score]:
    """The scores of a report as a whole, by UID and by split, without errors or intervals.

    Args:
        card: The task's card.
        report: The report.
        protocol: The year.
        split: ``full`` or ``fast``.
        counts: Number of predictions of each UID if known; else the official sizes are taken.
    """
    sizes = {uid.lower(): n for uid, n in counts.items()} or expected_sizes(protocol, card.name, split) or {}
    note = ROUNDED + (f", at temperature {report.temperature:g} chosen on the test set (D32)" if report.temperature != 1 else "")

    def score(value: float | None, n: int, group: str = "", subset: str = "") -> Score:
        return Score(
            metric=card.metric,
            subset=subset,
            group=group,
            value=value,
            unit=card.unit,
            estimator="micro" if group else "macro",
            n=n,
            n_clusters=n,
            se=None,
            se_method="none",
            ci_low=None,
            ci_high=None,
            chance=card.chance,
            note=note,
        )

    scores = [score(report.average, sum(sizes.values()) or expected_total(protocol, card.name, split))]
    for name, value in sorted(report.groups.get("uid", {}).items()):
        if card.name == "entity_tracking" and name in _SPLITS:
            n = sum(size for uid, size in sizes.items() if uid.startswith(name))
            scores.append(score(value, n, "split", name))
        elif name.lower() in sizes and card.strata:
            scores.append(score(value, sizes[name.lower()], "uid", name))
    return scores
