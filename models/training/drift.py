"""Drift: after a thousand frames, does a dream still look like the recordings?

Three statistics of each picture (mean luma, saturation, Laplacian variance) are pooled over the last frames of all
dreamed streams and compared with the held-out recordings. The drift of a statistic is the larger of two fractions,
each of the real mean: how far the mean moved, and how far the spread (standard deviation over frames) moved. Spread
is divided by the real mean, not by the real spread: under a still camera the real spread of luma is one per cent of
the mean, and one set of real recordings differs from another by a third of that.

Knows numbers only; where pictures come from is the caller's business.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .metrics import STATISTICS

DRAWS = 200
"""Random draws from which the floor is estimated."""


def drift(dreamed: NDArray[np.float64], real: NDArray[np.float64]) -> dict[str, float]:
    """Fractions from the `appearance` of dreamed (n, 3) and real (m, 3) pictures."""
    size = np.maximum(real.mean(0), 1e-6)
    moved = np.abs(dreamed.mean(0) - real.mean(0)) / size
    widened = np.abs(dreamed.std(0) - real.std(0)) / size
    return dict(zip(STATISTICS, np.maximum(moved, widened).tolist(), strict=True))


def drift_floor(real: NDArray[np.float64], streams: int, frames: int) -> dict[str, float]:
    """Median drift that recordings show against themselves.

    A few streams see a few rooms only; this is how much of a drift that explains.

    Args:
        real: (m, 3) appearance of recorded frames, in order.
        streams: spans in a draw, as many as there are dreamed streams.
        frames: rows in a span, as many as were taken of each dreamed stream.
    """
    frames = min(frames, len(real))
    rng = np.random.default_rng(0)
    starts = rng.integers(0, len(real) - frames + 1, (DRAWS, streams))
    draws = [drift(real[row[:, None] + np.arange(frames)].reshape(-1, real.shape[1]), real) for row in starts]
    return {name: float(np.median([draw[name] for draw in draws])) for name in STATISTICS}


def summary(rows: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Mean and spread of each statistic, for people."""
    return {
        name: {"mean": float(column.mean()), "spread": float(column.std())}
        for name, column in zip(STATISTICS, rows.T, strict=True)
    }
