"""Bringing a start picture to a server: a file's bytes out, an id for `hello` or `reset` in.

Knows HTTP and what the first bytes of a picture look like; no session.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from worldloom.streamer.errors import BadImage, WorldloomError
from worldloom.streamer.server_messages import Error

from .failures import raised

UPLOAD_S = 30.0  # seconds that the server may take to accept, to receive a piece, or to decode a file
PIECE_BYTES = 64 * 1024


async def upload(url: str, image: bytes | Path, bearer: str | None = None) -> str:
    """Upload a picture; returns its id, which is good for about a minute. Who is tired of waiting may cancel it.

    Args:
        url: of the server's session endpoint.
        image: the bytes of a PNG, JPEG or WebP file, or where it is.
        bearer: a driver's token, where the server asks for one.

    Raises:
        WorldloomError: the server's refusal, for example `ImageTooLarge`.
        OSError: there is no server, or no such file.
    """
    data = await asyncio.to_thread(image.read_bytes) if isinstance(image, Path) else image
    kind = media_type(data)
    headers = {"Host": urlsplit(url).netloc, "Content-Type": kind, "Content-Length": str(len(data))}
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    status, told = await _post(url, "/v1/images", headers, data)
    if status != 201:
        raise raised(Error(code=told["code"], message=told["message"], retryable=status == 503))
    ident: str = told["image"]
    return ident


async def _post(url: str, path: str, headers: dict[str, str], data: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the JSON that a server answers. On the loop, and not a thread, which could not be cancelled."""
    parts = urlsplit(url)
    secure = parts.scheme in ("wss", "https")
    async with asyncio.timeout(UPLOAD_S):
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port or (443 if secure else 80), ssl=secure or None
        )
    try:
        head = "".join(f"{name}: {value}\r\n" for name, value in (headers | {"Connection": "close"}).items())
        with suppress(ConnectionError):  # a refusal may come before the picture has left
            writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
            for begin in range(0, len(data), PIECE_BYTES):
                writer.write(data[begin : begin + PIECE_BYTES])
                async with asyncio.timeout(UPLOAD_S):
                    await writer.drain()
        async with asyncio.timeout(UPLOAD_S):
            answer = http.client.HTTPResponse(_Received(await reader.read()))  # type: ignore[arg-type]
        answer.begin()
        return answer.status, json.loads(answer.read())
    except http.client.HTTPException as error:
        raise ConnectionError(f"expected an answer when a picture was uploaded, got none: {error!r}") from error
    except ValueError as error:
        raise WorldloomError(f"expected JSON from the server when a picture was uploaded: {error}") from error
    finally:
        writer.transport.abort()


class _Received:
    """What a server has sent, as the standard library reads it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def media_type(data: bytes) -> str:
    """What a file is, by its first bytes.

    Raises:
        BadImage: nothing that servers take.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise BadImage(f"expected the bytes of a PNG, JPEG or WebP file, got {data[:12]!r}")
