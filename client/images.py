"""Bringing a start picture to a server: a file's bytes out, an id for `hello` or `reset` in.

Knows what the first bytes of a picture look like; no session.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from worldloom.streamer.errors import BadImage
from worldloom.streamer.server_messages import Error

from .failures import raised
from .web import ask

UPLOAD_S = 30.0  # seconds that the server may take to accept, to receive a piece, or to decode a file


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
    headers = {"Content-Type": media_type(data)}
    status, told = await ask("POST", url, "/v1/images", bearer=bearer, headers=headers, data=data, patience_s=UPLOAD_S)
    if status != 201:
        raise raised(Error(code=told["code"], message=told["message"], retryable=status == 503))
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
