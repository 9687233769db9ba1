"""The Python client walks: `python -m tests.interop.walkers.python_walker URL`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.interop.walkers.deeds import walk
from worldloom.client.blocking import Answer, SyncWorld, connect_sync
from worldloom.streamer.errors import Busy


class PythonHands:
    """See `deeds.Hands`."""

    def __init__(self, world: SyncWorld) -> None:
        self.world = world
        self._pressed: Answer | None = None

    def session(self) -> str:
        return self.world.session

    def times_back(self) -> int:
        return self.world.reconnected

    def screen(self) -> NDArray[np.uint8] | None:
        return None if self.world.newest is None else self.world.newest.pixels

    def shown(self) -> int:
        return -1 if self.world.newest is None else self.world.newest.index

    def press(self, code: str) -> None:
        self._pressed = self.world.press(code)

    def release(self, code: str) -> None:
        self.world.release(code)

    def receipt(self) -> dict[str, Any] | None:
        if self._pressed is None or not self._pressed.done() or self._pressed.exception() is not None:
            return None
        return self._pressed.result().model_dump()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


@contextmanager
def opened(url: str) -> Iterator[SyncWorld]:
    """The server's world, once there is a place in it."""
    with ExitStack() as stack:
        while True:
            try:
                world = stack.enter_context(connect_sync(url))
                break
            except Busy as error:
                time.sleep(min(error.retry_after or 1.0, 1.0))
        yield world


if __name__ == "__main__":
    with opened(sys.argv[1]) as world:
        walk(PythonHands(world))
