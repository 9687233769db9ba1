"""The service: HTTP routes, the WebSocket, and the worlds behind them, from start-up to shutdown.

    /            the demo page          /healthz   alive
    /v1/worlds   what is served         /readyz    503 until every world has been proven
    /v1/session  the WebSocket          /metrics   for Prometheus
    /v1/sessions a place by HTTP; the list for administrators
    /whep        players that speak WHEP
    /v1/sessions/SESSION/recording      begin and end a recording, for administrators
    /v1/images   pictures to start from
    /v1/walk     how to see again what a session showed
    /v1/twin     the WebSocket that shows an engine beside its dream
    /v1/worlds/WORLD/scenes             how some seeds begin
    /v1/batch    the WebSocket of programs that drive streams by the batch
    /v1/capacity how many fit

Knows who does the work; does none itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, Request, Response, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse

from worldloom.models.catalog import open_world
from worldloom.models.spec import WorldModel

from . import admin, lease_door, pages, replay_door, twin_door, uploads, walks, whep
from . import metrics as metrics_module
from .admin import not_admin
from .batch_door import Door
from .config import ServerSettings
from .connection import Connection
from .errors import SessionClosed
from .forks import Forks
from .guard import Guard
from .hosting import HostedWorlds, engines, limits
from .images import Images
from .leases import Leases
from .metrics import Metrics
from .phase import Phase
from .recordings import Recordings
from .rooms import Rooms
from .state import ServerState
from .tokens import tokens_for
from .transports.coders import H264, Wish, choose
from .warm_up import WarmUp
from .whep import WhepViewers

NOT_ADMIN: dict[int | str, dict[str, Any]] = {401: {"description": "No token, or not an administrator's."}}

log = logging.getLogger(__name__)

router = APIRouter()


def create_app(
    settings: ServerSettings | None = None, *, load: Callable[[str], WorldModel[Any]] = open_world
) -> FastAPI:
    """The ASGI app. `load` turns a name into a world; tests hand in their own."""
    chosen = settings or ServerSettings()
    chosen = chosen.compressing_with(_h264(chosen.webrtc.encoder.h264))
    app = FastAPI(title="Worldloom", docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan)
    config = limits(chosen)
    pool = ThreadPoolExecutor(chosen.encode_threads, thread_name_prefix="worldloom-encode")
    if load is open_world:
        load = partial(open_world, kv=chosen.kv, linears=chosen.linears, kernels=chosen.kernels)
        load = partial(load, graphs=chosen.graphs, streams=chosen.max_sessions, split=chosen.split)
    worlds, metrics = HostedWorlds(chosen.worlds, engines(chosen.engine, config, load=load)), Metrics()
    images = Images(chosen.images, metrics)
    rooms = Rooms(chosen, worlds, metrics, pool, images)
    secret = chosen.secret.get_secret_value() if chosen.secret else None
    tokens = tokens_for(chosen.auth, chosen.host, secret)
    whep_viewers = WhepViewers(chosen, rooms, metrics)
    recordings = Recordings(chosen, worlds, metrics)
    shared = (rooms, whep_viewers, tokens, recordings, images, Forks(rooms), Leases(chosen, rooms, metrics))
    app.state.server = ServerState(chosen, worlds, metrics, pool, *shared)
    app.state.warm_up = WarmUp(chosen, pool)
    app.state.batches = Door(app.state.server)
    app.include_router(router)
    app.include_router(admin.router)
    app.include_router(lease_door.router)
    app.include_router(whep.router)
    app.include_router(uploads.router)
    app.include_router(replay_door.router)
    app.include_router(walks.router)
    app.include_router(twin_door.router)
    app.include_router(pages.router)
    if chosen.origins:  # players on other pages
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(chosen.origins),
            allow_methods=["POST", "PATCH", "DELETE", "GET"],
            allow_headers=["authorization", "content-type", "if-match"],
            expose_headers=["location", "etag", "link"],
        )
    app.add_middleware(Guard, hosts=chosen.hosts, origins=chosen.origins)
    return app


def _h264(wish: Wish) -> H264:
    """Who compresses H.264, told to the log."""
    h264, trouble = choose(wish)
    if trouble:
        level = logging.WARNING if wish == "nvenc" else logging.INFO
        log.log(level, "H.264 is compressed by x264: nvenc cannot be used here (%s)", trouble)
    else:
        log.info("H.264 is compressed by %s", h264)
    return h264


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Worlds open one after the other while the server already answers; at the end everything is given back."""
    server: ServerState = app.state.server
    warm_up = app.state.warm_up if server.settings.warm_up else None

    async def open_all() -> None:
        for world in server.worlds:
            await world.begin(warm_up)
        async with asyncio.TaskGroup() as keeping:
            for world in server.worlds:
                keeping.create_task(world.keep(warm_up, server.rooms.recover))

    try:
        async with asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(open_all())
            keeping = tasks.create_task(server.rooms.keep_snapshots())
            sweeping = tasks.create_task(app.state.batches.sweep())
            yield
            for task in (opening, keeping, sweeping):
                task.cancel()
    finally:
        server.images.close()
        await server.whep.end_all()
        await server.rooms.close_all(SessionClosed("the server is stopping"))
        await server.recordings.close()
        await app.state.batches.end()
        for world in server.worlds:
            await world.end()
        server.pool.shutdown(wait=False, cancel_futures=True)


