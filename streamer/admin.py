"""For administrators: who is one, and recordings of any session.

    POST   /v1/sessions/SESSION/recording   begin -> 200 {"recording": true, "frame": …}
    DELETE /v1/sessions/SESSION/recording   end; the files are complete -> 200 {"recording": false, "frame": …}

Whoever calls brings a token of the role admin: `Authorization: Bearer TOKEN`. Knows HTTP and the server's parts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse

from .errors import (
    RateLimited,
    RecordingFull,
    RecordingOff,
    SessionClosed,
    Unauthorized,
    UnknownSession,
    WorldloomError,
)
from .room import Room
from .state import ServerState
from .tokens import bearer

router = APIRouter(prefix="/v1/sessions")

STATUS: dict[type[WorldloomError], int] = {
    UnknownSession: 404,
    SessionClosed: 404,
    RecordingOff: 409,
    RateLimited: 429,
    RecordingFull: 507,
}  # anything else: 500
RESPONSES: dict[int | str, dict[str, Any]] = {
    401: {"description": "No token, or not an administrator's."},
    404: {"description": "No such session, or it has ended."},
    409: {"description": "This server records nothing."},
    429: {"description": "The recording begins or ends just now."},
    500: {"description": "The disk refused."},
    507: {"description": "The folder is full."},
}


def not_admin(server: ServerState, authorization: str) -> Response | None:
    """The answer to somebody who may not, None for an administrator."""
    try:
        server.tokens.read(bearer(authorization), "admin")
    except Unauthorized as error:
        server.metrics.error(error.code)
        return JSONResponse({"code": error.code, "message": str(error)}, 401, {"www-authenticate": "Bearer"})
    return None


@router.post("/{session}/recording", responses=RESPONSES)
async def begin(session: str, request: Request, authorization: Annotated[str, Header()] = "") -> Response:
    """Record a session."""
    server: ServerState = request.app.state.server
    return await _change(server, session, authorization, server.recordings.start)


@router.delete("/{session}/recording", responses=RESPONSES)
async def end(session: str, request: Request, authorization: Annotated[str, Header()] = "") -> Response:
    """Stop."""
    server: ServerState = request.app.state.server
    return await _change(server, session, authorization, server.recordings.stop)


async def _change(
    server: ServerState, session: str, authorization: str, change: Callable[[Room], Awaitable[int]]
) -> Response:
    if (refused := not_admin(server, authorization)) is not None:
        return refused
    try:
        room = server.rooms.named(session)
        frame = await change(room)
    except WorldloomError as error:
        server.metrics.error(error.code)
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
        return JSONResponse({"code": error.code, "message": str(error)}, status)
    return JSONResponse({"recording": room.recording is not None, "frame": frame})
