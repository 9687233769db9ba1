"""Connect and kill, again and again: sessions, states, tasks, threads, sockets and memory come back to the start."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from worldloom.models.catalog import open_world
from worldloom.models.spec import Actions, Frames
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.phase import Phase

from .conftest import Client, Running, Serve

pytestmark = pytest.mark.slow  # connections killed again and again, in every phase

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


async def kill_before_offer(server: Running, number: int) -> None:
    async with server.client() as client:
        await client.hello(video="webrtc", seed=number)
        client.socket.transport.abort()


async def kill_mid_step(server: Running, number: int) -> None:
    """The world is busy with the chunk that was asked for."""
    async with server.client() as client:
        await client.hello(video="websocket", mode="lockstep", seed=number)
        steps = Slow.begun
        await client.send("step", seq=1)
        await server.until(lambda: Slow.begun > steps)
        client.socket.transport.abort()


async def kill_paused(server: Running, number: int) -> None:
    async with server.client() as client:
        await client.hello(video="websocket", seed=number)
        await client.send("pause", seq=1)
        await client.expect("receipt", seq=1)
        client.socket.transport.abort()


async def kill_orphaned(server: Running, number: int) -> None:
    """Lost, found again, and lost once more: an orphan of an orphan."""
    async with server.client() as client:
        welcome = await client.hello(video="websocket", seed=number)
        client.socket.transport.abort()
    await server.until(lambda: server.sessions() == 0 and server.state.rooms.count(Phase.ORPHANED) > 0)
    async with server.client() as client:
        await client.hello(video="websocket", resume=welcome["resume"])
        client.socket.transport.abort()


class Slow(ToyWorld):
    """Counts the steps that it began, and takes its time over each."""

    begun = 0

    def step(self, states: Sequence[ToyState], actions: Actions) -> Frames:
        Slow.begun += 1
        time.sleep(0.01)
        return super().step(states, actions)


Kill = Callable[[Running, int], Awaitable[None]]
PHASES = (kill_before_hello, kill_before_offer, kill_mid_step, kill_paused, kill_orphaned)
SOAK = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
@pytest.mark.parametrize(
    ("kill", "rounds"),
    [
        (kill_after_a_picture, 100),
        (kill_before_hello, 40),
        (kill_during_hello, 40),
        (kill_while_watching, 12),
        (kill_during_negotiation, 12),
        *((kill, 10) for kill in PHASES[1:]),
        *(pytest.param(kill, 300, marks=SOAK) for kill in PHASES),
    ],
)
async def test_nothing_is_left_behind(serve: Serve, kill: Kill, rounds: int) -> None:
    load = (lambda _: Slow()) if kill is kill_mid_step else open_world
    patience = 2.0 if kill is kill_orphaned else 0.3  # orphans must be seen, also by a busy machine
    async with serve(max_sessions=4, orphan_timeout=patience, load=load) as server:
        for number in range(max(4, rounds // 4)):  # whatever is made once is made now
            await kill(server, number)
        await server.freed()
        await server.until(lambda: not list(server.state.rooms))
        gc.collect()
        before = (len(asyncio.all_tasks()), threading.active_count(), open_files())
        memory = rss_mb()
        for number in range(rounds):
            await kill(server, number)
        await server.freed()
        await server.until(lambda: not list(server.state.rooms))  # orphans are given up
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
