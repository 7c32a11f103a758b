"""Ages of acquisition of a model and of children with a known correlation: normal, skewed, or unevenly noisy."""

from __future__ import annotations

import math

import numpy as np


def sample(n, r, seed, kind="normal"):
    x, y = unscaled(np.random.default_rng(seed), n, [r], kind=kind)
    return (7 + 0.5 * x).tolist(), (22 + 3 * y).tolist()


def unscaled(rng, n, correlations, together=0.0, kind="normal"):
    """Values, and for each correlation others that have it with them; their noises go together so much."""
    x, first, *rest = rng.normal(size=(1 + len(correlations), n))
    if kind == "skewed":
        x, first = (rng.gamma(2, size=n) - 2) / math.sqrt(2), rng.uniform(-math.sqrt(3), math.sqrt(3), n)
    noises = [first, *(together * first + math.sqrt(1 - together**2) * own for own in rest)]
    if kind == "uneven":  # noise grows away from the mean
        noises = [noise * np.sqrt((1 + 2 * x * x) / 3) for noise in noises]
    return x, *(r * x + math.sqrt(1 - r * r) * noise for r, noise in zip(correlations, noises, strict=True))
