"""Connect and kill, again and again: sessions, states, tasks, threads, sockets and memory come back to the start."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Awaitable, Callable

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from .conftest import Client, Running, Serve

PAGE = os.sysconf("SC_PAGE_SIZE")


def rss_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE / 1e6


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def kill_after_a_picture(server: Running, number: int) -> None:
    async with server.client() as client:
        await client.hello(video="websocket", seed=number)
        await client.send("key", seq=1, code="KeyW", down=True)
        await client.picture()
        client.socket.transport.abort()


async def kill_before_hello(server: Running, number: int) -> None:
    async with server.client() as client:
        client.socket.transport.abort()


async def kill_during_hello(server: Running, number: int) -> None:
    async with server.client() as client:
        await client.send("hello", protocol=1, video="websocket", seed=number)
        client.socket.transport.abort()


async def watch(client: Client, peer: RTCPeerConnection) -> None:
    """One picture over WebRTC."""
    receiver = peer.addTransceiver("video", direction="recvonly").receiver
    await peer.setLocalDescription(await peer.createOffer())
    await client.send("offer", sdp=peer.localDescription.sdp)
    answer = await client.expect("answer")
    await peer.setRemoteDescription(RTCSessionDescription(sdp=answer["sdp"], type="answer"))
    async with asyncio.timeout(8):
        await receiver.track.recv()


async def kill_while_watching(server: Running, number: int) -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    async with server.client() as client:
        await client.hello(video="webrtc", seed=number)
        await watch(client, peer)
        client.socket.transport.abort()
    await peer.close()


async def kill_during_negotiation(server: Running, number: int) -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    async with server.client() as client:
        await client.hello(video="webrtc", seed=number)
        peer.addTransceiver("video", direction="recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        await client.send("offer", sdp=peer.localDescription.sdp)
        client.socket.transport.abort()
    await peer.close()


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
@pytest.mark.parametrize(
    ("kill", "rounds"),
    [
        (kill_after_a_picture, 100),
        (kill_before_hello, 40),
        (kill_during_hello, 40),
        (kill_while_watching, 12),
        (kill_during_negotiation, 12),
    ],
)
async def test_nothing_is_left_behind(
    serve: Serve, kill: Callable[[Running, int], Awaitable[None]], rounds: int
) -> None:
    async with serve(max_sessions=4) as server:
        for number in range(max(4, rounds // 4)):  # whatever is made once is made now
            await kill(server, number)
        await server.freed()
        gc.collect()
        before = (len(asyncio.all_tasks()), threading.active_count(), open_files())
        memory = rss_mb()
        for number in range(rounds):
            await kill(server, number)
        await server.freed()
        await server.until(lambda: len(asyncio.all_tasks()) <= before[0])
        gc.collect()
        after = (len(asyncio.all_tasks()), threading.active_count(), open_files())
        assert after[0] <= before[0]
        assert after[1] <= before[1] + 2, "the pools may grow to their size"
        assert after[2] <= before[2] + 2
        assert rss_mb() - memory < 12.0, "megabytes; a hundred leaked sessions would hold more"
        async with server.client() as client:
            await client.hello(video="websocket")
            await client.picture()
