"""A session's replay bundle by HTTP: `GET /v1/replay` with its resume token (`Authorization: Bearer`) -> `.wloom`.

Whoever drives a session may have it, and nobody else. Knows HTTP and rooms; the log knows what is in the file.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import FileResponse, JSONResponse
from starlette.background import BackgroundTask

from .auth import origin_allowed
from .errors import Unauthorized, UnknownSession, WorldloomError
from .provenance import machine, versions, weights_of
from .replay_log import Source
from .room import Room
from .state import ServerState
from .tokens import bearer

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/zip": {}}, "description": "The bundle."},
    401: {"description": "Not the resume token of an open session."},
    403: {"description": "Pages of that Origin may not."},
    409: {"description": "There is nothing yet from which it could be replayed."},
}

router = APIRouter()


@router.get("/v1/replay", responses=RESPONSES, response_model=None)
async def replay(request: Request, authorization: Annotated[str, Header()] = "") -> FileResponse | JSONResponse:
    """What replays a session so far."""
    server: ServerState = request.app.state.server
    headers = request.headers
    if not origin_allowed(headers.get("origin"), headers.get("host"), server.settings.origins):
        return JSONResponse({"code": "forbidden", "message": "expected a page of our own"}, 403)
    room = server.rooms.driven(bearer(authorization) or "")
    if room is None:
        return _refused(Unauthorized("expected the resume token of an open session; this one opens none"), 401)
    path = await asyncio.to_thread(_written, room, server.worlds.named(room.spec.name).source)
    if path is None:
        return _refused(UnknownSession("expected a session whose beginning is known; try again in some seconds"), 409)
    done = BackgroundTask(path.unlink)
    return FileResponse(path, media_type="application/zip", filename=f"{room.ident}.wloom", background=done)


def _written(room: Room, source: str) -> Path | None:
    """The bundle in a file; None where there is none yet. Takes as long as compressing some pictures does."""
    began = datetime.now(UTC) - timedelta(seconds=time.monotonic() - room.since)
    about = Source(room.ident, began.isoformat(timespec="seconds"), weights_of(source), versions(), machine())
    bundle = room.log.bundle(about)
    if bundle is None:
        return None
    with tempfile.NamedTemporaryFile(suffix=".wloom", delete=False) as file:
        path = Path(file.name)
    try:
        bundle.write(path)
    except BaseException:
        path.unlink()
        raise
    return path


def _refused(error: WorldloomError, status: int) -> JSONResponse:
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse({"code": error.code, "message": str(error)}, status, headers)
