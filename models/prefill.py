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
from .rope import Rotary, rotary, rotate
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
    c, device = cache.config, cache.device
    total, sinks = cache.frame // c.chunk, c.sink // c.chunk
    numbers = [*range(min(sinks, len(chunks))), *range(total - max(0, len(chunks) - sinks), total)]
    frames = torch.tensor([n * c.chunk + f for n in numbers for f in range(c.chunk)], dtype=torch.float64)
    yaws = torch.cat([chunk.yaws for chunk in chunks]).double()
    if c.sink and cache.frame > c.sink:  # they stand just before the window, at most half a turn away
        frames[: c.sink] = torch.arange(c.sink) + max(0, cache.frame - c.window - c.sink)
        yaws[: c.sink] = torch.tensor([float(yaws[-1]) + half_turn(float(s - yaws[-1])) for s in yaws[: c.sink]])
    cos, sin = rotary(dit.config.rope, frames[None], yaws[None])
    ids = torch.tensor(numbers, device=device).repeat_interleave(c.chunk * c.tokens)
    mask = chunk_mask(ids, ids, c.window // c.chunk, sinks)
    memory = _Prefill(cache, numbers, (cos[:, None].to(device), sin[:, None].to(device)), mask)
    latents, shown, told = (
        torch.cat([getattr(chunk, name) for chunk in chunks])[None].float().to(device)
        for name in ("latents", "shown", "told")
    )
    at = torch.full(latents.shape[:2], sigma, device=device)
    frame = cache.frame
    dit.commit(latents, shown, at, told, memory)
    cache.frame = frame


@dataclass
class _Prefill:
    """All chunks of one stream at hand; their keys and values go to their places as they are made."""

    cache: KVCache
    numbers: list[int]  # of the chunks
    rotary: Rotary  # each (1, 1, S, d/2)
    mask: Tensor  # (S, S)

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        """See `dit.Memory`."""
        q, k = rotate(qk, self.rotary)
        self._keep(layer, k, qk[1], v)
        return attention(q, k, v, self.mask)

    def write(self, layer: int, k: Tensor, v: Tensor) -> None:
        """See `dit.LastingMemory`."""
        self._keep(layer, rotate(k, self.rotary), k, v)

    def _keep(self, layer: int, rotated: Tensor, raw: Tensor, v: Tensor) -> None:
        n = self.cache.config.chunk * self.cache.config.tokens
        for place, number in enumerate(self.numbers):
            here = slice(place * n, (place + 1) * n)
            self.cache.frame = number * self.cache.config.chunk
            self.cache.write(layer, rotated[0, :, here], raw[0, :, here], v[0, :, here])
