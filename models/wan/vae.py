"""Wan 2.1's causal video autoencoder (arXiv 2503.20314), frame after frame: latents to pictures, pictures to latents.

A latent cell is 8x8 pixels of four frames, of the first one alone where a stream begins. No convolution looks ahead, so
a stream needs only what each of them saw last: its `History`, a value that is made anew and never written, which forks
share. Names of weights are those of the public file. Knows nothing about files or worlds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attention import attention
from .latents import MEAN, STD

PAST = 2  # frames that a convolution over three sees behind it

Seen = tuple[Tensor | None, ...]
"""What each convolution of a network saw last; () before the first frame."""


@dataclass(frozen=True)
class VaeConfig:
    """Shape of the autoencoder; the defaults are Wan 2.1's."""

    width: int = 96  # features of a pixel
    channels: int = 16  # numbers in a latent cell
    growth: tuple[int, ...] = (1, 2, 4, 4)  # of the width, from pixels to cells
    blocks: int = 2  # residual blocks of a resolution; one more in the decoder
    halves_time: tuple[bool, ...] = (False, True, True)  # which halvings of the picture halve the frames as well
    mean: tuple[float, ...] = MEAN  # of each latent number, taken away before anybody sees it
    std: tuple[float, ...] = STD  # each is divided by

    @property
    def stride(self) -> int:
        """Pixels of a latent cell, each way."""
        return int(2 ** (len(self.growth) - 1))


class History:
    """What convolutions saw, in the order in which they run: read while it is written anew."""

    def __init__(self, seen: Seen) -> None:
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


class Residual(nn.Module):
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


