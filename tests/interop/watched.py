"""A session that somebody drives, for players to watch by WHEP.

Knows our Python client and what the server tells administrators; nothing of players.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.serving import ServerProcess
from worldloom.client.connection import connect

NEAR = 0.25  # share by which a player's rate may miss the world's: a busy machine's server gives up a fifth of it
LEFT_S = 3.0  # seconds after which nobody may be left


@dataclass(frozen=True)
class Watched:
    """What a player is told, and what the server says of it."""

    server: ServerProcess
    url: str  # to send an offer to
    token: str
    fps: float  # of the world
    size: list[int]  # width and height of its pictures as they are sent: doubled, for they are small

    def watchers(self) -> list[int]:
        """Spectators of the session, and players by WHEP on the whole server."""
        told = json.loads(self.server.get("/v1/sessions")[1])
        (room,) = told["sessions"]
        return [room["watchers"], told["whep"]]

    async def until_left(self) -> None:
        """Until the server holds nothing for players any more."""
        deadline = time.monotonic() + LEFT_S
        while (left := self.watchers()) != [0, 0]:
            assert time.monotonic() < deadline, f"spectators, players: still {left}"
            await asyncio.sleep(0.05)


@asynccontextmanager
async def watched(server: ServerProcess) -> AsyncIterator[Watched]:
    """A session whose picture never rests, for its driver turns round and round."""
    url = server.url.replace("http://", "ws://")
    async with connect(url, world="toy", seed=7, video="none") as world, world.hold("ArrowRight"):
        assert world.watch_token is not None
        info = world.info
        size = [2 * info.width, 2 * info.height]
        yield Watched(server, f"{server.url}/whep/{world.session}", world.watch_token, info.fps[0] / info.fps[1], size)
