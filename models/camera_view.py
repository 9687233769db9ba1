"""CameraOutlook: the last picture, moved as a walking camera moves it, and what an album says of the rest.

The last picture is moved (motion.py), and what that leaves open is recalled (album.py). Where the floorplan is known,
it says how near everything is and what pictures show (sight.py); and where it is known how a body goes, the camera goes
as that does (body.py). Elsewhere the network says. Knows nothing about diffusion or memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .album import Album
from .autoencoder import to_signed
from .body import Body
from .detail import DetailNet
from .floorplan import Floorplan
from .motion import Motion, MotionNet, inside, lowered, moved_to, places_of, rise, turn_of
from .obstacles import COLUMN, FAR, kept_out, obstacles
from .poses import advanced, further, kept_near, motion_between
from .sight import Cameras, Sight, sight
from .view import Glimpse, Outlook, View, Way

AT_ONCE = 64
"""Pictures of an album in which walls are looked for together: rays to every wall take memory."""


@dataclass(frozen=True)
class CameraWay(Way):
    """How a camera came to a picture, and what it may run into next."""

    momentum: Tensor  # (2,) float32, see `Motion.momentum`
    solid: Tensor  # (W / 4, 2) float32, see `obstacles`
    pose: Tensor  # (3,) float64 where it is, see poses.py
    velocity: Tensor  # (2,) float64 of its body, see body.py; zeros where nobody knows one


class CameraOutlook(Outlook):
    """What moves and recalls pictures, and puts them together with what is dreamed."""

    way = CameraWay

    def __init__(
        self,
        motion: MotionNet,
        album: Album,
        detail: DetailNet,
        plan: Floorplan | None = None,
        body: Body | None = None,
    ) -> None:
        super().__init__(detail)
        self.motion, self.album, self.plan, self.body = motion, album, plan, body
        self.walls = torch.empty(0, motion.config.width)  # (K, W) how near they are in its pictures, once it is ready

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """Its networks."""
        return {"motion": self.motion, "detail": self.detail}

    def to(self, device: torch.device, dtype: torch.dtype) -> CameraOutlook:
        """The same, ready to be used there."""
        self._ready(self.motion, device, dtype)
        if self.plan:
            self.plan = self.plan.to(device)
            poses, config = self.album.poses.to(device), self.motion.config
            self.walls = torch.cat([self.plan.walls_near(config, part) for part in torch.split(poses, AT_ONCE)])
        self.body = self.body.to(device) if self.body else None
        return self

    def at_rest(self, picture: Tensor) -> CameraWay:
        """Of a camera that has just come into the world, and sees (3, H, W).

        It takes itself to be where that picture of the album was taken which looks most like it.
        """
        width, device = self.motion.config.width // COLUMN, picture.device
        pose = self.album.poses[self.album.most_like(picture)].to(device)
        still = torch.zeros(2, device=device)
        return CameraWay(still, torch.full((width, 2), FAR, device=device), pose, still.double())

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
        momenta, solid, poses, velocity = (
            torch.stack([getattr(v.way, name) for v in views]) for name in ("momentum", "solid", "pose", "velocity")
        )
        clocks = torch.tensor([v.clock for v in views], dtype=torch.float64, device=pictures.device)
        if self.plan and self.body:
            turn = turn_of(self.motion.config, actions)
            after, velocity = self._carried(self.body, poses, velocity, actions[:, 0].float(), turn)
            motion = replace(motion_between(poses, after, pictures.new_zeros(())), turn=turn)
        else:
            motion = self.motion(pictures, momenta, actions, clocks).settled
            motion, after = self._possible(motion, solid, poses)
        config = self.motion.config
        higher = rise(config, motion.momentum, clocks)
        if config.bob[0]:
            motion = replace(motion, step=lowered(config, rise(config, momenta, clocks - 1.0), higher, motion.step))
        return self.glimpse(pictures, motion, poses, after, higher, velocity=velocity)

    def _carried(
        self, body: Body, poses: Tensor, velocity: Tensor, actions: Tensor, turn: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Where its body goes, which stops where it would get farther than its radius from where somebody has stood.

        Behind what ends an episode there is room that nobody has seen, and so nothing to show.
        """
        after, velocity = body.moved(poses, velocity, actions, turn)
        kept = self._on_known_ground(after, body.config.radius)
        stopped = (kept != after).any(1, keepdim=True)
        return kept, velocity.masked_fill(stopped, 0.0)

    def _possible(self, motion: Motion, solid: Tensor, poses: Tensor) -> tuple[Motion, Tensor]:
        """The motion as far as a body can make it, and the poses (B, 3) to which it leads.

        Nobody walks through what he sees, nor farther than his own radius from where somebody has stood.
        """
        body = self.motion.config.body
        motion = replace(motion, step=kept_out(motion.step, solid, body))
        after = advanced(poses, motion)
        if not body:
            return motion, after
        after = self._on_known_ground(after, body)
        flat = motion_between(poses, after, motion.near).step
        return replace(motion, step=torch.stack([flat[:, 0], motion.step[:, 1], flat[:, 2]], 1)), after

    def _on_known_ground(self, poses: Tensor, reach: float) -> Tensor:
        """Poses (B, 3), no farther than that from where somebody has stood."""
        return kept_near(poses, self.album.poses[:, :2].to(poses.device), reach)

    def glimpse(
        self,
        pictures: Tensor,
        motion: Motion,
        before: Tensor,
        after: Tensor,
        rises: Tensor,
        barred: Tensor | None = None,
        velocity: Tensor | None = None,
    ) -> Glimpse:
        """What pictures (B, 3, H, W) and the album say of the next ones, along a motion that is known.

        Args:
            pictures: the last ones.
            motion: of the cameras; where the floorplan is known, that says how near everything is.
            before: (B, 3) poses at which these were seen.
            after: (B, 3) poses to which the motion leads.
            rises: (B,) how much higher than at rest the eye is then.
            barred: as in `Album.taken_near`.
            velocity: (B, 2) of the bodies, where that is known.
        """
        config = self.motion.config
        if self.plan:
            motion = replace(motion, near=self.plan.near(config, after, rises))
            shown = sight(config, self.album, self.walls, Cameras(after, rises, motion.near, barred))
        else:
            shown = self._recalled(motion, before, after, barred)
        places = places_of(config, motion.turn, motion.step, motion.near)
        points = obstacles(motion.near, config.fov)
        velocity = torch.zeros_like(after[:, :2]) if velocity is None else velocity
        still = (motion.turn == 0.0) & (motion.step == 0.0).all(1)
        moved = moved_to(pictures, places, "bicubic").clamp(-1.0, 1.0)
        if still.any():
            moved[still] = pictures[still].float()
        return Glimpse(
            moved,
            inside(places),
            shown.picture,
            shown.known,
            shown.doubt,
            still,
            [CameraWay(*parts) for parts in zip(motion.momentum, points, after, velocity, strict=True)],
        )

    def _recalled(self, motion: Motion, before: Tensor, after: Tensor, barred: Tensor | None) -> Sight:
        """What one picture shows, moved as if everything in it were as near as the network takes it to be."""
        chosen = self.album.taken_near(further(before, after).cpu(), barred)
        picture = to_signed(torch.stack([self.album.picture(k) for k in chosen.tolist()]).to(after.device))
        way = motion_between(self.album.poses[chosen].to(after.device), after, motion.near)
        there = places_of(self.motion.config, way.turn, way.step, way.near)
        doubt = way.step.norm(dim=1)[:, None, None, None] * way.near
        return Sight(moved_to(picture, there, "bicubic").clamp(-1.0, 1.0), inside(there), doubt)
