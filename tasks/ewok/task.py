"""EWoK: decodes a line into the four questions that every criterion is made of."""

from __future__ import annotations

from collections.abc import Sequence

from babyeval.data.jsonl import Record
from babyeval.protocols import Protocol
from babyeval.ranking import Contest, Criterion, RankingTask, ranking_item, text_cluster
from babyeval.types import Item, Span

# Order of an item's spans: first target given each context at 0 and 2, second target at 1 and 3.
_CONTEXTS = (Contest((0, 2), 0), Contest((3, 1), 3))
_TARGETS = (Contest((0, 1), 0), Contest((3, 2), 3))

# What items share when they were made from one template, if the file keeps it.
_TEMPLATE_FIELDS = ("MetaTemplateID", "TemplateID")


def decode(record: Record) -> Item:
    """Both targets after both contexts (protocol.md, section 3.3).

    The official files hold each item twice, the second time with contexts and targets exchanged;
    the two are one cluster, and so is a template, where the file names it.
    """
    template = next((record[name] for name in _TEMPLATE_FIELDS if name in record), None)
    contexts = [record.text("Context1"), record.text("Context2")]
    targets = [record.text("Target1"), record.text("Target2")]
    return ranking_item(
        record,
        subset=record.text("Domain"),
        spans=[Span(f"{context} {target}", len(context)) for context in contexts for target in targets],
        cluster=f"template={template}" if template is not None else text_cluster(*sorted(contexts), *sorted(targets)),
        meta={
            "context_type": record.text("ContextType"),
            "context_contrast": record.text("ContextDiff"),
            "target_contrast": record.text("TargetDiff"),
        },
    )


def criteria(protocol: Protocol) -> Sequence[Criterion]:
    """2025 compares targets in one context, 2026 contexts of one target; `robust` asks of both targets (D6)."""
    if protocol.name == "babylm-2025":
        return (Criterion(contests=lambda _: _TARGETS[:1]),)
    if protocol.name == "babylm-2026":
        return (Criterion(contests=lambda _: _CONTEXTS[:1]),)
    return (
        Criterion(contests=lambda _: _CONTEXTS),
        Criterion("accuracy_both_targets", contests=lambda _: _CONTEXTS, all_of=True, chance=25.0),
        Criterion("accuracy_targets_compared", contests=lambda _: _TARGETS),
    )


task = RankingTask.beside(__file__, decode, criteria=criteria)
