"""A CausalDiT and the memories of its streams: how a batch goes through, in the way that the device does best.

On a CPU each stream has a buffer of its own, which attention reads as a slice, a stream at a time. Where launches count
they are rows of one pool (kv_pool.py), and the whole pass is one graph for each size of batch (buckets.py). Knows
networks and caches; nothing about samplers, pictures or what a stream is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import torch
from torch import Tensor

from .buckets import Buckets
from .dit import CausalDiT
from .kv_cache import CacheConfig, KVCache
from .kv_pool import KVPool
from .low_noise import LowNoise
from .memory import CachedMemory
from .pooled_memory import PooledMemory
from .state import Given

STREAMS = 64
"""For which a pool has room where nobody says for how many."""


class Network:
    """See the module."""

    def __init__(
        self,
        dit: CausalDiT,
        config: CacheConfig,
        *,
        device: torch.device,
        dtype: torch.dtype,
        pool: int = 0,
        low_noise: LowNoise | None = None,
    ) -> None:
        """Without a `pool`, streams have buffers of their own; else that many share one, if the device has room."""
        self.dit, self._config, self._low_noise = dit, config, low_noise
        self._like = torch.zeros(0, device=device, dtype=dtype)
        self.pool = KVPool.fitting(pool, config.row, self._like, config.format) if pool else None
        self._buckets: dict[bool, Buckets] = {}
        if self.pool:
            padding = (0.0, 0.0, 0.0, 0.0, *PooledMemory.padding(self.pool))
            self._buckets = {low: Buckets(partial(self._pooled, low), padding) for low in (False, True)}

    def cache(self) -> KVCache:
        """An empty memory."""
        return KVCache.allocate(self._config, self._like.device, self._like.dtype, self.pool)

    def velocity(
        self, caches: Sequence[KVCache], x: Tensor, sigma: Tensor, given: Given, *, low: bool = False
    ) -> Tensor:
        """Velocity of the next chunk of every stream; whatever finished frames come before it are left in the memory.

        Args:
            caches: of B streams.
            x: (B, F, C, h, w) noisy latents, behind finished ones.
            sigma: (B, F) noise level of each frame.
            given: what all frames are made from.
            low: the first denoising step is behind it: the low-noise expert speaks, if there is one.

        Returns:
            (B, chunk, C, h, w) float32.
        """
        if self._buckets and (pooled := PooledMemory.of(caches, self.dit.config.rope, given.yaws)):
            return self._buckets[low](x, given.shown, sigma, given.told, *pooled.tensors)
        memory, finished = CachedMemory.of(caches, self.dit.config.rope, given.yaws), x.shape[1] - self._config.chunk
        velocity: Tensor = self._dit(low)(x, given.shown, sigma, given.told, memory, finished=finished)
        return velocity

    def batched(self, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """A function of a batch, run as the passes of the network are."""
        return Buckets(function, (0.0,)) if self.pool else function

    def remember(self, caches: Sequence[KVCache], x: Tensor, sigma: Tensor, given: Given) -> None:
        """Leave one finished chunk (B, chunk, C, h, w) of every stream in the memory."""
        memory = CachedMemory.of(caches, self.dit.config.rope, given.yaws)
        self.dit.commit(x, given.shown, sigma, given.told, memory)

    def _dit(self, low: bool) -> CausalDiT:
        return self._expert if low else self.dit

    @cached_property
    def _expert(self) -> CausalDiT:
        """Below noise level 1; made when it is first needed, for most streams take one step."""
        return self._low_noise.merged(self.dit) if self._low_noise else self.dit

    def _pooled(self, low: bool, x: Tensor, shown: Tensor, sigma: Tensor, told: Tensor, *memory: Tensor) -> Tensor:
        """`velocity` of tensors alone."""
        assert self.pool is not None, "no pool"
        memories, finished = PooledMemory(self.pool, *memory), x.shape[1] - self._config.chunk
        velocity: Tensor = self._dit(low)(x, shown, sigma, told, memories, finished=finished)
        return velocity
