"""WarpNet: where every pixel of the next picture was in the last one, when a robot's hand moves before a still camera.

Where the hand was and where it will be are known in metres (reach.py), so how far it goes in the picture is geometry.
What goes with it is not: a wrist goes as the hand does, an elbow less, a table not at all, and what the fingers hold
goes too. The network looks at the last picture and says for every pixel which share of the hand's shift is its own, and
what has to be added; the same of the thing that a hand can move (thing.py). The last picture is then sampled backward
at those places (spatial transformer, arXiv 1506.02025), with cubic weights: linear ones blur a little more every frame.
It also says where that can be trusted; what had been behind the arm is not in the last picture.

Pictures are (B, 3, H, W) in [-1, 1], places in metres, flow in pixels. Knows nothing about latents or streams.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from .hourglass import CELL, Hourglass
from .pixels import to_cells, to_pixels
from .thing import Thing, free_axes, space

LEAST = 0.04
"""Pixels: shifts shorter than this are none, longer ones are shorter by as much, so that a table stands still."""

MAPS = 14
"""Planes that show where the hand was and will be."""

THING_MAPS, THING_NUMBERS = 8, 5
"""Planes and numbers that say the same of a thing; and one more number for each axis along which it goes."""


@dataclass(frozen=True)
class WarpConfig:
    """Shape of a WarpNet, and the camera that it sees through."""

    height: int  # pixels, a multiple of 16
    width: int  # pixels, a multiple of 16
    camera: tuple[float, float, float]  # metres: where the camera is
    axes: tuple[tuple[float, float, float], ...]  # rows: right, down and ahead as the picture shows them
    view: float  # degrees from the top of the picture to its bottom
    low: tuple[float, float, float]  # metres: the corner of the hand's space with the smallest numbers
    high: tuple[float, float, float]  # metres: the opposite corner
    widths: tuple[int, int, int] = (32, 48, 64)  # features at 1/4, 1/8 and 1/16 of the picture
    things: tuple[Thing, ...] = ()  # what the hand can move, as in ReachConfig


class WarpNet(Hourglass):
    """Backward flow, and where it can be trusted."""

    def __init__(self, config: WarpConfig) -> None:
        some = bool(config.things)
        super().__init__(
            (config.height, config.width),
            config.widths,
            numbers=14 + THING_NUMBERS * some + len(free_axes(config.things)),
            entering=3 * CELL**2 + MAPS + THING_MAPS * some,
            leaving=4 * (4 + some),
            told_at_once=True,
        )
        self.config = config

    def forward(self, last: Tensor, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """Flow (B, 2, H, W): how far from its place each pixel was, right and down; and logits of trust (B, 1, H, W).

        Args:
            last: (B, 3, H, W) the last picture.
            before: (B, 7) float32 where hand and thing are in it, see `Arm.places`.
            after: (B, 7) the same of the next picture.
        """
        dtype = self.enter.weight.dtype
        (was, near), (will, nearer) = (projected(self.config, places[:, :3]) for places in (before, after))
        shift = will - was
        numbers = [self._numbers(before[:, :4], after[:, :4], will, shift, nearer - near, nearer)]
        maps = [self._maps(was, will, shift)]
        gone = None
        if self.config.things:
            (stood, _), (stands, _) = (projected(self.config, places[:, 4:]) for places in (before, after))
            gone = stands - stood
            numbers.append(self._thing_numbers(before, gone))
            maps.append(self._thing_maps(stood, stands, gone))
        told = self.told(torch.cat(numbers, 1).to(dtype))
        x = torch.cat([to_cells(last.to(dtype), CELL), *(m.to(dtype) for m in maps)], 1)
        y, _ = self.down_and_up(x.contiguous(memory_format=torch.channels_last), told)
        y = to_pixels(y, 2).float()
        y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        share = torch.sigmoid(4.0 * y[:, :1] - 2.0)
        flow = 2.0 * y[:, 1:3] - share * shift[:, :, None, None]
        if gone is not None:
            flow = flow - torch.sigmoid(4.0 * y[:, 4:] - 4.0) * gone[:, :, None, None]
        return flow, 4.0 * y[:, 3:4] + 2.0

    def _thing_numbers(self, before: Tensor, gone: Tensor) -> Tensor:
        """(B, THING_NUMBERS + axes) where the thing is from the hand, how far it goes, and where in its space it is."""
        thing, axes = before[:, 4:], free_axes(self.config.things)
        low, high = (side[axes] for side in space(self.config.things, before.device))
        return torch.cat([(before[:, :3] - thing) * 10, gone / 2, (thing[:, axes] - low) / (high - low)], 1)

    def _thing_maps(self, stood: Tensor, stands: Tensor, gone: Tensor) -> Tensor:
        """(B, THING_MAPS, h, w) bells about both places, slopes and the shift about the first."""
        maps = []
        for at in (stands, stood):
            right, down, apart = self._apart(at)
            maps += [torch.exp(apart / -32.0), torch.exp(apart / -512.0)]
        maps += [torch.tanh(side / 20.0) for side in (right, down)]
        maps += [maps[3] * gone[:, k, None, None] for k in (0, 1)]
        return torch.stack(maps, 1)

    def _apart(self, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, h, w) how far cells are from places (B, 2), in pixels: right, down, and the square of both together."""
        x, y = _centres(self.config.height, self.config.width, at.device)
        shape = (len(at), y.shape[0], x.shape[1])
        right, down = (x - at[:, 0, None, None]).expand(shape), (y - at[:, 1, None, None]).expand(shape)
        return right, down, right.square() + down.square()

    def _numbers(
        self, before: Tensor, after: Tensor, will: Tensor, shift: Tensor, nears: Tensor, depth: Tensor
    ) -> Tensor:
        """(B, 14) what the network is told in numbers, each about one."""
        c, device = self.config, before.device
        low, high = torch.tensor(c.low, device=device), torch.tensor(c.high, device=device)
        place = (after[:, :3] - (low + high) / 2) / ((high - low) / 2)
        size, grip = torch.tensor([c.width / 2, c.height / 2], device=device), after[:, 3:]
        far, nears = depth[:, None], 30 * nears[:, None]
        step = 30 * (after - before)[:, :3]
        return torch.cat([place, step, will / size - 1, shift / 4, nears, far, grip, grip.square()], 1)

    def _maps(self, was: Tensor, will: Tensor, shift: Tensor) -> Tensor:
        """(B, MAPS, h, w) bells and slopes about both places, and the shift about the first."""
        maps = []
        for at in (will, was):
            right, down, apart = self._apart(at)
            maps += [torch.exp(apart / -32.0), torch.exp(apart / -288.0)]
            maps += [torch.tanh(side / reach) for reach in (6.0, 40.0) for side in (right, down)]
        about = torch.exp(apart / -512.0)
        maps += [about * shift[:, k, None, None] / 3.0 for k in (0, 1)]
        return torch.stack(maps, 1)


