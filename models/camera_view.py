"""CameraOutlook: the last picture, moved as a walking camera moves it, and what an album says of the rest.

The last picture is moved (motion.py), and what that leaves open is recalled (album.py). Knows nothing about diffusion
or memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .album import Album
from .autoencoder import to_signed
from .detail import DetailNet
from .motion import Motion, MotionNet, inside, moved_to, places_of
from .obstacles import COLUMN, FAR, kept_out, obstacles
from .poses import advanced, further, kept_near, motion_between
from .view import Glimpse, Outlook, View, Way


@dataclass(frozen=True)
class CameraWay(Way):
    """How a camera came to a picture, and what it may run into next."""

    momentum: Tensor  # (2,) float32, see `Motion.momentum`
    solid: Tensor  # (W / 4, 2) float32, see `obstacles`
    pose: Tensor  # (3,) float64 where it is, see poses.py


class CameraOutlook(Outlook):
    """What moves and recalls pictures, and puts them together with what is dreamed."""

    way = CameraWay

    def __init__(self, motion: MotionNet, album: Album, detail: DetailNet) -> None:
        super().__init__(detail)
        self.motion, self.album = motion, album

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """Its networks."""
        return {"motion": self.motion, "detail": self.detail}

    def to(self, device: torch.device, dtype: torch.dtype) -> CameraOutlook:
        """The same, ready to be used there."""
        self._ready(self.motion, device, dtype)
        return self

    def at_rest(self, picture: Tensor) -> CameraWay:
        """Of a camera that has just come into the world, and sees (3, H, W).

        It takes itself to be where that picture of the album was taken which looks most like it.
        """
        width, device = self.motion.config.width // COLUMN, picture.device
        pose = self.album.poses[self.album.most_like(picture)].to(device)
        return CameraWay(torch.zeros(2, device=device), torch.full((width, 2), FAR, device=device), pose)

    def arrived(self, picture: Tensor, way: Way | None) -> Way:
        """The way it came, or that of a camera at rest."""
        return way or self.at_rest(picture)

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
        return self.glimpse(pictures, motion, poses, after)

    def _possible(self, motion: Motion, solid: Tensor, poses: Tensor) -> tuple[Motion, Tensor]:
        """The motion as far as a body can make it, and the poses (B, 3) to which it leads.

        Nobody walks through what he sees, nor farther than his own radius from where somebody has stood.
        """
        body = self.motion.config.body
        motion = replace(motion, step=kept_out(motion.step, solid, body))
        after = advanced(poses, motion)
        if not body:
            return motion, after
        after = kept_near(after, self.album.poses[:, :2].to(poses.device), body)
        flat = motion_between(poses, after, motion.near).step
        return replace(motion, step=torch.stack([flat[:, 0], motion.step[:, 1], flat[:, 2]], 1)), after

    def glimpse(
        self, pictures: Tensor, motion: Motion, before: Tensor, after: Tensor, barred: Tensor | None = None
    ) -> Glimpse:
        """What pictures (B, 3, H, W) and the album say of the next ones, along a motion that is known.

        Args:
            pictures: the last ones.
            motion: of the cameras.
            before: (B, 3) poses at which these were seen.
            after: (B, 3) poses to which the motion leads.
            barred: as in `Album.taken_near`.
        """
        config, device = self.motion.config, after.device
        places = places_of(config, motion.turn, motion.step, motion.near)
        chosen = self.album.taken_near(further(before, after).cpu(), barred)
        recalled = to_signed(torch.stack([self.album.picture(index) for index in chosen.tolist()]).to(device))
        way = motion_between(self.album.poses[chosen].to(device), after, motion.near)
        there = places_of(config, way.turn, way.step, way.near)
        points = obstacles(motion.near, config.fov)
        still = (motion.turn == 0.0) & (motion.step == 0.0).all(1)
        moved = moved_to(pictures, places, "bicubic").clamp(-1.0, 1.0)
        if still.any():
            moved[still] = pictures[still].float()
        return Glimpse(
            moved,
            inside(places),
            moved_to(recalled, there, "bicubic").clamp(-1.0, 1.0),
            inside(there),
            way.step.norm(dim=1)[:, None, None, None] * way.near,
            still,
            [CameraWay(*parts) for parts in zip(motion.momentum, points, after, strict=True)],
        )
