"""The parts of the autoencoders of Wan, each of which goes on where a stream was left: nothing is seen twice.

A convolution over time keeps the last two frames that it saw, one that halves time the last one. Knows tensors; no
sizes of networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attention import attention

PAST = 2  # frames that a convolution over three sees behind it

Seen = tuple[Tensor | None, ...]
"""What each convolution of a network saw last; () before the first frame."""


class Decoder(Protocol):
    """Latents to pictures, a stream at a time."""

    def decode(self, latents: Tensor, seen: Seen) -> tuple[Tensor, Seen]:
        """See `WanVae.decode`."""


class History:
    """What convolutions saw, in the order in which they run: read while it is written anew."""

    def __init__(self, seen: Seen) -> None:
        self.first = not seen  # nothing was seen yet
        self._old: Iterator[Tensor | None] = iter(seen)
        self._new: list[Tensor | None] = []

    def take(self) -> Tensor | None:
        """What the next convolution saw last; None before the first frame."""
        return next(self._old, None)

    def leave(self, x: Tensor) -> None:
        """What it has seen now."""
        self._new.append(x.clone())  # not a view, which would hold on to all of it

    @property
    def seen(self) -> Seen:
        """Everything that was left."""
        return tuple(self._new)


class CausalConv3d(nn.Conv3d):
    """A convolution over (B, C, F, h, w) that sees frames before, never after; zeros before the first."""

    def __init__(
        self, channels: int, out: int, size: tuple[int, int, int], **options: int | tuple[int, int, int]
    ) -> None:
        super().__init__(channels, out, size, padding=(0, size[1] // 2, size[2] // 2), **options)  # type: ignore[arg-type]

    def after(self, x: Tensor, history: History) -> Tensor:
        """The same, behind what a stream has seen."""
        before = history.take()
        if before is None:
            before = x.new_zeros(*x.shape[:2], PAST, *x.shape[3:])
        x = torch.cat([before, x], 2)
        history.leave(x[:, :, -PAST:])
        return self(x)


class Norm(nn.Module):
    """Features of unit mean square, times a gain."""

    def __init__(self, channels: int, axes: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, *[1] * axes))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) -> the same."""
        return F.normalize(x.float(), dim=1).to(x.dtype) * x.shape[1] ** 0.5 * self.gamma


class Layer(nn.Module):
    """One that looks back by itself: `forward(x, history)`."""


class Residual(Layer):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        first, second = CausalConv3d(channels, out, (3, 3, 3)), CausalConv3d(out, out, (3, 3, 3))
        parts = Norm(channels, 3), nn.SiLU(), first, Norm(out, 3), nn.SiLU(), nn.Identity(), second
        self.residual = nn.Sequential(*parts)  # numbered as in the public file
        self.shortcut = CausalConv3d(channels, out, (1, 1, 1)) if channels != out else nn.Identity()

    def forward(self, x: Tensor, history: History) -> Tensor:
        """(B, C, F, h, w) -> (B, C', F, h, w)."""
        return run(self.residual, x, history) + self.shortcut(x)


class Look(nn.Module):
    """Attention of one head among the cells of each frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = Norm(channels, 2)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, h, w) -> the same."""
        frames = x.transpose(1, 2).flatten(0, 1)
        q, k, v = self.to_qkv(self.norm(frames)).flatten(2).transpose(1, 2).unsqueeze(1).chunk(3, -1)
        y = attention(q, k, v).squeeze(1).transpose(1, 2).reshape(frames.shape)
        return x + self.proj(y).view(x.shape[0], -1, *frames.shape[1:]).transpose(1, 2)


class Grow(Layer):
    """Twice as many rows and columns; twice as many frames where time grows."""

    def __init__(self, channels: int, out: int, time: bool) -> None:
        super().__init__()
        upsample = nn.Upsample(scale_factor=2.0, mode="nearest-exact")
        self.resample = nn.Sequential(upsample, nn.Conv2d(channels, out, 3, padding=1))
        self.time_conv = CausalConv3d(channels, 2 * channels, (3, 1, 1)) if time else None

    def forward(self, x: Tensor, history: History) -> Tensor:
        """(B, C, F, h, w) -> (B, C', F or 2 F, 2 h, 2 w). A stream's first frame stays one; no later one sees it."""
        if self.time_conv is not None:
            before = history.take()
            if before is None:
                history.leave(x.new_zeros(*x.shape[:2], PAST, *x.shape[3:]))
            else:
                x = torch.cat([before, x], 2)
                history.leave(x[:, :, -PAST:])
                even, odd = self.time_conv(x).chunk(2, 1)
                x = torch.stack([even, odd], 3).flatten(2, 3)
        return each_frame(self.resample, x)


class Shrink(Layer):
    """Half as many rows and columns; half as many frames where time shrinks."""

    def __init__(self, channels: int, time: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, channels, 3, stride=2))
        self.time_conv = CausalConv3d(channels, channels, (3, 1, 1), stride=(2, 1, 1)) if time else None

    def forward(self, x: Tensor, history: History) -> Tensor:
        """(B, C, F, h, w) -> (B, C, F or F / 2, h / 2, w / 2). A stream's first frame stays one."""
        x = each_frame(self.resample, x)
        if self.time_conv is None:
            return x
        before = history.take()
        history.leave(x[:, :, -1:])
        return x if before is None else self.time_conv(torch.cat([before, x], 2))


def run(layers: Sequence[nn.Module] | nn.Sequential, x: Tensor, history: History) -> Tensor:
    """One layer after the other; those that look back find what they saw in the history."""
    for layer in layers:
        if isinstance(layer, CausalConv3d):
            x = layer.after(x, history)
        else:
            x = layer(x, history) if isinstance(layer, Layer) else layer(x)
    return x


def each_frame(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer for pictures, over (B, C, F, h, w)."""
    y: Tensor = layer(x.transpose(1, 2).flatten(0, 1))
    return y.view(x.shape[0], -1, *y.shape[1:]).transpose(1, 2)
