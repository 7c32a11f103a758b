"""Setting a part of examples aside: by content, so that every model, seed and machine gets the same part."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from babyeval.fit.types import Example


def split_off(examples: Sequence[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Sets a share of examples aside, label by label.

    What depends on each other stays together: examples of one cluster (about one passage, say), and equal lines. Groups whose
    examples differ in their labels are a stratum of their own. The order is that of a hash of the lines' content, not of
    the file.

    Args:
        examples: At least two groups, so that either part holds one.
        share: The part set aside, between 0 and 1; of each stratum the nearest number of groups.

    Returns:
        What stays and what is set aside, each in the given order.

    Example:
        >>> examples = [Example(str(i), "a", None, i % 2, str(i), "", digest=str(i)) for i in range(20)]
        >>> rest, aside = split_off(examples, 0.2)
        >>> len(rest), [example.label for example in aside].count(1)
        (16, 2)
    """
    groups: dict[str, list[Example]] = {}
    for example in examples:
        alone = example.cluster == example.id
        groups.setdefault(example.digest or example.id if alone else example.cluster, []).append(example)
    strata: dict[frozenset[int], list[list[Example]]] = {}
    for group in groups.values():
        strata.setdefault(frozenset(example.label for example in group), []).append(group)
    chosen: set[str] = set()
    for members in strata.values():
        members.sort(key=_hash)
        for group in members[: round(share * len(members))]:
            chosen.update(example.id for example in group)
    if not chosen and len(groups) > 1:  # so few that every stratum rounds to none
        chosen.update(example.id for example in min(groups.values(), key=_hash))
    return [e for e in examples if e.id not in chosen], [e for e in examples if e.id in chosen]


def _hash(group: Sequence[Example]) -> str:
    return hashlib.sha256("\n".join(sorted(e.digest or e.id for e in group)).encode()).hexdigest()
