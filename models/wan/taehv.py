"""TAEHV, a small decoder of Wan's latents (madebyollin/taehv, MIT), frame after frame.

A twenty-fifth of the arithmetic of the autoencoder's own decoder, and a thirtieth of what it keeps of a stream. A block
sees its own last input and no further back. Names of weights are those of the public files; their encoders are left
out. Knows nothing about files or worlds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .vae_layers import History, Seen

LIMIT = 3.0  # latents are softly held within


@dataclass(frozen=True)
class TaehvConfig:
    """Shape of the decoder; the defaults are those for Wan 2.1."""

    channels: int = 16  # numbers in a latent cell
    widths: tuple[int, int, int, int] = (256, 128, 64, 64)  # features, from cells to pixels
    patch: int = 1  # pixels that the last convolution makes at once, each way; 2 for Wan 2.2

    @property
    def stride(self) -> int:
        """Pixels of a latent cell, each way."""
        return 8 * self.patch


class Soft(nn.Module):
    """Numbers held within a limit, without a corner."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return torch.tanh(x / LIMIT) * LIMIT


class Recall(nn.Module):
    """Three convolutions of a frame and the one before it, beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        first, *others = (nn.Conv2d(n, width, 3, padding=1) for n in (2 * width, width, width))
        self.conv = nn.Sequential(first, nn.ReLU(), others[0], nn.ReLU(), others[1])

    def forward(self, x: Tensor, history: History) -> Tensor:
        """(F, C, h, w) -> the same."""
        last = history.take()
        before = torch.cat([torch.zeros_like(x[:1]) if last is None else last, x[:-1]])
        history.leave(x[-1:])
        return F.relu(self.conv(torch.cat([x, before], 1)) + x)


class Spread(nn.Module):
    """So many frames for one."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, frames * width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(F, C, h, w) -> (frames * F, C, h, w)."""
        return self.conv(x).reshape(-1, *x.shape[1:])


class Taehv(nn.Module):
    """The decoder."""

    def __init__(self, config: TaehvConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = [Soft(), nn.Conv2d(config.channels, config.widths[0], 3, padding=1), nn.ReLU()]
        for width, narrower, frames in zip(config.widths[:-1], config.widths[1:], (1, 2, 2), strict=True):
            layers += [Recall(width), Recall(width), Recall(width), nn.Upsample(scale_factor=2), Spread(width, frames)]
            layers.append(nn.Conv2d(width, narrower, 3, padding=1, bias=False))
        layers += [nn.ReLU(), nn.Conv2d(config.widths[-1], 3 * config.patch**2, 3, padding=1)]
        self.decoder = nn.Sequential(*layers)  # numbered as in the public files

    def history(self, cells: int) -> int:
        """Numbers that a stream keeps of what was seen, for latent frames of so many cells."""
        numbers = 0
        for layer in self.decoder:
            numbers += layer.width * cells if isinstance(layer, Recall) else 0
            cells *= 4 if isinstance(layer, nn.Upsample) else 1
        return numbers

    def decode(self, latents: Tensor, seen: Seen) -> tuple[Tensor, Seen]:
        """The next pictures of a stream; see `WanVae.decode`. A stream's first latent frame is one picture here too."""
        x, history = latents.to(next(self.parameters()).dtype), History(seen)
        for layer in self.decoder:
            x = layer(x, history) if isinstance(layer, Recall) else layer(x)
        pictures = F.pixel_shuffle(x, self.config.patch).clamp(0.0, 1.0) * 2.0 - 1.0
        return pictures if seen else pictures[3:], history.seen
