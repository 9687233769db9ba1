"""Frechet distance between sets of clips, in the features of a network that was trained on real frames.

As FVD (arXiv 1812.01717) is, but in its own domain: a clip is the mean and the standard deviation over time of what the
inverse dynamics keep of each six frames, 64 numbers, in units of their deviation over training frames. Then

    distance = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))

with means m and covariances C over clips. Comparable between worlds of one recipe, not with published FVD.
Knows numbers only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .inverse import STACK

LENGTHS = (16, 64)
"""Frames of a clip, from its beginning."""


def frechet(
    dreamed: NDArray[np.float32], real: NDArray[np.float32], other: NDArray[np.float32]
) -> dict[str, dict[str, float]]:
    """`frechet` of dreams, and `frechet_floor` of recordings from the same places, both against other recordings.

    Args:
        dreamed: (N, T, F) features of dreams.
        real: (N, T, F) features of the recorded frames beside them.
        other: (M, T, F) features of recorded clips from other places.

    Raises:
        ValueError: one clip has no spread.
    """
    if min(len(dreamed), len(other)) < 2:
        raise ValueError(f"expected at least two clips on each side, got {len(dreamed)} and {len(other)}")
    result: dict[str, dict[str, float]] = {"frechet": {}, "frechet_floor": {}}
    for length in LENGTHS:
        stacks = length - STACK + 1
        against = pooled(other[:, :stacks])
        for key, features in (("frechet", dreamed), ("frechet_floor", real)):
            result[key][str(length)] = distance(pooled(features[:, :stacks]), against)
    return result


def pooled(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, T, F) -> (N, 2 F): mean and standard deviation over time."""
    return np.concatenate([features.mean(1), features.std(1)], 1).astype(np.float64)


def distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Frechet distance between the Gaussians of two sets (n, D) and (m, D)."""
    first, second = np.cov(a.T), np.cov(b.T)
    # The trace of the root of a product of covariances is the sum of the roots of its eigenvalues.
    roots = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0.0))
    apart = a.mean(0) - b.mean(0)
    return float(max(0.0, apart @ apart + np.trace(first) + np.trace(second) - 2.0 * roots.sum()))
