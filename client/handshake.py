"""Reaching a server: its address, and `hello` answered by `welcome` or a refusal. Knows nothing of what follows."""

from __future__ import annotations

from typing import Literal

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from worldloom.streamer import protocol as wire

from .failures import raised

WELCOME_S = 30.0  # seconds that the server may take to open a world


async def greet(socket: ClientConnection, hello: wire.Hello) -> wire.Welcome:
    """The server's welcome.

    Raises:
        WorldloomError: the server's refusal.
        ConnectionError: it closed the connection without one.
    """
    try:
        await socket.send(wire.encode(hello))
        while True:
            message = wire.decode_server(await socket.recv())
            if isinstance(message, wire.Error):
                raise raised(message)
            if isinstance(message, wire.Welcome):
                return message
    except ConnectionClosed as error:
        raise ConnectionError(f"expected a welcome, the server closed the connection: {error}") from error


def endpoint(url: str) -> str:
    """The session endpoint of a server that is named by its address alone."""
    scheme, _, rest = url.partition("://")
    kind: dict[str, Literal["ws", "wss"]] = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if scheme not in kind:
        raise ValueError(f'expected an address like "ws://127.0.0.1:8000", got {url!r}')
    host, slash, path = rest.partition("/")
    return f"{kind[scheme]}://{host}/{path}" if slash and path else f"{kind[scheme]}://{host}/v1/session"
