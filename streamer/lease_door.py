"""Sessions by HTTP: a place before anybody connects, where a session is, and its end.

    POST   /v1/sessions            what is wished for   -> 201, the lease; 503 and Retry-After where there is no place
    GET    /v1/sessions/SESSION    its resume or watch token -> where it is
    DELETE /v1/sessions/SESSION    its resume token     -> 204

The same people may have a place who may drive: pages of our own or of `origins`, and where tokens are asked for the
bearer of a driver's token. Knows HTTP; nothing of what a session does. See leases.py.
"""

from __future__ import annotations

import asyncio
import math
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from .auth import origin_allowed
from .errors import (
    BadMessage,
    Forbidden,
    MessageTooLarge,
    Unauthorized,
    UnknownSession,
    UnknownWorld,
    Unsupported,
    WorldloomError,
)
from .lease_messages import Lease, Wanted, Whereabouts
from .state import ServerState
from .tokens import Tokens, bearer

MAX_BODY = 16_384  # bytes: a prompt of 2,048 characters, each escaped
BODY_S = 10.0  # seconds that a body may take to arrive
JSON = "application/json"
STATUS: dict[type[WorldloomError], int] = {
    Unauthorized: 401,
    Forbidden: 403,
    UnknownSession: 404,
    UnknownWorld: 404,
    MessageTooLarge: 413,
    Unsupported: 422,
    BadMessage: 422,
}  # anything else: 503, worth trying again
MEANINGS: dict[int, str] = {
    401: "No token, or one that does not allow this.",
    403: "Pages of that Origin may not.",
    404: "No such world or session, or the token does not open it.",
    408: "The body did not arrive in time.",
    413: "Too many bytes.",
    415: "A body of another type.",
    422: "Not a wish that this world can fulfil.",
    503: "No place; Retry-After says when to ask again.",
}
WISH = {"requestBody": {"required": False, "content": {JSON: {"schema": Wanted.model_json_schema()}}}}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the description of the API says of these answers."""
    return {status: {"description": MEANINGS[status]} for status in statuses}


router = APIRouter(prefix="/v1/sessions")


@router.post("", status_code=201, response_model=Lease, responses=responses(*MEANINGS), openapi_extra=WISH)
async def begin(request: Request, authorization: Annotated[str, Header()] = "") -> Response:
    """A place in a world, held for a moment."""
    server: ServerState = request.app.state.server
    try:
        wanted = await allowed(request, server.settings.origins, server.tokens, authorization)
        address = request.client.host if request.client else ""
        lease = await server.leases.make(wanted, address, _here(request))
    except Refused as refused:
        return refused.response
    except WorldloomError as error:
        server.metrics.error(error.code)
        return refusal(error)
    return held(lease)


@router.get("/{session}", response_model=Whereabouts, responses=responses(404))
async def find(session: str, request: Request, authorization: Annotated[str, Header()] = "") -> Response:
    """Where a session is: here, or unknown."""
    server: ServerState = request.app.state.server
    try:
        server.leases.find(session, bearer(authorization) or "", drive=False)
    except WorldloomError as error:
        return refusal(error)
    found = Whereabouts(session=session, worker_url=_here(request))
    return JSONResponse(found.model_dump(mode="json"), headers={"cache-control": "no-store"})


@router.delete("/{session}", status_code=204, response_class=Response, responses=responses(404))
async def end(session: str, request: Request, authorization: Annotated[str, Header()] = "") -> Response:
    """Its driver is done with it."""
    server: ServerState = request.app.state.server
    try:
        await server.rooms.close(server.leases.find(session, bearer(authorization) or "", drive=True))
    except WorldloomError as error:
        return refusal(error)
    return Response(status_code=204)


class Refused(Exception):
    """A request that is wrong as HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.response = JSONResponse({"code": "bad_request", "message": message}, status, {"connection": "close"})


def check_origin(request: Request, origins: tuple[str, ...]) -> None:
    """Raises `Forbidden` for a page of somebody else's."""
    if not origin_allowed(request.headers.get("origin"), request.headers.get("host"), origins):
        raise Forbidden("expected a page of our own, or one of the setting `origins`")


async def allowed(request: Request, origins: tuple[str, ...], tokens: Tokens, authorization: str) -> Wanted:
    """What somebody wishes who may: his page's Origin and his token say so. Raises as `wish`, and `Unauthorized`."""
    check_origin(request, origins)
    wanted = await wish(request)
    claims = tokens.read(bearer(authorization), "drive")
    if claims.world not in (None, wanted.world):
        raise Unauthorized(f"expected a wish for the world {claims.world!r}, which this token is for")
    return wanted


def held(lease: Lease) -> Response:
    """The answer: a place."""
    headers = {"location": f"/v1/sessions/{lease.session}", "cache-control": "no-store"}
    return JSONResponse(lease.model_dump(mode="json"), 201, headers)


async def wish(request: Request) -> Wanted:
    """What a request asks for; the server's choice where it says nothing.

    Raises:
        Refused: not JSON by its type, or not here in time.
        MessageTooLarge, BadMessage: it is no wish.
    """
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                data += part
                if len(data) > MAX_BODY:
                    raise MessageTooLarge(f"expected at most {MAX_BODY} bytes")
    except (TimeoutError, ClientDisconnect):
        raise Refused(408, f"expected the whole body within {BODY_S:g} s") from None
    if not data:
        return Wanted()
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != JSON:
        raise Refused(415, f"expected a body of type {JSON}")
    try:
        return Wanted.model_validate_json(bytes(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise BadMessage(f"expected a wish for a session: {field}: {first['msg']}"[:256]) from None


def refusal(error: WorldloomError) -> JSONResponse:
    """The answer to somebody who gets nothing."""
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 503)
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    if status == 503:
        headers["retry-after"] = str(math.ceil(error.retry_after or 5))
    return JSONResponse({"code": error.code, "message": str(error)}, status, headers)


def _here(request: Request) -> str:
    """Our own address, as clients know it."""
    public: str = request.app.state.server.settings.public_url
    return (public or str(request.base_url)).rstrip("/")
