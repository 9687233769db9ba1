"""A real server on a free port, and a client that speaks the wire protocol by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.plain_http import plain_http
from worldloom.models.catalog import open_world
from worldloom.models.spec import WorldModel
from worldloom.streamer.config import ServerSettings
from worldloom.streamer.listen import address, make_server, open_socket
from worldloom.streamer.server import create_app
from worldloom.streamer.state import ServerState

PATIENCE = 8.0  # seconds that a test waits for anything


class Client:
    """One WebSocket, message by message."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, type: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": type, **fields}))

    async def any(self) -> dict[str, Any] | bytes:
        message = await asyncio.wait_for(self.socket.recv(), PATIENCE)
        return message if isinstance(message, bytes) else json.loads(message)

    async def expect(self, type: str, **fields: Any) -> dict[str, Any]:
        """The next text of that type and with those fields; what comes before is skipped."""
        while True:
            message = await self.any()
            if isinstance(message, bytes) or message["type"] != type:
                continue
            if all(message.get(name) == value for name, value in fields.items()):
                return message

    async def picture(self) -> bytes:
        while True:
            message = await self.any()
            if isinstance(message, bytes):
                return message
            assert message["type"] != "error", message

    async def hello(self, **fields: Any) -> dict[str, Any]:
        await self.send("hello", **{"protocol": 1, "video": "none", **fields})
        return await self.expect("welcome")

    async def closed(self) -> tuple[int, str]:
        """Code and reason, once the server has closed."""
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionClosed):
                while True:  # a client that does not read does not see the end either
                    await self.socket.recv()
        return self.socket.close_code or 0, self.socket.close_reason or ""


@dataclass
class Running:
    """A server that listens."""

    url: str
    app: FastAPI
    server: uvicorn.Server

    @property
    def state(self) -> ServerState:
        state: ServerState = self.app.state.server
        return state

    @asynccontextmanager
    async def client(self, **headers: str) -> AsyncIterator[Client]:
        url = self.url.replace("http", "ws") + "/v1/session"
        async with connect(
            url, compression=None, max_size=None, proxy=None, additional_headers=headers, close_timeout=2
        ) as socket:
            yield Client(socket)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        async with plain_http() as http:
            return await http.get(self.url + path, headers=headers, timeout=PATIENCE)

    async def until(self, holds: Callable[[], bool], within: float = PATIENCE) -> None:
        """Wait until it holds; fail if it does not within that many seconds."""
        async with asyncio.timeout(within):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def sessions(self) -> int:
        return sum(stats.sessions for world in self.state.worlds if (stats := world.stats()))

    def states(self) -> int:
        return sum(stats.states for world in self.state.worlds if (stats := world.stats()))

    async def freed(self) -> None:
        """Nothing is held for anybody any more."""
        await self.until(lambda: self.sessions() == self.states() == self.state.sessions == self.state.connections == 0)


class Serve(Protocol):
    def __call__(
        self, *, load: Callable[[str], WorldModel[Any]] = ..., **settings: Any
    ) -> AbstractAsyncContextManager[Running]: ...


@pytest.fixture
def serve() -> Serve:
    @asynccontextmanager
    async def serving(
        *, load: Callable[[str], WorldModel[Any]] = open_world, **settings: Any
    ) -> AsyncIterator[Running]:
        chosen = ServerSettings(**{"worlds": ("toy",), "port": 0, "warm_up": False, "engine": "thread", **settings})
        door = open_socket(chosen)
        app = create_app(chosen, load=load)
        server = make_server(app, chosen, app.state.server.drain)
        running = asyncio.create_task(server.serve(sockets=[door]))
        try:
            async with asyncio.timeout(PATIENCE):
                while not server.started:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            yield Running(address(door), app, server)
        finally:
            server.should_exit = True
            await running

    return serving
