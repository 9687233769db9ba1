"""WHEP: any player that speaks it sees a session (draft-ietf-wish-whep-04), beside our own signalling.

    POST   /whep/SESSION         an SDP offer      -> 201, the answer, and where the viewing lives (Location)
    PATCH  /whep/SESSION/VIEW    more candidates   -> 204; an ICE restart -> 422: POST anew
    DELETE /whep/SESSION/VIEW    the end           -> 200

Whoever calls brings the session's watch token: `Authorization: Bearer TOKEN`. A WHEP viewer is a spectator: it costs
packets only. Knows HTTP, rooms and the WebRTC transport; no WebSocket.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from .config import ServerSettings
from .errors import BadOffer, Busy, UnknownSession, WorldloomError
from .metrics import Metrics
from .room import Room
from .rooms import Rooms
from .server_messages import IceServer, Receipt
from .tokens import bearer
from .transports.ice import for_viewer
from .transports.tally import Departure
from .transports.webrtc import WebRtcVideo

log = logging.getLogger(__name__)
router = APIRouter(prefix="/whep")

MAX_SDP_BYTES = 65_536
BODY_S = 10.0  # seconds that a body may take to arrive
SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
REMEMBERED = 64  # viewings that ended lately, whose players may still say goodbye; the oldest is forgotten first
STATUS: dict[type[WorldloomError], int] = {UnknownSession: 404, Busy: 503, BadOffer: 400}


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, "content": {"application/json": {}}}
    for status, meaning in {
        400: "Not an offer, or not candidates, that can be used.",
        401: "No token.",
        404: "The token opens no such session, or the viewing has ended.",
        408: "The body did not arrive in time.",
        413: "Too many bytes.",
        415: "A body of another type.",
        422: "An ICE restart: end this viewing and begin another.",
        503: "Too many watch.",
    }.items()
}


class Sdp(Response):
    """A session description."""

    media_type = SDP


def _takes(kind: str) -> dict[str, Any]:
    """What the description of the API says about a body."""
    return {"requestBody": {"required": True, "content": {kind: {"schema": {"type": "string"}}}}}


class WhepViewer:
    """A guest of a room who came by HTTP."""

    def __init__(self, room: Room, settings: ServerSettings, metrics: Metrics, viewers: WhepViewers) -> None:
        self.ident = secrets.token_urlsafe(12)
        self.room = room
        self.fragments: set[str] = set()  # ICE user name fragments of the offer
        self._metrics = metrics
        self._viewers = viewers
        self.video = WebRtcVideo(
            room.broadcast,
            settings=settings.webrtc,
            departed=self._measure,
            heard=lambda report: metrics.heard("whep", report),
            leads=False,
            ended=self._ended,
        )

    def receipt(self, receipt: Receipt) -> None:
        """A spectator asks for nothing."""

    def warn(self, error: WorldloomError) -> None:
        """There is no way to say so by WHEP: the picture stands still until it goes on."""

    def dismiss(self, error: WorldloomError) -> None:
        """The session has ended."""
        log.info("whep viewer %s ends: %s", self.ident, error)
        self._viewers.end_soon(self)

    def _ended(self) -> None:
        self._viewers.end_soon(self)

    def _measure(self, departure: Departure) -> None:
        self._metrics.departed("whep", departure)


class WhepViewers:
    """All of them on one server; belongs to the event loop."""

    def __init__(self, settings: ServerSettings, rooms: Rooms, metrics: Metrics) -> None:
        self._settings = settings
        self._rooms = rooms
        self._metrics = metrics
        self._viewers: dict[str, WhepViewer] = {}
        self._ended: dict[str, str] = {}  # viewing -> session

    def __len__(self) -> int:
        return len(self._viewers)

    async def begin(self, session: str, token: str, offer: str) -> tuple[WhepViewer, str]:
        """A new viewer and the answer to its offer.

        Raises:
            UnknownSession: the token does not open this session.
            Busy: too many watch it.
            BadOffer: it cannot be answered.
        """
        room = self._rooms.watched(token)
        if room.ident != session:
            raise UnknownSession("expected the watch token of this session")
        viewer = WhepViewer(room, self._settings, self._metrics, self)
        self._rooms.enter(room, viewer, "watch")
        self._viewers[viewer.ident] = viewer
        viewer.fragments = set(_values("a=ice-ufrag", offer))
        try:
            return viewer, await viewer.video.answer(offer)
        except BaseException:
            await self.end(viewer)
            raise

    def find(self, session: str, ident: str) -> WhepViewer:
        """Raises `UnknownSession`."""
        viewer = self._viewers.get(ident)
        if viewer is None or viewer.room.ident != session:
            raise UnknownSession("expected an open viewing; this one has ended")
        return viewer

    async def leave(self, session: str, ident: str) -> None:
        """The player says goodbye. Many hang up first (whip-whep does), and then the viewing has ended already.

        Raises:
            UnknownSession: there was no such viewing, or its goodbye was said.
        """
        if self._ended.get(ident) != session:
            await self.end(self.find(session, ident))
        self._ended.pop(ident, None)

    async def end(self, viewer: WhepViewer) -> None:
        """Free it. Ending twice is allowed."""
        if self._viewers.pop(viewer.ident, None) is None:
            return
        self._ended[viewer.ident] = viewer.room.ident
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
        viewer.room.leave(viewer)
        await viewer.video.close()

    def end_soon(self, viewer: WhepViewer) -> None:
        """As `end`, from where nobody can wait."""
        self._rooms.spawn(self.end(viewer))

    async def end_all(self) -> None:
        """The server stops."""
        for viewer in list(self._viewers.values()):
            await self.end(viewer)


@router.post("/{session}", status_code=201, response_class=Sdp, responses=RESPONSES, openapi_extra=_takes(SDP))
async def begin(session: str, request: Request, authorization: Annotated[str, Header()] = "") -> Response:
    """An offer in, an answer out."""
    server = request.app.state.server
    try:
        token = bearer(authorization)
        if token is None:
            raise _Refused(401, "expected Authorization: Bearer and the session's watch token")
        viewer, answer = await server.whep.begin(session, token, await _body(request, SDP))
    except WorldloomError as error:
        return _refused(error)
    except _Refused as refused:
        return refused.response
    ice = for_viewer(server.settings.webrtc.ice, session, time.time())
    headers = {"location": f"/whep/{session}/{viewer.ident}", "etag": f'"{viewer.ident}"'}
    links = ", ".join(_links(ice))
    return Response(answer, 201, headers | ({"link": links} if links else {}), SDP)


@router.patch(
    "/{session}/{ident}", status_code=204, response_class=Response, responses=RESPONSES, openapi_extra=_takes(FRAGMENT)
)
async def trickle(session: str, ident: str, request: Request) -> Response:
    """More addresses of the viewer."""
    try:
        fragment = await _body(request, FRAGMENT)
        viewer: WhepViewer = request.app.state.server.whep.find(session, ident)
        if not viewer.fragments.issuperset(_values("a=ice-ufrag", fragment)):
            raise _Refused(422, "expected candidates for the offer; there is no ICE restart: DELETE, and POST anew")
        for candidate, mid in candidates(fragment):
            await viewer.video.add_candidate(candidate, mid, None)
    except WorldloomError as error:
        return _refused(error)
    except _Refused as refused:
        return refused.response
    return Response(status_code=204)


@router.delete("/{session}/{ident}", response_class=Response, responses={404: RESPONSES[404]})
async def end(session: str, ident: str, request: Request) -> Response:
    """The viewer leaves."""
    whep: WhepViewers = request.app.state.server.whep
    try:
        await whep.leave(session, ident)
    except WorldloomError as error:
        return _refused(error)
    return Response(status_code=200)


class _Refused(Exception):
    """A request that is wrong as HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.response = JSONResponse({"code": "bad_request", "message": message}, status)


