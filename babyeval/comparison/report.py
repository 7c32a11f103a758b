"""What a comparison gives: one row per test, and what a reader of the table must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from babyeval.models.naming import counted
from babyeval.stats.types import ENOUGH_SEEDS, Comparison

if TYPE_CHECKING:
    import pandas as pd

    from babyeval.comparison.designs import EffectRow, PlanRow
    from babyeval.comparison.zscores import ZScores
    from babyeval.stats.conditions import SeedVariance

Level = Literal["items", "subsets", "seeds"]
Correction = Literal["holm", "bh", "by", "maxt"]
LEVELS: tuple[Level, ...] = ("items", "subsets", "seeds")
CORRECTIONS: dict[Correction, str] = {
    "holm": "Holm", "bh": "Benjamini-Hochberg", "by": "Benjamini-Yekutieli", "maxt": "max-T (sign flips)",
}  # fmt: skip
RUN_AGAIN = "run the task again, rows are cached"  # of a table of items that is lost
SMALL = 0.05  # a p-value above it comes with the least difference that would have been found


class ComparisonRow(BaseModel):
    """One difference: two models or two conditions on one headline of one task.

    Attributes:
        a: The first model (with ``@revision`` where that is ambiguous) or condition; of a contrast of several, the mean of
            them, in words.
        b: The second.
        task: The task's name.
        subset: Which of the task's headlines, where it has several.
        metric: What was compared: the headline's metric, or ``held_out_log_likelihood`` for reading.
        contrast: Name of the planned contrast that the row belongs to; null for plain pairs.
        unit_of_value: Unit of values, difference, interval and mde: ``percent`` (then a difference is in points),
            ``correlation`` or ``nats``, per word.
        revision_a: Revision of the first; of a condition those of its models.
        revision_b: That of the second.
        seeds_a: Replications of the first condition: its training seeds, or the checkpoints from which they go on; null for
            models.
        seeds_b: Those of the second.
        lacking: Checkpoints of the conditions that have no value here.
        fewest_seeds: Those of the smallest condition on either side; fewer than four carry no verdict.
        sd_training_a: Of conditions that were fine-tuned with several seeds: standard deviation between the first one's training
            seeds, without what fine-tuning adds.
        sd_training_b: That of the second.
        sd_tuning_a: Standard deviation between fine-tuning seeds of one training seed of the first.
        sd_tuning_b: That of the second.
        value_a: The first one's value; of a condition the mean over its seeds.
        value_b: The second one's.
        higher_is_better: Direction of the metric.
        difference: a minus b.
        se: Its standard error.
        freedom: Degrees of freedom of the test; null where it has none.
        ci_low: Lower end of the interval of the difference.
        ci_high: Upper end.
        ci_level: Coverage that the interval aims at; it is not adjusted for the number of tests.
        p: Two-sided p-value of ``test``.
        p_adjusted: The same, adjusted for the family.
        correction: How: ``holm``, ``bh``, ``by`` or ``maxt``.
        family: The tests that were adjusted for together.
        test: The test, as a paper can print it.
        unit: What it takes for replications: ``items``, ``subsets`` or ``seeds``.
        clusters: How many of them.
        n: Items behind each side.
        mde: The least true difference that would be found with 80% power at the unadjusted two-sided 5% level.
        p_permutation: P-value of the exact or Monte Carlo companion, where there is one.
        smallest_p: The least p-value that it could give; of a contrast of three or more conditions, for which none is run, the
            least that any exchange of so many seeds could.
        wins: Subsets (or, where there are none, items) in which a is better.
        losses: In which b is.
        ties: In which neither is.
        claim: What the test speaks of.
        protocol: The protocol of both sides.
        split: The split of both.
        backend: How they were scored; both if they differ.
        sentence: The row in words.
        note: Why something is null, or what a reader must know.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")

    a: str
    b: str
    task: str
    subset: str
    metric: str
    contrast: str | None = None
    unit_of_value: str
    revision_a: str = ""
    revision_b: str = ""
    seeds_a: int | None = None
    seeds_b: int | None = None
    lacking: tuple[str, ...] = ()
    fewest_seeds: int | None = None
    sd_training_a: float | None = None
    sd_training_b: float | None = None
    sd_tuning_a: float | None = None
    sd_tuning_b: float | None = None
    value_a: float | None
    value_b: float | None
    higher_is_better: bool
    difference: float | None
    se: float | None = None
    freedom: float | None = None
    ci_low: float | None
    ci_high: float | None
    ci_level: float
    p: float | None
    p_adjusted: float | None = None
    correction: Correction
    family: str = ""
    test: str
    unit: Level
    clusters: int
    n: int
    mde: float | None
    p_permutation: float | None
    smallest_p: float | None
    wins: int | None
    losses: int | None
    ties: int | None
    claim: str
    protocol: str
    split: str
    backend: str
    sentence: str = ""
    note: str | None = None

    @property
    def label(self) -> str:
        """The task, with its headline where it has several."""
        return f"{self.task} {self.subset}".rstrip()

    @property
    def out_of_reach(self) -> bool:
        """Whether so few seeds could show nothing without normality, which they cannot show either."""
        return too_few(self.unit, self.fewest_seeds, self.smallest_p)

    @property
    def replications(self) -> str:
        """What was replicated, and how often: ``12 subsets``, ``5 seeds (2 + 3)``."""
        clustered = self.unit == "items" and self.clusters < self.n
        what = {"items": "cluster of items" if clustered else "item", "subsets": "subset", "seeds": "seed"}[self.unit]
        first, *rest = what.split(" ", 1)
        a, b = self.seeds_a or 0, self.seeds_b or 0
        arms = [f"({a} + {b})"] if self.unit == "seeds" and a != b and a + b == self.clusters else []
        return " ".join([counted(self.clusters, first), *rest, *arms])


