"""Sight: what the pictures of an album show from where a camera is, in a place whose floorplan is known.

How near everything is from there is known then (floorplan.py), and so is where each pixel was in a recorded picture. A
picture shows it unless a wall was before it, or it was out of sight. So nothing has to be guessed of what was recorded,
and edges stay edges: image-based rendering with known geometry (Buehler et al., SIGGRAPH 2001). Pictures are looked for
near by; what these do not show, in whichever shows most of it. Knows cameras, albums and walls; no network.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from .album import Album
from .autoencoder import to_signed
from .motion import Motion, MotionConfig, lowered, moved_to, pixel_centres
from .poses import aside, motion_between

ASKED = ((0.0, 0.0), (30.0, 0.0), (-30.0, 0.0), (0.0, 0.5))
"""Degrees to the right of a camera, and units of depth behind it: pictures are looked for there, and together show
nearly all that it sees."""

FURTHER = 2
"""Pictures more that are looked at where those do not show it."""

SPACING = 16
"""Pixels between those that say what is not shown, each way."""

LACKING = 0.01
"""Share of these that may stay unknown: with less nothing more is looked at."""

CANDIDATES = 512
"""Pictures nearest by of which one may show it."""

AWAY = 0.05
"""Share of what is not shown that a picture must show more, for every unit of depth that it was taken farther away."""

TOLERANCE, SLACK = 0.04, 0.02
"""Share of an inverse depth, and inverse depth besides, by which a wall may be nearer than what it does not hide."""

BEFORE = 0.1
"""Depth from which on a point is before the camera, over its depth from another one."""

MARGIN = 2
"""Pixels that cubic weights reach beyond a place."""


@dataclass(frozen=True)
class Sight:
    """What B cameras would see, as far as pictures show it."""

    picture: Tensor  # (B, 3, H, W) in [-1, 1]
    known: Tensor  # (B, 1, H, W) True where a picture shows it
    doubt: Tensor  # (B, 1, H, W) how far from the camera that was taken, over the depth; where nothing shows it, 0


@dataclass(frozen=True)
class Cameras:
    """Where B of them are."""

    poses: Tensor  # (B, 3) float64, see poses.py
    rises: Tensor  # (B,) how much higher than at rest the eye is
    near: Tensor  # (B, 1, H, W) inverse depth of what is seen from there
    barred: Tensor | None = None  # (B, K) on the CPU, True for pictures that may not be looked at

    def some(self, index: Tensor) -> Cameras:
        """Those of (n,) of them."""
        barred = self.barred[index.cpu()] if self.barred is not None else None
        return Cameras(self.poses[index], self.rises[index], self.near[index], barred)


def sight(config: MotionConfig, album: Album, walls: Tensor, cameras: Cameras) -> Sight:
    """What an album of K recorded pictures shows; walls (K, W) are so near in these, see `Floorplan.walls_near`."""
    each, barred = len(ASKED), cameras.barred
    asked = torch.stack([aside(cameras.poses, *place) for place in ASKED], 1).flatten(0, 1)
    may = barred.repeat_interleave(each, 0) if barred is not None else None
    chosen = album.taken_near(asked.cpu(), may).view(-1, each)
    seen = _shown_by(config, album, walls, chosen, cameras)
    for _ in range(FURTHER):
        unknown = ~_thinned(seen.known).flatten(1)
        lacking = (unknown.float().mean(1) > LACKING).nonzero()[:, 0]
        if not len(lacking):
            break
        some = cameras.some(lacking)
        chosen = _most_telling(config, album, walls, some, unknown[lacking])
        seen = _filled(seen, lacking, _shown_by(config, album, walls, chosen, some))
    return seen


def _shown_by(config: MotionConfig, album: Album, walls: Tensor, chosen: Tensor, cameras: Cameras) -> Sight:
    """What pictures (B, k) of an album show, the first of those that show it."""
    count, each, device = *chosen.shape, cameras.poses.device
    pictures = torch.stack([album.picture(k) for k in chosen.flatten().tolist()]).to(device)
    way = _ways(config, album, chosen, cameras)
    across, down, shown = _looked_up(config, way, walls[chosen.to(device)])
    index = _first(shown)
    picture = _sampled(pictures.view(count, each, *pictures.shape[1:]), index, across, down)
    known = shown.any(1, keepdim=True)
    doubt = way.step.norm(dim=1).view(count, each)[:, :, None, None].expand_as(shown).gather(1, index) * way.near
    return Sight(picture, known, doubt * known)  # of a picture that shows nothing there it would be without bounds


def _ways(config: MotionConfig, album: Album, chosen: Tensor, cameras: Cameras) -> Motion:
    """From B * k recorded pictures (B, k) to cameras."""
    poses, each, index = cameras.poses, chosen.shape[1], chosen.flatten()
    way = motion_between(album.poses[index].to(poses.device), poses.repeat_interleave(each, 0), cameras.near)
    before, after = album.rises[index].to(poses.device), cameras.rises.repeat_interleave(each)
    return replace(way, step=lowered(config, before, after, way.step))


def _most_telling(config: MotionConfig, album: Album, walls: Tensor, cameras: Cameras, unknown: Tensor) -> Tensor:
    """(B, 1) the picture that shows most of what is not known (B, n) of a few pixels, and rather one taken near by."""
    away = (cameras.poses[:, None, :2].cpu() - album.poses[:, :2]).norm(dim=2)
    if cameras.barred is not None:
        away = away.masked_fill(cameras.barred, torch.inf)
    away, may = away.topk(min(CANDIDATES, len(album)), largest=False)
    way = _ways(config, album, may, replace(cameras, near=_thinned(cameras.near)))
    shown = _looked_up(config, way, walls[may.to(walls.device)], SPACING)[2]
    told = (shown.flatten(2) & unknown[:, None]).sum(2) / unknown.sum(1, keepdim=True)
    return may.gather(1, (told.cpu() - AWAY * away).argmax(1, keepdim=True))


def _thinned(pixels: Tensor) -> Tensor:
    """(..., H, W) of which a few are left."""
    return pixels[..., SPACING // 2 :: SPACING, SPACING // 2 :: SPACING]


def _filled(seen: Sight, lacking: Tensor, more: Sight) -> Sight:
    """What is not known of some of the cameras (n,) is taken from what more pictures show these."""
    known = seen.known[lacking]
    both = {f.name: (getattr(seen, f.name), getattr(more, f.name)) for f in fields(Sight)}
    return Sight(**{k: a.index_copy(0, lacking, torch.where(known, a[lacking], b)) for k, (a, b) in both.items()})


def _looked_up(config: MotionConfig, way: Motion, walls: Tensor, spacing: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Where recorded pictures (B, k) have each pixel of the camera's, right and down in [-1, 1], and do they show it.

    Args:
        config: of the camera.
        way: from B * k recorded pictures to the cameras; how near everything (B, 1, H, W) is from these.
        walls: (B, k, W) how near walls are in the recorded pictures.
        spacing: of the camera's pixels that are asked for, where not all are.
    """
    thin = slice(spacing // 2, None, spacing)
    shape = (*walls.shape[:2], 1, 1)
    angle = torch.deg2rad(way.turn.float()).view(shape)
    sin, cos = angle.sin(), angle.cos()
    right, lower, forward = (part.view(shape) for part in way.step.unbind(1))
    x = pixel_centres(config.width, walls.device)[thin] * config.across
    y = pixel_centres(config.height, walls.device)[thin, None]
    ahead = cos - x * sin + forward * way.near
    before = ahead > BEFORE
    ahead = ahead.clamp_(min=BEFORE)
    across = (x * cos + sin + right * way.near).div_(ahead).mul_(1.0 / config.across)
    down = (y + lower * way.near).div_(ahead)
    column = across.add(1.0).mul_(config.width / 2.0).clamp_(0.0, config.width - 1.0).long()
    wall = walls.gather(2, column.flatten(2)).view_as(across)
    hidden = wall > (way.near / ahead).mul_(1.0 + TOLERANCE).add_(SLACK)
    return across, down, before & ~hidden & (torch.maximum(across.abs(), down.abs()) <= 1.0)


def _first(shown: Tensor) -> Tensor:
    """(B, 1, H, W) which picture shows it: of those that do (B, k, H, W) the first that was looked for; 0: none."""
    index = torch.zeros_like(shown[:, :1], dtype=torch.int64)
    for k in reversed(range(shown.shape[1])):
        index.masked_fill_(shown[:, k : k + 1], k)
    return index


def _sampled(pictures: Tensor, index: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] of uint8 pictures (B, k, H, W, 3), at places (B, k, H, W) in these.

    All of them lie side by side, so that one pass samples them, and their borders between them.
    """
    width, border = pictures.shape[3] + 2 * MARGIN, (1, 1, 1, MARGIN, 1)
    apart = [pictures[:, :, :, :1].repeat(border), pictures, pictures[:, :, :, -1:].repeat(border)]
    side = to_signed(torch.cat(apart, 3).transpose(1, 2).flatten(2, 3))
    column = index * width + MARGIN + (across.gather(1, index) + 1.0) * (pictures.shape[3] / 2.0)
    places = torch.cat([column * (2.0 / side.shape[-1]) - 1.0, down.gather(1, index)], 1).permute(0, 2, 3, 1)
    return moved_to(side, places, "bicubic").clamp(-1.0, 1.0)
