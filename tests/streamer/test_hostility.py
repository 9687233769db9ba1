"""Thousands of wrong messages and offers through a real connection: each gets an answer, and nothing is left behind.

The fast suite throws some; `pytest -m soak` throws a hundred thousand.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections import Counter
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from websockets.exceptions import ConnectionClosed

from worldloom.streamer import errors
from worldloom.streamer.protocol import decode_server

from .conftest import PATIENCE, Client, Running, Serve
from .noise import changed_sdp, noise
from .test_protocol import CLIENT

BURST = 64  # messages between two pings
PLACES = 2  # for sessions
CODES = {kind.code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "code")}
CODES -= {"internal_error", "model_fault"}


async def real_offers() -> list[str]:
    """Session descriptions as viewers send them: of aiortc, with and without an audio line."""
    offers = []
    for kinds in (("video",), ("video", "audio")):
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for kind in kinds:
            peer.addTransceiver(kind, direction="recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        offers.append(peer.localDescription.sdp)
        await peer.close()
    return offers


class Vandal:
    """Throws things at one server and reads what comes back; opens a new connection where the last one ended."""

    def __init__(self, server: Running, dice: random.Random, offers: list[str], share: float) -> None:
        self.server = server
        self.dice = dice
        self.offers = offers
        self.share = share  # of offers among what is thrown
        self.told: Counter[str] = Counter()  # error codes
        self.heard: Counter[str] = Counter()  # types of messages

    async def throw(self, rounds: int) -> None:
        thrown = 0
        while thrown < rounds:
            # Peers that wrong offers left half made take their time to close.
            await self.server.until(self._place_is_free, within=PATIENCE)
            async with self.server.client() as client:
                await client.hello(video=self.dice.choice(["webrtc", "webrtc", "websocket", "none"]))
                try:
                    staying = True
                    while thrown < rounds and staying:
                        thrown += await self._burst(client, min(BURST, rounds - thrown))
                        staying = self.dice.random() < 0.8
                except ConnectionClosed:  # a message said `bye`
                    assert client.socket.close_code == 1000, client.socket.close_reason

    def _place_is_free(self) -> bool:
        return max(self.server.sessions(), self.server.state.sessions) < PLACES

    async def _burst(self, client: Client, count: int) -> int:
        for _ in range(count):
            if self.dice.random() < self.share:
                await client.send("offer", sdp=changed_sdp(self.dice, self.offers))
            else:
                await client.socket.send(noise(self.dice, CLIENT))
        mark = self.dice.random()
        await client.send("ping", t=mark)
        async with asyncio.timeout(4 * PATIENCE):
            while (heard := await self._hear(client)) != {"type": "pong", "t": mark}:
                if heard.get("code"):
                    assert heard["code"] in CODES, heard
                    self.told[heard["code"]] += 1
        return count

    async def _hear(self, client: Client) -> dict[str, Any]:
        data = await client.socket.recv()
        if isinstance(data, bytes):
            return {}
        decode_server(data)
        message: dict[str, Any] = json.loads(data)
        self.heard[message["type"]] += 1
        return message


@pytest.mark.parametrize(
    ("rounds", "share"),
    [
        pytest.param(2_000, 0.02, marks=pytest.mark.slow),
        (200, 0.02),
        pytest.param(100_000, 0.02, marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
        pytest.param(3_000, 1.0, marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
async def test_whatever_is_thrown_at_a_connection(
    serve: Serve, caplog: pytest.LogCaptureFixture, rounds: int, share: float
) -> None:
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    async with serve(message_rate=1e6, message_burst=10**9, max_sessions=PLACES, leave_timeout=0.1) as server:
        vandal = Vandal(server, random.Random(20261122), await real_offers(), share)
        await vandal.throw(rounds)
        await server.until(lambda: not list(server.state.rooms), within=PATIENCE)
        await server.freed()
        (stats,) = [world.stats() for world in server.state.worlds]
        assert stats is not None
        assert (stats.faults, stats.states) == (0, 0)
        async with server.client() as client:  # and it goes on
            await client.hello(video="websocket")
            await client.picture()
    assert unhandled == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    if share < 1:
        assert vandal.told["bad_message"] > rounds / 10
        assert vandal.heard["receipt"] > rounds / 50
    assert vandal.told["bad_offer"] > rounds * share / 10
    assert vandal.heard["answer"] > rounds * share / 10