def projected(config: WarpConfig, places: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 3) metres -> (B, 2) pixels right and down, and (B,) metres from the camera's plane."""
    apart = places - torch.tensor(config.camera, device=places.device)
    axes = torch.tensor(config.axes, device=places.device)
    right, down, ahead = (apart[:, None] * axes).sum(-1).unbind(1)  # a product of matrices rounds batches another way
    focal = config.height / 2.0 / math.tan(math.radians(config.view) / 2.0)
    return torch.stack([config.width / 2 + focal * right / ahead, config.height / 2 + focal * down / ahead], 1), ahead


def settled(flow: Tensor) -> Tensor:
    """Flow (B, 2, H, W) without what is too little to be meant; see `LEAST`."""
    length = (flow.square().sum(1, keepdim=True) + 1e-12).sqrt()  # a norm over two planes takes thirty times as long
    return flow * ((length - LEAST).clamp(min=0.0) / length)


def warped(picture: Tensor, flow: Tensor) -> Tensor:
    """(B, C, H, W) float32 picture sampled where the flow (B, 2, H, W) says; its border goes on outside."""
    height, width = picture.shape[-2:]
    x, y = _whole(height, width, flow.device)
    places = torch.stack([(x + flow[:, 0]) * (2.0 / width) - 1.0, (y + flow[:, 1]) * (2.0 / height) - 1.0], -1)
    return F.grid_sample(picture.float(), places, mode="bicubic", padding_mode="border", align_corners=False)


@lru_cache
def _centres(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Centres of cells in pixels, (1, w) and (h, 1); not to be written to."""
    with torch.inference_mode(False):
        x, y = (torch.arange(size // CELL, device=device) * float(CELL) + CELL / 2 for size in (width, height))
        return x[None], y[:, None]


@lru_cache
def _whole(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Centres of pixels, (1, W) and (H, 1); not to be written to."""
    with torch.inference_mode(False):
        x, y = (torch.arange(size, device=device) + 0.5 for size in (width, height))
        return x[None], y[:, None]
