"""WHEP: a player that knows HTTP and WebRTC only sees the session; and what it may get wrong."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av import VideoFrame

from tests.plain_http import plain_http
from worldloom.streamer import whep

from .conftest import Running, Serve

SDP = {"content-type": "application/sdp"}


@asynccontextmanager
async def http(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with plain_http(server.url, timeout=8) as client:
        yield client


@asynccontextmanager
async def player() -> AsyncIterator[RTCPeerConnection]:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    try:
        yield peer
    finally:
        await peer.close()


def bearer(welcome: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {welcome['watch']}"}


async def watch(client: httpx.AsyncClient, peer: RTCPeerConnection, welcome: dict[str, Any]) -> str:
    """A picture arrives; returns where the viewing lives."""
    offer = peer.localDescription.sdp
    answer = await client.post(f"/whep/{welcome['session']}", content=offer, headers=SDP | bearer(welcome))
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"] == "application/sdp"
    await peer.setRemoteDescription(RTCSessionDescription(sdp=answer.text, type="answer"))
    async with asyncio.timeout(8):
        assert isinstance(await peer.getTransceivers()[0].receiver.track.recv(), VideoFrame)
    location: str = answer.headers["location"]
    return location


async def test_a_player_sees_the_session_until_it_leaves(serve: Serve) -> None:
    async with serve() as server, server.client() as driver, http(server) as client, player() as peer:
        welcome = await driver.hello(video="websocket")
        location = await watch(client, peer, welcome)
        room = next(iter(server.state.rooms))
        assert (len(server.state.whep), room.watchers) == (1, 1)
        fragment = "a=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 50000 typ host\r\na=end-of-candidates\r\n"
        kind = {"content-type": "application/trickle-ice-sdpfrag"}
        assert (await client.patch(location, content=fragment, headers=kind)).status_code == 204
        (ours,) = set(re.findall("a=ice-ufrag:(.*?)\r\n", peer.localDescription.sdp))
        for user, status in ((ours, 204), ("other", 422)):  # the second is an ICE restart
            told = f"a=ice-ufrag:{user}\r\na=ice-pwd:{'x' * 24}\r\n{fragment}"
            assert (await client.patch(location, content=told, headers=kind)).status_code == status
        assert (await client.delete(location)).status_code == 200
        assert (len(server.state.whep), room.watchers) == (0, 0)
        assert (await client.delete(location)).status_code == 404
        await driver.picture()


async def test_the_end_of_the_session_ends_the_viewing(serve: Serve) -> None:
    async with serve() as server, server.client() as driver, http(server) as client, player() as peer:
        await watch(client, peer, await driver.hello(video="none"))
        await driver.send("bye")
        await server.until(lambda: len(server.state.whep) == 0)
        await server.freed()


async def test_a_player_that_goes_away_is_forgotten(serve: Serve) -> None:
    async with serve() as server, server.client() as driver, http(server) as client:
        welcome = await driver.hello(video="none")
        async with player() as peer:
            await watch(client, peer, welcome)
        await server.until(lambda: len(server.state.whep) == 0)


async def test_a_player_that_hung_up_may_still_say_goodbye_once(serve: Serve) -> None:
    async with serve() as server, server.client() as driver, http(server) as client:
        welcome = await driver.hello(video="none")
        async with player() as peer:
            location = await watch(client, peer, welcome)
        await server.until(lambda: len(server.state.whep) == 0)
        elsewhere = location.replace(welcome["session"], "elsewhere")
        assert (await client.delete(elsewhere)).status_code == 404
        assert (await client.delete(location)).status_code == 200
        assert (await client.delete(location)).status_code == 404


async def test_goodbyes_that_nobody_says_are_forgotten(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whep, "REMEMBERED", 1)
    async with serve() as server, server.client() as driver, http(server) as client:
        welcome = await driver.hello(video="none")
        locations = []
        for _ in range(2):
            async with player() as peer:
                locations.append(await watch(client, peer, welcome))
            await server.until(lambda: len(server.state.whep) == 0)
        assert [(await client.delete(location)).status_code for location in locations] == [404, 200]


async def refusal(client: httpx.AsyncClient, session: str, content: str | bytes, **headers: str) -> tuple[int, str]:
    answer = await client.post(f"/whep/{session}", content=content, headers=headers)
    return answer.status_code, answer.json()["code"]


async def test_what_is_wrong_is_refused(serve: Serve) -> None:
    async with serve() as server, server.client() as driver, server.client() as other, http(server) as client:
        welcome, elsewhere = await driver.hello(), await other.hello()
        session, headers = welcome["session"], SDP | bearer(welcome)
        assert await refusal(client, session, "v=0", **(headers | {"content-type": "text/plain"})) == (
            415,
            "bad_request",
        )
        assert await refusal(client, session, b"x" * 70_000, **headers) == (413, "bad_request")
        assert await refusal(client, session, "hello", **headers) == (400, "bad_offer")
        assert await refusal(client, session, "v=0", **SDP) == (401, "bad_request")
        for token in (elsewhere["watch"], welcome["resume"], "x" * 40):
            wrong = headers | {"authorization": f"Bearer {token}"}
            assert await refusal(client, session, "v=0", **wrong) == (404, "unknown_session")
        assert len(server.state.whep) == 0
        assert all(room.watchers == 0 for room in server.state.rooms)


async def test_spectators_are_bounded(serve: Serve) -> None:
    async with serve(max_watchers=1) as server, server.client() as driver, http(server) as client, player() as peer:
        welcome = await driver.hello()
        await watch(client, peer, welcome)
        async with player() as second:
            answer = await client.post(
                f"/whep/{welcome['session']}", content=second.localDescription.sdp, headers=SDP | bearer(welcome)
            )
            assert (answer.status_code, answer.json()["code"]) == (503, "busy")
            assert answer.headers["retry-after"]
        async with server.client() as spectator:
            await spectator.send("hello", protocol=1, watch=welcome["watch"], video="none")
            assert (await spectator.expect("error"))["code"] == "busy"


async def test_turn_servers_are_told_in_links(serve: Serve) -> None:
    ice = {"turn": ("turn:127.0.0.1:3478",), "turn_secret": "x"}
    async with serve(webrtc={"ice": ice}) as server, server.client() as driver, http(server) as client:
        welcome = await driver.hello()
        assert welcome["ice_servers"][0]["urls"] == ["turn:127.0.0.1:3478"]
        async with player() as peer:
            answer = await client.post(
                f"/whep/{welcome['session']}", content=peer.localDescription.sdp, headers=SDP | bearer(welcome)
            )
            assert 'rel="ice-server"' in answer.headers["link"]
            assert 'credential-type="password"' in answer.headers["link"]


@pytest.mark.parametrize("allowed", [True, False])
async def test_players_on_other_pages_need_leave(serve: Serve, allowed: bool) -> None:
    origin = "https://player.example"
    async with serve(origins=(origin,) if allowed else ()) as server, http(server) as client:
        asked = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        }
        answer = await client.options("/whep/x", headers=asked)
        assert (answer.headers.get("access-control-allow-origin") == origin) == allowed
