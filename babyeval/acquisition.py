"""The acquisition family: do words become easy for a model in the order in which children come to know them?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from babyeval.card import load_card
from babyeval.data.acquisition import read_contexts, read_proportions
from babyeval.data.lookup import DataFile, DataSource
from babyeval.errors import DataMissing
from babyeval.families import SpanTask, number_equals
from babyeval.protocols import Protocol
from babyeval.records import Score
from babyeval.stats.intervals import clustered_mean
from babyeval.types import Item, Outcome, Row, Snapshot, Span

if TYPE_CHECKING:
    import pandas as pd

CONTEXTS, PROPORTIONS = "cdi_childes.json", "cdi_human.csv"


class AcquisitionTask(SpanTask):
    """The task family that follows words through the checkpoints of a training run.

    An item is a word behind one of its contexts; the value of a checkpoint is the mean surprisal over words, and
    the task's own number is formed over all checkpoints (`trajectory`).
    """

    across = True
    does = "takes the surprisal of words behind their contexts, checkpoint by checkpoint; always in float32"

    @classmethod
    def beside(cls, module_file: str) -> Self:
        """Makes the task from the card that lies in the same folder as the calling module.

        Raises:
            UsageError: The card is absent or wrong.
        """
        home = Path(module_file).resolve().parent
        return cls(load_card(home / "card.toml"), home)

    def items(self, source: DataSource) -> list[Item]:
        from babyeval.stats.acquisition import NO_AGES, Acquired, child_acquisition

        known = read_proportions(_file(source, PROPORTIONS))
        children: dict[str, Acquired] = {}
        items = []
        for word, context, number, place in read_contexts(_file(source, CONTEXTS)):
            if word not in children:
                children[word] = child_acquisition(*known[word]) if word in known else Acquired(math.nan, NO_AGES, None)
            child = children[word]
            before = context.strip()
            items.append(
                Item(
                    id=f"{word}-{number}",
                    subset="aoa",
                    cluster=word,
                    spans=(Span(f"{before} {word}", len(before)),),
                    gold=math.nan if child.reason else child.at,  # one NaN, so that equal items are equal
                    meta={"word": word, "context_id": str(number), "child": child.reason},
                    place=place,
                )
            )
        return number_equals(items)

    def outcomes(self, items: Sequence[Item], rows: Sequence[Sequence[Row]], protocol: Protocol) -> list[Outcome]:
        """A word's surprisal behind a context, in nats."""
        found = []
        for item, answers in zip(items, rows, strict=True):
            nan, total = self.has_nan(item, answers, protocol), answers[0].total
            self.require_finite(item, [-total], protocol)
            found.append(Outcome(item_id=item.id, value=-total, raw=(total,), prediction=0, nan=nan))
        return found

    def scores(self, items: Sequence[Item], outcomes: Sequence[Outcome], protocol: Protocol) -> list[Score]:
        """The mean over words of their mean surprisal: how far this checkpoint has come."""
        means: dict[str, list[float]] = {}
        for item, outcome in zip(items, outcomes, strict=True):
            means.setdefault(item.cluster, []).append(outcome.value)
        estimate = clustered_mean([math.fsum(values) / len(values) for values in means.values()], list(means))
        return [
            Score(
                metric="surprisal", value=estimate.value, unit="nats", higher_is_better=False, estimator="macro",
                n=len(items), n_clusters=len(means), se=estimate.se, se_method=estimate.method,
                ci_low=estimate.low, ci_high=estimate.high, chance=None, note=estimate.note,
            )
        ]  # fmt: skip

    def trajectory(self, snapshots: Sequence[Snapshot], tokenizer: Any, protocol: Protocol) -> tuple[list[Score], pd.DataFrame]:
        from babyeval.acquisition_scores import trajectory

        return trajectory(snapshots, tokenizer, protocol)


def _file(source: DataSource, name: str) -> DataFile:
    for file in source.files:
        if Path(file.member or file.path).name == name:
            return file
    raise DataMissing(
        f"The file '{name}' is missing.",
        where=", ".join(str(file.path.parent) for file in source.files[:1]),
        hint="Age of acquisition needs the contexts and the children's proportions: 'babyeval data fetch aoa' gets both.",
    )
