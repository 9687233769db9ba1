"""Album: recorded pictures that a world carries, each with the pose at which it was taken.

A camera that turns sees what no picture of its stream has shown, and a network that has to invent it paints a mean. The
album has seen the place: memory that is asked by pose instead of by appearance (WorldMem, arXiv 2504.12369). Pictures
are kept as JPEG, some 8 kB each, and read when they are wanted, in a seventh of a millisecond. Where it is known how
near everything in them is, that is kept as well (depths.py). Knows pictures and poses; nothing about networks, streams
or files of worlds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

from .depths import from_png, to_png
from .poses import signature

COARSE = 32
"""Pixels of a picture in one of its thumbnail, each way: enough to tell places apart."""

LATEST = 48
"""Pictures that are kept as they were read: who walks or turns asks for the same few again."""


@dataclass(frozen=True)
class Album:
    """K pictures."""

    jpegs: Tensor  # (N,) uint8, one file behind the other
    ends: Tensor  # (K,) int64, where each file ends
    thumbnails: Tensor  # (K, 3, H / 32, W / 32) uint8
    poses: Tensor  # (K, 3) float64, see poses.py
    nears: Tensor | None = None  # (M,) uint8, files of inverse depths, one behind the other; None: not known
    near_ends: Tensor | None = None  # (K,) int64, where each of these ends
    rises: Tensor | None = None  # (K,) float32, with these: how much higher than at rest the eye was, see motion.py

    def __post_init__(self) -> None:
        count = len(self.ends)
        if self.poses.shape != (count, 3) or len(self.thumbnails) != count or self.thumbnails.ndim != 4:
            raise ValueError(
                f"expected as many poses (K, 3) and thumbnails (K, 3, h, w) as pictures, {count}, "
                f"got {tuple(self.poses.shape)} and {tuple(self.thumbnails.shape)}"
            )
        if not count or not _end(self.jpegs, self.ends):
            raise ValueError(f"expected ends that rise to the length of the files, {len(self.jpegs)}")
        if self.nears is None:
            return
        if self.near_ends is None or self.rises is None or not len(self.near_ends) == len(self.rises) == count:
            raise ValueError(f"expected the ends of {count} inverse depths, and as many rises")
        if not _end(self.nears, self.near_ends):
            raise ValueError(f"expected ends that rise to the length of the inverse depths, {len(self.nears)}")

    @classmethod
    def of(
        cls,
        pictures: Iterable[NDArray[np.uint8]],
        poses: Tensor,
        nears: Iterable[NDArray[np.float32]] = (),
        rises: Tensor | None = None,
    ) -> Album:
        """An album.

        Args:
            pictures: (H, W, 3) each.
            poses: (K, 3) at which they were taken.
            nears: (H, W) each, inverse depths, where these are known.
            rises: (K,) with these, how much higher than at rest the eye was.
        """
        files, thumbnails = [], []
        for picture in pictures:
            files.append(to_jpeg(picture))
            thumbnails.append(_coarse(torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float())[0])
        small, deep = torch.stack(thumbnails).round().to(torch.uint8), [to_png(near) for near in nears]
        jpegs, ends = _in_a_row(files)
        kept, near_ends = _in_a_row(deep) if deep else (None, None)
        return cls(jpegs, ends, small, poses, kept, near_ends, rises)

    def __len__(self) -> int:
        return len(self.ends)

    def picture(self, index: int) -> Tensor:
        """(H, W, 3) uint8, not to be written to. One thread at a time may ask."""
        return self._picture(index)

    def near(self, index: int) -> Tensor:
        """(H, W) float32 inverse depths of a picture, not to be written to. One thread at a time may ask."""
        return self._near(index)

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
            return torch.from_numpy(read(_file(self.jpegs, self.ends, index)))

        return picture

    @cached_property
    def _near(self) -> Callable[[int], Tensor]:
        assert self.nears is not None, "nobody knows how near things are in this album"
        nears, ends = self.nears, self.near_ends
        assert ends is not None

        @lru_cache(LATEST)
        def near(index: int) -> Tensor:
            return torch.from_numpy(from_png(_file(nears, ends, index)))

        return near

    @cached_property
    def _signature(self) -> Tensor:
        return signature(self.poses)

    def most_like(self, picture: Tensor) -> int:
        """Which picture looks most like another one, (3, H, W) in [-1, 1]."""
        coarse = _coarse(picture[None].float().cpu().add(1.0).mul(127.5))
        return int((self.thumbnails.float() - coarse).square().sum((1, 2, 3)).argmin())

    def tensors(self) -> dict[str, Tensor]:
        """By the names of its fields, for files."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: part for name, part in parts.items() if part is not None}


def _in_a_row(files: Sequence[bytes]) -> tuple[Tensor, Tensor]:
    """Files one behind the other (N,) uint8, and where each ends (K,)."""
    return torch.tensor(bytearray(b"".join(files)), dtype=torch.uint8), torch.tensor([*map(len, files)]).cumsum(0)


def _end(files: Tensor, ends: Tensor) -> bool:
    """Whether that is where they end."""
    return bool((ends.diff() > 0).all()) and int(ends[-1]) == len(files)


def _file(files: Tensor, ends: Tensor, index: int) -> bytes:
    begin = int(ends[index - 1]) if index else 0
    return files[begin : int(ends[index])].numpy().tobytes()


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
