"""The latest few things that somebody asked for, kept because making one takes long. Knows nothing about them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """A bounded memory: what was not asked for longest goes first."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._things: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What belongs to the key, made now if it is not there; what `make` raises is passed on."""
        if key not in self._things:
            self._things[key] = make()
            while len(self._things) > self._kept:
                self._things.popitem(last=False)
        self._things.move_to_end(key)
        return self._things[key]
