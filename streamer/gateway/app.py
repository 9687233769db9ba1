"""The gateway's HTTP: a place on some worker, where a session is, its end; and how the fleet is.

    POST   /v1/sessions           as a server's, see lease_door.py: the lease names the worker
    GET    /v1/sessions/SESSION   where it is now; 503 while it is between two workers
    DELETE /v1/sessions/SESSION   its end
    GET    /v1/capacity           places by worker
    GET    /readyz  /livez        whether any worker takes sessions; alive
    GET    /metrics               for Prometheus, and for an autoscaler
    POST   /v1/workers/WORKER/drain   its sessions go on elsewhere and it starts anew, or ends with ?again=false
    any    /whep/...  /v1/walk  /v1/replay   307 to the worker of that session

Pictures and controls never pass through it. Knows HTTP and the fleet; no Ray.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, FastAPI, Header, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse

from ..config import ServerSettings
from ..errors import Unauthorized, UnknownSession, WorldloomError
from ..guard import Guard
from ..lease_door import WISH, Refused, allowed, check_origin, held, refusal, responses
from ..lease_messages import Lease, Whereabouts
from ..metrics import CONTENT_TYPE
from ..tokens import Tokens, bearer
from .fleet import Fleet
from .registry import Entry
from .report import WorkerAway

SAME_ELSEWHERE = 307  # the method and the body stay (RFC 9110, 15.4.8)
router = APIRouter()


def create_gateway(
    settings: ServerSettings, tokens: Tokens, fleet: Fleet, ended: Callable[[], None] = lambda: None
) -> FastAPI:
    """The ASGI app; runs the fleet while it lasts, and calls `ended` after that."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(fleet.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await fleet.close()
            await asyncio.to_thread(ended)

    app = FastAPI(title="Worldloom gateway", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.fleet, app.state.tokens, app.state.settings = fleet, tokens, settings
    app.include_router(router)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["POST", "DELETE", "GET"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["location", "retry-after"],
        )
    app.add_middleware(Guard, hosts=settings.hosts, origins=settings.origins)
    return app


@router.post("/v1/sessions", status_code=201, response_model=Lease, openapi_extra=WISH)
async def begin(request: Request, authorization: Annotated[str, Header()] = "") -> Response:
    """A place on some worker, held for a moment."""
    state = request.app.state
    try:
        wanted = await allowed(request, state.settings.origins, state.tokens, authorization)
        lease = await state.fleet.lease(wanted, request.client.host if request.client else "")
    except Refused as refused:
        return refused.response
    except WorldloomError as error:
        return refusal(error)
    return held(lease)


@router.get("/v1/sessions/{session}", response_model=Whereabouts, responses=responses(404, 503))
async def find(session: str, request: Request, authorization: Annotated[str, Header()] = "") -> Response:
    """Where a session is now."""
    fleet: Fleet = request.app.state.fleet
    try:
        entry = fleet.registry.find(session, bearer(authorization) or "", drive=False)
        found = fleet.where(entry)
    except WorldloomError as error:
        return _soon(error)
    return JSONResponse(found.model_dump(mode="json"), headers={"cache-control": "no-store"})


@router.delete("/v1/sessions/{session}", status_code=204, response_class=Response, responses=responses(404))
async def end(session: str, request: Request, authorization: Annotated[str, Header()] = "") -> Response:
    """Its driver is done with it."""
    fleet: Fleet = request.app.state.fleet
    try:
        await fleet.end(fleet.registry.find(session, bearer(authorization) or "", drive=True))
    except WorldloomError as error:
        return refusal(error)
    return Response(status_code=204)


@router.api_route("/whep/{session}", methods=["POST"], status_code=307, responses=responses(404, 503))
@router.api_route("/whep/{session}/{view}", methods=["PATCH", "DELETE"], status_code=307, responses=responses(404, 503))
async def watch(session: str, request: Request) -> Response:
    """Players of a session go to its worker."""
    fleet: Fleet = request.app.state.fleet
    return _elsewhere(request, fleet.registry.get(session))


@router.get("/v1/walk", status_code=307, responses=responses(404, 503))
@router.get("/v1/replay", status_code=307, responses=responses(404, 503))
async def told(request: Request, authorization: Annotated[str, Header()] = "") -> Response:
    """What only the worker of a session can tell."""
    fleet: Fleet = request.app.state.fleet
    return _elsewhere(request, fleet.registry.driven(bearer(authorization) or ""))


@router.get("/livez")
@router.get("/healthz")
async def alive() -> dict[str, str]:
    """Alive."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "No worker takes sessions."}})
async def ready(request: Request) -> JSONResponse:
    """Whether any worker takes sessions."""
    fleet: Fleet = request.app.state.fleet
    return JSONResponse({"ready": fleet.ready, "workers": fleet.states()}, 200 if fleet.ready else 503)


@router.get("/v1/capacity")
async def capacity(request: Request) -> dict[str, object]:
    """Places by worker."""
    fleet: Fleet = request.app.state.fleet
    return fleet.table()


@router.get("/metrics", response_class=PlainTextResponse, responses=responses(401))
async def scrape(request: Request, authorization: Annotated[str, Header()] = "") -> Response:
    """For Prometheus; for administrators only, where tokens are asked for."""
    if (refused := _not_admin(request, authorization)) is not None:
        return refused
    return Response(request.app.state.fleet.tell_figures(), media_type=CONTENT_TYPE)


@router.post("/v1/workers/{worker}/drain", responses=responses(401, 404, 503))
async def drain(
    worker: str, request: Request, again: bool = True, authorization: Annotated[str, Header()] = ""
) -> Response:
    """Let a worker's sessions go on elsewhere, and end it; for administrators."""
    if (refused := _not_admin(request, authorization)) is not None:
        return refused
    try:
        check_origin(request, request.app.state.settings.origins)
        moved = await request.app.state.fleet.drain(worker, again=again)
    except WorldloomError as error:
        return refusal(error)
    except KeyError:
        return JSONResponse({"code": "unknown_worker", "message": "expected a worker of /v1/capacity"}, 404)
    except WorkerAway as away:
        return JSONResponse({"code": "worker_away", "message": str(away)}, 503, {"retry-after": "5"})
    return JSONResponse({"sessions": moved})


def _not_admin(request: Request, authorization: str) -> Response | None:
    try:
        request.app.state.tokens.read(bearer(authorization), "admin")
    except Unauthorized as error:
        return refusal(error)
    return None


def _elsewhere(request: Request, entry: Entry | None) -> Response:
    try:
        if entry is None:
            raise UnknownSession("expected an open session; it may have ended")
        url = request.app.state.fleet.where(entry).worker_url
    except WorldloomError as error:
        return _soon(error)
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{url}{request.url.path}{query}", SAME_ELSEWHERE)


def _soon(error: WorldloomError) -> Response:
    """A session between two workers is back in a moment."""
    error.retry_after = error.retry_after or 1.0
    return refusal(error)
