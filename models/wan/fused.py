"""Whether Wan's blocks are done by Triton's kernels, and the memory that is written by them.

Here alone it is chosen: on CUDA where Triton can be imported, unless somebody says "eager"; never on a CPU, where it
would interpret. `kernels.py` is imported when it is first needed. Knows caches and phases; no networks.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ..attention import attention, attention_in_rows
from ..memory import CachedMemory
from ..pooled_memory import PooledMemory

Kernels: TypeAlias = Literal["auto", "eager"]
"""Triton's where they run, or torch's own passes everywhere."""

HAVE_TRITON = find_spec("triton") is not None
"""Triton can be imported."""


def fuses(device: torch.device, kernels: Kernels = "auto") -> bool:
    """Whether blocks on this device are done by Triton's kernels."""
    return kernels == "auto" and device.type == "cuda" and HAVE_TRITON


class FusedMemory(CachedMemory):
    """The next chunk of each stream; one kernel norms, turns and remembers."""

    def attend_projected(self, layer: int, qkv: Tensor, gains: tuple[Tensor, Tensor], eps: float) -> Tensor:
        """`attend` of what is not yet normed.

        Args:
            layer: which layer.
            qkv: (B, S, 3 D) queries, keys and values of one chunk.
            gains: of the norms of queries and of keys, each (D,).
            eps: of the norms.

        Returns:
            (B, heads, S, d).
        """
        from .kernels import turn

        cos, sin = self.rotary
        out = []
        for b, cache in enumerate(self.caches):
            c, phases = cache.config, (cos[b, 0], sin[b, 0])
            if c.format == "native" and cache.frame >= c.sink:
                k, v = cache.places(layer)
                q = turn(qkv[b], gains, eps, phases, k, v, None)
            else:  # keys become bytes, or sinks are kept as they come
                k, v, raw = qkv.new_empty(3, c.heads, c.chunk * c.tokens, c.head_dim)
                q = turn(qkv[b], gains, eps, phases, k, v, raw)
                cache.write(layer, k, raw, v)
            keys, values = cache.read(layer)
            out.append(attention(q[None], keys[None], values[None]))
        return torch.cat(out) if len(out) > 1 else out[0]


class FusedPool(PooledMemory):
    """The same where memories are rows of a pool: the kernel leaves keys and values for the pool to put away."""

    def attend_projected(self, layer: int, qkv: Tensor, gains: tuple[Tensor, Tensor], eps: float) -> Tensor:
        """See `FusedMemory`."""
        from .kernels import turn

        heads, head = self.pool.keys[0].shape[2], self.pool.keys[0].shape[-1]
        k, v = qkv.new_empty(2, len(qkv), heads, qkv.shape[1], head)
        phases = zip(self.cos[:, 0], self.sin[:, 0], strict=True)
        q = torch.stack([turn(qkv[b], gains, eps, at, k[b], v[b], None) for b, at in enumerate(phases)])
        self._keep(layer, 0, k, v)
        return attention_in_rows(q, self.pool, layer, self.rows, self.seen[:, 0])
