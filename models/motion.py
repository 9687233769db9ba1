"""MotionNet: where every pixel of the next picture was in the last one, when a camera moves through a still world.

- A turn needs no depth: it is a fixed map from directions to directions, exact, for the world says how far it turns.
- A step shifts a pixel by translation over depth. The network looks at the last picture, turned to where the camera
  will look, and says the inverse depth of every pixel; and from the camera's momentum, the latest actions and what is
  in the way, one translation for all (structure from motion as in Zhou et al., arXiv 1704.07813).
- Who walks, bobs. Where in its swing the camera is cannot be seen, so it is told, like the time of a clock.
- The last picture is then sampled backward at those places (spatial transformer, arXiv 1506.02025).

What comes out is a picture of what was seen before, moved; what was out of sight is not in it, and whoever uses it has
to fill that in. Pictures are (B, 3, H, W) in [-1, 1], places are `grid_sample` coordinates. Knows nothing about
latents or streams.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .convolution import Conv2d
from .hourglass import CELL, TOLD, Hourglass
from .linear import Linear
from .pixels import to_cells

HALF = 2
"""The network looks at pictures of half the size (see `halved`): depth needs no grain."""

FOLD = CELL // HALF
"""Pixels of these that one position of the finest features spans, each way."""

STILL = 0.01
"""Steps shorter than this, in units of depth, are none: a tenth of a usual one, and half of the first from rest."""

LEAST = 0.05
"""Nothing is taken to be nearer to the camera's plane than this share of its depth."""


@dataclass(frozen=True)
class MotionConfig:
    """Shape of a MotionNet and its camera."""

    height: int  # pixels, a multiple of 16
    width: int  # pixels, a multiple of 16
    actions: int  # columns of an action row
    history: int  # action rows that the network is told: the one that leads to the picture and those before it
    turn: int  # column of the action row that turns the camera, right is positive
    degrees: float  # how far a value of one in that column turns it, for rows are brought to about [-1, 1]
    fov: float  # degrees across the picture
    unit: float = 1.0  # of the engine's lengths in one unit of depth
    gait: float = 0.0  # frames in which a walking camera swings up and down once, 0 when it does not
    bob: tuple[float, float, float] = (0.0, 0.0, 0.0)  # how far it swings, see `rise`; nothing: the network says
    body: float = 0.0  # radius in units of depth of who carries the camera, and may not walk into things
    widths: tuple[int, int, int] = (24, 48, 64)  # features at 1/4, 1/8 and 1/16 of the picture

    @property
    def across(self) -> float:
        """Half the width of what is seen at depth one."""
        return math.tan(math.radians(self.fov / 2.0))

    @property
    def tall(self) -> float:
        """Half the height of what is seen at depth one; pixels are square."""
        return self.across * self.height / self.width


@dataclass(frozen=True)
class Motion:
    """How the camera moves to the next picture, and what it will then see."""

    turn: Tensor  # (B,) degrees to the right
    step: Tensor  # (B, 3) translation right, down, forward as seen before the turn; over the unit of the depth, but
    # down over half the height of what is seen at that depth
    near: Tensor  # (B, 1, H, W) inverse depth of what the next picture shows

    @property
    def momentum(self) -> Tensor:
        """(B, 2) the step right and forward as seen after the turn: what the next step is told."""
        return turned(self.step[:, ::2], self.turn)

    @property
    def settled(self) -> Motion:
        """The same, where who all but stands stands: a camera at rest would creep otherwise."""
        walks = self.step[:, ::2].norm(dim=1, keepdim=True) >= STILL
        return replace(self, step=self.step * walks)


class MotionNet(Hourglass):
    """The next picture's inverse depth and the camera's step."""

    def __init__(self, config: MotionConfig) -> None:
        size, numbers = (config.height, config.width), config.history * config.actions + 4
        super().__init__(size, config.widths, numbers=numbers, entering=4 * FOLD**2, leaving=1)
        self.config = config
        c, cells = config.widths[2], config.height // 16 * (config.width // 16)
        self.squeeze = Conv2d(c, 8, 1)
        self.stride = nn.Sequential(Linear(8 * cells + TOLD, 128), nn.SiLU(), Linear(128, 3))
        self.inertia = nn.Parameter(torch.eye(2, 2 + config.actions), requires_grad=False)  # of a free body, see `free`
        nn.init.zeros_(self.stride[2].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.stride[2].bias)  # type: ignore[arg-type]

    def forward(self, last: Tensor, momentum: Tensor, actions: Tensor, frame: Tensor) -> Motion:
        """What comes next.

        Args:
            last: (B, 3, H, W) the last picture.
            momentum: (B, 2) the step that led to it, see `Motion.momentum`.
            actions: (B, history, A) the row that leads to the next picture and those before it, about [-1, 1].
            frame: (B,) float64 number of the next picture, counted from when the camera set out.
        """
        dtype = self.enter.weight.dtype
        turn = turn_of(self.config, actions)
        seen = self._facing(halved(last.float()), turn).to(dtype)
        told = self.told(torch.cat([4.0 * momentum, self._swing(frame), actions.flatten(1)], 1).to(dtype))
        depth, coarse = self.down_and_up(to_cells(seen, FOLD), told)
        push = self.stride(torch.cat([self.squeeze(coarse).flatten(1), told], 1)).float()
        near = F.softplus(depth.float())
        near = F.interpolate(near, scale_factor=CELL, mode="bilinear", align_corners=False)
        right, ahead = free(self.inertia.float(), momentum, actions[:, 0].float(), turn).unbind(1)
        return Motion(turn, torch.stack([right, torch.zeros_like(right), ahead], 1) + 0.1 * push, near)

    def _facing(self, picture: Tensor, turn: Tensor) -> Tensor:
        """(B, 4, h, w) a picture as seen after a turn, and where it was seen at all."""
        places = places_of(self.config, turn, size=(picture.shape[-2], picture.shape[-1]))
        return torch.cat([moved_to(picture, places), inside(places).float()], 1)

    def _swing(self, frame: Tensor) -> Tensor:
        """(B, 2) cosine and sine of where a walking camera is in its swing."""
        if not self.config.gait:
            return frame.new_zeros(len(frame), 2, dtype=torch.float32)
        phase = (frame / self.config.gait).remainder(1.0) * (2.0 * math.pi)
        return torch.stack([phase.cos(), phase.sin()], 1).float()


