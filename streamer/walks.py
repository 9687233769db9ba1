"""Where the page asks what it can show besides the dream.

    GET /v1/worlds/WORLD/scenes        the beginnings that were photographed: {"scenes": [{"seed", "name", "picture"}]}
    GET /v1/worlds/WORLD/scenes/SEED   one of them, as JPEG
    GET /v1/walk                       the walk of the session that the bearer's resume token opens

Knows HTTP; no pixels and no clock.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from .scenes import Photograph
from .state import ServerState
from .tokens import bearer

NO_SCENE: dict[int | str, dict[str, Any]] = {404: {"description": "No such world, or no such picture."}}
NO_WALK: dict[int | str, dict[str, Any]] = {
    401: {"description": "No resume token, or one that opens nothing."},
    409: {"description": "The walk is too long, or has not begun."},
}

router = APIRouter()


@router.get("/v1/worlds/{world}/scenes", responses=NO_SCENE)
def scenes(world: str, request: Request) -> dict[str, Any]:
    """What some seeds begin with. Empty where the warm-up is off, or had no time for it."""
    album = _album(request, world)
    told = [
        {"seed": seed, "name": photograph.scene, "picture": f"/v1/worlds/{world}/scenes/{seed}"}
        for seed, photograph in enumerate(album)
    ]
    return {"scenes": told}


@router.get("/v1/worlds/{world}/scenes/{seed}", responses=NO_SCENE, response_class=Response)
def scene(world: str, seed: int, request: Request) -> Response:
    """The first picture of one seed."""
    album = _album(request, world)
    if not 0 <= seed < len(album):
        raise HTTPException(404, "no such picture")
    return Response(album[seed].jpeg, media_type="image/jpeg")


@router.get("/v1/walk", responses=NO_WALK)
def walk(request: Request, authorization: Annotated[str, Header()] = "") -> Response:
    """How to see again what a session showed since its world began."""
    server: ServerState = request.app.state.server
    room = server.rooms.driven(bearer(authorization) or "")
    if room is None:
        return JSONResponse({"detail": "expected the resume token of an open session"}, 401)
    taken = room.walk.taken()
    if taken is None:
        return JSONResponse({"detail": "this walk has grown too long, or has not begun"}, 409)
    origin = taken.origin
    told = {"world": room.spec.name, "seed": origin.seed, "prompt": origin.prompt, "reduced": taken.reduced}
    return JSONResponse({**told, "image": origin.image is not None, "rows": taken.rows.tolist()})


def _album(request: Request, world: str) -> tuple[Photograph, ...]:
    album: tuple[Photograph, ...] | None = request.app.state.warm_up.scenes.get(world)
    if album is None and world not in request.app.state.server.worlds.names:
        raise HTTPException(404, "no such world")
    return album or ()
