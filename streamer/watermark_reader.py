"""Reads the mark of `watermark.py` from pictures, whatever they went through: encoders, another size, another format.

What a picture shows is far stronger than the mark, so it is evened out first: what is around a pixel is taken off, and
busy places count for no more than quiet ones. Then the pictures' shares of each cosine are added up, and for each byte
the likeliest value is taken. Knows pixels; no file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .watermark import CHOICES, FROM_RGB, SMALLEST, SYMBOLS, Floats, Picture, cosines, message, places, signs

CERTAIN = 1e-9  # chance that pictures without a mark read so; above it nothing is said to be read
AROUND, BUSY = 3 / 160, 6 / 160  # of the height: how far around a pixel it is evened out
QUIET = 1.0  # grey levels: below that a place is no quieter
OUTLIER = 1.5  # of a place's own strength: no pixel counts for more


@dataclass(frozen=True)
class Reading:
    """What pictures say."""

    said: bytes  # the likeliest message, whether or not it is one
    sigmas: tuple[float, ...]  # by how much each of its bytes stands out from the other values
    chance: float  # that pictures without a mark read so; 1 where the message is none
    pictures: int

    @property
    def ident(self) -> int | None:
        """Whose mark it is; None where there is none."""
        return int.from_bytes(self.said[:2], "big") if self.chance <= CERTAIN else None


class WatermarkReader:
    """Takes pictures, one after the other, and says what they bear together."""

    def __init__(self) -> None:
        self._sum = np.zeros((SYMBOLS, places().shape[1]), np.float64)
        self.pictures = 0  # so far

    def add(self, picture: Picture) -> None:
        """(H, W, 3) RGB. One that is too small to bear a mark is left out."""
        height, width, _ = picture.shape
        if min(height, width) < SMALLEST:
            return
        even = _evened(picture @ FROM_RGB)
        waves = cosines(height) @ even @ cosines(width).T
        rows, columns = np.moveaxis(places(), -1, 0)
        self._sum += waves[rows, columns] / math.sqrt(height * width)
        self.pictures += 1

    def reading(self) -> Reading:
        """Of the pictures so far."""
        scores = np.einsum("skn,sn->sk", signs(), self._sum)
        spread = scores.std(axis=1)
        best = scores.argmax(axis=1)
        said = bytes(best.astype(np.uint8).tolist())
        if not spread.all():
            return Reading(said, (0.0,) * SYMBOLS, 1.0, self.pictures)
        sigmas = tuple((scores.max(axis=1) / spread).tolist())
        return Reading(said, sigmas, _chance(said, sigmas), self.pictures)


def _chance(said: bytes, sigmas: tuple[float, ...]) -> float:
    """Pictures without a mark: the scores of a byte's values are normal, and the two check bytes are as they come."""
    if said != message(int.from_bytes(said[:2], "big")):
        return 1.0
    tails = (min(1.0, CHOICES * math.erfc(sigma / math.sqrt(2)) / 2) for sigma in sigmas)
    return math.prod(tails) / CHOICES**2


def _evened(plane: Floats) -> Floats:
    height = len(plane)
    plane = plane - _mean(plane, max(1, round(AROUND * height)))
    strength = np.sqrt(np.maximum(_mean(plane * plane, max(1, round(BUSY * height))), 0))
    return np.clip(plane / (strength + QUIET), -OUTLIER, OUTLIER)


def _mean(plane: Floats, reach: int) -> Floats:
    """Over the square of 2 * reach + 1 around each pixel."""
    return _mean_of_rows(_mean_of_rows(plane, reach).T, reach).T


def _mean_of_rows(plane: Floats, reach: int) -> Floats:
    padded = np.pad(plane, ((reach + 1, reach), (0, 0)), mode="edge").astype(np.float64)
    sums: NDArray[np.float64] = padded.cumsum(axis=0)
    across = 2 * reach + 1
    return ((sums[across:] - sums[:-across]) / across).astype(np.float32)
