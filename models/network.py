"""A CausalDiT and the memories of its streams: how a batch goes through, in the way that the device does best.

On a CPU each stream has a buffer of its own, which attention reads as a slice, a stream at a time. Where launches count
they are rows of one pool (kv_pool.py), and the whole pass is one graph for each size of batch (buckets.py). Knows
networks and caches; nothing about samplers, pictures or what a stream is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .buckets import Buckets
from .dit import CausalDiT
from .kv_cache import CacheConfig, KVCache
from .kv_pool import KVPool
from .memory import CachedMemory
from .pooled_memory import PooledMemory
from .state import Given

STREAMS = 64
"""For which a pool has room where nobody says for how many."""


class Network:
    """See the module."""

    def __init__(self, dit: CausalDiT, config: CacheConfig, *, device: torch.device, dtype: torch.dtype, pool: int = 0):
        """Without a `pool`, streams have buffers of their own; else that many share one, if the device has room."""
        self.dit, self._config = dit, config
        self._like = torch.zeros(0, device=device, dtype=dtype)
        self.pool = KVPool.fitting(pool, config.row, self._like, config.format) if pool else None
        self._buckets: Buckets | None = None
        if self.pool:
            self._buckets = Buckets(self._pooled, (0.0, 0.0, 0.0, 0.0, *PooledMemory.padding(self.pool)))

    def cache(self) -> KVCache:
        """An empty memory."""
        return KVCache.allocate(self._config, self._like.device, self._like.dtype, self.pool)

    def velocity(self, caches: Sequence[KVCache], x: Tensor, sigma: Tensor, given: Given) -> Tensor:
        """Velocity of the next chunk of every stream; whatever finished frames come before it are left in the memory.

        Args:
            caches: of B streams.
            x: (B, F, C, h, w) noisy latents, behind finished ones.
            sigma: (B, F) noise level of each frame.
            given: what all frames are made from.

        Returns:
            (B, chunk, C, h, w) float32.
        """
        if self._buckets and (pooled := PooledMemory.of(caches, self.dit.config.rope, given.yaws)):
            return self._buckets(x, given.shown, sigma, given.told, *pooled.tensors)
        memory = CachedMemory.of(caches, self.dit.config.rope, given.yaws)
        velocity: Tensor = self.dit(x, given.shown, sigma, given.told, memory, finished=x.shape[1] - self._config.chunk)
        return velocity

    def batched(self, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """A function of a batch, run as the passes of the network are."""
        return Buckets(function, (0.0,)) if self.pool else function

    def remember(self, caches: Sequence[KVCache], x: Tensor, sigma: Tensor, given: Given) -> None:
        """Leave one finished chunk (B, chunk, C, h, w) of every stream in the memory."""
        memory = CachedMemory.of(caches, self.dit.config.rope, given.yaws)
        self.dit.commit(x, given.shown, sigma, given.told, memory)

    def _pooled(self, x: Tensor, shown: Tensor, sigma: Tensor, told: Tensor, *memory: Tensor) -> Tensor:
        """`velocity` of tensors alone."""
        assert self.pool is not None, "no pool"
        velocity: Tensor = self.dit(
            x, shown, sigma, told, PooledMemory(self.pool, *memory), finished=x.shape[1] - self._config.chunk
        )
        return velocity
