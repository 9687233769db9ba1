"""One request to a server by HTTP: JSON comes back. Knows HTTP; nothing of what is asked for."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from worldloom.streamer.errors import WorldloomError

PIECE_BYTES = 64 * 1024


async def ask(
    method: str,
    url: str,
    path: str,
    *,
    patience_s: float,
    bearer: str | None = None,
    headers: Mapping[str, str] | None = None,
    data: bytes = b"",
) -> tuple[int, dict[str, Any]]:
    """The status and the JSON that a server answers. On the loop, and not a thread, which could not be cancelled.

    Args:
        method: GET, POST or DELETE.
        url: any address of that server; its path does not count.
        path: what is asked for.
        patience_s: seconds that it may take to accept, to receive a piece, or to answer.
        bearer: a token, where one is asked for.
        headers: beside those that every request has.
        data: the body.

    Raises:
        WorldloomError: it answers something else than JSON.
        OSError: there is no server, or it does not answer; `TimeoutError` is one.
    """
    parts = urlsplit(url)
    secure = parts.scheme in ("wss", "https")
    said = {"Host": parts.netloc, "Content-Length": str(len(data)), **(headers or {}), "Connection": "close"}
    if bearer:
        said["Authorization"] = f"Bearer {bearer}"
    async with asyncio.timeout(patience_s):
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port or (443 if secure else 80), ssl=secure or None
        )
    try:
        head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        with suppress(ConnectionError):  # a refusal may come before the body has left
            writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
            for begin in range(0, len(data), PIECE_BYTES):
                writer.write(data[begin : begin + PIECE_BYTES])
                async with asyncio.timeout(patience_s):
                    await writer.drain()
        async with asyncio.timeout(patience_s):
            answer = http.client.HTTPResponse(_Received(await reader.read()))  # type: ignore[arg-type]
        answer.begin()
        return answer.status, json.loads(answer.read())
    except http.client.HTTPException as error:
        raise ConnectionError(f"expected an answer to {method} {path}, got none: {error!r}") from error
    except ValueError as error:
        raise WorldloomError(f"expected JSON as the answer to {method} {path}: {error}") from error
    finally:
        writer.transport.abort()


class _Received:
    """What a server has sent, as the standard library reads it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)