def turn_of(config: MotionConfig, actions: Tensor) -> Tensor:
    """(B,) degrees to the right that the latest of actions (B, history, A) turn the camera."""
    return actions[:, 0, config.turn].float() * config.degrees


def rise(config: MotionConfig, momentum: Tensor, frame: Tensor) -> Tensor:
    """(B,) how much higher than at rest the eye of who walks is, in units of depth.

    `bob` says how high it swings for the square of a step, how high at most, and degrees of the swing at frame 0.

    Args:
        config: of the camera.
        momentum: (B, 2) the step that led to a picture.
        frame: (B,) float64 number of that picture, counted from when the camera set out.
    """
    square, most, phase = config.bob
    if not square:
        return torch.zeros_like(momentum[:, 0])
    swing = (frame / config.gait * 360.0 + phase).deg2rad().sin().float()
    return (square * momentum.square().sum(1)).clamp(max=most) * swing


def lowered(config: MotionConfig, before: Tensor, after: Tensor, step: Tensor) -> Tensor:
    """(B, 3) the step with what leads down from one rise (B,) to another.

    Args:
        config: of the camera.
        before: (B,) as `rise` says.
        after: (B,) the same after the step.
        step: (B, 3).
    """
    return torch.stack([step[:, 0], (before - after) / config.tall, step[:, 2]], 1)


def halved(picture: Tensor) -> Tensor:
    """(B, C, H / 2, W / 2) means of squares of two pixels: average pooling, several times faster on planes of a CPU."""
    rows = picture[..., ::2, :] + picture[..., 1::2, :]
    return 0.25 * (rows[..., ::2] + rows[..., 1::2])


def free(inertia: Tensor, momentum: Tensor, action: Tensor, turn: Tensor) -> Tensor:
    """(B, 2) the step right and forward, as seen before the turn, of a body that nothing holds up.

    Linear in momentum and action as seen half-way through the turn: what is left of the speed, and what is added to it.

    Args:
        inertia: (2, 2 + A).
        momentum: (B, 2).
        action: (B, A) the row that leads to the next picture.
        turn: (B,) degrees to the right.
    """
    half = 0.5 * turn
    known = torch.cat([turned(momentum, half), action], 1)
    return turned((known[:, None] * inertia).sum(-1), -half)  # a product of matrices rounds batches in another way


def turned(step: Tensor, turn: Tensor) -> Tensor:
    """(B, 2) a translation right and forward, as seen after a turn (B,) of degrees to the right."""
    angle = torch.deg2rad(turn.float())
    sin, cos = angle.sin(), angle.cos()
    return torch.stack([step[:, 0] * cos - step[:, 1] * sin, step[:, 0] * sin + step[:, 1] * cos], 1)


def places_of(
    config: MotionConfig,
    turn: Tensor,
    step: Tensor | None = None,
    near: Tensor | None = None,
    *,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """(B, H, W, 2) where each pixel of the picture after a motion was in the picture before it.

    Args:
        config: the camera.
        turn: (B,) degrees to the right.
        step: (B, 3) as in `Motion`; without it the camera only turns.
        near: (B, 1, H, W) inverse depth, with `step`.
        size: (H, W) of the picture when it is not the world's.
    """
    height, width = size or (config.height, config.width)
    across = config.across
    x = pixel_centres(width, turn.device) * across
    y = pixel_centres(height, turn.device)[:, None]  # an upright camera: how tall its pixels are does not matter
    angle = torch.deg2rad(turn.float())[:, None, None]
    sin, cos = angle.sin(), angle.cos()
    right, ahead = x * cos + sin, cos - x * sin  # (B, 1, W)
    if step is not None and near is not None:
        by = step[:, :, None, None] * near  # (B, 3, H, W)
        right, y, ahead = right + by[:, 0], y + by[:, 1], ahead + by[:, 2]
    scale = ahead.clamp(min=LEAST).reciprocal()
    shape = (len(turn), height, width)
    # Two planes under one shape: they are made, sampled at and looked at several times faster than pairs.
    return torch.stack([(right * scale / across).expand(shape), (y * scale).expand(shape)], 1).permute(0, 2, 3, 1)


@lru_cache
def pixel_centres(count: int, device: torch.device) -> Tensor:
    """(count,) from -1 to 1; not to be written to."""
    with torch.inference_mode(False):  # or nobody who was not there at the first call could learn from it
        return (torch.arange(count, device=device) + 0.5) / count * 2.0 - 1.0


def moved_to(picture: Tensor, places: Tensor, mode: str = "bilinear") -> Tensor:
    """(B, C, H, W) sampled at `places`, float32; what was out of sight repeats the border.

    "bicubic" (Keys 1981) keeps two thirds of the finest grain where "bilinear" keeps less than half, and goes beyond
    the levels of the picture at edges.
    """
    return F.grid_sample(picture.float(), places, mode=mode, padding_mode="border", align_corners=False)


def inside(places: Tensor) -> Tensor:
    """(B, 1, H, W) True where a place lies in the picture."""
    x, y = places.abs().unbind(-1)
    return (torch.maximum(x, y) <= 1.0)[:, None]