@dataclass(frozen=True, slots=True, repr=False)
class CompareReport:
    """All rows, and what stands around the table.

    Attributes:
        rows: The comparisons.
        paragraphs: For each pair a text for a paper: tests, units of replication, correction, family.
        choices: What was compared: protocol, split, backends, revisions.
        warnings: Records that could not be read, tasks that were left out, models that are the same.
        z: Of conditions their z-scores.
        effects: Of a design its factors and their interactions.
        plan: What studies of other numbers of seeds would find.
    """

    rows: tuple[ComparisonRow, ...]
    paragraphs: tuple[str, ...]
    choices: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    z: ZScores | None = None
    effects: tuple[EffectRow, ...] = ()
    plan: tuple[PlanRow, ...] = ()

    def __repr__(self) -> str:
        pairs = len({(row.contrast, row.a, row.b) for row in self.rows})
        return f"<CompareReport: {counted(len(self.rows), 'row')}, {counted(pairs, 'pair')}>"

    @property
    def lost(self) -> str | None:
        """Why nothing at all could be tested, where that is for want of tables of items that had been written."""
        if any(row.p is not None for row in self.rows):
            return None
        return next((row.note for row in self.rows if row.note and RUN_AGAIN in row.note), None)

    def to_frame(self) -> pd.DataFrame:
        """The rows as a table, one column per field."""
        import pandas as pd

        return pd.DataFrame([row.model_dump() for row in self.rows], columns=list(ComparisonRow.model_fields))


@dataclass(frozen=True, slots=True)
class Measured:
    """One headline of two models or conditions compared, before the family is known.

    Attributes:
        subset: Which headline.
        metric: What was compared.
        unit_of_value: Its unit.
        values: Both sides' values.
        found: The test.
        claim: What it speaks of.
        counts: Wins, losses and ties.
        flips: What each exchangeable unit adds to the difference, for max-T; empty where no signs can be flipped.
        note: What a reader must know besides.
        arms: Of conditions, replications on both sides.
        fewest: Those of the smallest condition.
        spreads: Of two conditions that were fine-tuned, how their training and fine-tuning seeds spread.
    """

    subset: str
    metric: str
    unit_of_value: str
    values: tuple[float | None, float | None]
    found: Comparison
    claim: str
    counts: tuple[int, int, int] | None = None
    flips: Mapping[str, float] = field(default_factory=dict)
    note: str | None = None
    arms: tuple[int, int] | None = None
    fewest: int | None = None
    spreads: tuple[SeedVariance, ...] = ()


def too_few(unit: str, fewest: int | None, smallest_p: float | None) -> bool:
    """Whether so few seeds carry no verdict: those of the smallest condition, and the least p that they could give."""
    few = fewest is not None and fewest < ENOUGH_SEEDS
    return unit == "seeds" and (few or (smallest_p is not None and smallest_p > SMALL))


def scaled(found: Comparison, factor: float) -> Comparison:
    """The same in another unit: credits to percent."""
    names = ("difference", "se", "low", "high", "mde")
    changes: dict[str, Any] = {name: None if (v := getattr(found, name)) is None else factor * v for name in names}
    return replace(found, **changes)
