"""What `worldloom doctor URL` finds out about a server: everything that a visitor does, up to the first picture.

Knows the wire protocol and a WebRTC peer; nothing inside the server. Steps that build on one that failed are left out.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aioice
from aiortc import RTCIceServer
from aiortc.rtcicetransport import connection_kwargs
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from .client_messages import Bye, Hello, Offer, View
from .doctor import Failed, Finding, examine_async, failure
from .protocol import PROTOCOL, ServerMessage, decode_server, encode
from .server_messages import Answer, Error, IceServer, Welcome
from .transports import aiortc_patches
from .transports.ice import IceSettings, for_viewer
from .transports.loopback import first_picture

HTTP_S = 5.0  # seconds for an HTTP answer
WELCOME_S = 20.0  # seconds for `welcome`: a world may still be waking up
PICTURE_S = 10.0  # seconds for a first picture


async def examine_ice(settings: IceSettings) -> list[Finding]:
    """The STUN and TURN servers of the settings."""
    return await _ice_servers(for_viewer(settings, "doctor", time.time()))


async def examine_server(url: str, *, token: str | None = None, world: str | None = None) -> list[Finding]:
    """The server at an address like http://127.0.0.1:8000."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return [Finding("address", "failed", url[:256], "Give an address like http://127.0.0.1:8000.")]
    base = f"{parts.scheme}://{parts.netloc}"
    there = await examine_async("server alive", _alive(base), "Start it, or correct the address or the proxy.")
    if there.state == "failed":
        return [there]
    ready = await examine_async("worlds ready", _ready(base), "Its log says why; `/readyz` has a line of it.")
    return [there, ready, *await _session(base, Hello(protocol=PROTOCOL, world=world, token=token))]


@dataclass
class _Visit:
    """An open session: what the server said, sorted by one reader."""

    socket: ClientConnection
    messages: asyncio.Queue[ServerMessage] = field(default_factory=lambda: asyncio.Queue(64))
    pictures: asyncio.Queue[int] = field(default_factory=lambda: asyncio.Queue(1))  # bytes of one that arrived
    answered: bool = False  # an offer was

    async def read(self) -> None:
        """Until cancelled or closed; what nobody waits for is let go."""
        with suppress(ConnectionClosed):  # whoever waits says that nothing came
            async for data in self.socket:
                with suppress(asyncio.QueueFull):
                    if isinstance(data, bytes):
                        self.pictures.put_nowait(len(data))
                    elif isinstance(message := decode_server(data), Answer | Error):
                        self.messages.put_nowait(message)

    async def answer(self, offer: str) -> str:
        """The server's answer to an offer."""
        await self.socket.send(encode(Offer(sdp=offer)))
        message = await self.messages.get()
        if not isinstance(message, Answer):
            raise _refusal(message)
        self.answered = True
        return message.sdp


async def _session(base: str, hello: Hello) -> list[Finding]:
    """From `hello` to the pictures, by both ways."""
    findings: list[Finding] = []
    url = base.replace("http", "ws", 1) + "/v1/session"
    try:
        async with connect(url, compression=None, proxy=None, max_size=None, open_timeout=HTTP_S) as socket:
            welcomes: list[Welcome] = []
            greeted = await examine_async("hello", _greet(socket, hello, welcomes), "Its log says why.")
            findings.append(greeted)
            if greeted.state != "failed":
                findings += await _watch(socket, welcomes[0])
    except Exception as error:  # whatever answered the handshake
        remedy = "Let the proxy pass WebSocket upgrades, and name this address in `hosts`."
        findings.append(failure("WebSocket", error, remedy))
    return findings


async def _greet(socket: ClientConnection, hello: Hello, welcomes: list[Welcome]) -> str:
    async with asyncio.timeout(WELCOME_S):
        await socket.send(encode(hello))
        message = decode_server(await socket.recv())
    if not isinstance(message, Welcome):
        raise _refusal(message)
    welcomes.append(message)
    return f"{message.world.name}, {message.world.width}x{message.world.height}, {message.mode}"


