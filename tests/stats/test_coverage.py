"""Simulation: how often 95% intervals hold the truth (statistics.md, section 12 c)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from babyeval.stats.intervals import proportion, stratified_macro_mean

REPLICATIONS = 2000


def names(count: int) -> list[str]:
    return [str(i) for i in range(count)]


def enumerated(p: float, n: int) -> float:
    """The exact coverage: a proportion takes n + 1 values only."""
    estimates = [proportion([1.0] * k + [0.0] * (n - k), names(n)) for k in range(n + 1)]
    return sum(binom.pmf(k, n, p) for k, estimate in enumerate(estimates) if estimate.low <= p <= estimate.high)


def test_proportion_of_fifty_items_by_enumeration():
    """Coverage swings with p, as there are few values; on average it is what it claims to be."""
    coverages = [enumerated(p, 50) for p in np.linspace(0.3, 0.9, 31)]
    assert 0.945 <= np.mean(coverages) <= 0.955
    assert min(coverages) > 0.92


@pytest.mark.slow
@pytest.mark.parametrize("p", [0.3, 0.6, 0.8])
def test_proportion_of_fifty_items(p):
    rng = np.random.default_rng(50)
    hits = 0
    for _ in range(REPLICATIONS):
        estimate = proportion((rng.random(50) < p).astype(float).tolist(), names(50))
        hits += estimate.low <= p <= estimate.high
    assert 0.93 <= hits / REPLICATIONS <= 0.97


@pytest.mark.slow
def test_macro_mean_of_ten_strata_of_fifty_items():
    rng = np.random.default_rng(10)
    p = np.linspace(0.3, 0.9, 10)
    strata, clusters = np.repeat(names(10), 50).tolist(), names(500)
    hits = 0
    for _ in range(REPLICATIONS):
        values = (rng.random((10, 50)) < p[:, None]).astype(float).ravel().tolist()
        estimate = stratified_macro_mean(values, strata, clusters)
        hits += estimate.low <= p.mean() <= estimate.high
    assert 0.93 <= hits / REPLICATIONS <= 0.97


@pytest.mark.slow
def test_macro_mean_of_clustered_items():
    """Ten strata of forty templates; the five items of one are right or wrong nearly together."""
    rng = np.random.default_rng(11)
    p = np.linspace(0.3, 0.9, 10)
    strata, clusters = np.repeat(names(10), 200).tolist(), np.repeat(names(400), 5).tolist()
    hits = blind = 0
    for _ in range(REPLICATIONS):
        template = rng.random((10, 40, 1)) < p[:, None, None]
        alone = rng.random((10, 40, 5)) < p[:, None, None]
        values = np.where(rng.random((10, 40, 5)) < 0.8, template, alone).astype(float).ravel().tolist()
        estimate = stratified_macro_mean(values, strata, clusters)
        hits += estimate.low <= p.mean() <= estimate.high
        naive = stratified_macro_mean(values, strata, names(2000))
        blind += naive.low <= p.mean() <= naive.high
    assert 0.93 <= hits / REPLICATIONS <= 0.97
    assert blind / REPLICATIONS < 0.8, "an error that ignores templates would not do"


@pytest.mark.slow
def test_mean_of_means_of_clusters_that_cross_cells():
    """Three strata of two to four cells; sixty stories, each asked about in about half of all cells."""
    rng = np.random.default_rng(12)
    cells = [(f"s{s}", f"w{w}") for s, count in enumerate((2, 3, 4)) for w in range(count)]
    p = np.linspace(0.3, 0.8, len(cells))
    weights = np.array([1 / 3 / count for count in (2, 3, 4) for _ in range(count)])
    truth = float(weights @ p)
    hits = blind = 0
    for _ in range(REPLICATIONS):
        story, asked = np.nonzero(rng.random((60, len(cells))) < 0.5)
        shared, alone = rng.random(60)[story], rng.random(len(story))
        values = (np.where(rng.random(len(story)) < 0.7, shared, alone) < p[asked]).astype(float).tolist()
        strata, within = zip(*(cells[i] for i in asked), strict=True)
        estimate = stratified_macro_mean(values, strata, [str(s) for s in story], within=within)
        hits += estimate.low <= truth <= estimate.high
        naive = stratified_macro_mean(values, strata, names(len(values)), within=within)
        blind += naive.low <= truth <= naive.high
    assert 0.93 <= hits / REPLICATIONS <= 0.97
    assert blind / REPLICATIONS < 0.85, "an error that ignores stories would not do"
