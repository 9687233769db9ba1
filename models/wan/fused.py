"""Whether Wan's blocks are done by Triton's kernels, and the memory that is written by them.

Here alone it is chosen: on CUDA where Triton can be imported, unless somebody says "eager"; never on a CPU, where it
would interpret. `kernels.py` is imported when it is first needed. Knows caches and phases; no networks.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ..attention import attention
from ..memory import CachedMemory

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
