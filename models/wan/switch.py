"""How a stream comes from one prompt to another in mid-stream, besides at once.

- blend: encoded prompts are mixed, a little more of the new one with every chunk (as Krea's realtime model does). What
  is remembered stays as it was dreamed, so the picture turns slowly.
- flush: all but sinks and the latest chunk is forgotten (Infinity-RoPE's KV flush), and the stream goes on like a young
  one. What is left is made anew under the new prompt, so that nothing of the old one is.

Knows tensors; nothing about networks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .text import padded


@dataclass(frozen=True)
class Turn:
    """Two prompts, and where a stream is between them."""

    before: Tensor  # (n, text_width), encoded, on the CPU
    after: Tensor  # (m, text_width)
    chunks: int  # until only the new one is left
    made: int = 0  # of them

    def __post_init__(self) -> None:
        if not 0 <= self.made < self.chunks:
            raise ValueError(f"expected to blend over at least one chunk, got {self.made} of {self.chunks}")

    def on(self) -> tuple[Tensor, Turn | None]:
        """What the next chunk is dreamed to, and where the stream is then; None: there."""
        made = self.made + 1
        if made == self.chunks:
            return self.after, None
        tokens = max(len(self.before), len(self.after))
        before, after = (padded(text.float(), tokens) for text in (self.before, self.after))
        return torch.lerp(before, after, made / self.chunks).to(self.after.dtype), replace(self, made=made)

    def tensors(self) -> dict[str, Tensor]:
        """For files."""
        numbers = torch.tensor([self.chunks, self.made])
        return {"turn.before": self.before, "turn.after": self.after, "turn.numbers": numbers}


def turn_of(tensors: dict[str, Tensor]) -> Turn | None:
    """What `Turn.tensors` gave, where it is there."""
    if "turn.numbers" not in tensors:
        return None
    chunks, made = (int(n) for n in tensors["turn.numbers"])
    return Turn(tensors["turn.before"], tensors["turn.after"], chunks, made)
