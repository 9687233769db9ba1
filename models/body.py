"""Body: how who carries a camera goes on a level ground: what pushes it, how soon it stops, and what it runs into.

Engines of the family of Doom move a body several times a frame. A push adds to its speed; it goes as far as walls let
it, and slides along what it hits with what is left of its way, which is then its speed; and it keeps a share of that.
All of it is known, so nothing is guessed. Numbers are double, for they add up for hours. Knows places and actions;
nothing about pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

SHORT = 1.0 / 32.0
"""Share of its way by which a body stops short of what it hits."""

TRIES = 3
"""Times that what is left of a way is tried along another wall: corners need two."""

STOP = 0.0625
"""Speed, over that of one push, below which a body that nobody pushes stands."""

TOUCHING = 1e-9
"""Share of a way behind which a wall was passed before, and stops nobody: who is inside of one may leave."""


@dataclass(frozen=True)
class BodyConfig:
    """A square along the axes of the map, and what moves it."""

    radius: float  # half its width, in units of depth
    tics: int  # times a frame that it is moved
    friction: float  # share of its speed that it keeps from one to the next
    thrust: tuple[tuple[float, float], ...]  # of each action column at one: units of depth a tic, right and ahead


@dataclass(frozen=True)
class Body:
    """One body in its world."""

    config: BodyConfig
    walls: Tensor  # (n, 4) float64 lines along the axes, from east, north to east, north, in units of depth

    def to(self, device: torch.device) -> Body:
        """The same there."""
        return Body(self.config, self.walls.to(device))

    def moved(self, poses: Tensor, velocity: Tensor, actions: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """Poses (B, 3) and velocities (B, 2) a frame later.

        Args:
            poses: (B, 3) float64, see poses.py.
            velocity: (B, 2) float64 to the east and the north, in units of depth a tic.
            actions: (B, A) the rows that lead to the next frame, about [-1, 1].
            turn: (B,) degrees to the right, spread over the tics.
        """
        place, heading = poses[:, :2], poses[:, 2]
        for _ in range(self.config.tics):
            heading = heading + turn.double() / self.config.tics
            push = self._push(actions, heading)
            velocity = velocity + push
            slow = velocity.abs() < STOP * self._thrust.abs().max()
            stands = (slow & (push == 0.0)).all(1, keepdim=True)
            velocity = velocity * ~stands
            place, velocity = self._slid(place, velocity)
            velocity = velocity * self.config.friction
        return torch.cat([place, heading[:, None]], 1), velocity

    def velocity_of(self, gone: Tensor, heading: Tensor, actions: Tensor) -> Tensor:
        """(n, 2) velocities behind frames in which nothing was hit, of a body that has two tics a frame.

        Args:
            gone: (n, 2) to the east and the north, in that frame.
            heading: (n,) degrees behind it.
            actions: (n, A) the row that led to it.
        """
        keep, push = self.config.friction, self._push(actions, heading)
        first = (gone - push) / (1.0 + keep)
        return keep * (keep * first + push)

    @cached_property
    def _thrust(self) -> Tensor:
        """(A, 2) float64 of each action column."""
        return torch.tensor(self.config.thrust, dtype=torch.float64, device=self.walls.device)

    def _push(self, actions: Tensor, heading: Tensor) -> Tensor:
        """(n, 2) what actions add to the velocity in a tic, to the east and the north."""
        right, ahead = (actions.double()[:, :, None] * self._thrust).sum(1).unbind(1)
        sin, cos = torch.deg2rad(heading).sin(), torch.deg2rad(heading).cos()
        return torch.stack([right * cos + ahead * sin, ahead * cos - right * sin], 1)

    def _slid(self, place: Tensor, way: Tensor) -> tuple[Tensor, Tensor]:
        """Places (B, 2) and velocities (B, 2) behind a way (B, 2), past what is hit."""
        going = torch.ones_like(place[:, :1], dtype=torch.bool)
        for _ in range(TRIES):
            share, axis = self._hit(place, way)
            free = share >= 1.0
            place = place + way * torch.where(going, torch.where(free, 1.0, (share - SHORT).clamp(min=0.0)), 0.0)
            going = going & ~free
            if not going.any():
                break
            along = way * (1.0 - share) * (torch.arange(2, device=way.device) != axis)
            way = torch.where(going, along, way)
        return place, way

    @cached_property
    def _corners(self) -> tuple[Tensor, Tensor]:
        """(n, 2) of the squares in which the middle of the body may not be."""
        one, other = self.walls[:, :2], self.walls[:, 2:]
        return torch.minimum(one, other) - self.config.radius, torch.maximum(one, other) + self.config.radius

    def _hit(self, place: Tensor, way: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1) share of a way after which the first wall is hit, 1 for none; (B, 1) and the axis that it stops."""
        low, high = self._corners
        from_low, from_high = low - place[:, None], high - place[:, None]  # (B, n, 2)
        stands = (way == 0.0)[:, None]
        speed = torch.where(stands, 1.0, way[:, None])
        one, other = from_low / speed, from_high / speed
        between = (from_low < 0.0) & (from_high > 0.0)
        never = torch.full_like(one, torch.inf)
        enters = torch.where(stands, torch.where(between, -never, never), torch.minimum(one, other))
        leaves = torch.where(stands, torch.where(between, never, -never), torch.maximum(one, other))
        enter, axis = enters.max(-1)
        hits = (enter < leaves.amin(-1)) & (enter > -TOUCHING) & (enter < 1.0)
        share, wall = torch.where(hits, enter, 1.0).min(1, keepdim=True)
        return share.clamp(min=0.0), axis.gather(1, wall)
