"""Keyframes: recorded latents that a world carries, to recall the one that is most like what it dreams just now.

A window of dreamed frames forgets: whatever has lost its shape in all of them has lost it for good. So before each
frame the keyframe nearest to the last one is looked up and given to the network beside it, as retrieval-augmented
diffusion does with pictures (arXiv 2204.11824). It is sharp whatever the dream has become and usually a few pixels off;
the network learns what to take from it. Knows latents and distances; nothing about networks, streams or files.
"""

from __future__ import annotations

import torch
from torch import Tensor

SALIENT = 512
"""Numbers of a latent, those that vary most, by which frames are compared."""

STEPS = 25.0
"""Stored keyframes are 8-bit: a number times this, rounded. Cells have unit root-mean-square, so none exceeds 5."""


class Keyframes:
    """Latents (K, C, h, w) to choose from."""

    def __init__(self, frames: Tensor) -> None:
        self.frames = frames
        flat = frames.flatten(1)
        variance = flat[:: max(1, len(flat) // 2_000)].float().var(0)
        self._salient = variance.argsort(descending=True, stable=True)[:SALIENT]
        self._keys = flat[:, self._salient].float()
        self._energy = self._keys.square().sum(1)

    def __len__(self) -> int:
        return len(self.frames)

    def nearest(self, frames: Tensor, barred: Tensor | None = None) -> Tensor:
        """Indices (n,) of the keyframes nearest to latents (n, C, h, w).

        Args:
            frames: what to look for.
            barred: (n, K) True where a keyframe may not be chosen.
        """
        wanted = frames.flatten(1)[:, self._salient].float()
        distance = self._energy - 2.0 * wanted @ self._keys.T
        if barred is not None:
            distance = distance.masked_fill(barred, torch.inf)
        return distance.argmin(1)

    def recall(self, frame: Tensor) -> Tensor:
        """(C, h, w) -> the keyframe nearest to it, float32. One at a time: sums must not depend on a batch."""
        return self.frames[self.nearest(frame[None])[0]].float()

    def to(self, device: torch.device) -> Keyframes:
        """The same keyframes there."""
        return Keyframes(self.frames.to(device))

    def packed(self) -> Tensor:
        """(K, C, h, w) int8, for files."""
        return (self.frames.float() * STEPS).round().clamp(-127, 127).to(torch.int8)

    @classmethod
    def unpacked(cls, stored: Tensor) -> Keyframes:
        """What `packed` gave."""
        return cls((stored.float() / STEPS).half())
