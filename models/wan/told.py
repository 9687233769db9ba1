"""What a rank without encoders and without eyes does instead: it is told what others read and saw, and shows nothing.

Knows tensors; no network.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..spec import Image
from .vae_layers import Seen


class Told:
    """Prompts (`text.Prompts`) and CLIP's view of pictures (`sights.Eye`), as the first rank tells them."""

    known = ("the first rank's choice",)
    free = True

    def __init__(self) -> None:
        self.given = torch.zeros(0)  # what belongs to the prompt or picture of the call under way

    def encode(self, prompt: str) -> Tensor:
        """See `text.Prompts`."""
        del prompt
        return self.given

    def __call__(self, image: Image) -> Tensor:
        """See `sights.Eye`."""
        del image
        return self.given


class Blind:
    """A decoder (`world.Decoder`) whose pictures nobody looks at."""

    def decode(self, latents: Tensor, seen: Seen) -> tuple[Tensor, Seen]:
        """One black pixel; nothing is remembered."""
        del seen
        return latents.new_zeros((1, 3, 1, 1)), ()
