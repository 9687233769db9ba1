"""View: what a stream showed last and how its camera moves; Outlook says what of it the next picture shows.

Latent cells are sixteen pixels wide, and most steps of a camera are less: what a cell holds does not simply move to its
neighbour. So the move is made with pixels: the last picture is moved (motion.py) and encoded again, for the transformer
to go on from; and what it shows of the next one in more detail than latents hold is kept (detail.py). Knows nothing
about diffusion or memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .autoencoder import Autoencoder
from .detail import DetailNet
from .motion import Motion, MotionNet, inside, moved_to, places_of
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


@dataclass(frozen=True)
class Glimpse:
    """What the last pictures of B streams say of the next ones."""

    moved: Tensor  # (B, 3, H, W) float32, the last pictures as the cameras' motion leaves them
    seen: Tensor  # (B, 1, H, W) True where that had been in sight
    ways: list[Way]


class Outlook:
    """A motion network, and what puts the moved pictures and the dreamed latents together."""

    def __init__(self, motion: MotionNet, autoencoder: Autoencoder, detail: DetailNet | None = None) -> None:
        self.motion, self.autoencoder, self.detail = motion, autoencoder, detail

    def at_rest(self, device: torch.device) -> Way:
        """Of a camera that has just come into the world, and knows nothing of it."""
        width = self.motion.config.width // COLUMN
        return Way(torch.zeros(2, device=device), torch.full((width, 2), FAR, device=device))

    def ahead(self, views: Sequence[View], actions: Tensor) -> Glimpse:
        """What the next frames have in common with the last ones.

        Args:
            views: of B streams.
            actions: (B, history, A) the row that leads to each next frame and those before it, about [-1, 1].
        """
        config = self.motion.config
        pictures = torch.stack([v.picture for v in views])
        momenta, solid = (torch.stack([getattr(v.way, name) for v in views]) for name in ("momentum", "solid"))
        clocks = torch.tensor([v.clock for v in views], dtype=torch.float64, device=pictures.device)
        motion = self.motion(pictures, momenta, actions, clocks).settled
        motion = replace(motion, step=kept_out(motion.step, solid, config.body))
        return self.after(pictures, motion)

    def after(self, pictures: Tensor, motion: Motion) -> Glimpse:
        """Pictures (B, 3, H, W) after a motion."""
        config = self.motion.config
        places = places_of(config, motion.turn, motion.step, motion.near)
        ways = zip(motion.momentum, obstacles(motion.near, config.fov), strict=True)
        return Glimpse(moved_to(pictures, places), inside(places), [Way(momentum, points) for momentum, points in ways])

    def picture(self, latents: Tensor, glimpse: Glimpse) -> Tensor:
        """(B, C, h, w) finished latents -> (B, 3, H, W) as they are shown: in [-1, 1]."""
        decoded = self.autoencoder.pictures(latents)
        return self.detail(decoded, glimpse.moved, glimpse.seen).clamp(-1.0, 1.0) if self.detail else decoded
