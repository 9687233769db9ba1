"""Bringing a start picture to a server: a file's bytes out, an id for `hello` or `reset` in.

Knows HTTP and what the first bytes of a picture look like; no session.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

from worldloom.streamer.errors import BadImage, WorldloomError
from worldloom.streamer.server_messages import Error

from .failures import raised

UPLOAD_S = 30.0  # seconds that the server may take to receive and decode a file


async def upload(url: str, image: bytes | Path, bearer: str | None = None) -> str:
    """Upload a picture; returns its id, which is good for about a minute.

    Args:
        url: of the server's session endpoint.
        image: the bytes of a PNG, JPEG or WebP file, or where it is.
        bearer: a driver's token, where the server asks for one.

    Raises:
        WorldloomError: the server's refusal, for example `ImageTooLarge`.
        OSError: there is no server, or no such file.
    """
    return await asyncio.to_thread(_upload, url, image, bearer)


def _upload(url: str, image: bytes | Path, bearer: str | None) -> str:
    data = image.read_bytes() if isinstance(image, Path) else image
    headers = {"content-type": media_type(data)} | ({"authorization": f"Bearer {bearer}"} if bearer else {})
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme in ("wss", "https") else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=UPLOAD_S)
    try:
        connection.request("POST", "/v1/images", data, headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
    except ValueError as error:
        raise WorldloomError(f"expected JSON from the server when a picture was uploaded: {error}") from error
    finally:
        connection.close()
    if answer.status != 201:
        raise raised(Error(code=told["code"], message=told["message"], retryable=answer.status == 503))
    ident: str = told["image"]
    return ident


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
