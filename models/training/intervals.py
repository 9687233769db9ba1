"""How sure a share is: bootstrap intervals (Efron 1979). Knows numbers only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DRAWS = 2_000
"""Resamples of an interval."""


def interval(values: NDArray[np.bool_] | NDArray[np.float64], cover: float = 0.95) -> list[float]:
    """[low, high]: the middle `cover` of the means of resamples, drawn with replacement from a fixed seed.

    Where all values are equal nothing is left to draw, and the interval has no width: read the count beside it.
    """
    rng = np.random.default_rng(0)
    means = np.asarray(values, np.float64)[rng.integers(0, len(values), (DRAWS, len(values)))].mean(1)
    return np.quantile(means, [(1.0 - cover) / 2.0, (1.0 + cover) / 2.0]).tolist()
