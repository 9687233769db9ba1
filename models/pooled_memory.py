"""What streams remember, read and written for a whole batch at once: rows of one pool, under a mask of their lengths.

`CachedMemory` says the same a stream at a time. Every operation here has a shape that depends on the number of streams
alone, and what differs between steps is in tensors: so a CUDA graph can hold it (buckets.py). Knows positions, pools
and attention; nothing about sampling or worlds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .attention import attention_in_rows
from .kv_cache import KVCache
from .kv_pool import KVPool
from .memory import phases_ahead
from .rope import RopeConfig, rotate


@dataclass
class PooledMemory:
    """The next chunk of each stream, perhaps behind a finished one not yet remembered; the rest is in the pool."""

    pool: KVPool
    cos: Tensor  # (B, 1, chunks * chunk * tokens, d), see `rope.rotary`
    sin: Tensor  # the same
    rows: Tensor  # (B,) int64 row of each stream
    first: Tensor  # (B, chunks) int64 place of each chunk's first token in its row
    seen: Tensor  # (B, chunks) int32 tokens that each chunk looks at, itself included; they are the first ones

    @classmethod
    def of(cls, caches: Sequence[KVCache], rope: RopeConfig, yaw: Tensor) -> PooledMemory | None:
        """The memory of streams about to make chunks, as `CachedMemory.of`; None if not all have a row of one pool.

        Forks that still want to see what is going to be replaced get their copies here.
        """
        config, pool = caches[0].config, caches[0].pool
        if pool is None or config.sink:  # sinks are turned a stream at a time
            return None
        rings = [cache.ring for cache in caches]
        if any(ring.row is None for ring in rings):
            return None
        chunks, n = yaw.shape[1] // config.chunk, config.tokens
        slots = [[cache.slot(ahead) for ahead in range(chunks)] for cache in caches]
        for ring, places in zip(rings, slots, strict=True):
            for slot in places:
                ring.leave(slot // config.chunk)
        filled = [[cache.filled(ahead) * n for ahead in range(chunks)] for cache in caches]
        rows, first = torch.tensor([ring.row for ring in rings]), torch.tensor(slots) * n
        where = (rows, first, torch.tensor(filled, dtype=torch.int32))
        return cls(pool, *phases_ahead(caches, rope, yaw), *(part.to(caches[0].device) for part in where))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What differs between steps, batch first."""
        return self.cos, self.sin, self.rows, self.first, self.seen

    @staticmethod
    def padding(pool: KVPool) -> tuple[float, ...]:
        """What those are of streams that are not there: they write into nobody's row, and look at one token of it."""
        return 1.0, 0.0, float(pool.scratch), 0.0, 1.0

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        """See `dit.Memory`. Writes the chunks' keys and values into their places, where later passes replace them."""
        rotated, chunks = rotate(qk, (self.cos, self.sin)), self.first.shape[1]
        n = v.shape[2] // chunks
        out = []
        for ahead in range(chunks):  # in order: a later chunk takes the place of what an earlier one still sees
            here = slice(ahead * n, (ahead + 1) * n)
            self._keep(layer, ahead, rotated[1, :, :, here], v[:, :, here])
            out.append(attention_in_rows(rotated[0, :, :, here], self.pool, layer, self.rows, self.seen[:, ahead]))
        return torch.cat(out, 2)

    def write(self, layer: int, k: Tensor, v: Tensor) -> None:
        """See `dit.LastingMemory`; of one chunk."""
        self._keep(layer, 0, rotate(k, (self.cos, self.sin)), v)

    def _keep(self, layer: int, ahead: int, rotated: Tensor, v: Tensor) -> None:
        tokens = self.first[:, ahead, None] + torch.arange(v.shape[2], device=v.device)
        self.pool.write(layer, self.rows, tokens, rotated, v)
