"""What every frame is shown of the picture that a stream begins with: a mask and latents, beside its own.

They are the latents of a film that begins with the picture and is grey ever after: four numbers of mask, which are one
in the first frame and zero in all others, then the latents. The autoencoder looks back a bounded way, so from some
frame on these stand still, and the last one serves for ever. Knows the autoencoder; no network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .vae import VaeConfig, WanVae

MASK = 4  # numbers of it


def settled(config: VaeConfig) -> int:
    """How many latent frames a first picture can still be seen in; the next one, and all later ones, are alike."""
    span, back = 1, 2  # pictures of a frame at this depth; how many the first convolution looks back
    for halves in (*config.halves_time, False):
        back += 2 * 2 * config.blocks * span
        if halves:
            back += 2 * span
            span *= 2
    back += (2 * 2 * 2 + 2) * span  # the middle's two blocks, and the head
    return 1 + back // span


def shown_of(vae: WanVae, picture: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """(n, 4 + C, h, w) of a picture (1, 3, H, W) within [-1, 1]: frame after frame, until they stand still."""
    group = 2 ** sum(vae.config.halves_time)
    first, seen = vae.encode(picture)
    frames, grey = [first], torch.zeros_like(picture).expand(group, -1, -1, -1)
    for _ in range(settled(vae.config)):
        latents, seen = vae.encode(grey, seen)
        frames.append(latents)
    film = torch.cat(frames)
    mask = torch.zeros(len(film), MASK, *film.shape[2:], device=film.device)
    mask[0] = 1.0
    return torch.cat([mask, film], 1).to(dtype)


def at(shown: Tensor, frames: Sequence[int]) -> Tensor:
    """(F, 4 + C, h, w) of these frames of a stream."""
    return shown[[min(frame, len(shown) - 1) for frame in frames]]
