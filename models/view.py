"""View: what a stream showed last and how its camera moves; Outlook says what is known of the next picture.

Latent cells are sixteen pixels wide, and most steps of a camera are less: what a cell holds does not simply move to its
neighbour. So the move is made with pixels: the last picture is moved (motion.py), what that leaves open is recalled
(keyframes.py), and the whole is encoded for the transformer to go on from. What both show in more detail than latents
hold is kept (detail.py). Knows nothing about diffusion or memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .autoencoder import Autoencoder
from .detail import DetailNet
from .keyframes import Keyframes
from .motion import Motion, MotionNet, inside, moved_to, places_of
from .obstacles import COLUMN, FAR, kept_out, obstacles
from .poses import advanced, further, kept_near, motion_between


@dataclass(frozen=True)
class Way:
    """How a camera came to a picture, and what it may run into next."""

    momentum: Tensor  # (2,) float32, see `Motion.momentum`
    solid: Tensor  # (W / 4, 2) float32, see `obstacles`
    pose: Tensor  # (3,) float64 where it is, see poses.py


@dataclass(frozen=True)
class View:
    """Where a stream's camera is on its way; a value, never changed."""

    picture: Tensor  # (3, H, W) the last picture, in [-1, 1]
    way: Way
    clock: int  # frames since the camera set out, the last picture included
    keyframe: tuple[int, Tensor] | None = None  # the latest recalled and its picture: it often serves again


@dataclass(frozen=True)
class Glimpse:
    """What is known of the next pictures of B streams before they are dreamed."""

    moved: Tensor  # (B, 3, H, W) float32, the last pictures as the cameras' motion leaves them
    seen: Tensor  # (B, 1, H, W) True where these were in sight
    recalled: Tensor  # (B, 3, H, W) float32, keyframes as seen from there
    known: Tensor  # (B, 1, H, W) True where these were in sight
    ways: list[Way]
    keyframes: list[tuple[int, Tensor]]  # B indices and pictures

    @property
    def filled(self) -> Tensor:
        """(B, 3, H, W) the last pictures, and keyframes where these end."""
        return torch.where(self.seen | ~self.known, self.moved, self.recalled)


class Outlook:
    """What moves and recalls pictures, and puts them together with what is dreamed."""

    def __init__(self, motion: MotionNet, keyframes: Keyframes, detail: DetailNet, autoencoder: Autoencoder) -> None:
        if keyframes.poses is None:
            raise ValueError("expected keyframes with the poses at which they were taken")
        self.motion, self.keyframes, self.detail, self.autoencoder = motion, keyframes, detail, autoencoder
        self.album: dict[int, Tensor] | None = None  # pictures of keyframes, where there is memory to keep them all

    def to(self, device: torch.device, dtype: torch.dtype) -> Outlook:
        """The same, ready to be used there."""
        self.keyframes = self.keyframes.to(device)
        for part in (self.motion, self.detail, self.autoencoder):
            part.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
            part.eval().requires_grad_(False)
        return self

    def at_rest(self, latents: Tensor) -> Way:
        """Of a camera that has just come into the world with a picture of latents (1, C, h, w).

        It takes itself to be where the keyframe was taken that looks most like that.
        """
        assert self.keyframes.poses is not None
        width, device = self.motion.config.width // COLUMN, latents.device
        pose = self.keyframes.poses[self.keyframes.nearest(latents)[0]]
        return Way(torch.zeros(2, device=device), torch.full((width, 2), FAR, device=device), pose)

    def ahead(self, views: Sequence[View], actions: Tensor) -> Glimpse:
        """What the next frames have in common with what was seen.

        Args:
            views: of B streams.
            actions: (B, history, A) the row that leads to each next frame and those before it, about [-1, 1].
        """
        pictures = torch.stack([v.picture for v in views])
        momenta, solid, poses = (torch.stack([getattr(v.way, n) for v in views]) for n in ("momentum", "solid", "pose"))
        clocks = torch.tensor([v.clock for v in views], dtype=torch.float64, device=pictures.device)
        motion = self.motion(pictures, momenta, actions, clocks).settled
        motion, after = self._possible(motion, solid, poses)
        return self.glimpse(views, motion, after)

    def _possible(self, motion: Motion, solid: Tensor, poses: Tensor) -> tuple[Motion, Tensor]:
        """The motion as far as a body can make it, and the poses (B, 3) to which it leads.

        Nobody walks through what he sees, nor farther than his own radius from where somebody has stood.
        """
        body, taken = self.motion.config.body, self.keyframes.poses
        motion = replace(motion, step=kept_out(motion.step, solid, body))
        after = advanced(poses, motion)
        if not body or taken is None:
            return motion, after
        after = kept_near(after, taken[:, :2], body)
        flat = motion_between(poses, after, motion.near).step
        return replace(motion, step=torch.stack([flat[:, 0], motion.step[:, 1], flat[:, 2]], 1)), after

    def glimpse(self, views: Sequence[View], motion: Motion, poses: Tensor, barred: Tensor | None = None) -> Glimpse:
        """The same along a motion that is known, to poses (B, 3); `barred` as in `Keyframes.nearest`."""
        config, taken = self.motion.config, self.keyframes.poses
        assert taken is not None
        places = places_of(config, motion.turn, motion.step, motion.near)
        before = torch.stack([v.way.pose for v in views])
        chosen = self.keyframes.taken_near(further(before, poses), barred)
        keyframes = self._recalled(views, chosen.tolist())
        way = motion_between(taken[chosen], poses, motion.near)
        there = places_of(config, way.turn, way.step, way.near)
        points = obstacles(motion.near, config.fov)
        return Glimpse(
            moved_to(torch.stack([v.picture for v in views]), places),
            inside(places),
            moved_to(torch.stack([picture for _, picture in keyframes]), there),
            inside(there),
            [Way(*parts) for parts in zip(motion.momentum, points, poses, strict=True)],
            keyframes,
        )

    def picture(self, latents: Tensor, glimpse: Glimpse) -> Tensor:
        """(B, C, h, w) finished latents -> (B, 3, H, W) as they are shown: in [-1, 1]."""
        dreamed = self.autoencoder.pictures(latents)
        return self.detail(dreamed, glimpse.moved, glimpse.seen, glimpse.recalled, glimpse.known).clamp(-1.0, 1.0)

    def _recalled(self, views: Sequence[View], chosen: Sequence[int]) -> list[tuple[int, Tensor]]:
        """The chosen keyframes and their pictures; decoded where nobody has such a picture yet."""
        had = dict(v.keyframe for v in views if v.keyframe) | (self.album or {})
        new = sorted(set(chosen) - set(had))
        if new:
            had |= zip(new, self.autoencoder.pictures(self.keyframes.frames[new].float()), strict=True)
        if self.album is not None:
            self.album |= {index: had[index] for index in new}
        return [(index, had[index]) for index in chosen]
