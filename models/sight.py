"""Sight: what the pictures of an album show from where a camera is, when it is known how near everything in them is.

Every point of a recorded picture has its place in the world, and is brought to where it is seen from the camera
(forward warping with the nearest in front: a 3D cache, as in GEN3C, arXiv 2503.03751). That says roughly how near
everything is there; from this each pixel looks up where in the recorded pictures it was, and how near exactly. A
picture shows it if it agrees, and was hidden behind something there otherwise. So nothing has to be guessed of what was
recorded, and edges stay edges. Knows cameras and albums; no network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .album import Album
from .autoencoder import to_signed
from .motion import Motion, MotionConfig, inside, lowered, moved_to, pixel_centres, places_of
from .poses import aside, motion_between

ASKED = ((0.0, 0.0), (30.0, 0.0), (-30.0, 0.0), (0.0, 0.5))
"""Degrees to the right of a camera, and units of depth behind it: pictures are looked for there, and together show
nearly all that it sees."""

COARSE = 2
"""Points fall into squares of so many pixels, or what is magnified would have holes."""

TOLERANCE, SLACK = 0.04, 0.02
"""Share of an inverse depth, and inverse depth besides, by which two that are of the same thing may differ."""

BEFORE = 0.1
"""Depth from which on a point is before the camera."""

NEARLY = 1e-3
"""Inverse depth of what is nowhere."""

MARGIN = 2
"""Pixels that cubic weights reach beyond a place."""

AROUND = 4
"""Of nine squares, as many as must be known for one without a point to be filled."""


@dataclass(frozen=True)
class Sight:
    """What B cameras would see, as far as pictures show it."""

    picture: Tensor  # (B, 3, H, W) in [-1, 1]
    known: Tensor  # (B, 1, H, W) True where a picture shows it
    near: Tensor  # (B, 1, H, W) inverse depth, where that is known
    doubt: Tensor  # (B, 1, H, W) how far from the camera that picture was taken, over the depth


def sight(config: MotionConfig, album: Album, poses: Tensor, rises: Tensor, barred: Tensor | None = None) -> Sight:
    """What an album with depths shows from poses.

    Args:
        config: the camera.
        album: of recorded pictures.
        poses: (B, 3) float64, see poses.py.
        rises: (B,) how much higher than at rest the eye is.
        barred: (B, K) True for pictures that may not be looked at.
    """
    count, each, device = len(poses), len(ASKED), poses.device
    asked = torch.stack([aside(poses, *place) for place in ASKED], 1).flatten(0, 1)
    may = barred.repeat_interleave(each, 0) if barred is not None else None
    chosen = album.taken_near(asked.cpu(), may)
    pictures = torch.stack([album.picture(k) for k in chosen.tolist()]).to(device)
    recorded = torch.stack([album.near(k) for k in chosen.tolist()])[:, None].to(device).clamp(min=NEARLY)
    way = motion_between(album.poses[chosen].to(device), poses.repeat_interleave(each, 0), recorded)
    assert album.rises is not None, "the album has no depths"
    before, after = album.rises[chosen].to(device), rises.repeat_interleave(each)
    way = replace(way, step=lowered(config, before, after, way.step))
    rough = _brought(config, way).view(count, each, config.height // COARSE, config.width // COARSE).amax(1)
    rough = F.interpolate(rough[:, None], scale_factor=COARSE, mode="nearest")
    there, shown = _looked_up(config, way, rough.repeat_interleave(each, 0))
    there, shown = (part.view(count, each, config.height, config.width) for part in (there, shown))
    index = _first(shown)
    seen = _Seen(config, *_relation(way, count, index), index)
    known = shown.any(1, keepdim=True)
    near = torch.where(known, seen.nearness(there.gather(1, index), rough), rough)
    doubt = way.step.norm(dim=1).view(count, each)[:, :, None, None].expand_as(shown).gather(1, index) * near
    return Sight(seen.sampled(pictures.view(count, each, *pictures.shape[1:]), near), known, near, doubt)


def _brought(config: MotionConfig, way: Motion) -> Tensor:
    """(n, h * w) inverse depths that the points of recorded pictures have from the camera, in squares; 0 nowhere.

    Args:
        config: the camera.
        way: from n recorded pictures to it, and how near everything in these is.
    """
    height, width = config.height // COARSE, config.width // COARSE
    x, y = _rays(config, way.near.device)
    depth, angle = way.near.reciprocal(), torch.deg2rad(way.turn.float())[:, None, None, None]
    sin, cos = angle.sin(), angle.cos()
    by = way.step[:, :, None, None, None]
    right, behind = x * depth - by[:, 0], depth - by[:, 2]
    nearness = (right * sin + behind * cos).clamp(min=BEFORE).reciprocal()
    column = ((right * cos - behind * sin) * nearness).mul_(width / 2.0 / config.across).add_(width / 2.0).floor_()
    row = ((y * depth - by[:, 1]) * nearness).mul_(height / 2.0).add_(height / 2.0).floor_()
    visible = (nearness < 1.0 / BEFORE) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    # Points out of sight fall into a square of their own, behind all others.
    square = torch.where(visible, row * width + column, height * width).long()
    found = nearness.new_zeros(len(nearness), height * width + 1)
    found.scatter_reduce_(1, square.flatten(1), nearness.flatten(1), "amax")
    found = found[:, :-1].reshape(-1, 1, height, width)
    around = F.avg_pool2d((found > 0.0).float(), 3, 1, 1) * 9.0
    mean = F.avg_pool2d(found, 3, 1, 1) * 9.0 / around.clamp(min=1.0)
    return torch.where((found == 0.0) & (around >= AROUND), mean, found).flatten(1)


def _looked_up(config: MotionConfig, way: Motion, rough: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse depths (n, 1, H, W) that recorded pictures have where they should show it, and whether they do."""
    places = places_of(config, way.turn, way.step, rough.clamp(min=NEARLY))
    there = F.grid_sample(way.near, places, mode="nearest", padding_mode="border", align_corners=False)
    angle = torch.deg2rad(way.turn.float())[:, None, None, None]
    x, _ = _rays(config, rough.device)
    ahead = angle.cos() - x * angle.sin() + way.step[:, 2, None, None, None] * rough
    expected = rough / ahead.clamp(min=BEFORE)
    agrees = (there - expected).abs_() < expected * TOLERANCE + SLACK
    return there, agrees & inside(places) & (rough > 0.0)


