"""Photographs of how a world begins: the first picture of each of some seeds, for a page to choose from.

Each is taken of a session of its own, one after the other, before anybody enters; then they are bytes. Knows the
engine's interface; no HTTP and no world.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import WorldloomError
from .frames import Frame
from .home import EngineHome
from .jpeg import jpeg
from .origin import Origin
from .server_messages import Receipt

log = logging.getLogger(__name__)

SCENES = 12  # seeds from 0 on; shipped worlds have as many start scenes
WITHIN = 5.0  # seconds for all of them: a world that takes longer shows fewer
QUALITY = 85  # Pillow's scale: some 7 kB for a picture of 128x128


class Photograph(NamedTuple):
    """How one seed begins."""

    scene: str  # its name
    jpeg: bytes


class _Camera:
    """A sink that keeps the first picture."""

    def __init__(self) -> None:
        self.picture: asyncio.Future[NDArray[np.uint8]] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()

    def frame(self, frame: Frame) -> None:
        self._loop.call_soon_threadsafe(self._keep, frame.pixels)

    def receipt(self, receipt: Receipt) -> None:
        """A camera asks for nothing."""

    def fault(self, error: WorldloomError) -> None:
        self._loop.call_soon_threadsafe(self._fail, error)

    def _keep(self, pixels: NDArray[np.uint8]) -> None:
        if not self.picture.done():
            self.picture.set_result(pixels)

    def _fail(self, error: WorldloomError) -> None:
        if not self.picture.done():
            self.picture.set_exception(error)


async def photographs(engine: EngineHome, pool: Executor) -> tuple[Photograph, ...]:
    """What the seeds 0, 1, 2, ... begin with; as many as there was time for.

    Raises:
        WorldloomError: the world failed.
    """
    deadline, taken, names = time.monotonic() + WITHIN, list[Photograph](), engine.spec.scenes
    while len(taken) < SCENES and time.monotonic() < deadline:
        camera = _Camera()
        session = await engine.open_async(camera, Origin(len(taken)))
        try:
            picture = await camera.picture
        finally:
            await asyncio.wrap_future(engine.close(session))
        seed = len(taken)
        name = names[seed % len(names)] if names else f"seed {seed}"
        made = await asyncio.get_running_loop().run_in_executor(pool, jpeg, picture, QUALITY, "4:2:0")
        taken.append(Photograph(name, made))
    if len(taken) < SCENES:
        log.info("%d of %d start scenes were photographed within %g s", len(taken), SCENES, WITHIN)
    return tuple(taken)
