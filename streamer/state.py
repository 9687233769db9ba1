"""What all connections of one server share. Knows who there is; does nothing by itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field

from .config import ServerSettings
from .errors import Busy
from .forks import Forks
from .hosting import HostedWorlds
from .images import Images
from .leases import Leases
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
    forks: Forks
    leases: Leases
    connections: int = 0  # open WebSockets
    addresses: Counter[str] = field(default_factory=Counter)  # open WebSockets by address

    @property
    def sessions(self) -> int:
        """Sessions that somebody drives."""
        return self.rooms.live

    @contextmanager
    def counted(self, address: str) -> Iterator[None]:
        """A WebSocket of this address, while it lasts; also one too many, which is told so."""
        self.connections += 1
        self.addresses[address] += 1
        self.metrics.connections.inc()
        try:
            yield
        finally:
            self.connections -= 1
            self.addresses[address] -= 1
            self.addresses += Counter()  # forgets those that have none
            self.metrics.connections.dec()

    def check_counts(self, address: str) -> None:
        """Whether the last WebSocket of this address was one too many. Raises `Busy`."""
        settings = self.settings
        if self.connections > settings.max_connections:
            raise Busy(f"expected at most {settings.max_connections} connections; try again later")
        if self.addresses[address] > settings.max_per_address:
            raise Busy(f"expected at most {settings.max_per_address} connections of one address")

    async def drain(self) -> None:
        """The server is about to stop: everybody is told, and has left when this returns."""
        await self.rooms.drain()
        while self.connections:  # noqa: ASYNC110 - a second at most, at the very end
            await asyncio.sleep(0.02)
