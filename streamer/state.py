"""What all connections of one server share. Knows who there is; does nothing by itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import Executor
from dataclasses import dataclass, field

from .config import ServerSettings
from .hosting import HostedWorlds
from .images import Images
from .metrics import Metrics
from .recordings import Recordings
from .rooms import Rooms
from .tokens import Tokens
from .whep import WhepViewers


@dataclass
class ServerState:
    """What all connections of one server share."""

    settings: ServerSettings
    worlds: HostedWorlds
    metrics: Metrics
    pool: Executor  # where pictures are compressed
    rooms: Rooms
    whep: WhepViewers
    tokens: Tokens
    recordings: Recordings
    images: Images
    connections: int = 0  # open WebSockets
    addresses: Counter[str] = field(default_factory=Counter)  # open WebSockets by address

    @property
    def sessions(self) -> int:
        """Sessions that somebody drives."""
        return self.rooms.live

    async def drain(self) -> None:
        """The server is about to stop: everybody is told, and has left when this returns."""
        await self.rooms.drain()
        while self.connections:  # noqa: ASYNC110 - a second at most, at the very end
            await asyncio.sleep(0.02)
