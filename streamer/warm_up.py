"""The first visitor of a world is ourselves: a session through the engine, the slot and every encoder to a viewer.

Whoever comes next finds weights in memory, kernels compiled and codecs opened; and a server that cannot do its work
says so on /readyz before anybody else finds out. Knows the whole path; nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor

from worldloom.models.spec import WorldSpec

from .broadcasting import broadcast_of
from .config import ServerSettings
from .errors import SessionClosed, WorldloomError
from .frames import Frame
from .hosting import HostedWorld
from .origin import Origin
from .scenes import Photograph, photographs
from .server_messages import Receipt
from .transports.broadcast import Broadcast, Kind
from .transports.loopback import first_picture
from .transports.webrtc import WebRtcVideo
from .transports.websocket import message

log = logging.getLogger(__name__)

CHUNKS = 4  # of the first session: enough to pass every kernel twice
LOOPBACK_TIMEOUT = 10.0  # seconds for the picture over WebRTC


class _Visitor:
    """A sink that only shows its frames."""

    def __init__(self, broadcast: Broadcast) -> None:
        self.broadcast = broadcast
        self.error: WorldloomError | None = None

    def frame(self, frame: Frame) -> None:
        self.broadcast.slot.put(frame)

    def receipt(self, receipt: Receipt) -> None:
        """The visitor asks for nothing."""

    def fault(self, error: WorldloomError) -> None:
        self.error = error
        self.broadcast.close()


class WarmUp:
    """Runs a session through the whole path of a world; call it with each."""

    def __init__(self, settings: ServerSettings, pool: Executor) -> None:
        self._settings = settings
        self._pool = pool
        self.webrtc: dict[str, bool] = {}  # by world: whether a picture arrived over WebRTC
        self.scenes: dict[str, tuple[Photograph, ...]] = {}  # by world: of what the seeds 0, 1, 2, ... begin with

    async def __call__(self, world: HostedWorld) -> None:
        """Prove this world.

        Raises:
            TimeoutError: no frames within `warm_up_timeout`.
            WorldloomError: the world failed.
        """
        engine = world.engine
        visitor = _Visitor(broadcast_of(engine.spec, "realtime", self._settings, self._pool))
        async with asyncio.timeout(self._settings.warm_up_timeout):
            session = await engine.open_async(visitor, Origin(0))
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(visitor.broadcast.run())
                    await self._watch(visitor, engine.spec)
                    self.webrtc[world.name] = await self._over_webrtc(visitor)
                    visitor.broadcast.close()
            finally:
                visitor.broadcast.close()
                await asyncio.wrap_future(engine.close(session))
            if world.name not in self.scenes:  # an engine that was replaced begins as the one before
                self.scenes[world.name] = await photographs(engine, self._pool)
            await asyncio.wrap_future(engine.measure())

    async def _watch(self, visitor: _Visitor, spec: WorldSpec) -> None:
        """Packets of every kind that a viewer may ask for."""
        kinds: tuple[Kind, ...] = (*self._settings.webrtc.codecs, "jpeg")
        subscriptions = [visitor.broadcast.subscribe(kind) for kind in kinds]
        try:
            for _ in range(CHUNKS * spec.chunk):
                for subscription in subscriptions:
                    message(await subscription.get())
        except SessionClosed:
            raise visitor.error or WorldloomError("the world ended its first session") from None
        finally:
            for subscription in subscriptions:
                visitor.broadcast.unsubscribe(subscription)

    async def _over_webrtc(self, visitor: _Visitor) -> bool:
        """Whether a picture arrives. A machine without UDP still serves pictures over the WebSocket."""
        video = WebRtcVideo(visitor.broadcast, settings=self._settings.webrtc, departed=lambda _: None)
        try:
            async with asyncio.timeout(LOOPBACK_TIMEOUT):
                await first_picture(video)
        except (TimeoutError, OSError, WorldloomError) as error:
            log.warning("no picture over WebRTC on this machine, only over the WebSocket: %r", error)
            return False
        finally:
            await video.close()
        return True
