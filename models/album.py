"""Album: recorded pictures that a world carries, each with the pose at which it was taken.

A camera that turns sees what no picture of its stream has shown, and a network that has to invent it paints a mean. The
album has seen the place: memory that is asked by pose instead of by appearance (WorldMem, arXiv 2504.12369). Pictures
are kept as JPEG, some 8 kB each, and read and made crisper when they are wanted, in less than half a millisecond. Knows
pictures and poses; nothing about networks, streams or files of worlds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property, lru_cache

import av
import numpy as np
import torch
import torch.nn.functional as F
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from torch import Tensor

from .poses import signature

COARSE = 32
"""Pixels of a picture in one of its thumbnail, each way: enough to tell places apart."""

EMPHASIS = 0.1
"""Of what a pixel stands out from its four neighbours, so much is added once more when a picture is read: about what
JPEG takes of that, and cubic weights wherever pixels are asked for that lie between others."""

LATEST = 48
"""Pictures that are kept as they were read: who walks or turns asks for the same few again."""


@dataclass(frozen=True)
class Album:
    """K pictures."""

    jpegs: Tensor  # (N,) uint8, one file behind the other
    ends: Tensor  # (K,) int64, where each file ends
    thumbnails: Tensor  # (K, 3, H / 32, W / 32) uint8
    poses: Tensor  # (K, 3) float64, see poses.py
    rises: Tensor  # (K,) float32 how much higher than at rest the eye was, see motion.py

    def __post_init__(self) -> None:
        count = len(self.ends)
        if self.poses.shape != (count, 3) or len(self.thumbnails) != count or self.thumbnails.ndim != 4:
            raise ValueError(
                f"expected as many poses (K, 3) and thumbnails (K, 3, h, w) as pictures, {count}, "
                f"got {tuple(self.poses.shape)} and {tuple(self.thumbnails.shape)}"
            )
        if len(self.rises) != count:
            raise ValueError(f"expected as many rises as pictures, {count}, got {len(self.rises)}")
        if not count or (self.ends.diff() <= 0).any() or int(self.ends[-1]) != len(self.jpegs):
            raise ValueError(f"expected ends that rise to the length of the files, {len(self.jpegs)}")

    @classmethod
    def of(cls, pictures: Iterable[NDArray[np.uint8]], poses: Tensor, rises: Tensor) -> Album:
        """An album.

        Args:
            pictures: (H, W, 3) each.
            poses: (K, 3) at which they were taken.
            rises: (K,) how much higher than at rest the eye was.
        """
        files, thumbnails = [], []
        for picture in pictures:
            files.append(to_jpeg(picture))
            thumbnails.append(_coarse(torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float())[0])
        jpegs = torch.tensor(bytearray(b"".join(files)), dtype=torch.uint8)
        ends = torch.tensor([*map(len, files)]).cumsum(0)
        return cls(jpegs, ends, torch.stack(thumbnails).round().to(torch.uint8), poses, rises)

    def __len__(self) -> int:
        return len(self.ends)

    def picture(self, index: int) -> Tensor:
        """(H, W, 3) uint8, not to be written to. One thread at a time may ask."""
        return self._picture(index)

    def taken_near(self, poses: Tensor, barred: Tensor | None = None) -> Tensor:
        """(n,) which picture was taken nearest to each pose (n, 3).

        Args:
            poses: what to look for.
            barred: (n, K) True where a picture may not be chosen.
        """
        distance = (signature(poses)[:, None] - self._signature).square().sum(-1)
        if barred is not None:
            distance = distance.masked_fill(barred, torch.inf)
        return distance.argmin(1)

    @cached_property
    def _picture(self) -> Callable[[int], Tensor]:
        read = jpeg_reader()

        @lru_cache(LATEST)
        def picture(index: int) -> Tensor:
            begin, end = int(self.ends[index - 1]) if index else 0, int(self.ends[index])
            return emphasised(torch.from_numpy(read(self.jpegs[begin:end].numpy().tobytes())))

        return picture

    @cached_property
    def _signature(self) -> Tensor:
        return signature(self.poses)

    def most_like(self, picture: Tensor) -> int:
        """Which picture looks most like another one, (3, H, W) in [-1, 1]."""
        coarse = _coarse(picture[None].float().cpu().add(1.0).mul(127.5))
        return int((self.thumbnails.float() - coarse).square().sum((1, 2, 3)).argmin())

    def tensors(self) -> dict[str, Tensor]:
        """By the names of its fields, for files."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def emphasised(picture: Tensor) -> Tensor:
    """(H, W, 3) uint8, a little crisper."""
    levels = picture.float()
    around = torch.empty_like(levels)  # the sum of four neighbours; beyond an edge is what is at the edge
    torch.add(levels[:-2], levels[2:], out=around[1:-1])
    torch.add(levels[0], levels[min(1, len(levels) - 1)], out=around[0])
    torch.add(levels[-1], levels[max(-2, -len(levels))], out=around[-1])
    around[:, 1:] += levels[:, :-1]
    around[:, :-1] += levels[:, 1:]
    around[:, 0] += levels[:, 0]
    around[:, -1] += levels[:, -1]
    levels = levels.mul_(1.0 + 4.0 * EMPHASIS).sub_(around, alpha=EMPHASIS)
    return levels.round_().clamp_(0.0, 255.0).to(torch.uint8)


def _coarse(pictures: Tensor) -> Tensor:
    return F.avg_pool2d(pictures, COARSE)


def to_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, 3) as a JPEG file."""
    codec = av.CodecContext.create("mjpeg", "w")
    codec.height, codec.width = picture.shape[:2]
    codec.pix_fmt, codec.time_base = "yuvj420p", Fraction(1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    frame = frame.reformat(format="yuvj420p", dst_color_range="JPEG")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))


def jpeg_reader() -> Callable[[bytes], NDArray[np.uint8]]:
    """Gives back what `to_jpeg` was given, about. One for many: a decoder and a colour converter cost more to make."""
    codec = av.CodecContext.create("mjpeg", "r")
    codec.thread_count = 1
    converter = VideoReformatter()

    def read(file: bytes) -> NDArray[np.uint8]:
        (frame,) = codec.decode(av.Packet(file))
        return converter.reformat(frame, format="rgb24").to_ndarray().astype(np.uint8, copy=False)

    return read
