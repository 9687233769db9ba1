"""Pictures from one process to another through shared memory: a ring with one writer and one reader.

The writer never waits: where the reader has not taken enough yet, it is told that there is no place. The
counter lies in the memory itself, so nothing has to be sent back. Knows bytes only.
"""

from __future__ import annotations

from multiprocessing.shared_memory import SharedMemory

import numpy as np
from numpy.typing import NDArray

COUNTERS = 64  # bytes before the pictures, a cache line: how many were taken


class FrameRing:
    """Places for pictures of one shape (H, W, 3) uint8."""

    def __init__(self, memory: SharedMemory, shape: tuple[int, int, int], places: int) -> None:
        self._memory = memory
        assert memory.buf is not None, "shared memory is open until `close`"
        self._taken = np.frombuffer(memory.buf, np.int64, 1)
        self._pictures: NDArray[np.uint8] = np.frombuffer(
            memory.buf, np.uint8, places * int(np.prod(shape)), COUNTERS
        ).reshape(places, *shape)
        self._written = 0

    @classmethod
    def create(cls, shape: tuple[int, int, int], places: int) -> FrameRing:
        """A new one, for whoever reads; it disappears with `close(unlink=True)`."""
        memory = SharedMemory(create=True, size=COUNTERS + places * int(np.prod(shape)))
        return cls(memory, shape, places)

    @classmethod
    def attach(cls, name: str, shape: tuple[int, int, int], places: int) -> FrameRing:
        """The same, for whoever writes."""
        return cls(SharedMemory(name), shape, places)

    @property
    def name(self) -> str:
        """By which the other process finds it."""
        return self._memory.name

    def put(self, pixels: NDArray[np.uint8]) -> int | None:
        """The writer: a copy goes into the ring. Returns its number, None if there is no place."""
        if self._written - int(self._taken[0]) >= len(self._pictures):
            return None
        number = self._written
        self._pictures[number % len(self._pictures)] = pixels
        self._written += 1
        return number

    def take(self, number: int) -> NDArray[np.uint8]:
        """The reader: a copy of the picture of that number. Numbers come in order, each once."""
        pixels = self._pictures[number % len(self._pictures)].copy()
        self._taken[0] = number + 1
        return pixels

    def close(self, *, unlink: bool = False) -> None:
        """Give the memory back; with `unlink` for good."""
        del self._taken, self._pictures  # views of the memory keep it mapped
        self._memory.close()
        if unlink:
            self._memory.unlink()
