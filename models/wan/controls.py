"""What steers a chunk besides its prompt, and what the modules that hear it remember: keys and values of whole frames.

Their attention runs along time alone: a token of the picture looks at itself in other frames, or at the keyboard, which
is one token a frame. The caches are the project's own, one for each kind. Knows tensors and caches; no networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..attention import attention
from ..kv_cache import KVCache
from ..rope import RopeConfig, Rotary, rotary, rotate
from .config import ActionShape


class FrameMemory(Protocol):
    """What attention along time can look at."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries (B, heads, F, N, d) look at keys and values (B, heads, F, M, d), M being N or 1; shaped like q."""


@dataclass(frozen=True)
class Controls:
    """What a network hears of its player in one pass over F frames; None: it has no ears for it."""

    told: Tensor | None = None  # (B, F, pictures, keys + mouse) columns of the pictures that each latent frame hears of
    mouse: FrameMemory | None = None
    keys: FrameMemory | None = None
    rays: Tensor | None = None  # (B, F, tokens, numbers) where each token's pixels look from, and where to


STILL = Controls()
"""Nobody steers."""


def rope_of_actions(shape: ActionShape) -> RopeConfig:
    """Positions of frames: time alone."""
    rest = shape.head_dim // 2 - shape.time_pairs
    return RopeConfig(shape.head_dim, 1, 1, shape.base, split=(shape.time_pairs, rest - rest // 2, rest // 2))


def frame_phases(rope: RopeConfig, frames: Tensor) -> Rotary:
    """Phases of frames (..., F) float64, each (..., F, d)."""
    return rotary(rope, frames, torch.zeros_like(frames))


@dataclass
class FullFrames:
    """The whole sequence at hand, under a mask: the reference for the cache."""

    phases: Rotary  # each (F, d), or (B, 1, F, d)
    mask: Tensor | None = None  # (F, F) boolean, True where a frame may look

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `FrameMemory`."""
        del layer
        return torch.cat(
            [
                along_time(*parts, self.mask)
                for parts in zip(turned(q, self.phases), turned(k, self.phases), v, strict=True)
            ]
        )


@dataclass
class CachedFrames:
    """The next chunk of each stream; the rest is in the caches."""

    caches: Sequence[KVCache]
    phases: Rotary  # each (B, 1, F, d)

    @classmethod
    def of(cls, caches: Sequence[KVCache], rope: RopeConfig) -> CachedFrames:
        """The memory of streams, each about to make a chunk."""
        first = torch.tensor([cache.frame for cache in caches], dtype=torch.float64)
        cos, sin = frame_phases(rope, first[:, None] + torch.arange(caches[0].config.chunk))
        return cls(caches, (cos[:, None].to(caches[0].device), sin[:, None].to(caches[0].device)))

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `FrameMemory`. Writes the chunks' keys and values into their slots, where later passes replace them."""
        queries, keys, out = turned(q, self.phases), turned(k, self.phases), []
        for b, cache in enumerate(self.caches):
            rotated, raw, values = (x[b].flatten(1, 2) for x in (keys, k, v))
            cache.write(layer, rotated, raw, values)
            seen = [torch.unflatten(x, 1, (-1, k.shape[3])) for x in cache.read(layer)]
            out.append(along_time(queries[b], seen[0], seen[1], None))
        return torch.cat(out)


@dataclass
class PastFrames:
    """All frames that one stream remembers; their keys and values go to their places in an empty cache."""

    cache: KVCache
    numbers: list[int]  # of the chunks
    full: FullFrames

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `FrameMemory`."""
        chunk, frame = self.cache.config.chunk, self.cache.frame
        keys = turned(k, self.full.phases)
        for place, number in enumerate(self.numbers):
            here = slice(place * chunk, (place + 1) * chunk)
            self.cache.frame = number * chunk
            rotated, raw, values = (x[0, :, here].flatten(1, 2) for x in (keys, k, v))
            self.cache.write(layer, rotated, raw, values)
        self.cache.frame = frame
        return self.full.attend(layer, q, k, v)


def turned(x: Tensor, phases: Rotary) -> Tensor:
    """(B, heads, F, N, d) with every frame turned to its place."""
    return rotate(x, (phases[0].unsqueeze(-2), phases[1].unsqueeze(-2)))


def along_time(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Queries (heads, F, N, d) at keys and values (heads, T, M, d) of the same token, or of the only one.

    Returns:
        (1, heads, F, N, d).
    """
    if k.shape[2] == 1:  # one for all tokens: frames and tokens are one line of queries
        tokens = q.shape[2]
        rows = mask.repeat_interleave(tokens, 0) if mask is not None else None
        seen = attention(q.flatten(1, 2)[None], k.flatten(1, 2)[None], v.flatten(1, 2)[None], rows)
        return torch.unflatten(seen, 2, (-1, tokens))
    q, k, v = (x.permute(2, 0, 1, 3) for x in (q, k, v))  # every token is a line of its own
    return attention(q, k, v, mask).permute(1, 2, 0, 3)[None]
