"""View: what a stream showed last and how its camera moves; Outlook turns it into latents of that picture, moved.

Latent cells are sixteen pixels wide, and most steps of a camera are less: what a cell holds does not simply move to its
neighbour. So the move is made with pixels: the last picture is moved (see motion.py) and encoded again. Knows nothing
about diffusion or memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .autoencoder import Autoencoder
from .motion import Motion, MotionNet, moved_to, places_of
from .obstacles import COLUMN, FAR, kept_out, obstacles


@dataclass(frozen=True)
class Way:
    """How a camera came to a picture, and what it may run into next."""

    momentum: Tensor  # (2,) float32, see `Motion.momentum`
    solid: Tensor  # (W / 4, 2) float32, see `obstacles`


@dataclass(frozen=True)
class View:
    """Where a stream's camera is on its way; a value, never changed."""

    picture: Tensor  # (3, H, W) the last picture, in [-1, 1]
    way: Way
    clock: int  # frames since the camera set out, the last picture included


class Outlook:
    """A motion network and the autoencoder whose latents it moves."""

    def __init__(self, motion: MotionNet, autoencoder: Autoencoder) -> None:
        self.motion, self.autoencoder = motion, autoencoder

    def at_rest(self, device: torch.device) -> Way:
        """Of a camera that has just come into the world, and knows nothing of it."""
        width = self.motion.config.width // COLUMN
        return Way(torch.zeros(2, device=device), torch.full((width, 2), FAR, device=device))

    def ahead(self, views: Sequence[View], actions: Tensor) -> tuple[Tensor, list[Way]]:
        """What the next frames have in common with the last ones.

        Args:
            views: of B streams.
            actions: (B, history, A) the row that leads to each next frame and those before it, about [-1, 1].

        Returns:
            (B, C, h, w) float32 latents of the moved pictures, and the ways there.
        """
        config = self.motion.config
        pictures = torch.stack([v.picture for v in views])
        momenta, solid = (torch.stack([getattr(v.way, name) for v in views]) for name in ("momentum", "solid"))
        clocks = torch.tensor([v.clock for v in views], dtype=torch.float64, device=pictures.device)
        motion = self.motion(pictures, momenta, actions, clocks).settled
        motion = replace(motion, step=kept_out(motion.step, solid, config.body))
        ways = zip(motion.momentum, obstacles(motion.near, config.fov), strict=True)
        return self.moved(pictures, motion), [Way(momentum, points) for momentum, points in ways]

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
