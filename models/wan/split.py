"""Wan's network on several devices: each has its part of every frame's tokens (Ulysses, arXiv 2309.14509).

What is done a token at a time (norms, products, cross-attention, feed-forward, the modules that hear a player) needs no
other rank. For attention a `SplitMemory` exchanges tokens for heads, and the memory behind it, whose caches have a part
of the heads, does all else as it always does. Weights are on every device, and so is what goes in and comes out. Knows
the network and the exchange; nothing of worlds, files or processes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from ..dit import LastingMemory
from ..exchange import Exchange
from .config import WanConfig
from .controls import Controls
from .dit import MemoryT, WanDiT


@dataclass(frozen=True)
class SplitMemory:
    """A memory of a part of the heads, for a part of the tokens of all heads."""

    inner: LastingMemory
    exchange: Exchange
    frames: int  # at hand

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        """See `dit.Memory`: of this rank's tokens."""
        got = self.exchange.to_heads(torch.cat([qk, v[None]]), self.frames)
        return self.exchange.to_tokens(self.inner.attend(layer, got[:2], got[2]), self.frames)

    def write(self, layer: int, k: Tensor, v: Tensor) -> None:
        """See `dit.LastingMemory`: the same."""
        keys, values = self.exchange.to_heads(torch.stack([k, v]), self.frames)
        self.inner.write(layer, keys, values)


class SplitDiT(WanDiT):
    """The same network, whose blocks see this rank's tokens alone."""

    def __init__(self, config: WanConfig, exchange: Exchange) -> None:
        super().__init__(config)
        self.exchange = exchange

    def _seen(self, memory: MemoryT, frames: int) -> MemoryT:
        return cast(MemoryT, SplitMemory(cast(LastingMemory, memory), self.exchange, frames))

    def _heard(self, controls: Controls) -> Controls:
        if controls.rays is not None:
            controls = replace(controls, rays=self.exchange.own(controls.rays, 2))
        return super()._heard(controls)

    def _enter(self, x: Tensor) -> Tensor:
        return self.exchange.own(super()._enter(x), 2).contiguous()

    def _leave(self, tokens: Tensor, rows: int) -> Tensor:
        return super()._leave(self.exchange.gathered(tokens, 2), rows)


def refuse_indivisible(config: WanConfig, tokens: int, ranks: int) -> None:
    """Ranks share heads and the tokens of a frame evenly, or not at all.

    Raises:
        ValueError: they cannot; says how many would.
    """
    if config.heads % ranks or tokens % ranks:
        fitting = [n for n in range(2, config.heads + 1) if not (config.heads % n or tokens % n)]
        raise ValueError(
            f"expected a split that divides {config.heads} heads and {tokens} tokens of a frame, got {ranks};"
            f" possible: {', '.join(map(str, fitting)) or 'none'}"
        )
