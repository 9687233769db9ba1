"""The first visitor of a world is ourselves: a session through the engine, the slot and every encoder to a viewer.

Whoever comes next finds weights in memory, kernels compiled and codecs opened; and a server that cannot do its work
says so on /readyz before anybody else finds out. Knows the whole path; nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor

from worldloom.models.spec import WorldSpec

from .config import ServerSettings
from .engine import Engine
from .errors import WorldloomError
from .frames import Frame, FrameSlot
from .hosting import HostedWorld
from .protocol import Receipt
from .session import Origin
from .transports.encoder import VideoEncoder
from .transports.loopback import first_picture
from .transports.webrtc import WebRtcVideo
from .transports.websocket import WebSocketVideo

log = logging.getLogger(__name__)

CHUNKS = 4  # of the first session: enough to pass every kernel twice
LOOPBACK_TIMEOUT = 10.0  # seconds for the picture over WebRTC


class _Visitor:
    """A sink that only fills a slot."""

    def __init__(self, spec: WorldSpec) -> None:
        self.slot = FrameSlot(spec.chunk)
        self.error: WorldloomError | None = None

    def frame(self, frame: Frame) -> None:
        self.slot.put(frame)

    def receipt(self, receipt: Receipt) -> None:
        """The visitor asks for nothing."""

    def fault(self, error: WorldloomError) -> None:
        self.error = error
        self.slot.close()


class WarmUp:
    """Runs a session through the whole path of a world; call it with each."""

    def __init__(self, settings: ServerSettings, pool: Executor) -> None:
        self._settings = settings
        self._pool = pool
        self.webrtc: dict[str, bool] = {}  # by world: whether a picture arrived over WebRTC

    async def __call__(self, world: HostedWorld) -> None:
        """Prove this world.

        Raises:
            TimeoutError: no frames within `warm_up_timeout`.
            WorldloomError: the world failed.
        """
        engine = world.engine
        async with asyncio.timeout(self._settings.warm_up_timeout):
            visitor = _Visitor(engine.spec)
            session = await engine.open_async(visitor, Origin(0))
            try:
                await self._watch(visitor, engine.spec)
                self.webrtc[world.name] = await self._over_webrtc(visitor, engine)
            finally:
                visitor.slot.close()
                await asyncio.wrap_future(engine.close(session))

    async def _watch(self, visitor: _Visitor, spec: WorldSpec) -> None:
        """Frames through every encoder that a viewer may ask for."""
        encoders = [
            VideoEncoder(
                codec, height=spec.height, width=spec.width, fps=spec.fps, settings=self._settings.webrtc.encoder
            )
            for codec in self._settings.webrtc.codecs
        ]
        jpeg = WebSocketVideo(
            visitor.slot, format="jpeg", settings=self._settings.websocket, pool=self._pool, send=_nowhere
        )
        loop = asyncio.get_running_loop()
        for _ in range(CHUNKS * spec.chunk):
            try:
                frame = await visitor.slot.get()
            except WorldloomError:
                raise visitor.error or WorldloomError("the world ended its first session") from None
            for encoder in encoders:
                await loop.run_in_executor(self._pool, encoder.encode, frame.pixels, frame.pts)
            await loop.run_in_executor(self._pool, jpeg.message, frame)

    async def _over_webrtc(self, visitor: _Visitor, engine: Engine) -> bool:
        """Whether a picture arrives. A machine without UDP still serves pictures over the WebSocket."""
        spec = engine.spec
        video = WebRtcVideo(
            visitor.slot,
            height=spec.height,
            width=spec.width,
            fps=spec.fps,
            settings=self._settings.webrtc,
            pool=self._pool,
            departed=lambda _: None,
        )
        try:
            async with asyncio.timeout(LOOPBACK_TIMEOUT):
                await first_picture(video)
        except (TimeoutError, OSError, WorldloomError) as error:
            log.warning("no picture over WebRTC on this machine, only over the WebSocket: %r", error)
            return False
        finally:
            await video.close()
        return True


async def _nowhere(message: bytes) -> None:
    """Where the visitor's messages go."""