def candidates(fragment: str) -> Iterator[tuple[str, str]]:
    """(candidate, mid) of an SDP fragment (RFC 8840)."""
    mid = "0"
    for line in fragment.splitlines():
        key, _, value = line.strip().partition(":")
        if key == "a=mid":
            mid = value[:64]
        elif key == "a=candidate":
            yield value, mid


def _values(key: str, sdp: str) -> Iterator[str]:
    """What stands behind each `key:` of a description, or a part of one."""
    for line in sdp.splitlines():
        name, _, value = line.strip().partition(":")
        if name == key:
            yield value


async def _body(request: Request, kind: str) -> str:
    """The text of a request, no longer than may be."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != kind:
        raise _Refused(415, f"expected a body of type {kind}")
    text = b""
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                text += part
                if len(text) > MAX_SDP_BYTES:
                    raise _Refused(413, f"expected at most {MAX_SDP_BYTES} bytes")
    except (TimeoutError, ClientDisconnect):
        raise _Refused(408, f"expected the whole body within {BODY_S:g} s") from None
    return text.decode("utf-8", "replace")


def _refused(error: WorldloomError) -> JSONResponse:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
    headers = {"retry-after": str(math.ceil(error.retry_after or 5))} if error.retryable else {}
    return JSONResponse({"code": error.code, "message": str(error)}, status, headers)


def _links(servers: tuple[IceServer, ...]) -> Iterator[str]:
    """ICE servers as Link headers (RFC 9725, 4.6)."""
    for server in servers:
        for url in server.urls:
            link = f'<{url}>; rel="ice-server"'
            if server.username and server.credential:
                link += f'; username="{server.username}"; credential="{server.credential}"; credential-type="password"'
            yield link
