"""How a stream's caches lie on the devices that share its network: brought together to be saved, divided to be loaded.

The keys and values of pictures are spread by heads. Those of a mouse belong to tokens, and are spread like these; those
of a keyboard are one token a frame, and every device has all of them. So what is saved by any number of devices is
loaded by any other. Knows caches and the exchange; no networks, no files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from ..exchange import Exchange
from ..kv_cache import KVCache


class Spread(Protocol):
    """Between a device's part of a cache and all of it. Caches are counted: that of pictures, then those of hands."""

    rank: int
    ranks: int

    def whole(self, number: int, cache: KVCache) -> dict[str, Tensor]:
        """What `KVCache.named` would give if one device had all of it; anything on other ranks than the first."""

    def own(self, number: int, cache: KVCache, saved: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """This device's part of what `whole` gave."""


class OnOne:
    """One device has all."""

    rank, ranks = 0, 1

    def whole(self, number: int, cache: KVCache) -> dict[str, Tensor]:
        """See `Spread`."""
        del number
        return cache.named()

    def own(self, number: int, cache: KVCache, saved: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """See `Spread`."""
        del number, cache
        return saved


ALONE = OnOne()


class OnSeveral:
    """Each rank has a part."""

    def __init__(self, exchange: Exchange, hands: int) -> None:
        """`hands`: caches of the modules that hear a player, the keyboard's last."""
        self.rank, self.ranks = exchange.rank, exchange.ranks
        self._exchange, self._hands = exchange, hands

    def whole(self, number: int, cache: KVCache) -> dict[str, Tensor]:
        """See `Spread`. A layer at a time, for no device need hold all of it."""
        if number and number == self._hands:
            return cache.named()
        found = {name: self._joined(number, cache, part) for name, part in cache.named().items()}
        return {name: part for name, part in found.items() if part is not None}

    def own(self, number: int, cache: KVCache, saved: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """See `Spread`."""
        if number and number == self._hands:
            return saved
        n = cache.config.tokens * self.ranks
        if number:
            split = {name: torch.unflatten(part, 2, (part.shape[2] // n, n)) for name, part in saved.items()}
            return {name: self._exchange.own(part, 3).flatten(2, 3) for name, part in split.items()}
        return {name: self._exchange.own(part, 1) for name, part in saved.items()}

    def _joined(self, number: int, cache: KVCache, part: Tensor) -> Tensor | None:
        """(L, heads, slots * tokens, ...) of all ranks, on the CPU."""
        n, (layers, heads, tokens, d) = cache.config.tokens, part.shape
        if not part.numel():
            return part.new_empty((layers, heads if number else heads * self.ranks, 0, d))
        if number:
            part = torch.unflatten(part, 2, (tokens // n, n))  # (L, heads, slots, tokens, d)
        joined = [self._exchange.collected(layer, 2 if number else 0) for layer in part]
        if self.rank:
            return None
        whole = torch.stack([layer.cpu() for layer in joined if layer is not None])
        return whole.flatten(2, 3) if number else whole
