"""View: what a stream showed last and how its camera moves; Outlook turns it into latents of that picture, moved.

Latent cells are sixteen pixels wide, and most steps of a camera are less: what a cell holds does not simply move to its
neighbour. So the move is made with pixels: the last picture is moved (see motion.py) and encoded again. Knows nothing
about diffusion or memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .autoencoder import Autoencoder
from .motion import Motion, MotionNet, moved_to, places_of


@dataclass(frozen=True)
class View:
    """Where a stream's camera is on its way; a value, never changed."""

    picture: Tensor  # (3, H, W) the last picture, in [-1, 1]
    momentum: Tensor  # (2,) float32, see `Motion.momentum`
    clock: int  # frames since the camera set out, the last picture included


class Outlook:
    """A motion network and the autoencoder whose latents it moves."""

    def __init__(self, motion: MotionNet, autoencoder: Autoencoder) -> None:
        self.motion, self.autoencoder = motion, autoencoder

    def ahead(self, views: Sequence[View], actions: Tensor) -> tuple[Tensor, Tensor]:
        """What the next frames have in common with the last ones.

        Args:
            views: of B streams.
            actions: (B, history, A) the row that leads to each next frame and those before it, about [-1, 1].

        Returns:
            (B, C, h, w) latents of the moved pictures and (B, 2) momenta, float32.
        """
        pictures, momenta = (torch.stack([getattr(v, name) for v in views]) for name in ("picture", "momentum"))
        clocks = torch.tensor([v.clock for v in views], dtype=torch.float64, device=pictures.device)
        motion = self.motion(pictures, momenta, actions, clocks).settled
        return self.moved(pictures, motion), motion.momentum

    def moved(self, pictures: Tensor, motion: Motion) -> Tensor:
        """(B, C, h, w) float32 latents of pictures (B, 3, H, W) after a motion."""
        places = places_of(self.motion.config, motion.turn, motion.step, motion.near)
        return self.encode(moved_to(pictures, places))

    def encode(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, C, h, w) float32."""
        dtype = next(self.autoencoder.parameters()).dtype
        return self.autoencoder.encode(pictures.to(dtype, memory_format=torch.channels_last)).float()

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, H, W) as they are shown: in [-1, 1]."""
        dtype = next(self.autoencoder.parameters()).dtype
        return self.autoencoder.decode(latents.to(dtype, memory_format=torch.channels_last)).clamp(-1.0, 1.0)
