"""What a stranger may send: each mistake gets its code, and the session lives on; what is too large closes it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from worldloom.streamer.protocol import MAX_MESSAGE_BYTES

from .conftest import Client, Serve

NOT_SDP = json.dumps({"type": "offer", "sdp": "this is not SDP"})
NO_VIDEO = json.dumps({"type": "offer", "sdp": "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"})

MISTAKES = {
    "not JSON": ("{", "bad_message"),
    "not an object": ("[1, 2]", "bad_message"),
    "empty": ("", "bad_message"),
    "unknown type": ('{"type": "fly"}', "bad_message"),
    "no type": ('{"seq": 1}', "bad_message"),
    "wrong type of a field": ('{"type": "key", "seq": 7, "code": 5, "down": true}', "bad_message"),
    "unknown field": ('{"type": "ping", "t": 1, "u": 2}', "bad_message"),
    "unknown key": ('{"type": "key", "seq": 7, "code": "KeyZ", "down": true}', "unknown_key"),
    "NaN": ('{"type": "look", "seq": 7, "yaw": NaN, "pitch": 0}', "bad_message"),
    "infinite": ('{"type": "look", "seq": 7, "yaw": 1e999, "pitch": 0}', "bad_message"),
    "NaN in an action": ('{"type": "action", "seq": 7, "values": [NaN, 0, 0, 0, 0, 0]}', "bad_message"),
    "action too short": ('{"type": "action", "seq": 7, "values": [1, 0]}', "bad_action"),
    "action too long": ('{"type": "action", "seq": 7, "values": [0, 0, 0, 0, 0, 0, 0]}', "bad_action"),
    "unknown axis": ('{"type": "axes", "seq": 7, "values": {"nose": 1}}', "bad_action"),
    "step in real time": ('{"type": "step", "seq": 7}', "unsupported"),
    "prompt": ('{"type": "prompt", "seq": 7, "text": "a lake"}', "unsupported"),
    "say": ('{"type": "say", "seq": 7, "text": "a lake"}', "unsupported"),
    "second hello": ('{"type": "hello", "protocol": 1}', "bad_message"),
    "offer that is not SDP": (NOT_SDP, "bad_offer"),
    "offer without video": (NO_VIDEO, "bad_offer"),
    "candidate before an offer": (
        '{"type": "candidate", "candidate": "candidate:1 1 udp 1 h 9 typ host"}',
        "bad_offer",
    ),
    "deep nesting": ("[" * 5000, "bad_message"),
    "half a surrogate": ('{"type": "ping", "t": "\\ud800"}', "bad_message"),
}


async def still_alive(client: Client, seq: int) -> None:
    await client.send("key", seq=seq, code="KeyW", down=True)
    await client.expect("receipt", seq=seq, status="applied")


async def test_every_mistake_gets_its_code_and_the_session_lives(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        await client.hello(video="webrtc")
        for number, (name, (text, code)) in enumerate(MISTAKES.items()):
            await client.socket.send(text)
            error = await client.expect("error")
            assert error["code"] == code, name
            assert len(error["message"]) < 400
            if '"seq": 7' in text and code != "bad_message":
                assert error["seq"] == 7, name
                assert (await client.expect("receipt", seq=7))["status"] == "rejected"
            await still_alive(client, 1000 + number)
        await client.socket.send(b"\x00\x01")
        assert (await client.expect("error"))["code"] == "bad_message"
        await still_alive(client, 2000)


async def test_offer_where_pictures_travel_otherwise(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        await client.hello(video="websocket")
        await client.send("offer", sdp="v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n")
        assert (await client.expect("error"))["code"] == "bad_offer"
        await still_alive(client, 1)


async def test_too_large_is_told_then_closed(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        await client.hello()
        await client.socket.send('"' + "x" * MAX_MESSAGE_BYTES + '"')
        assert (await client.expect("error"))["code"] == "message_too_large"
        assert await client.closed() == (1009, "message_too_large")
        await server.freed()


async def test_ten_megabytes_are_cut_off(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        await client.hello()
        with suppress(ConnectionClosed):  # the server may close before it has read it all
            await client.socket.send("x" * 10_000_000)
        code, _ = await client.closed()
        assert code == 1009
        await server.freed()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("garbage", "hello_expected"),
        ('{"type": "ping", "t": 1}', "hello_expected"),
        ('{"type": "hello", "protocol": 2}', "version_mismatch"),
        ('{"type": "hello", "protocol": 1, "world": "mars"}', "unknown_world"),
        ('{"type": "hello", "protocol": 1, "prompt": "a lake"}', "unsupported"),
        ('{"type": "hello", "protocol": 1, "seed": -1}', "hello_expected"),
    ],
)
async def test_bad_beginnings_are_closed_with_their_code(serve: Serve, text: str, code: str) -> None:
    async with serve() as server, server.client() as client:
        await client.socket.send(text)
        assert (await client.expect("error"))["code"] == code
        assert await client.closed() == (1008, code)
        await server.freed()


async def test_too_fast_is_refused_and_much_too_fast_is_cut_off(serve: Serve) -> None:
    async with serve(message_rate=20, message_burst=50) as server, server.client() as client:
        await client.hello()
        for seq in range(1, 61):
            await client.send("look", seq=seq, yaw=0.1, pitch=0.0)
        error = await client.expect("error")
        assert (error["code"], error["retryable"]) == ("rate_limited", True)
        assert (await client.expect("receipt", seq=error["seq"]))["status"] == "rejected"
        await asyncio.sleep(0.5)
        await still_alive(client, 100)
        with suppress(ConnectionClosed):
            for _ in range(200):
                await client.socket.send("garbage counts too")
        assert await client.closed() == (1013, "rate_limited")


async def test_garbage_at_full_speed_harms_nobody_else(serve: Serve) -> None:
    async with serve() as server, server.client() as good, server.client() as bad:
        await good.hello()
        await bad.hello()

        async def flood() -> None:
            with suppress(ConnectionClosed):
                for _ in range(3000):
                    await bad.socket.send("garbage")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(flood())
            for seq in range(1, 6):
                await still_alive(good, seq)
