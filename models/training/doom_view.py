"""Which picture ViZDoom draws for the picture that a recipe wants, and how wide it looks.

The engine knows a few dozen sizes. The one chosen loses least when it is cut to the wanted shape and is about twice as
large, so that averaging takes the jaggedness away. Pixels stay as square as the engine draws them. Measured by turning
in 320x256, 512x320, 512x288, 512x384 and 640x480: up to 4:3 the picture is 90 degrees wide, and a wider one shows more
on both sides at the same height; the proportion of up to across is the same in all of them.

Knows sizes and angles; no engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..spec import Image

SCALE = 2.0  # how much larger than the wanted picture the engine should draw


@dataclass(frozen=True)
class View:
    """A size of the engine, and the part of it that becomes the wanted picture."""

    drawn: tuple[int, int]  # (height, width) that the engine draws, pixels
    wanted: tuple[int, int]  # (height, width) of the recordings, pixels

    @property
    def scale(self) -> float:
        """Drawn pixels, across or down, that become one."""
        return min(self.drawn[0] / self.wanted[0], self.drawn[1] / self.wanted[1])

    @property
    def lost(self) -> float:
        """Share of the drawn picture that is cut off."""
        return 1.0 - self.scale**2 * self.wanted[0] * self.wanted[1] / (self.drawn[0] * self.drawn[1])

    @property
    def fov(self) -> float:
        """Horizontal field of view of the wanted picture, degrees."""
        focal = min(self.drawn[1] / 2.0, self.drawn[0] * 2.0 / 3.0)  # drawn pixels
        return 2.0 * math.degrees(math.atan(self.scale * self.wanted[1] / 2.0 / focal))

    def shrink(self, drawn: Image) -> Image:
        """The wanted picture: the middle of the drawn one, averaged over areas."""
        import cv2

        height, width = (round(self.scale * size) for size in self.wanted)
        top, left = (self.drawn[0] - height) // 2, (self.drawn[1] - width) // 2
        part = drawn[top : top + height, left : left + width]
        return np.asarray(cv2.resize(part, self.wanted[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def nearest_view(height: int, width: int, modes: Iterable[tuple[int, int]]) -> View:
    """The view for (height, width) pictures, out of the engine's sizes (height, width).

    Raises:
        ValueError: none is large enough.
    """
    views = [View(mode, (height, width)) for mode in modes if mode[0] >= height and mode[1] >= width]
    if not views:
        raise ValueError(f"expected pictures that fit into one of the engine's sizes, got {height}x{width}")
    return min(views, key=lambda view: (round(view.lost, 3), abs(view.scale - SCALE), view.drawn))
