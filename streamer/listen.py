"""Opening the server's door: the listening socket, and uvicorn behind it with limits that suit interactive streams.

Knows sockets and uvicorn; nothing about worlds or sessions.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.types import ASGIApp

from .config import ServerSettings
from .protocol import MAX_MESSAGE_BYTES

log = logging.getLogger(__name__)

# A message up to this size is read, so that its sender is told `message_too_large`; a larger one is cut off with
# WebSocket close code 1009 before it is in memory.
HARD_LIMIT = 8 * MAX_MESSAGE_BYTES
UNSENT_BYTES = 16 * 1024  # what may wait in the kernel: more would be frames that are old when they leave
SHUTDOWN_S = 3  # seconds that connections get to end by themselves


def open_socket(settings: ServerSettings) -> socket.socket:
    """A listening socket; connections inherit its options.

    Raises:
        OSError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # a peer that vanished is given up, though bytes wait for it
            door.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(2000 * settings.heartbeat))
        door.bind((settings.host, settings.port))
        door.listen(128)
    except BaseException:
        door.close()
        raise
    return door


def address(door: socket.socket) -> str:
    """Where a browser finds it, like "http://127.0.0.1:8000"."""
    host, port = door.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"


class DrainingServer(uvicorn.Server):
    """uvicorn that lets the app say goodbye before it closes connections."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then close what is still open."""
        try:
            async with asyncio.timeout(SHUTDOWN_S):
                await self._drain()
        except TimeoutError:
            log.warning("not everybody had left after %g s", SHUTDOWN_S)
        except Exception:  # whatever it was, connections and worlds have to be closed
            log.exception("saying goodbye failed")
        await super().shutdown(sockets)


async def _nothing() -> None:
    """Nobody has to leave."""


def make_server(
    app: ASGIApp, settings: ServerSettings, drain: Callable[[], Awaitable[None]] = _nothing
) -> uvicorn.Server:
    """uvicorn around the app; run it with `await server.serve(sockets=[open_socket(settings)])`.

    Args:
        app: what is served.
        settings: of the server.
        drain: called once when the server is about to stop, before connections are closed.
    """
    config = uvicorn.Config(
        app,
        loop="none",
        ws="websockets-sansio",
        ws_max_size=HARD_LIMIT,
        ws_ping_interval=settings.heartbeat,
        ws_ping_timeout=settings.heartbeat,
        ws_per_message_deflate=False,  # JPEG does not shrink, and compressing receipts costs more than it saves
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    return DrainingServer(config, drain)
