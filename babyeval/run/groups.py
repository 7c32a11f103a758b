"""The official macro averages of a run: which numbers enter them, and which they lack."""

from __future__ import annotations

from collections.abc import Sequence

from babyeval.protocols import PROTOCOLS
from babyeval.records import GroupHeadline, Score, TaskResult

FIRST = ("main", "final")  # the revisions that stand for a model which has several
_Key = tuple[str, str, str, str]  # model, revision, backend, protocol


def group_headlines(groups: Sequence[str], results: Sequence[TaskResult]) -> list[GroupHeadline]:
    """The official macro averages of the groups that were asked for.

    A task with several headlines enters with each of them. A plug-in's task never enters; an
    average that lacks a number is null and says which. Mini and limited splits, and protocols that are not known here,
    as those of a later version, have no official average.
    """
    results = [result for result in results if result.split in ("full", "fast") and result.protocol in PROTOCOLS]
    wanted = [group for group in ("zero-shot", "finetune") if group in groups or "all" in groups]
    counted: dict[_Key, dict[str, dict[str, Score]]] = {}
    for result in sorted(results, key=_weight):  # what weighs more replaces what weighs less
        for revision in revisions_of(result):
            tasks = counted.setdefault((result.model.name, revision, *_key(result)[2:]), {})
            if named := _named(result):
                tasks[result.task.name] = named
    order = dict.fromkeys(_key(result) for result in results if not result.checkpoints)
    return [_average(group, key, counted[key]) for key in order for group in wanted]


def _weight(result: TaskResult) -> tuple[bool, int]:
    """The whole set before the fast one; of two sweeps that of more checkpoints."""
    return result.split == "full", len(result.checkpoints)


def revisions_of(result: TaskResult) -> tuple[str, ...]:
    """The revisions whose average a record counts in.

    Its own, as a rule. A record over several checkpoints (age of acquisition) is of no single revision: it counts
    for ``main`` and ``final``, where a model has one, and for that of its checkpoints that has seen the most words.
    """
    if not result.checkpoints:
        return (result.model.revision,)
    last = max(result.checkpoints, key=lambda one: one.words_seen or 0)
    return tuple(dict.fromkeys((*FIRST, last.revision)))


def _named(result: TaskResult) -> dict[str, Score]:
    """The headlines of the card's own metric, under the names that they have in an average.

    A single checkpoint's record of age of acquisition has a mean surprisal as its headline, in nats: it never enters.
    """
    scores = [score for score in result.headlines if score.metric == result.task.metric]
    return {f"{result.task.name}:{score.subset}" if score.subset else result.task.name: score for score in scores}


def _average(group: str, key: _Key, tasks: dict[str, dict[str, Score]]) -> GroupHeadline:
    model, revision, backend, protocol = key
    names = PROTOCOLS[protocol].macro[group]
    members = {member: score for name in names for member, score in tasks.get(name, {}).items()}
    present = {member: score for member, score in members.items() if score.value is not None}
    absent = [member for name in names for member in tasks.get(name, {name: None}) if member not in present]
    # The official averages take WUG's correlations times 100, as if they were percentages; age of acquisition, which
    # the official code leaves as it is, is taken likewise here (protocol.md, section 5).
    values = [score.value * (100 if score.unit == "correlation" else 1) for score in present.values() if score.value is not None]
    return GroupHeadline(
        group=group,
        model=model,
        revision=revision,
        backend=backend,
        protocol=protocol,
        value=sum(values) / len(values) if values and not absent else None,
        tasks=tuple(present),
        missing=tuple(absent),
        units=tuple(dict.fromkeys(score.unit for score in present.values())),
    )


def _key(result: TaskResult) -> _Key:
    """Whose average it counts in; a record with values corrected for the word's end has the plain headlines."""
    return result.model.name, result.model.revision, result.backend.removesuffix("-corrected"), result.protocol
