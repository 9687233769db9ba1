"""What attention can look at: a whole sequence under a mask, two streams in training, or what streams remember.

Joins positions, attention and caches; knows nothing about sampling or worlds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .attention import attention
from .kv_cache import KVCache
from .rope import RopeConfig, Rotary, rotary, rotate
from .two_streams import two_stream_attention


@dataclass
class FullMemory:
    """The whole sequence at hand, under a mask: training, and the reference for the cache."""

    rotary: Rotary  # each (B, 1, S, d/2)
    mask: Tensor | None  # (S, S) boolean, True where a query may look

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        """See `dit.Memory`."""
        del layer
        q, k = rotate(qk, self.rotary)
        return attention(q, k, v, self.mask)


@dataclass
class TwoStreamMemory:
    """Training: T - 1 context frames, then T - 1 target frames, frame t + 1 as target t (see fit_dynamics.py).

    Context t sees contexts up to t, target t sees the same and itself. What a mask would throw away is not computed.
    The first targets may be left out.
    """

    rotary: Rotary  # each (B, 1, S, d/2)
    tokens: int  # of one frame
    skipped: int = 0  # targets left out
    attention: Callable[[Tensor, Tensor, Rotary, int], Tensor] = two_stream_attention  # for gradients on a CPU

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        """See `dit.Memory`."""
        del layer
        if torch.is_grad_enabled() and v.device.type == "cpu" and not self.skipped:
            return self.attention(qk, v, self.rotary, self.tokens)
        return self.a_frame_at_a_time(qk, v)

    def a_frame_at_a_time(self, qk: Tensor, v: Tensor) -> Tensor:
        """The same where nobody wants gradients or a GPU has better ones; what `two_streams.py` is measured against."""
        (q, k), n = rotate(qk, self.rotary), self.tokens
        skipped = self.skipped * n
        half = (q.shape[2] + skipped) // 2
        contexts, targets = [], []
        for at in range(0, half, n):
            past = slice(0, at + n)
            contexts.append(attention(q[:, :, at : at + n], k[:, :, past], v[:, :, past]))
            if at < skipped:
                continue
            own = slice(half + at - skipped, half + at - skipped + n)
            keys, values = (torch.cat([x[:, :, past], x[:, :, own]], 2) for x in (k, v))
            targets.append(attention(q[:, :, own], keys, values))
        return torch.cat(contexts + targets, 2)


@dataclass
class CachedMemory:
    """The next chunk of each stream, perhaps behind a finished one not yet remembered; the rest is in the caches.

    Attention runs a stream at a time, for streams differ in how much they remember; all else is one batch.
    """

    caches: Sequence[KVCache]
    rotary: Rotary  # each (B, 1, chunks * chunk * tokens, d/2)
    chunks: int = 1  # at hand; each sees those before it

    @classmethod
    def of(cls, caches: Sequence[KVCache], rope: RopeConfig, yaw: Tensor) -> CachedMemory:
        """The memory of streams about to make chunks.

        Args:
            caches: of the streams.
            rope: positions.
            yaw: (B, chunks * chunk) degrees, float64 on the CPU.

        Raises:
            ValueError: several chunks at once beside sinks, which stand elsewhere for every chunk.
        """
        config = caches[0].config
        chunks = yaw.shape[1] // config.chunk
        if chunks > 1 and config.sink:
            raise ValueError(f"expected one chunk at a time beside sinks, got {chunks}")
        for b, cache in enumerate(caches):
            cache.place_sinks(rope, float(yaw[b, 0]))
        return cls(caches, phases_ahead(caches, rope, yaw), chunks)

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        """See `dit.Memory`. Writes the chunks' keys and values into their slots, where later passes replace them."""
        rotated, n = rotate(qk, self.rotary), v.shape[2] // self.chunks
        out = []
        for b, cache in enumerate(self.caches):
            for ahead in range(self.chunks):  # in order: a later chunk takes the slot of what an earlier one still sees
                here = slice(ahead * n, (ahead + 1) * n)
                cache.write(layer, rotated[1, b, :, here], qk[1, b, :, here], v[b, :, here], ahead)
                keys, values = cache.read(layer, ahead)
                out.append(attention(rotated[0, b : b + 1, :, here], keys[None], values[None]))
        if len(out) == 1:
            return out[0]
        return torch.cat([torch.cat(out[k : k + self.chunks], 2) for k in range(0, len(out), self.chunks)])

    def write(self, layer: int, k: Tensor, v: Tensor) -> None:
        """See `dit.LastingMemory`."""
        rotated = rotate(k, self.rotary)
        for b, cache in enumerate(self.caches):
            cache.write(layer, rotated[b], k[b], v[b])


def phases_ahead(caches: Sequence[KVCache], rope: RopeConfig, yaw: Tensor) -> Rotary:
    """Phases of the next frames of B streams, as many as `yaw` (B, F) has degrees for; each (B, 1, F * tokens, d)."""
    frames = torch.stack([torch.arange(c.frame, c.frame + yaw.shape[1], dtype=torch.float64) for c in caches])
    cos, sin = rotary(rope, frames, yaw)
    return cos[:, None].to(caches[0].device), sin[:, None].to(caches[0].device)


def chunk_mask(chunk_of_query: Tensor, chunk_of_key: Tensor, window: int, sink: int) -> Tensor:
    """(S, T) boolean: a query sees its own chunk, the `window` chunks before it and the first `sink` chunks."""
    q, k = chunk_of_query[:, None], chunk_of_key[None, :]
    return (k <= q) & ((k >= q - window) | (k < sink))
