"""Wan's causal video autoencoders (arXiv 2503.20314), frame after frame: latents to pictures, pictures to latents.

Wan 2.1's latent cell is 8x8 pixels, Wan 2.2's 16x16, of four frames, of the first one alone where a stream begins. No
convolution looks ahead, so a stream needs only what each of them saw last: its `History`, a value that is made anew and
never written, which forks share. Names of weights are those of the public files. Knows nothing about files or worlds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .latents import MEAN, MEAN_2_2, STD, STD_2_2
from .vae_layers import PAST, CausalConv3d, Grow, History, Look, Norm, Residual, Seen, Shrink, run
from .vae_residual import Down, Up, joined, split


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
    decoder_width: int = 0  # of the decoder; 0: the same
    residual: bool = False  # every resolution has a way around it that learns nothing, as in Wan 2.2
    patch: int = 1  # pixels that become one before anything else, each way

    @property
    def stride(self) -> int:
        """Pixels of a latent cell, each way."""
        return int(2 ** (len(self.growth) - 1)) * self.patch


VAE_2_2 = VaeConfig(160, 48, mean=MEAN_2_2, std=STD_2_2, decoder_width=256, residual=True, patch=2)
"""Wan 2.2's, of the 5B network."""


class Decoder(nn.Module):
    """Latents to pictures."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        base = config.decoder_width or config.width
        widths = [base * g for g in (config.growth[-1], *reversed(config.growth))]
        self.conv1 = CausalConv3d(config.channels, widths[0], (3, 3, 3))
        self.middle = nn.Sequential(Residual(widths[0], widths[0]), Look(widths[0]), Residual(widths[0], widths[0]))
        steps: list[nn.Module] = []
        for level, (came, out) in enumerate(zip(widths, widths[1:], strict=False)):
            last = level == len(config.halves_time)
            time = None if last else config.halves_time[-1 - level]
            if config.residual:
                steps.append(Up(came, out, config.blocks + 1, time))
                continue
            enters = came // 2 if level else came  # growing halves the features
            steps += [Residual(enters if k == 0 else out, out) for k in range(config.blocks + 1)]
            if time is not None:
                steps.append(Grow(out, out // 2, time))
        self.upsamples = nn.Sequential(*steps)
        end = CausalConv3d(widths[-1], 3 * config.patch**2, (3, 3, 3))
        self.head = nn.Sequential(Norm(widths[-1], 3), nn.SiLU(), end)

    def forward(self, x: Tensor, history: History) -> Tensor:
        """(B, C, F, h, w) -> (B, 3, F', H, W)."""
        return run((self.conv1, *self.middle, *self.upsamples, *self.head), x, history)

    def history(self, cells: int) -> int:
        """Numbers that a stream keeps of what was seen, for latent frames of so many cells."""
        return _kept((self.conv1, *self.middle, *self.upsamples, *self.head), cells)[0]


def _kept(layers: Iterable[nn.Module], cells: int) -> tuple[int, int]:
    """Numbers that layers keep for frames of so many cells, and how many cells come out."""
    numbers = 0
    for layer in layers:
        if isinstance(layer, Up):
            more, cells = _kept(layer.upsamples, cells)
            numbers += more
            continue
        own = layer.residual if isinstance(layer, Residual) else [getattr(layer, "time_conv", layer)]
        numbers += sum(PAST * cells * part.in_channels for part in own if isinstance(part, CausalConv3d))
        cells *= 4 if isinstance(layer, Grow) else 1
    return numbers, cells


class Encoder(nn.Module):
    """Pictures to means and spreads of latents."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.width * g for g in (1, *config.growth)]
        self.conv1 = CausalConv3d(3 * config.patch**2, widths[0], (3, 3, 3))
        steps: list[nn.Module] = []
        for level, (came, out) in enumerate(zip(widths, widths[1:], strict=False)):
            last = level == len(config.halves_time)
            time = None if last else config.halves_time[level]
            if config.residual:
                steps.append(Down(came, out, config.blocks, time))
                continue
            steps += [Residual(came if k == 0 else out, out) for k in range(config.blocks)]
            if time is not None:
                steps.append(Shrink(out, time))
        self.downsamples = nn.Sequential(*steps)
        end = widths[-1]
        self.middle = nn.Sequential(Residual(end, end), Look(end), Residual(end, end))
        self.head = nn.Sequential(Norm(end, 3), nn.SiLU(), CausalConv3d(end, 2 * config.channels, (3, 3, 3)))

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
        made = joined(torch.cat(pictures, 2)[0].transpose(0, 1), self.config.patch)
        return made.clamp(-1.0, 1.0), seen

    def encode(self, pictures: Tensor, seen: Seen = ()) -> tuple[Tensor, Seen]:
        """The next latents of a stream: the inverse of `decode`.

        Args:
            pictures: (F', 3, H, W) within [-1, 1]: one, then four for each latent frame.
            seen: what `encode` gave last.

        Raises:
            ValueError: frames that are no whole number of latent ones.
        """
        ready = split(pictures.to(self.conv1.weight.dtype), self.config.patch).transpose(0, 1)[None]
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
