"""Where attention sees what a stream remembers, by three rules; a checkpoint was trained under one of them.

- absolute: every frame stands where it was made. Sinks fall ever further behind.
- beside: sinks are turned again for every chunk, to stand just before the window. The window keeps its places, for only
  differences matter.
- relative: nothing is turned before it is looked at. Sinks, window and chunk are counted from zero, chunk for chunk.

None has a last frame: phases come from float64. Before the window slides they are one and the same; without sinks,
always; `beside` and `relative`, always. `relative` turns all keys at every look and is here as what the others are
measured against. Joins the project's cache and attention; knows nothing about networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..attention import attention
from ..dit import LastingMemory
from ..kv_cache import KVCache
from ..memory import CachedMemory
from ..prefill import PastMemory, past_memory
from ..rope import RopeConfig, Rotary, rotary, rotate
from .config import Positions
from .fused import FusedMemory


def memory_of(
    caches: Sequence[KVCache], rope: RopeConfig, positions: Positions, *, fused: bool = False
) -> LastingMemory:
    """The memory of streams, each about to make a chunk; `fused` as their network is."""
    chunk, device, kind = caches[0].config.chunk, caches[0].device, FusedMemory if fused else CachedMemory
    if positions == "beside":
        return kind.of(caches, rope, torch.zeros(len(caches), chunk, dtype=torch.float64))
    if positions == "relative":
        return RelativeMemory(caches, [_turns(cache, rope) for cache in caches])
    first = torch.tensor([cache.frame for cache in caches], dtype=torch.float64)
    frames = first[:, None] + torch.arange(chunk)
    cos, sin = rotary(rope, frames, torch.zeros_like(frames))
    return kind(caches, (cos[:, None].to(device), sin[:, None].to(device)))


def past_of(cache: KVCache, rope: RopeConfig, frames: int, positions: Positions) -> LastingMemory:
    """The memory of the so many frames that a stream remembers, to fill an empty cache that says where it is."""
    still = torch.zeros(frames, dtype=torch.float64)
    past = past_memory(cache, rope, still, beside=positions != "absolute")
    return RelativePast(past.cache, past.numbers, past.rotary, past.mask) if positions == "relative" else past


class RelativePast(PastMemory):
    """Keys are kept as they came."""

    def keep(self, layer: int, rotated: Tensor, raw: Tensor, v: Tensor) -> None:
        """See `PastMemory`."""
        super().keep(layer, raw, raw, v)


@dataclass
class RelativeMemory:
    """Keys are kept as they came, and turned when they are looked at."""

    caches: Sequence[KVCache]
    turns: Sequence[tuple[Rotary, Rotary]]  # of each stream's chunk, and of all that it sees

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        """See `dit.Memory`."""
        self.write(layer, qk[1], v)
        out = []
        for b, (cache, (chunk, seen)) in enumerate(zip(self.caches, self.turns, strict=True)):
            keys, values = cache.read(layer)
            out.append(attention(rotate(qk[0, b : b + 1], chunk), rotate(keys, seen)[None], values[None]))
        return torch.cat(out)

    def write(self, layer: int, k: Tensor, v: Tensor) -> None:
        """See `dit.LastingMemory`."""
        for b, cache in enumerate(self.caches):
            cache.write(layer, k[b], k[b], v[b])


def _turns(cache: KVCache, rope: RopeConfig) -> tuple[Rotary, Rotary]:
    """Phases of the chunk and of every slot that it sees, counted from the oldest frame that is not a sink."""
    c = cache.config
    gone = max(0, cache.frame - c.window - c.sink)  # frames that are neither sink nor in the window any more
    ring = c.window + c.chunk
    slots = list(range(min(cache.filled(), c.sink)))
    for slot in range(c.sink, cache.filled()):  # the latest frame that lives there, the chunk's own included
        last = cache.frame + c.chunk - 1 - c.sink
        slots.append(c.sink + last - (last - (slot - c.sink)) % ring - gone)
    own = [cache.frame + k - gone for k in range(c.chunk)]
    return _phases(rope, own, cache.device), _phases(rope, slots, cache.device)


def _phases(rope: RopeConfig, frames: list[int], device: torch.device) -> Rotary:
    places = torch.tensor(frames, dtype=torch.float64)
    cos, sin = rotary(rope, places, torch.zeros_like(places))
    return cos.to(device), sin.to(device)
