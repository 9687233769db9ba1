"""The latest few things that somebody asked for, kept because making one takes long. Knows nothing about them.

May be asked from several threads: then one thing may be made twice, and nobody waits for what another one makes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """A bounded memory: what was not asked for longest goes first."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._things: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What belongs to the key, made now if it is not there; what `make` raises is passed on."""
        with self._lock:
            if key in self._things:
                self._things.move_to_end(key)
                return self._things[key]
        made = make()
        with self._lock:
            self._things[key] = made
            self._things.move_to_end(key)
            while len(self._things) > self._kept:
                self._things.popitem(last=False)
        return made
