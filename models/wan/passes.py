"""A `WanDiT` and the memories of its streams: how a batch goes through, in the way that the device does best.

By itself each stream has a buffer of its own. Where somebody wants graphs, memories are rows of one pool (kv_pool.py),
and a pass is one CUDA graph for each number of streams (buckets.py): one for velocities, one for what is remembered.
What differs between passes is in tensors: the timestep as the table of what it makes of the network, the prompt as its
keys. So nobody waits for the device in a pass, with graphs or without.

Without graphs go sinks, keys that are kept as they came, streams of different prompts beside each other, and networks
that hear a player or are told where they look. Knows networks and caches; nothing about samplers, pictures or streams.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..buckets import Buckets
from ..dit import LastingMemory
from ..kv_cache import CacheConfig, KVCache
from ..kv_pool import KVPool
from ..pooled_memory import PooledMemory
from ..rope import RopeConfig
from .block import Moment, TextKeys
from .config import Positions
from .controls import STILL, Controls
from .dit import WanDiT
from .fused import FusedPool
from .memory import memory_of

SHARED = 5
"""Inputs of a graph that are the same for all streams: the moment's, and the prompt's keys and values."""


class Passes:
    """See the module."""

    def __init__(
        self,
        dit: WanDiT,
        config: CacheConfig,
        rope: RopeConfig,
        positions: Positions,
        device: torch.device,
        streams: int = 0,
    ) -> None:
        """Without `streams`, no graphs; else that many memories share a pool, if the device has room."""
        self.dit, self._config, self._rope, self._positions = dit, config, rope, positions
        self._like = torch.zeros(0, device=device, dtype=dit.head.head.weight.dtype)
        self._moments: dict[float, Moment] = {}
        self.pool: KVPool | None = None
        if streams and not config.sink and positions != "relative":
            self.pool = KVPool.fitting(streams, config.row, self._like, config.format)
        if self.pool:
            padding = (0.0, *PooledMemory.padding(self.pool))
            sizes = range(1, self.pool.scratch + 1)  # each its own: to pad would cost as much as a stream
            self._denoising, self._committing = (
                Buckets(function, padding, shared=SHARED, sizes=sizes) for function in (self._velocity, self._commit)
            )

    def cache(self, config: CacheConfig | None = None) -> KVCache:
        """An empty memory; of the network's own frames, or another one."""
        pool = None if config else self.pool
        return KVCache.allocate(config or self._config, self._like.device, self._like.dtype, pool)

    def moment(self, t: float) -> Moment:
        """What a timestep makes of the network; there are as many as denoising steps, and one of the memory."""
        if t not in self._moments:
            self._moments[t] = self.dit.moment(t)
        return self._moments[t]

    def memory(self, caches: Sequence[KVCache]) -> LastingMemory:
        """The memory of streams, each about to make a chunk."""
        if self.pool:
            still = torch.zeros(len(caches), self._config.chunk, dtype=torch.float64)
            if pooled := self._kind.of(caches, self._rope, still):
                return pooled
        return memory_of(caches, self._rope, self._positions, fused=self.dit.fused)

    def velocity(
        self, x: Tensor, t: float, texts: Sequence[TextKeys], memory: LastingMemory, controls: Controls
    ) -> Tensor:
        """Velocity (B, F, C', h, w) of latents (B, F, C, h, w), float32; see `WanDiT.forward`."""
        if isinstance(memory, PooledMemory) and _alike(texts, controls):
            return self._denoising(*self.moment(t).tensors, *texts[0].tensors, x, *memory.tensors)
        velocity: Tensor = self.dit(x, self.moment(t), texts, memory, controls)
        return velocity

    def commit(self, x: Tensor, t: float, texts: Sequence[TextKeys], memory: LastingMemory, controls: Controls) -> None:
        """Leave finished frames in a memory; see `WanDiT.commit`."""
        if isinstance(memory, PooledMemory) and _alike(texts, controls):
            self._committing(*self.moment(t).tensors, *texts[0].tensors, x, *memory.tensors)
        else:
            self.dit.commit(x, self.moment(t), texts, memory, controls)

    def _velocity(self, *inputs: Tensor) -> Tensor:
        """`velocity` of tensors alone."""
        velocity: Tensor = self.dit(*self._told(inputs))
        return velocity

    def _commit(self, *inputs: Tensor) -> Tensor:
        """`commit` of tensors alone; gives nothing, a row for each stream."""
        self.dit.commit(*self._told(inputs))
        return inputs[SHARED].new_empty(len(inputs[SHARED]), 0)

    @property
    def _kind(self) -> type[PooledMemory]:
        return FusedPool if self.dit.fused else PooledMemory

    def _told(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Moment, list[TextKeys], PooledMemory]:
        assert self.pool is not None, "no pool"
        moment, text = Moment.of(*inputs[:3]), TextKeys(*inputs[3:SHARED])
        x, *where = inputs[SHARED:]
        return x, moment, [text] * len(x), self._kind(self.pool, *where)


def _alike(texts: Sequence[TextKeys], controls: Controls) -> bool:
    """Whether all streams dream one prompt, and nobody steers."""
    return controls == STILL and all(text is texts[0] for text in texts)
