"""Sampling within a budget and splitting by document, against what they promise."""

from __future__ import annotations

import numpy as np
from babyeval.trainers.corpus.choose import quotas, sample, split
from hypothesis import given
from hypothesis import strategies as st

DOCUMENTS = st.lists(st.lists(st.integers(1, 1000), min_size=1, max_size=6), min_size=1, max_size=25)
SEEDS = st.integers(0, 5)


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(0, 10_000), min_size=1), st.data())
def test_quotas_are_the_budget_in_proportion(words: dict[str, int], data: st.DataObject) -> None:
    total = sum(words.values())
    if total < 2:
        return
    budget = data.draw(st.integers(1, total - 1))
    found = quotas(words, budget)
    assert sum(found.values()) == budget
    assert all(abs(found[name] - words[name] * budget / total) < 1 for name in words)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=60), st.floats(0, 1), SEEDS)
def test_a_sample_is_at_most_one_document_below_its_quota(counts: list[int], share: float, seed: int) -> None:
    words = np.array(counts)
    quota = int(share * words.sum())
    taken = sample(words, quota, seed, "pond")
    assert words[taken].sum() <= quota
    if not taken.all():
        assert words[taken].sum() + words[~taken].max() > quota
    assert (sample(words, quota, seed, "pond") == taken).all()


@given(DOCUMENTS, st.sampled_from([0.05, 0.1, 0.5]), SEEDS)
def test_a_split_keeps_documents_together_and_its_share(lengths: list[list[int]], share: float, seed: int) -> None:
    words = np.array([count for document in lengths for count in document])
    documents = np.array([3 * number for number, document in enumerate(lengths) for _ in document])
    valid = split(words, documents, share, seed, "pond")
    target = share * words.sum()
    units = []
    for number, document in enumerate(lengths):
        if sum(document) > target:
            units += document
        else:
            units.append(sum(document))
            assert len(set(valid[documents == 3 * number])) == 1
    assert valid.any() == (len(units) > 1)
    assert not valid.all()
    if len(units) > 1:
        assert abs(words[valid].sum() - target) <= max(units)


def test_seeds_and_domains_draw_differently_and_all_documents_have_their_turn() -> None:
    words, documents = np.full(40, 10), np.arange(40)
    drawn = {(seed, name): tuple(split(words, documents, 0.1, seed, name)) for seed in range(60) for name in ("a", "b")}
    assert len(set(drawn.values())) > 100
    assert all(sum(mask) == 4 for mask in drawn.values())
    often = np.sum(list(drawn.values()), axis=0)  # 12 expected, standard deviation 3.3
    assert often.min() >= 1
    assert often.max() <= 28
