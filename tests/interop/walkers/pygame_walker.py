"""The pygame example walks: keys are events of pygame, pictures those on its screen.

python -m tests.interop.walkers.pygame_walker URL
"""

from __future__ import annotations

import math
import sys
import threading

import numpy as np
import pygame
import pygame.surfarray  # lazily imported otherwise, by two threads at once
from numpy.typing import NDArray

from examples import pygame_client
from tests.interop.walkers.deeds import walk
from tests.interop.walkers.python_walker import PythonHands, opened
from worldloom.client.blocking import Answer, SyncWorld


class PygameHands(PythonHands):
    """See `deeds.Hands`. What the game says for an event is what counts."""

    def __init__(self, world: SyncWorld) -> None:
        super().__init__(world)
        self._press = world.press
        world.press = self._pressing  # type: ignore[method-assign]

    def screen(self) -> NDArray[np.uint8] | None:
        surface = pygame.display.get_surface()
        if surface is None or "pictures/s" not in pygame.display.get_caption()[0]:
            return None  # nothing was drawn yet
        return pygame.surfarray.array3d(surface)

    def press(self, code: str) -> None:
        self._pressed = None
        self._post(pygame.KEYDOWN, code)

    def release(self, code: str) -> None:
        self._post(pygame.KEYUP, code)

    def _pressing(self, code: str) -> Answer:
        self._pressed = self._press(code)
        return self._pressed

    def _post(self, kind: int, code: str) -> None:
        (scancode,) = [place for place, name in pygame_client.CODES.items() if name == code]
        pygame.event.post(pygame.event.Event(kind, key=0, scancode=scancode))


def stroll(world: SyncWorld) -> None:
    """Walk, then leave the game as a person does."""
    walk(PygameHands(world))
    pygame.event.post(pygame.event.Event(pygame.QUIT))


def main(url: str) -> None:
    pygame.init()
    with opened(url) as world:
        walker = threading.Thread(target=stroll, args=(world,), daemon=True)
        walker.start()
        pygame_client.play(world, math.inf)
        walker.join()
    pygame.quit()


if __name__ == "__main__":
    main(sys.argv[1])
