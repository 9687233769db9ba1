"""The door of batches counts its WebSockets as the door of sessions does, and hears a first message in time."""

from __future__ import annotations

from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from worldloom.streamer.batches import Batches
from worldloom.streamer.codec import pack, unpack

from .conftest import Running, Serve


def door(server: Running) -> connect:
    return connect(server.url.replace("http", "ws") + "/v1/batch", compression=None, proxy=None, close_timeout=2)


async def hello(socket: ClientConnection, size: Any = 1) -> dict[str, Any]:
    await socket.send(pack({"type": "hello", "protocol": 1, "size": size}))
    return await told(socket)


async def told(socket: ClientConnection) -> dict[str, Any]:
    data = await socket.recv()
    assert isinstance(data, bytes)
    message: dict[str, Any] = unpack(data)
    return message


async def test_a_batch_is_counted_while_it_is_connected_and_its_address_forgotten_after(serve: Serve) -> None:
    async with serve() as server:
        async with door(server) as one, door(server) as other:
            assert [(await hello(socket))["type"] for socket in (one, other)] == ["welcome"] * 2
            assert "worldloom_connections 2.0" in (await server.get("/metrics")).text
            assert list(server.state.addresses.values()) == [2]
        await server.until(lambda: server.state.connections == 0)
        assert not server.state.addresses
        assert "worldloom_connections 0.0" in (await server.get("/metrics")).text


@pytest.mark.parametrize("limit", ["max_connections", "max_per_address"])
async def test_one_too_many_is_told_and_counts_no_longer_than_it_lasts(serve: Serve, limit: str) -> None:
    settings: dict[str, Any] = {limit: 1}
    async with serve(**settings) as server:
        async with door(server) as one:
            await hello(one)
            async with door(server) as other, server.client() as client:
                assert (await told(other))["error"]["code"] == "busy"
                assert (await client.expect("error"))["code"] == "busy"
            await server.until(lambda: server.state.connections == 1)
        await server.until(lambda: server.state.connections == 0)
        assert not server.state.addresses


async def test_who_says_nothing_is_not_waited_for(serve: Serve) -> None:
    async with serve(hello_timeout=0.1) as server, door(server) as socket:
        assert (await told(socket))["error"]["code"] == "hello_expected"
        await socket.wait_closed()
        assert socket.close_reason == "hello_expected"


async def test_a_server_that_stops_says_so(serve: Serve) -> None:
    async with serve() as server, door(server) as silent, door(server) as one:
        await hello(one)
        await server.state.drain()
        for socket in (silent, one):
            assert (await told(socket))["error"]["code"] == "draining"


async def test_a_connection_that_fails_is_told_and_closed_as_failed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Batches, "enter", broken)
    async with serve() as server, door(server) as socket:
        assert (await hello(socket))["error"]["code"] == "internal_error"
        await socket.wait_closed()
        assert (socket.close_code, socket.close_reason) == (1011, "internal_error")
        assert 'worldloom_errors_total{code="internal_error"} 1.0' in (await server.get("/metrics")).text
    assert "a connection of a batch failed" in caplog.text


@pytest.mark.parametrize("size", [True, 0, 257, 1.0, "1"])
async def test_a_size_is_a_whole_number(serve: Serve, size: Any) -> None:
    async with serve() as server, door(server) as socket:
        assert (await hello(socket, size))["error"]["code"] == "bad_message"


@pytest.mark.parametrize(
    "asked",
    [
        {"id": True, "verb": "save"},
        {"id": 1, "verb": "save", "which": [False]},
        {"id": 1, "verb": "start", "starts": [{"seed": True}]},
    ],
)
async def test_a_number_is_no_truth(serve: Serve, asked: dict[str, Any]) -> None:
    async with serve() as server, door(server) as socket:
        await hello(socket)
        await socket.send(pack(asked))
        assert (await told(socket))["error"]["code"] == "bad_message"
