"""Optical flow between neighbouring pictures, and what is read from a field of it.

Dense inverse search (OpenCV, down to full resolution): of the fields tried on real clips it is the one that reads the
maze's walls right even nose to the wall, where they are dim and repeat. Knows pictures only.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .metrics import Pictures, luma

Field = NDArray[np.float32]
"""(H, W, 2) pixels right and down."""


class Flow:
    """Fields between pictures."""

    def __init__(self, finest: int = 0) -> None:
        """Down to full resolution, or half of it with `finest` 1: a quarter of the time."""
        import cv2

        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._search.setFinestScale(finest)

    def fields(self, clip: Pictures) -> NDArray[np.float32]:
        """(T, H, W, 3) -> (T - 1, H, W, 2) from each picture to the next."""
        grey = luma(clip).round().astype(np.uint8)
        return np.stack([self._field(*pair) for pair in pairwise(grey)])

    def along(self, clip: Pictures, measure: Callable[[Field], float]) -> NDArray[np.float64]:
        """(T, H, W, 3) -> (T - 1,) what `measure` says of each of these fields."""
        return np.array([measure(field) for field in self.fields(clip)])

    def _field(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Field:
        field = np.zeros((*before.shape, 2), np.float32)
        return np.asarray(self._search.calc(before, after, field), np.float32)


def across(flow: Field) -> float:
    """Mean pixels to the right."""
    return float(flow[..., 0].mean())


def expansion(flow: Field) -> float:
    """Mean pixels outward, weighted by the distance from the centre (half a picture = 1)."""
    height, width = flow.shape[:2]
    x = (np.arange(width) + 0.5) / width * 2.0 - 1.0
    y = (np.arange(height) + 0.5) / height * 2.0 - 1.0
    return float((flow[..., 0] * x + flow[..., 1] * y[:, None]).mean())


def amount(flow: Field) -> float:
    """Mean length in pixels: how much moves, whichever way."""
    return float(np.hypot(flow[..., 0], flow[..., 1]).mean())
