"""Films that go through one half of an autoencoder part by part."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from worldloom.models.wan.vae_layers import Seen


@torch.inference_mode()
def in_parts(
    half: Callable[[Tensor, Seen], tuple[Tensor, Seen]], film: Tensor, sizes: Sequence[int]
) -> tuple[list[Tensor], Seen]:
    """What `half` makes of each part (F_i, C, H, W) of a film (F, C, H, W), and what it has seen in the end."""
    seen: Seen = ()
    made = []
    for part in torch.split(film, list(sizes)):
        out, seen = half(part, seen)
        made.append(out)
    return made, seen
