"""Workers that are ordinary servers in this process, behind a real gateway: everything but Ray."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx

from tests.plain_http import plain_http
from worldloom.streamer.config import ServerSettings
from worldloom.streamer.errors import WorldloomError
from worldloom.streamer.gateway.app import create_gateway
from worldloom.streamer.gateway.config import FleetConfig
from worldloom.streamer.gateway.fence import Fence
from worldloom.streamer.gateway.fleet import Fleet
from worldloom.streamer.gateway.report import Parcel, Report, WorkerAway
from worldloom.streamer.gateway.serving import Serving
from worldloom.streamer.lease_messages import Lease, Wanted
from worldloom.streamer.listen import address, make_server, open_socket
from worldloom.streamer.tokens import tokens_for

QUICK = FleetConfig(ask_s=0.05, answer_s=1.0, fence_s=1.0, margin_s=0.1, keep_s=5.0)


class LocalWorker:
    """A worker without a process of its own. It can die, and be cut off."""

    def __init__(self, name: str, settings: ServerSettings) -> None:
        self.name = name
        self.settings = settings
        self.cut_off = False  # no call arrives
        self.forgetful = False  # what is asked for is done, and the answer lost
        self.adopted: list[Parcel] = []
        self.serving: Serving | None = None
        self._running: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self.serving = Serving(self.settings, secrets.token_hex(4), Fence(3600.0))
        self._running = asyncio.create_task(self.serving.run())

    async def die(self, *, again: bool = True) -> None:
        """As `kill -9` does, as far as others see it: every line is cut and nothing is said."""
        serving, self.serving = self.serving, None
        if serving is None or self._running is None:
            return
        for door in serving._server.servers:
            door.close()
        for connection in list(serving._server.server_state.connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                transport.abort()
        serving.state.rooms.draining.set()
        serving.stop()
        await self._running
        if again:
            self.begin()

    def _there(self) -> Serving:
        if self.cut_off or self.serving is None:
            raise WorkerAway(self.name)
        return self.serving

    async def report(self, number: int, acknowledged: int, known: dict[str, int]) -> Report:
        return self._there().report(number, acknowledged, known)

    async def lease(self, wanted: Wanted, address: str) -> Lease:
        return await self._there().lease(wanted, address)

    async def adopt(self, parcel: Parcel) -> None:
        await self._there().adopt(parcel)
        self.adopted.append(parcel)
        if self.forgetful:
            raise WorkerAway(self.name)

    async def end(self, session: str, error: WorldloomError | None = None) -> None:
        await self._there().end(session, error)

    async def hand_over(self) -> tuple[Parcel, ...]:
        return await self._there().hand_over()

    async def close(self) -> None:
        await self._there().state.drain()

    async def stop(self, *, again: bool) -> None:
        await self.die(again=again)


class Gateway:
    """A gateway that listens, and what stands behind it."""

    def __init__(self, url: str, fleet: Fleet, workers: list[LocalWorker]) -> None:
        self.url = url
        self.fleet = fleet
        self.workers = workers

    @property
    def sessions(self) -> str:
        """The address that asks for a place."""
        return self.url + "/v1/sessions"

    async def ask(self, method: str, path: str, token: str = "", **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with plain_http(self.url) as http:
            return await http.request(method, path, headers=headers, timeout=8.0, **more)

    def worker_of(self, session: str) -> LocalWorker:
        entry = self.fleet.registry.get(session)
        assert entry is not None
        return next(worker for worker in self.workers if worker.name == entry.worker)

    async def until(self, holds: Any, within: float = 15.0) -> None:
        async with asyncio.timeout(within):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.01)


CALM = "tests.interop.calm:CalmToy"  # which does not lose a place whenever the machine is busy with something else


@asynccontextmanager
async def running(count: int = 2, *, fleet: FleetConfig = QUICK, **settings: Any) -> AsyncIterator[Gateway]:
    """A gateway with so many workers, ready."""
    given = {"worlds": (CALM,), "port": 0, "warm_up": False, "engine": "thread", "snapshot_every": 0.05, **settings}
    chosen = ServerSettings(**{"max_sessions": 2, "max_orphans": 16, "orphan_timeout": 5.0, **given})
    workers = [LocalWorker(f"w{number}", chosen) for number in range(count)]
    for worker in workers:
        worker.begin()
    crew = Fleet(workers, replace(fleet, workers=count))
    door = open_socket(chosen)
    tokens = tokens_for(chosen.auth, chosen.host, chosen.secret.get_secret_value() if chosen.secret else None)
    server = make_server(create_gateway(chosen, tokens, crew), chosen)
    serving = asyncio.create_task(server.serve(sockets=[door]))
    gateway = Gateway(address(door), crew, workers)
    try:
        await gateway.until(lambda: all(state == "ready" for state in crew.states().values()))
        yield gateway
    finally:
        server.should_exit = True
        await serving
        for worker in workers:
            await worker.die(again=False)
