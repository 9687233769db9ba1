"""Minutes of ordinary use: two drivers and three spectators on the toy world; memory, drops and clock are watched.

`make test-soak`, or `pytest -m soak -s tests/soak`; WORLDLOOM_SOAK_MINUTES says how long (5 by default). The server is
a process of its own, so that its memory is nobody else's.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serving import ServerProcess
from worldloom.client.connection import connect
from worldloom.client.pictures import PictureQueue
from worldloom.client.session import RemoteWorld
from worldloom.client.webrtc import Receiver
from worldloom.streamer.fields import Video
from worldloom.streamer.server_messages import FrameInfo

MINUTES = float(os.environ.get("WORLDLOOM_SOAK_MINUTES", "5"))
WARM_UP_S = max(10.0, 12.0 * MINUTES)  # a fifth: pools and caches grow to their size
SILENT_S = 10.0  # seconds without a picture that are more than a busy machine
TOLD_S = 2.0  # seconds after which the server's figures are there
WINDOW_S = max(2.0, 2.0 * MINUTES)  # seconds over which the quickest picture stands for the clock
HELD = ("worldloom_sessions", "worldloom_states", "worldloom_connections")
MB_PER_MINUTE = 1.0
MS_PER_MINUTE = 1.0

pytestmark = [pytest.mark.soak, pytest.mark.timeout(60 * MINUTES + 120)]


class Server(ServerProcess):
    """A server whose processes are looked at: its own, and its engine's."""

    def open_files(self) -> int:
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in (self.process.pid, *self.engines()))

    def wait_until_free(self) -> None:
        """Until nothing is held for anybody; an engine says what it holds four times a second."""
        deadline = time.monotonic() + TOLD_S
        while held := [name for name in HELD if self.metric(name)]:
            assert time.monotonic() < deadline, held
            time.sleep(0.1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("reads /proc")
    started = Server.start("--world", "toy", log=tmp_path / "log")
    try:
        started.wait_until_ready()
        yield started
    finally:
        started.stop()
    assert started.process.returncode == 0
    assert "error" not in (tmp_path / "log").read_text().lower()


@dataclass(eq=False)
class Visitor:
    """Somebody at a session, and every picture that came."""

    name: str
    world: RemoteWorld
    indices: list[int] = field(default_factory=list)
    pts_ms: list[float] = field(default_factory=list)
    received_ms: list[float] = field(default_factory=list)
    controls: int = 0  # answered
    left: set[int] = field(default_factory=set)  # numbers that the server says have left for here, over WebRTC
    packets_lost: int = 0  # of them, as this end counts

    async def watch(self) -> None:
        async for picture in self.world.pictures():
            self.indices.append(picture.index)
            self.pts_ms.append(picture.pts / 90)
            self.received_ms.append(picture.received_ns / 1e6)

    async def drive(self) -> None:
        """A key for a while, then another."""
        while True:
            for code in ("KeyW", "ArrowRight", "KeyS", "ArrowLeft"):
                async with self.world.hold(code) as pressed:
                    assert (await pressed).status == "applied"
                    await asyncio.sleep(0.3)
                self.controls += 1

    def state(self) -> str:
        """For the message of a failure."""
        world = self.world
        told = f"{self.name}: {len(self.indices)} pictures, the last is {self.indices[-1]}, {self.silent_s:.1f} s ago"
        return f"{told}; reconnected {world.reconnected} times; {world.stats}; ended: {world.ended}"

    @property
    def silent_s(self) -> float:
        """Seconds since the last picture."""
        return time.monotonic() - self.received_ms[-1] / 1000

    @property
    def dropped(self) -> int:
        """Pictures whose absence has a cause: too late for the line, for this program, or without their facts."""
        stats, receiver = self.world.stats, self.world._receiver
        return self.world.dropped + (stats.dropped if stats else 0) + (receiver.unnamed if receiver else 0)

    def missing(self, since: int) -> int:
        """Pictures that should be here and are not; but for those that left, where the line has lost packets."""
        seen = {index for index in self.indices if index >= since}
        absent = set(range(min(seen), max(seen))) - seen
        return len(absent - self.left) if self.packets_lost else len(absent)

    async def count_packets(self) -> None:
        """Those that were lost so far."""
        if self.world._receiver is not None:
            report = await self.world._receiver._peer.getStats()
            lost = sum(one.packetsLost for one in report.values() if one.type == "inbound-rtp")
            self.packets_lost = max(self.packets_lost, lost)

    def drift(self, since: int) -> float:
        """How many ms the clock of the pictures gains or loses on ours in a minute, by the quickest of each window."""
        kept = np.array(self.indices) >= since
        at, late = np.array(self.received_ms)[kept], (np.array(self.received_ms) - np.array(self.pts_ms))[kept]
        windows = ((at - at[0]) / (1000 * WINDOW_S)).astype(int)
        quickest = [late[windows == number].min() for number in range(windows[-1])]  # the last one is not full
        return float(np.polyfit(np.arange(len(quickest)) * WINDOW_S / 60, quickest, 1)[0])


@asynccontextmanager
async def visiting(url: str, name: str, video: Video, **options: Any) -> AsyncIterator[Visitor]:
    async with connect(url.replace("http", "ws"), video=video, buffer=256, **options) as world:
        yield Visitor(name, world, left=LEFT.setdefault(world._pictures, set()))


LEFT: dict[PictureQueue, set[int]] = {}  # by the queue of a visitor


@pytest.fixture(autouse=True)
def departures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps what the server says about frames that leave over WebRTC."""
    hear = Receiver.facts

    def keep(receiver: Receiver, info: FrameInfo) -> None:
        LEFT.setdefault(receiver._deliver.__self__, set()).add(info.index)  # type: ignore[attr-defined]
        hear(receiver, info)

    monkeypatch.setattr(Receiver, "facts", keep)


async def test_minutes_of_ordinary_use(server: Server) -> None:
    async with (
        visiting(server.url, "driver, WebRTC", "webrtc") as one,
        visiting(server.url, "driver, WebSocket", "websocket") as two,
        visiting(server.url, "spectator of the first, WebRTC", "webrtc", watch=one.world.watch_token) as three,
        visiting(server.url, "spectator of the first, WebSocket", "websocket", watch=one.world.watch_token) as four,
        visiting(server.url, "spectator of the second, WebSocket", "websocket", watch=two.world.watch_token) as five,
        asyncio.TaskGroup() as tasks,
    ):
        visitors = {one: one, two: two, three: one, four: one, five: two}  # who drives what they see
        running = [tasks.create_task(visitor.watch()) for visitor in visitors]
        driving = [tasks.create_task(visitor.drive()) for visitor in (one, two)]
        await asyncio.sleep(WARM_UP_S)
        since = {visitor: visitor.indices[-1] for visitor in visitors}
        before = {visitor: visitor.dropped for visitor in visitors}
        files = server.open_files()
        minutes: list[float] = []
        memory: list[float] = []  # MB
        end = time.monotonic() + 60 * MINUTES - WARM_UP_S
        while time.monotonic() < end:
            minutes.append(time.monotonic() / 60)
            memory.append(server.memory_mb())
            await asyncio.sleep(1.0)
            for visitor in visitors:
                await visitor.count_packets()
            stopped = [visitor for visitor in visitors if visitor.silent_s > SILENT_S]
            assert not stopped, "\n".join(visitor.state() for visitor in visitors) + server.get("/v1/sessions")[1]
        missing = {visitor: visitor.missing(since[visitor]) for visitor in visitors}
        await asyncio.sleep(TOLD_S)
        for task in (*running, *driving):
            task.cancel()
    slope = float(np.polyfit(minutes, memory, 1)[0])
    print(f"\nmemory {memory[-1]:.1f} MB, {slope:+.2f} MB/min; {server.open_files()} files, {files} before")
    causes = {visitor: visitor.dropped - before[visitor] for visitor in visitors}
    for visitor, driver in visitors.items():
        told = f"{visitor.name}: {len(visitor.indices)} pictures, {visitor.world.reconnected} times reconnected"
        explained = causes[visitor] + (causes[driver] if driver is not visitor else 0)  # nobody sees what its slot lost
        drift = visitor.drift(since[visitor])
        told += f", {visitor.packets_lost} packets lost"
        print(f"{told}, {missing[visitor]} missing, {explained} explained, {drift:+.2f} ms/min")
        assert missing[visitor] <= explained, visitor.name
        assert abs(drift) < MS_PER_MINUTE, visitor.name
    assert slope < MB_PER_MINUTE
    assert min(one.controls, two.controls) > 60 * MINUTES / 2
    server.wait_until_free()
    assert server.metric("worldloom_errors_total") == 0