def _first(shown: Tensor) -> Tensor:
    """(B, 1, H, W) which picture shows it: of those that do (B, k, H, W) the first that was looked for; 0: none."""
    index = torch.zeros_like(shown[:, :1], dtype=torch.int64)
    for k in reversed(range(shown.shape[1])):
        index.masked_fill_(shown[:, k : k + 1], k)
    return index


def _relation(way: Motion, count: int, index: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(B, 1, H, W) each, of the picture that shows a pixel: sine and cosine of the turn; step right, down and ahead."""
    angle = torch.deg2rad(way.turn.float())
    table = torch.stack([angle.sin(), angle.cos(), *way.step.unbind(1)], 1).view(count, -1, 5).transpose(1, 2)
    each = table.gather(2, index.flatten(1)[:, None].expand(-1, 5, -1))
    sin, cos, right, down, forward = each.view(count, 5, 1, *index.shape[2:]).unbind(1)
    return sin, cos, right, down, forward


@dataclass(frozen=True)
class _Seen:
    """For every pixel (B, 1, H, W), how the picture that shows it is moved to the camera; see `places_of`."""

    config: MotionConfig
    sin: Tensor
    cos: Tensor
    right: Tensor
    down: Tensor
    forward: Tensor
    index: Tensor

    def nearness(self, there: Tensor, rough: Tensor) -> Tensor:
        """Inverse depth of what was found, from inverse depths in the pictures and roughly; on a wall that is exact."""
        x, _ = _rays(self.config, rough.device)
        right, ahead = x * self.cos + self.sin + self.right * rough, self.cos - x * self.sin + self.forward * rough
        depth = there.reciprocal()
        across = right / ahead.clamp(min=BEFORE) * depth - self.right
        return ((depth - self.forward) * self.cos + across * self.sin).clamp(min=BEFORE).reciprocal()

    def sampled(self, pictures: Tensor, near: Tensor) -> Tensor:
        """(B, 3, H, W) of uint8 pictures (B, k, H, W, 3), in [-1, 1]."""
        x, y = _rays(self.config, near.device)
        scale = (self.cos - x * self.sin + self.forward * near).clamp(min=BEFORE).reciprocal()
        across = (x * self.cos + self.sin + self.right * near) * scale / self.config.across
        down = (y + self.down * near) * scale
        # All pictures side by side, so that one pass samples them, and their borders between them.
        width, each = pictures.shape[3], pictures.shape[1]
        side = F.pad(to_signed(pictures.flatten(0, 1)), (MARGIN, MARGIN, 0, 0), mode="replicate")
        side = side.view(-1, each, *side.shape[1:]).permute(0, 2, 3, 1, 4).flatten(3)
        column = self.index * (width + 2 * MARGIN) + MARGIN + (across + 1.0) * (width / 2.0)
        places = torch.cat([column * (2.0 / side.shape[-1]) - 1.0, down], 1).permute(0, 2, 3, 1)
        return moved_to(side, places, "bicubic").clamp(-1.0, 1.0)


def _rays(config: MotionConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """Right (W,) and down (H, 1) of every pixel of a picture at depth one, see `Motion.step`."""
    x, y = pixel_centres(config.width, device), pixel_centres(config.height, device)
    return x * config.across, y[:, None]
