"""View: what a stream showed last and how its camera moves; Outlook says what is known of the next picture.

Latent cells are sixteen pixels wide, and most steps of a camera are less: what a cell holds does not simply move to its
neighbour. So the move is made with pixels: the last picture is moved (motion.py), what that leaves open is recalled
(album.py), and the whole is encoded for the transformer to go on from. What both show in more detail than latents
hold is kept (detail.py). Knows nothing about diffusion or memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .album import Album
from .autoencoder import to_signed
from .detail import DetailNet
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


@dataclass(frozen=True)
class Glimpse:
    """What is known of the next pictures of B streams before they are dreamed."""

    moved: Tensor  # (B, 3, H, W) float32, the last pictures as the cameras' motion leaves them
    seen: Tensor  # (B, 1, H, W) True where these were in sight
    recalled: Tensor  # (B, 3, H, W) float32, pictures of the album as seen from there
    known: Tensor  # (B, 1, H, W) True where these were in sight
    doubt: Tensor  # (B, 1, H, W) how far they are from there, over the depth
    still: Tensor  # (B,) True for a camera that stays where it is
    ways: list[Way]

    @property
    def filled(self) -> Tensor:
        """(B, 3, H, W) the last pictures, and recalled ones where these end."""
        own = (self.seen | ~self.known).float()
        return self.recalled.lerp(self.moved, own)  # `where` takes three times as long


class Outlook:
    """What moves and recalls pictures, and puts them together with what is dreamed."""

    def __init__(self, motion: MotionNet, album: Album, detail: DetailNet) -> None:
        self.motion, self.album, self.detail = motion, album, detail

    def to(self, device: torch.device, dtype: torch.dtype) -> Outlook:
        """The same, ready to be used there."""
        for part in (self.motion, self.detail):
            part.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
            part.eval().requires_grad_(False)
        place = self.motion.place  # laid out as what it is added to
        place.data = place[None].contiguous(memory_format=torch.channels_last)[0]
        return self

    def at_rest(self, picture: Tensor) -> Way:
        """Of a camera that has just come into the world, and sees (3, H, W).

        It takes itself to be where that picture of the album was taken which looks most like it.
        """
        width, device = self.motion.config.width // COLUMN, picture.device
        pose = self.album.poses[self.album.most_like(picture)].to(device)
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
        moved = moved_to(pictures, places)
        if still.any():
            moved[still] = pictures[still].float()
        return Glimpse(
            moved,
            inside(places),
            moved_to(recalled, there),
            inside(there),
            way.step.norm(dim=1)[:, None, None, None] * way.near,
            still,
            [Way(*parts) for parts in zip(motion.momentum, points, after, strict=True)],
        )

    def picture(self, dreamed: Tensor, glimpse: Glimpse) -> Tensor:
        """(B, 3, H, W) dreamed pictures as they are shown: in [-1, 1].

        Who stays where he is goes on seeing what he saw: whatever else were mixed in would add up, frame by frame.
        """
        g = glimpse
        shown: Tensor = self.detail(dreamed, g.moved, g.seen, g.recalled, g.known, g.doubt)
        shown = shown.clamp(-1.0, 1.0).to(dreamed.dtype)
        if g.still.any():
            shown[g.still] = g.moved[g.still].to(dreamed.dtype)
        return shown
