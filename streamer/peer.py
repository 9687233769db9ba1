"""The other end of a WebSocket: texts in, texts and bytes out, and one way to say that it has left.

Knows the socket and how long it may refuse to read; nothing about what the texts mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from .errors import BadMessage, MessageTooLarge
from .protocol import MAX_MESSAGE_BYTES

_LOST = (TimeoutError, WebSocketDisconnect, OSError, RuntimeError)  # what a send may meet when the peer is away


class Gone(Exception):
    """The peer has left, or does not read any more."""


class Peer:
    """Several tasks may send: uvicorn writes each message whole, and waits only before it writes."""

    def __init__(self, socket: WebSocket, *, send_timeout: float) -> None:
        self._socket = socket
        self._send_timeout = send_timeout  # seconds

    async def receive(self) -> str:
        """The next text.

        Raises:
            Gone: there is none.
            BadMessage: bytes came instead.
            MessageTooLarge: too many bytes came instead.
        """
        event = await self._socket.receive()
        if event["type"] == "websocket.disconnect":
            raise Gone
        text: str | None = event.get("text")
        if text is not None:
            return text
        size = len(event.get("bytes") or b"")
        if size > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(f"expected at most {MAX_MESSAGE_BYTES} bytes, got {size}")
        raise BadMessage("expected a text message, got a binary one")

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
            raise Gone from error