async def _watch(socket: ClientConnection, welcome: Welcome) -> list[Finding]:
    visit = _Visit(socket)
    reading = asyncio.create_task(visit.read())
    try:
        blocked = "Let UDP through between this machine and the server, or set `stun` and `turn` in [webrtc.ice]."
        return [
            *await _ice_servers(welcome.ice_servers),
            await examine_async("picture over WebRTC", _over_webrtc(visit, welcome.ice_servers), blocked),
            await examine_async("picture over the WebSocket", _over_websocket(visit), "The server's log says why."),
        ]
    finally:
        reading.cancel()
        with suppress(Exception):
            await socket.send(encode(Bye(reason="the doctor has seen enough")))


async def _over_webrtc(visit: _Visit, servers: tuple[IceServer, ...]) -> str:
    aiortc_patches.install()
    helpers = [_helper(server, list(server.urls)) for server in servers]
    try:
        async with asyncio.timeout(PICTURE_S):
            picture = await first_picture(visit, helpers)
    except TimeoutError:
        how = "the offer was answered, and no picture came" if visit.answered else "no answer to the offer"
        raise TimeoutError(f"{how} within {PICTURE_S:g} s") from None
    return f"{picture.width}x{picture.height}"


async def _over_websocket(visit: _Visit) -> str:
    await visit.socket.send(encode(View(video="websocket", format="jpeg")))
    async with asyncio.timeout(PICTURE_S):
        return f"{await visit.pictures.get()} bytes of JPEG"


async def _ice_servers(servers: tuple[IceServer, ...]) -> list[Finding]:
    """One finding for each address: a STUN server must tell ours, a TURN server must give us one."""
    remedy = "Is it running and reachable, and is `turn_secret` the one that it has as static-auth-secret?"
    pairs = [(server, url) for server in servers for url in server.urls]
    return [await examine_async(url, _try_ice(server, url), remedy) for server, url in pairs]


async def _try_ice(server: IceServer, url: str) -> str:
    aiortc_patches.install()
    options = connection_kwargs([_helper(server, [url])])
    if not options:
        raise Failed(
            "aiortc cannot use an address of this kind", "Add one that it can: stun:, turn: or turns: over TCP."
        )
    connection = aioice.Connection(ice_controlling=True, **options)
    try:
        await connection.gather_candidates()
        wanted = "relay" if url.startswith("turn") else "srflx"
        found = [one for one in connection.local_candidates if one.type == wanted]
        if not found:
            raise ConnectionError(f"no {wanted} address from it")
        return f"{wanted} {found[0].host}:{found[0].port}"
    finally:
        await connection.close()


def _helper(server: IceServer, urls: list[str]) -> RTCIceServer:
    return RTCIceServer(urls=urls, username=server.username, credential=server.credential)


def _refusal(message: ServerMessage) -> Failed:
    if not isinstance(message, Error):
        return Failed(f"expected welcome, got {message.type}", "Is it a Worldloom server of this version?")
    remedy = {
        "unauthorized": "Give a token: `worldloom doctor URL --token $(worldloom token)`.",
        "busy": "Every place is taken, and by what is said here: try again in a moment; `/v1/capacity` says more.",
        "unknown_world": "Give one of its worlds as --world.",
    }
    return Failed(f"{message.code}: {message.message}", remedy.get(message.code, "The server's log says more."))


async def _alive(base: str) -> str:
    status, _ = await asyncio.to_thread(_get, f"{base}/healthz")
    if status != 200:
        raise Failed(
            f"/healthz answered {status}", "Is it a Worldloom server, and does it answer to this name (`hosts`)?"
        )
    return f"{base} answers /healthz"


async def _ready(base: str) -> str:
    _, text = await asyncio.to_thread(_get, f"{base}/readyz")
    worlds = json.loads(text)["worlds"]
    closed = [f"{name}: {one['trouble'] or 'still waking up'}" for name, one in worlds.items() if not one["ready"]]
    if closed:
        raise Failed("; ".join(closed), "Wait a moment and try again; if it stays so, the server's log says why.")
    return ", ".join(worlds)


def _get(url: str) -> tuple[int, str]:
    """Status and text. Raises `OSError`."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=HTTP_S) as answer:
            return answer.status, answer.read(1 << 20).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(1 << 20).decode("utf-8", "replace")
