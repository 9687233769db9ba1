"""The other end of a WebSocket: messages in, messages out, and one way to say that it has left.

Knows the socket and how long it may refuse to read; nothing about what the texts mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from .errors import BadMessage
from .protocol import MAX_MESSAGE_BYTES, ClientMessage, decode_client

_MEANT = (1000, 1001)  # close codes: normal, going away
_LOST = (TimeoutError, WebSocketDisconnect, OSError, RuntimeError)  # what a send may meet when the peer is away


class Gone(Exception):
    """The peer has left, or does not read any more.

    Attributes:
        meant: it closed the connection as pages do when they are closed, and programs when they are done.
    """

    def __init__(self, *, meant: bool = False) -> None:
        super().__init__()
        self.meant = meant


class Peer:
    """Several tasks may send: uvicorn writes each message whole, and waits only before it writes."""

    def __init__(self, socket: WebSocket, *, send_timeout: float) -> None:
        self._socket = socket
        self._send_timeout = send_timeout  # seconds

    @property
    def address(self) -> str:
        """Where it is; empty where that is not known."""
        return self._socket.client.host if self._socket.client else ""

    async def accept(self) -> None:
        """Answer the handshake."""
        await self._socket.accept()

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            Gone: there is none.
        """
        event = await self._socket.receive()
        if event["type"] == "websocket.disconnect":
            raise Gone(meant=event.get("code") in _MEANT)
        text: str | None = event.get("text")
        return text if text is not None else bytes(event.get("bytes") or b"")

    async def send_text(self, text: str) -> None:
        """Send a text.

        Raises:
            Gone: nobody takes it.
        """
        await self._within(self._socket.send_text(text))

    async def send_bytes(self, message: bytes) -> None:
        """Send bytes. Raises as `send_text`."""
        await self._within(self._socket.send_bytes(message))

    async def close(self, code: int, reason: str) -> None:
        """Close the WebSocket, if the peer has not."""
        if self._socket.application_state is WebSocketState.CONNECTED:
            await self._within(self._socket.close(code, reason))

    async def _within(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._send_timeout):
                await sending
        except _LOST as error:
            raise Gone() from error


def decode_text(data: str | bytes) -> ClientMessage:
    """As `decode_client`, of texts only."""
    if isinstance(data, bytes) and len(data) <= MAX_MESSAGE_BYTES:
        raise BadMessage("expected a text message, got a binary one")
    return decode_client(data)