class Grow(nn.Module):
    """Twice as many rows and columns, half as many features; twice as many frames where time grows."""

    def __init__(self, channels: int, time: bool) -> None:
        super().__init__()
        upsample = nn.Upsample(scale_factor=2.0, mode="nearest-exact")
        self.resample = nn.Sequential(upsample, nn.Conv2d(channels, channels // 2, 3, padding=1))
        self.time_conv = CausalConv3d(channels, 2 * channels, (3, 1, 1)) if time else None

    def forward(self, x: Tensor, history: History) -> Tensor:
        """(B, C, F, h, w) -> (B, C / 2, F or 2 F, 2 h, 2 w). A stream's first frame stays one; no later one sees it."""
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


class Shrink(nn.Module):
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


class Decoder(nn.Module):
    """Latents to pictures."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.width * g for g in (config.growth[-1], *reversed(config.growth))]
        self.conv1 = CausalConv3d(config.channels, widths[0], (3, 3, 3))
        self.middle = nn.Sequential(Residual(widths[0], widths[0]), Look(widths[0]), Residual(widths[0], widths[0]))
        steps: list[nn.Module] = []
        for level, (came, out) in enumerate(zip(widths, widths[1:], strict=False)):
            enters = came // 2 if level else came  # growing halves the features
            steps += [Residual(enters if k == 0 else out, out) for k in range(config.blocks + 1)]
            if level < len(config.halves_time):
                steps.append(Grow(out, config.halves_time[-1 - level]))
        self.upsamples = nn.Sequential(*steps)
        self.head = nn.Sequential(Norm(widths[-1], 3), nn.SiLU(), CausalConv3d(widths[-1], 3, (3, 3, 3)))

    def forward(self, x: Tensor, history: History) -> Tensor:
        """(B, C, F, h, w) -> (B, 3, F', H, W)."""
        return run((self.conv1, *self.middle, *self.upsamples, *self.head), x, history)

    def history(self, cells: int) -> int:
        """Numbers that a stream keeps of what was seen, for latent frames of so many cells."""
        numbers = 0
        for layer in (self.conv1, *self.middle, *self.upsamples, *self.head):
            own = layer.residual if isinstance(layer, Residual) else [getattr(layer, "time_conv", layer)]
            numbers += sum(PAST * cells * part.in_channels for part in own if isinstance(part, CausalConv3d))
            cells *= 4 if isinstance(layer, Grow) else 1
        return numbers


class Encoder(nn.Module):
    """Pictures to means and spreads of latents."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.width * g for g in (1, *config.growth)]
        self.conv1 = CausalConv3d(3, widths[0], (3, 3, 3))
        steps: list[nn.Module] = []
        for level, (came, out) in enumerate(zip(widths, widths[1:], strict=False)):
            steps += [Residual(came if k == 0 else out, out) for k in range(config.blocks)]
            if level < len(config.halves_time):
                steps.append(Shrink(out, config.halves_time[level]))
        self.downsamples = nn.Sequential(*steps)
        last = widths[-1]
        self.middle = nn.Sequential(Residual(last, last), Look(last), Residual(last, last))
        self.head = nn.Sequential(Norm(last, 3), nn.SiLU(), CausalConv3d(last, 2 * config.channels, (3, 3, 3)))

    def forward(self, x: Tensor, history: History) -> Tensor:
        """(B, 3, F', H, W) -> (B, 2 C, F, h, w)."""
        return run((self.conv1, *self.downsamples, *self.middle, *self.head), x, history)


class WanVae(nn.Module):
    """The autoencoder; latents are those of the network, with `mean` and `std` taken away."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.conv1 = CausalConv3d(2 * config.channels, 2 * config.channels, (1, 1, 1))
        self.conv2 = CausalConv3d(config.channels, config.channels, (1, 1, 1))

    def history(self, cells: int) -> int:
        """Numbers that a stream keeps of what its decoder saw, for latent frames of so many cells."""
        return self.decoder.history(cells)

    def decode(self, latents: Tensor, seen: Seen) -> tuple[Tensor, Seen]:
        """The next pictures of a stream.

        Args:
            latents: (F, C, h, w).
            seen: what `decode` gave last for this stream; () for its first frames.

        Returns:
            (F', 3, H, W) within [-1, 1], four for a latent frame and one for a stream's first; what was seen.
        """
        scale = self._scale(self.config.std, latents), self._scale(self.config.mean, latents)
        z = self.conv2((latents.float() * scale[0] + scale[1]).to(self.conv2.weight.dtype).transpose(0, 1)[None])
        pictures = []
        for part in [z] if seen else [z[:, :, :1], z[:, :, 1:]]:
            if part.shape[2]:
                history = History(seen)
                pictures.append(self.decoder(part, history))
                seen = history.seen
        return torch.cat(pictures, 2)[0].transpose(0, 1).clamp(-1.0, 1.0), seen

    def encode(self, pictures: Tensor, seen: Seen = ()) -> tuple[Tensor, Seen]:
        """The next latents of a stream: the inverse of `decode`.

        Args:
            pictures: (F', 3, H, W) within [-1, 1]: one, then four for each latent frame.
            seen: what `encode` gave last.

        Raises:
            ValueError: frames that are no whole number of latent ones.
        """
        ready = pictures.to(self.conv1.weight.dtype).transpose(0, 1)[None]
        group = 2 ** sum(self.config.halves_time)
        first = 0 if seen else 1
        if (ready.shape[2] - first) % group or not ready.shape[2]:
            raise ValueError(f"expected {first} + a multiple of {group} pictures, got {ready.shape[2]}")
        means = []
        for part in [ready[:, :, :first], *torch.split(ready[:, :, first:], group, 2)]:
            if part.shape[2]:
                history = History(seen)
                means.append(self.conv1(self.encoder(part, history)).chunk(2, 1)[0])
                seen = history.seen
        z = torch.cat(means, 2)[0].transpose(0, 1).float()
        return (z - self._scale(self.config.mean, z)) / self._scale(self.config.std, z), seen

    @staticmethod
    def _scale(numbers: Sequence[float], like: Tensor) -> Tensor:
        return torch.tensor(numbers, device=like.device)[:, None, None]


def run(layers: Sequence[nn.Module] | nn.Sequential, x: Tensor, history: History) -> Tensor:
    """One layer after the other; those that look back find what they saw in the history."""
    for layer in layers:
        if isinstance(layer, CausalConv3d):
            x = layer.after(x, history)
        else:
            x = layer(x, history) if isinstance(layer, Residual | Grow | Shrink) else layer(x)
    return x


def each_frame(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer for pictures, over (B, C, F, h, w)."""
    y: Tensor = layer(x.transpose(1, 2).flatten(0, 1))
    return y.view(x.shape[0], -1, *y.shape[1:]).transpose(1, 2)
