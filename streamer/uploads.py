"""Bringing a start picture: `POST /v1/images` with a file as its body -> 201 and an `image` id for `hello` or `reset`.

The same people may who may drive: pages of our own or of `origins`, and where tokens are asked for the bearer of a
driver's token, or of the resume token of an open session (`Authorization: Bearer`). Knows HTTP; no pixels.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from .auth import origin_allowed
from .errors import BadImage, Busy, Forbidden, ImageTooLarge, TooManyPixels, Unauthorized, WorldloomError
from .state import ServerState
from .tokens import bearer

TYPES = ("image/png", "image/jpeg", "image/webp")
STATUS: dict[type[WorldloomError], int] = {
    Unauthorized: 401,
    Forbidden: 403,
    ImageTooLarge: 413,
    TooManyPixels: 422,
    BadImage: 422,
    Busy: 503,
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning}
    for status, meaning in {
        401: "No token, or one that does not allow this.",
        403: "Pages of that Origin may not.",
        408: "The file did not arrive in time.",
        413: "Too many bytes.",
        415: "Not a type of picture that is taken.",
        422: "Not a picture, or too many pixels.",
        503: "Too many uploads at a time.",
    }.items()
}
BODY = {"required": True, "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in TYPES}}

router = APIRouter()


@router.post("/v1/images", status_code=201, responses=RESPONSES, openapi_extra={"requestBody": BODY})
async def upload(request: Request, authorization: Annotated[str, Header()] = "") -> JSONResponse:
    """A picture to start from."""
    server: ServerState = request.app.state.server
    images = server.images
    try:
        _admit(server, request, authorization)
        if request.headers.get("content-type", "").split(";")[0].strip().lower() not in TYPES:
            return _refused(server, BadImage(f"expected a body of the type {', '.join(TYPES)}"), 415)
        async with images.turn():
            async with asyncio.timeout(images.settings.upload_timeout):
                data = await _body(request, images.settings.max_bytes)
            ident = await images.keep(data)
    except TimeoutError:
        seconds = f"{images.settings.upload_timeout:g} s"
        return _refused(server, BadImage(f"expected the whole file within {seconds}"), 408)
    except ClientDisconnect:
        return _refused(server, BadImage("expected the whole file"), 400)  # nobody hears it
    except WorldloomError as error:
        return _refused(server, error, STATUS[type(error)])
    return JSONResponse({"image": ident, "seconds": images.settings.keep}, 201)


def _admit(server: ServerState, request: Request, authorization: str) -> None:
    """Raises `Forbidden` or `Unauthorized` for whoever may not drive."""
    headers = request.headers
    if not origin_allowed(headers.get("origin"), headers.get("host"), server.settings.origins):
        raise Forbidden("expected a page of our own, or one of the setting `origins`")
    given = bearer(authorization)
    if not (given and server.rooms.driven(given)):
        server.tokens.read(given, "drive")


async def _body(request: Request, limit: int) -> bytes:
    """The body, no longer than may be. Raises `ImageTooLarge`."""
    told = request.headers.get("content-length", "")
    data = bytearray()
    if not (told.isdecimal() and int(told) > limit):
        async for part in request.stream():
            data += part
            if len(data) > limit:
                break
        else:
            return bytes(data)
    raise ImageTooLarge(f"expected at most {limit} bytes; send a smaller picture")


def _refused(server: ServerState, error: WorldloomError, status: int) -> JSONResponse:
    server.metrics.error(error.code)
    server.metrics.images.labels("refused").inc()
    headers = {"connection": "close"}  # whatever is left of the body is not read
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.retryable:
        headers["retry-after"] = "5"
    return JSONResponse({"code": error.code, "message": str(error)}, status, headers)
