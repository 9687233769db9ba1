"""What a stream remembers, made anew from its latents in one pass of the network.

Each chunk sees what it saw when it was made, as far as that is still remembered: keys of the first layer come out as
they were, those of deeper layers knew a little of chunks that are gone. Knows the network, caches and latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .attention import attention
from .dit import CausalDiT
from .kv_cache import KVCache, half_turn
from .memory import chunk_mask
from .rope import RopeConfig, Rotary, rotary, rotate
from .state import Pending


def prefill(dit: CausalDiT, cache: KVCache, chunks: Sequence[Pending], sigma: float) -> None:
    """Fill an empty cache.

    Args:
        dit: the network.
        cache: empty but for `frame` and `sink_yaw`, which say where the stream is.
        chunks: those it remembers, the oldest first: sinks, then the window.
        sigma: noise level at which they enter the memory.
    """
    if not chunks:
        return
    device = cache.device
    memory = past_memory(cache, dit.config.rope, torch.cat([chunk.yaws for chunk in chunks]).double())
    latents, shown, told = (
        torch.cat([getattr(chunk, name) for chunk in chunks])[None].float().to(device)
        for name in ("latents", "shown", "told")
    )
    at = torch.full(latents.shape[:2], sigma, device=device)
    frame = cache.frame
    dit.commit(latents, shown, at, told, memory)
    cache.frame = frame


def past_memory(cache: KVCache, rope: RopeConfig, yaws: Tensor, *, beside: bool = True) -> PastMemory:
    """The memory of all frames that a stream remembers, while they are put into an empty cache.

    Args:
        cache: empty but for `frame`, which says where the stream is; moved while the memory is written.
        rope: positions.
        yaws: (F,) float64 degrees, of the frames that it remembers: sinks, then the window.
        beside: sinks stand just before the window; False: where they were made.
    """
    c, device, chunks = cache.config, cache.device, len(yaws) // cache.config.chunk
    total, sinks = cache.frame // c.chunk, cache.config.sink // c.chunk
    numbers = [*range(min(sinks, chunks)), *range(total - max(0, chunks - sinks), total)]
    frames = torch.tensor([n * c.chunk + f for n in numbers for f in range(c.chunk)], dtype=torch.float64)
    yaws = yaws.clone()
    if beside and c.sink and cache.frame > c.sink:  # at most half a turn away
        frames[: c.sink] = torch.arange(c.sink) + max(0, cache.frame - c.window - c.sink)
        yaws[: c.sink] = torch.tensor([float(yaws[-1]) + half_turn(float(s - yaws[-1])) for s in yaws[: c.sink]])
    cos, sin = rotary(rope, frames[None], yaws[None])
    ids = torch.tensor(numbers, device=device).repeat_interleave(c.chunk * c.tokens)
    mask = chunk_mask(ids, ids, c.window // c.chunk, sinks)
    return PastMemory(cache, numbers, (cos[:, None].to(device), sin[:, None].to(device)), mask)


@dataclass
class PastMemory:
    """All chunks of one stream at hand; their keys and values go to their places as they are made."""

    cache: KVCache
    numbers: list[int]  # of the chunks
    rotary: Rotary  # each (1, 1, S, d/2)
    mask: Tensor  # (S, S)

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        """See `dit.Memory`."""
        q, k = rotate(qk, self.rotary)
        self.keep(layer, k, qk[1], v)
        return attention(q, k, v, self.mask)

    def write(self, layer: int, k: Tensor, v: Tensor) -> None:
        """See `dit.LastingMemory`."""
        self.keep(layer, rotate(k, self.rotary), k, v)

    def keep(self, layer: int, rotated: Tensor, raw: Tensor, v: Tensor) -> None:
        """Put keys and values (1, heads, S, d) of all chunks in their places."""
        n = self.cache.config.chunk * self.cache.config.tokens
        for place, number in enumerate(self.numbers):
            here = slice(place * n, (place + 1) * n)
            self.cache.frame = number * self.cache.config.chunk
            self.cache.write(layer, rotated[0, :, here], raw[0, :, here], v[0, :, here])