@router.get("/livez")
@router.get("/healthz")
def healthz() -> dict[str, str]:
    """Alive."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Not yet, or not any more."}})
def readyz(request: Request) -> JSONResponse:
    """Ready: every world is open, and a session has run through the whole path of each."""
    server: ServerState = request.app.state.server
    webrtc: dict[str, bool] = request.app.state.warm_up.webrtc
    worlds = {
        world.name: {"ready": world.ready, "trouble": world.trouble, "webrtc": webrtc.get(world.name)}
        for world in server.worlds
    }
    ready = all(world.ready for world in server.worlds) and not server.rooms.draining.is_set()
    return JSONResponse({"ready": ready, "worlds": worlds}, 200 if ready else 503)


@router.get("/v1/worlds")
async def list_worlds(request: Request) -> JSONResponse:
    """What is served, the default world first. Waits for worlds that are still being loaded."""
    server: ServerState = request.app.state.server
    infos = [info for world in server.worlds if (info := await world.info()) is not None]
    return JSONResponse({"worlds": [info.model_dump(mode="json") for info in infos]})


@router.get("/v1/capacity")
def capacity(request: Request) -> dict[str, Any]:
    """How many sessions each world takes, what limits them, the measurements that say so, and who compresses H.264."""
    server: ServerState = request.app.state.server
    worlds = {world.name: found.table() for world in server.worlds if (found := world.capacity()) is not None}
    return {"worlds": worlds, "h264": server.settings.webrtc.encoder.h264}


@router.get("/v1/sessions", responses=NOT_ADMIN)
def list_sessions(request: Request, authorization: Annotated[str, Header()] = "") -> Response:
    """Every session, for an administrator: phase, world, frames so far, who is there."""
    server: ServerState = request.app.state.server
    if (refused := not_admin(server, authorization)) is not None:
        return refused
    rooms = [
        {
            "session": room.ident,
            "world": room.spec.name,
            "phase": room.phase.value,
            "mode": room.mode,
            "frames": room.next_frame,
            "watchers": room.watchers,
            "recording": room.recording is not None,
        }
        for room in server.rooms
    ]
    return JSONResponse({"sessions": rooms, "whep": len(server.whep)})


@router.get("/metrics", response_class=PlainTextResponse, responses=NOT_ADMIN)
def scrape(request: Request, authorization: Annotated[str, Header()] = "") -> Response:
    """For Prometheus; for administrators only, where tokens are asked for."""
    server: ServerState = request.app.state.server
    if (refused := not_admin(server, authorization)) is not None:
        return refused
    for world in server.worlds:
        stats = world.stats()
        server.metrics.sessions.labels(world.name).set(stats.sessions if stats else 0)
        server.metrics.states.labels(world.name).set(stats.states if stats else 0)
        server.metrics.parked.labels(world.name).set(stats.parked if stats else 0)
        server.metrics.ready.labels(world.name).set(world.ready)
        server.metrics.restarts.labels(world.name).set(world.restarts)
        server.metrics.waiting.labels(world.name).set(len(server.rooms.line(world.name)))
        server.metrics.capacity(world.name, world.capacity())
    for phase in Phase:
        server.metrics.phases.labels(phase.value).set(server.rooms.count(phase))
    return Response(server.metrics.text(), media_type=metrics_module.CONTENT_TYPE)


@router.websocket("/v1/session")
async def session(socket: WebSocket) -> None:
    """One client."""
    await Connection(socket, socket.app.state.server).run()


@router.websocket("/v1/batch")
async def batch(socket: WebSocket) -> None:
    """One program."""
    await socket.app.state.batches.serve(socket)
