"""The per-frame autoencoder: a picture to latent cells sixteen pixels wide, and back.

- Fully convolutional, 16x smaller each way, `channels` numbers a cell.
- Every cell is scaled to unit root-mean-square, so the diffusion model sees latents of variance one and a dreamed
  latent can be put back onto that sphere.
- No frame looks at another: decoding a stream frame by frame equals decoding it whole.
- `position` adds learned maps to the decoder. With a camera that stands still they carry the background, and the
  latents are free to carry what moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .convolution import Conv2d
from .pixels import ToCells, ToPixels

CELL = 16
"""Pixels that one latent cell spans, each way."""

FINEST = (*(f"encoder.{k}." for k in (1, 2, 3)), *(f"decoder.{k}." for k in range(8, 20)))
"""Parameters that a lean autoencoder has not, or has others for."""


@dataclass(frozen=True)
class AutoencoderConfig:
    """Shape of an autoencoder."""

    height: int  # pixels, a multiple of 16
    width: int  # pixels, a multiple of 16
    channels: int = 24  # numbers in a latent cell
    widths: tuple[int, int, int] = (48, 96, 160)  # features at 1/4, 1/8 and 1/16 of the picture
    position: bool = False  # learned maps in the decoder, for a camera that stands still
    lean: bool = False  # without its finest features: for worlds that have detail from elsewhere (detail.py)

    def __post_init__(self) -> None:
        if self.height % CELL or self.width % CELL:
            raise ValueError(f"expected height and width to be multiples of {CELL}, got {self.height}x{self.width}")

    @property
    def cells(self) -> tuple[int, int]:
        """(h, w) latent cells of a picture."""
        return self.height // CELL, self.width // CELL


class SteadyNorm(nn.GroupNorm):
    """Group normalisation that gives a picture the same bytes alone and in a batch, on one CPU thread and on several.

    Of channels-last features torch splits the sums among threads, so that they are rounded otherwise; of planes it does
    not.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        if torch.is_grad_enabled() or x.device.type != "cpu":
            return super().forward(x)
        return super().forward(x.contiguous()).contiguous(memory_format=torch.channels_last)


class ResBlock(nn.Module):
    """Two normalised 3x3 convolutions beside a straight path."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = SteadyNorm(8, channels)
        self.conv1 = Conv2d(channels, channels, 3, padding=1)
        self.norm2 = SteadyNorm(8, channels)
        self.conv2 = Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        y = self.conv1(F.silu(self.norm1(x)))
        z: Tensor = self.conv2(F.silu(self.norm2(y)), beside=x)
        return z


class PositionMap(nn.Module):
    """Adds a learned map to features: what is always in the same place need not pass through the latent."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.map = nn.Parameter(torch.zeros(channels, height, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        return x + self.map.to(x.dtype)


class Autoencoder(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1] to latents (B, C, h, w) and back."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _encoder(config)
        self.decoder = _lean_decoder(config) if config.lean else _decoder(config)

    def encode(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, C, h, w), every cell of unit root-mean-square."""
        z: Tensor = self.encoder(pictures)
        return unit_cells(z)

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, H, W), about [-1, 1]."""
        y: Tensor = self.decoder(latents)
        return y

    def latents(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, C, h, w) float32, in the arithmetic of the weights."""
        return self.encode(pictures.to(self._dtype)).float()

    def pictures(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, H, W) as they are shown, in [-1, 1], in the arithmetic of the weights."""
        own = latents.to(self._dtype, memory_format=torch.channels_last)
        return self.decode(own).clamp(-1.0, 1.0)

    def leaner(self) -> Autoencoder:
        """A lean one, the same as far as it is the same; the rest is to be learned."""
        lean = Autoencoder(replace(self.config, lean=True))
        kept = {name: part for name, part in self.state_dict().items() if not name.startswith(FINEST)}
        lean.load_state_dict(lean.state_dict() | kept)
        return lean

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype


def _encoder(config: AutoencoderConfig) -> nn.Sequential:
    a, b, c = config.widths
    finest = (nn.Identity(), nn.Identity()) if config.lean else (Conv2d(48, a, 3, padding=1), ResBlock(a))
    return nn.Sequential(
        ToCells(4),
        *finest,
        Conv2d(48 if config.lean else a, b, 3, stride=2, padding=1),
        ResBlock(b),
        Conv2d(b, c, 3, stride=2, padding=1),
        ResBlock(c),
        ResBlock(c),
        SteadyNorm(8, c),
        nn.SiLU(),
        Conv2d(c, config.channels, 1),
    )


def _decoder(config: AutoencoderConfig) -> nn.Sequential:
    (a, b, c), (h, w) = config.widths, config.cells
    places = ((c, 1), (b, 2), (a, 4), (48, 4))  # features, and how many times finer than the latent
    where = [PositionMap(n, h * k, w * k) if config.position else nn.Identity() for n, k in places]
    return nn.Sequential(
        Conv2d(config.channels, c, 3, padding=1),
        where[0],
        ResBlock(c),
        ResBlock(c),
        Conv2d(c, b * 4, 3, padding=1),
        nn.PixelShuffle(2),
        where[1],
        ResBlock(b),
        ResBlock(b),
        Conv2d(b, a * 4, 3, padding=1),
        nn.PixelShuffle(2),
        where[2],
        ResBlock(a),
        ResBlock(a),
        SteadyNorm(8, a),
        nn.SiLU(),
        Conv2d(a, 48, 3, padding=1),
        where[3],
        ToPixels(4),
    )


def _lean_decoder(config: AutoencoderConfig) -> nn.Sequential:
    """The same up to features at 1/8 of the picture, which become pixels at once."""
    (_, b, _), (h, w) = config.widths, config.cells
    coarse = list(_decoder(config))[:8]
    where = PositionMap(192, h * 2, w * 2) if config.position else nn.Identity()
    return nn.Sequential(*coarse, SteadyNorm(8, b), nn.SiLU(), Conv2d(b, 192, 3, padding=1), where, ToPixels(8))


def unit_cells(latents: Tensor) -> Tensor:
    """(..., C, h, w) scaled so that every cell has unit root-mean-square over its channels."""
    return latents * (latents.float().square().mean(-3, keepdim=True) + 1e-4).rsqrt().to(latents.dtype)


def to_signed(pictures: Tensor) -> Tensor:
    """(..., H, W, 3) uint8 -> (..., 3, H, W) float32 in [-1, 1]."""
    return pictures.movedim(-1, -3).float().div_(127.5).sub_(1.0)


def to_pictures(signed: Tensor) -> Tensor:
    """(..., 3, H, W) about [-1, 1] -> (..., H, W, 3) uint8, rounded."""
    levels = signed.float().add(1.0).mul_(127.5).round_().clamp_(0.0, 255.0)
    pictures = levels.new_empty(*levels.shape[:-3], *levels.shape[-2:], 3, dtype=torch.uint8)
    for k, level in enumerate(levels.unbind(-3)):  # a plane at a time, which takes a third of the time
        pictures[..., k] = level
    return pictures
