"""Setting examples aside: by content, label by label, and never a part of what belongs together."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from babyeval.fit.split import split_off
from babyeval.fit.types import Example


def example(number: int, label: int, **changes) -> Example:
    return replace(Example(f"t_{number}", f"text {number}", None, label, f"t_{number}", "", digest=f"d{number}"), **changes)


EXAMPLES = [example(i, int(i % 4 == 0)) for i in range(400)]


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_sizes_and_shares_of_labels(share):
    rest, aside = split_off(EXAMPLES, share)
    assert Counter(e.label for e in aside) == {0: 300 * share, 1: 100 * share}
    assert sorted([*rest, *aside], key=lambda e: int(e.id[2:])) == EXAMPLES


def test_neither_order_nor_ids_matter():
    aside = {e.digest for e in split_off(EXAMPLES, 0.2)[1]}
    shuffled = EXAMPLES[1::2] + EXAMPLES[-2::-2]
    moved = [replace(e, id=f"t_{i}", cluster=f"t_{i}") for i, e in enumerate(shuffled)]
    assert {e.digest for e in split_off(moved, 0.2)[1]} == aside
    assert [e.digest for e in split_off(moved, 0.2)[1]] == [e.digest for e in moved if e.digest in aside]


def test_other_content_gives_another_part():
    changed = [replace(e, digest=f"x{e.digest}") for e in EXAMPLES]
    assert {e.id for e in split_off(changed, 0.2)[1]} != {e.id for e in split_off(EXAMPLES, 0.2)[1]}


def test_clusters_and_equal_lines_stay_together():
    clustered = [example(i, i % 2, cluster=f"passage-{i // 5}") for i in range(500)]
    rest, aside = split_off(clustered, 0.2)
    assert not {e.cluster for e in rest} & {e.cluster for e in aside}
    assert len({e.cluster for e in aside}) == 20
    twins = [example(i, 0, digest=f"d{i // 2}") for i in range(100)]
    rest, aside = split_off(twins, 0.2)
    assert not {e.digest for e in rest} & {e.digest for e in aside}


def test_clusters_of_many_sizes_keep_the_share_and_the_labels():
    sizes = [1 + i % 2 + 10 * (i % 40 == 0) for i in range(300)]  # most of one or two, a few large ones
    of = [i for i, size in enumerate(sizes) for _ in range(size)]
    clustered = [example(k, int(k % 3 == 0), cluster=f"passage-{i}") for k, i in enumerate(of)]
    rest, aside = split_off(clustered, 0.2)
    assert not {e.cluster for e in rest} & {e.cluster for e in aside}
    assert len(aside) / len(clustered) == pytest.approx(0.2, abs=0.05)
    for part in (rest, aside):
        assert sum(e.label for e in part) / len(part) == pytest.approx(1 / 3, abs=0.07)


def test_few_examples_leave_something_on_either_side():
    rest, aside = split_off([example(0, 0), example(1, 1)], 0.1)
    assert (len(rest), len(aside)) == (1, 1)
    assert split_off([example(0, 0)], 0.1) == ([example(0, 0)], [])
