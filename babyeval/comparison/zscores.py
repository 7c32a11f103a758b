"""z-scores of training conditions over tasks, in the manner of CLASS-IT: a scale to show values on, never a test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from babyeval.comparison.conditions import headline_keys, sample_of, values_of
from babyeval.comparison.select import Choice, Side
from babyeval.records import Score

if TYPE_CHECKING:
    import pandas as pd

    from babyeval.stats.zscores import ZTable

# Tasks that say nearly the same count once: they are averaged before anything is summarised (statistics.md, section 4).
_FAMILIES = {
    "blimp_supplement": "blimp", "wug_adj": "wug", "wug_past": "wug", "global_piqa_parallel": "global_piqa",
    "global_piqa_nonparallel": "global_piqa",
}  # fmt: skip
_ALL = "all"


@dataclass(frozen=True, slots=True)
class ZScores:
    """The z-scores, and what they are of.

    Attributes:
        found: Standardised scores, ranks, effects.
        groups: Each headline's group of tasks: ``zero-shot``, ``fine-tuning`` or another.
        means: Mean over seeds, conditions x headlines.
        errors: Its standard error: over seeds, or of the items where there is one seed.
    """

    found: ZTable
    groups: Mapping[str, str]
    means: pd.DataFrame
    errors: pd.DataFrame

    @property
    def bound(self) -> float:
        """The largest |z| that so many conditions can reach."""
        return self.found.bound or 0.0

    @property
    def title(self) -> str:
        """What a figure or table of them must say."""
        return f"z-scores across K = {self.found.conditions} conditions (ddof = {self.found.ddof}, |z| <= {self.bound:.3f})"

    @property
    def families(self) -> int:
        """How many families of tasks were not left out."""
        return len(set(self.found.families.values()))

    @property
    def basis(self) -> str:
        """How little they rest on, for a figure."""
        out = ", ".join(self.found.left_out)
        return counted_families(self.families) + (f"; left out, as they do not tell the conditions apart: {out}" if out else "")

    @property
    def remarks(self) -> list[str]:
        """What a reader of them must know."""
        lines = [f"z-scores across K = {self.found.conditions} conditions: none, as no score tells them apart beyond its error."]
        if self.families:
            lines = [
                "z depends on which conditions are compared, and cannot pass its bound: a scale to show, not a test.",
                f"Medians and quartiles are over {counted_families(self.families)}: {self._families()}.",
            ]
        lines += [f"Left out: {task}: {why}." for task, why in self.found.left_out.items()]
        if self.found.conditions == 2 and self.families:
            lines.append(f"Of two conditions every z is {self.bound:.3f} or -{self.bound:.3f}: it says which is higher, no more.")
        if self.found.unchecked:
            lines.append(f"Without a standard error to compare their spread with: {', '.join(self.found.unchecked)}.")
        return lines

    def _families(self) -> str:
        members: dict[str, list[str]] = {}
        for task, family in self.found.families.items():
            members.setdefault(family, []).append(task)
        return "; ".join(name if part == [name] else f"{name} ({', '.join(part)})" for name, part in members.items()) or "none"

    def table(self) -> tuple[list[str], list[tuple[str, ...]]]:
        """Median and quartiles of each condition over families of tasks, and its mean rank, by group of tasks."""
        there = [group for group in dict.fromkeys(self.groups.values()) if self._tasks(group)]
        lines: list[tuple[str, ...]] = []
        for group in [*there, _ALL] if len(there) > 1 else there or [_ALL]:
            summary = self.found.summary(self._tasks(group))
            for name in map(str, summary.index):
                median, low, high, rank = (float(summary[key][name]) for key in ("median", "q1", "q3", "mean_rank"))
                known = not math.isnan(median)
                cells = (f"{median:+.2f}", f"{low:+.2f} to {high:+.2f}", f"{rank:.2f}") if known else ("-", "-", "-")
                lines.append((group, name, *cells))
        return ["tasks", "condition", "median z", "quartiles", "mean rank"], lines

    def _tasks(self, group: str) -> list[str]:
        """The headlines of a group that were not left out."""
        return [str(task) for task in self.found.z.columns if group in (_ALL, self.groups[str(task)])]

    def to_frame(self) -> pd.DataFrame:
        """One row per condition and headline; z is missing where the headline was left out, and ``note`` says why."""
        import pandas as pd

        def at(table: pd.DataFrame | None, condition: str, task: str) -> float | None:
            if table is None or task not in table.columns or condition not in table.index:
                return None
            return float(table[task][condition])

        rows = [
            {
                "condition": condition, "group": self.groups[task], "task": task, "family": self.found.families.get(task),
                "mean": at(self.means, condition, task), "se": at(self.errors, condition, task),
                "z": at(self.found.z, condition, task), "rank": at(self.found.ranks, condition, task),
                "chance_corrected": at(self.found.corrected, condition, task),
                "effect_in_se": at(self.found.effects, condition, task), "conditions": self.found.conditions,
                "ddof": self.found.ddof, "bound": self.found.bound, "note": self.found.left_out.get(task),
            }
            for task in map(str, self.means.columns)
            for condition in map(str, self.means.index)
        ]  # fmt: skip
        return pd.DataFrame(rows)


def counted_families(number: int) -> str:
    """So many families of tasks.

    Example:
        >>> counted_families(1), counted_families(2)
        ('1 family of tasks', '2 families of tasks')
    """
    return f"{number} famil{'y' if number == 1 else 'ies'} of tasks"


def condition_z_scores(choice: Choice, conditions: Mapping[str, Sequence[Side]], baseline: str | None = None) -> ZScores:
    """Standardises every headline over the conditions' means.

    Args:
        choice: The records.
        conditions: The checkpoints of each condition.
        baseline: The condition that effects in units of standard errors refer to.
    """
    import pandas as pd

    from babyeval.stats.zscores import z_scores

    means: dict[str, dict[str, float]] = {}
    errors: dict[str, dict[str, float]] = {}
    groups: dict[str, str] = {}
    about: dict[str, tuple[bool, str, float | None, float]] = {}  # direction, family, chance, best
    for task, records in choice.records.items():
        card = next(iter(records.values())).task
        for headline in headline_keys(choice, task):
            label = f"{task} {headline.subset}".rstrip()
            cells = {name: values_of(choice, task, headline.subset, part) for name, part in conditions.items()}
            values = {name: sample_of(choice, task, part).values for name, part in cells.items()}
            means[label] = {name: fmean(part) if part else math.nan for name, part in values.items()}
            errors[label] = {name: _error(values[name], list(part.values())) for name, part in cells.items()}
            groups[label] = _group(card.groups)
            best = 100.0 if headline.unit == "percent" else 1.0
            chance = headline.chance if card.family != "reading" else None  # no model reaches a partial R2 of 100%
            about[label] = (card.higher_is_better, _FAMILIES.get(task, task), chance, best)
    index = list(conditions)
    table, se = (pd.DataFrame(part, index=index) for part in (means, errors))
    found = z_scores(
        table, se,
        higher_is_better={label: known[0] for label, known in about.items()},
        families={label: known[1] for label, known in about.items()},
        chance={label: known[2] for label, known in about.items() if known[2] is not None},
        best={label: known[3] for label, known in about.items()},
        baseline=baseline,
    )  # fmt: skip
    return ZScores(found, groups, table, se)


def _error(values: Sequence[float], scores: Sequence[Score]) -> float:
    """The standard error of a condition's mean: over its seeds; of one seed that of its items."""
    if len(values) > 1:
        return stdev(values) / math.sqrt(len(values))
    only = scores[0].se if scores else None
    return math.nan if only is None else only


def _group(groups: Sequence[str]) -> str:
    """The group of tasks that medians are formed of."""
    if "finetune" in groups:
        return "fine-tuning"
    return "zero-shot" if "zero-shot" in groups else next(iter(groups), "other")
