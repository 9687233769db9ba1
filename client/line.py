"""The connection to a server: `hello` answered by `welcome` or a refusal; and the same session again when it is lost.

Knows the WebSocket and the first messages on it; nothing of what follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import chain, repeat
from pathlib import Path
from typing import Literal

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from worldloom.streamer.client_messages import Hello
from worldloom.streamer.errors import Busy, Draining, EngineLost, UnknownSession
from worldloom.streamer.protocol import ClientMessage, decode_server, encode
from worldloom.streamer.server_messages import Error, Welcome
from worldloom.streamer.wire import NORMAL_CLOSE

from .failures import ConnectionLost, raised
from .images import upload
from .leasing import find, lease, leases

OPEN_S = 10.0  # seconds that the server may take to accept a connection
REOPEN_S = 2.5  # the same where a lost one is sought: a fresh attempt does more than a long one
WELCOME_S = 30.0  # seconds that the server may take to open a world
MAX_PICTURE_BYTES = 64 * 1024 * 1024
PING_S = 1.0  # seconds between two pings
SILENCE_S = 3.0  # seconds without an answer after which the server is away, as the protocol says
CLOSE_S = 1.0  # seconds that the server may take to say goodbye
WAITS = (0.1, 0.3, 0.6, 1.0, 2.0)  # seconds between two attempts to come back; the last one repeats


class Line:
    """One session's connection, which may be several in a row."""

    def __init__(self, url: str, hello: Hello, patience: float) -> None:
        self._gateway = url if leases(url) else None  # who says where the session is
        self._url = endpoint(url)
        self._hello = hello
        self._patience = patience  # seconds to seek a lost connection
        self._socket: ClientConnection | None = None
        self._resume: str | None = None
        self._session = ""

    async def open(self, accept_s: float = OPEN_S) -> Welcome:
        """Open the session; the server may take so many seconds to accept the connection.

        Raises:
            WorldloomError: the server's refusal.
            ConnectionError, OSError: there is no server, or it said nothing.
        """
        if self._gateway is not None:
            self._url = endpoint(await self._place(self._gateway))
        hello = self._hello if self._resume is None else self._hello.model_copy(update={"resume": self._resume})
        socket = await open_websocket(
            self._url,
            max_size=MAX_PICTURE_BYTES,
            compression=None,
            proxy=None,
            open_timeout=accept_s,
            ping_interval=PING_S,
            ping_timeout=SILENCE_S,
            close_timeout=CLOSE_S,
        )
        try:
            welcome = await asyncio.wait_for(greet(socket, hello), WELCOME_S)
        except UnknownSession as error:
            await socket.close()
            if self._gateway is None or not self._session:
                raise
            raise EngineLost(f"the session is not where the gateway said: {error}") from error
        except BaseException:
            await socket.close()
            raise
        self._socket, self._resume, self._session = socket, welcome.resume, welcome.session
        return welcome

    async def _place(self, gateway: str) -> str:
        """The server to go to: one with a new place, or the one where the session is by now."""
        if self._resume is None:
            place = await lease(gateway, self._hello)
            self._resume, self._session = place.token, place.session
            return place.worker_url
        return await find(gateway, self._session, self._resume)

    def may_return(self, error: ConnectionClosed) -> bool:
        """Whether a connection that ended so may be sought again: it was not closed on purpose."""
        returns = self._resume is not None or self._hello.watch is not None
        return self._patience > 0 and returns and not (error.rcvd is not None and error.rcvd.code == NORMAL_CLOSE)

    async def reopen(self) -> Welcome:
        """The same session on a new connection.

        Raises:
            ConnectionLost: the server was not found in time.
            WorldloomError: the session has ended, or is driven by somebody else.
        """
        clock = asyncio.get_running_loop().time
        deadline, waits = clock() + self._patience, chain(WAITS, repeat(WAITS[-1]))
        while True:
            why: Exception
            try:
                async with asyncio.timeout_at(deadline):
                    return await self.open(REOPEN_S)
            except (OSError, InvalidHandshake, TimeoutError, Busy) as error:
                why = error
            except (EngineLost, Draining) as error:
                if self._gateway is None:
                    raise
                why = error  # the session is between two servers
            await asyncio.sleep(max(0.0, min(next(waits), deadline - clock())))
            if clock() >= deadline:
                told = f"the connection was lost, and the server not found again within {self._patience:g} s"
                raise ConnectionLost(f"{told}: {str(why) or type(why).__name__}") from why

    async def send(self, message: ClientMessage) -> None:
        """Send a message. Raises `ConnectionClosed`."""
        assert self._socket is not None
        await self._socket.send(encode(message))

    async def upload(self, image: bytes | Path) -> str:
        """Upload a picture, as whoever drives this session. Raises as `images.upload`."""
        return await upload(self._url, image, self._hello.token or self._resume)

    async def messages(self) -> AsyncIterator[str | bytes]:
        """What the server sends. Raises `ConnectionClosed` at any end but a normal one."""
        assert self._socket is not None
        async for message in self._socket:
            yield message

    async def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            await self._socket.close()


async def greet(socket: ClientConnection, hello: Hello) -> Welcome:
    """The server's welcome.

    Raises:
        WorldloomError: the server's refusal.
        ConnectionError: it closed the connection without one.
    """
    try:
        await socket.send(encode(hello))
        while True:
            message = decode_server(await socket.recv())
            if isinstance(message, Error):
                raise raised(message)
            if isinstance(message, Welcome):
                return message
    except ConnectionClosed as error:
        raise ConnectionError(f"expected a welcome, the server closed the connection: {error}") from error


def lost(error: ConnectionClosed) -> ConnectionLost:
    """A connection that ended, as an error of ours."""
    return ConnectionLost(f"the connection was lost: {error}")


def endpoint(url: str) -> str:
    """The session endpoint of a server that is named by its address alone."""
    scheme, _, rest = url.partition("://")
    kind: dict[str, Literal["ws", "wss"]] = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if scheme not in kind:
        raise ValueError(f'expected an address like "ws://127.0.0.1:8000", got {url!r}')
    host, slash, path = rest.partition("/")
    return f"{kind[scheme]}://{host}/{path}" if slash and path else f"{kind[scheme]}://{host}/v1/session"
