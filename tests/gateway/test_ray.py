"""A gateway with Ray workers in processes of their own: six sessions on two of them, and one that is killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.streamer.test_hostility import real_offers
from worldloom.client.connection import connect
from worldloom.client.session import RemoteWorld

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not find_spec("ray"), reason="needs Ray: worldloom[ray]"),
]

BACK_S = 10.0  # seconds within which everybody is back, and that the worlds may go back by
GATEWAY = (sys.executable, "-m", "worldloom.streamer", "gateway", "--port", "0", "--world", "toy", "--workers", "2")


class Fleet:
    """The command in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.log = (folder / "log").open("w")
        variables = {**os.environ, "PYTHONUNBUFFERED": "1", "WORLDLOOM_LEASE_TIMEOUT": "60"}
        command = [*GATEWAY, "--max-sessions", "6"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True, env=variables)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().rpartition(" ")[2].strip()

    def ask(self, method: str, path: str, token: str = "", url: str = "", **more: Any) -> httpx.Response:
        headers = more.pop("headers", {}) | ({"authorization": f"Bearer {token}"} if token else {})
        return httpx.request(method, (url or self.url) + path, headers=headers, timeout=15.0, trust_env=False, **more)

    async def until_ready(self, workers: int = 2) -> None:
        async with asyncio.timeout(90):
            while list(self.ask("GET", "/readyz").json()["workers"].values()).count("ready") < workers:  # noqa: ASYNC110
                await asyncio.sleep(0.2)

    def where(self, world: RemoteWorld) -> str:
        answer = self.ask("GET", f"/v1/sessions/{world.session}", world.watch_token or "")
        url: str = answer.json()["worker_url"]
        return url

    def figure(self, name: str) -> float:
        found = re.search(rf"^worldloom_fleet_{re.escape(name)} (\S+)$", self.ask("GET", "/metrics").text, re.MULTILINE)
        assert found, name
        return float(found[1])

    def workers(self) -> list[int]:
        """Processes of the workers."""
        listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
        family, workers = {self.process.pid}, []
        for line in sorted(listed.splitlines(), key=lambda line: int(line.split()[0])):
            pid, parent, command = line.split(None, 2)
            if int(parent) in family:
                family.add(int(pid))
                if command.startswith("ray::Seat"):
                    workers.append(int(pid))
        return workers

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            assert self.process.wait(30) == 0
        finally:
            self.process.kill()
            self.process.communicate()
            self.log.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    started = Fleet(tmp_path)
    try:
        yield started
    finally:
        started.stop()


async def picture(world: RemoteWorld, after: int = -1) -> Any:
    async with asyncio.timeout(20):
        async for one in world.pictures():
            if one.index > after:
                return one


def watch_through_the_gateway(fleet: Fleet, world: RemoteWorld, offer: str) -> None:
    """As a WHEP player does: POST, and DELETE where the answer says; both are sent to the worker."""
    here, token = fleet.where(world), world.watch_token or ""
    sdp: dict[str, Any] = {"content": offer, "headers": {"content-type": "application/sdp"}}
    sent = fleet.ask("POST", f"/whep/{world.session}", token, **sdp)
    assert (sent.status_code, sent.headers["location"]) == (307, f"{here}/whep/{world.session}")
    begun = fleet.ask("POST", "", token, url=sent.headers["location"], **sdp)
    assert begun.status_code == 201
    sent = fleet.ask("DELETE", begun.headers["location"])
    assert (sent.status_code, sent.headers["location"]) == (307, here + begun.headers["location"])
    assert fleet.ask("DELETE", "", url=sent.headers["location"]).status_code == 200


async def at_rest(world: RemoteWorld) -> bytes:
    """Turn a little, and stand still."""
    assert (await world.press("ArrowRight")).status == "applied"
    await asyncio.sleep(0.3)
    last = (await world.release("ArrowRight")).frame
    assert last is not None
    return bytes((await picture(world, last + 1)).pixels)


async def test_six_sessions_on_two_workers_outlive_one_of_them(fleet: Fleet) -> None:
    await fleet.until_ready()
    offer = (await real_offers())[0]
    async with AsyncExitStack() as lines:
        worlds = [
            await lines.enter_async_context(connect(f"{fleet.url}/v1/sessions", seed=seed, format="raw", patience=60))
            for seed in range(6)
        ]
        await asyncio.sleep(1.5)  # until the gateway has heard of their watch tokens
        homes = [fleet.where(world) for world in worlds]
        assert sorted(homes.count(home) for home in set(homes)) == [3, 3]
        seen = [await at_rest(world) for world in worlds]
        assert len(set(seen)) == 6
        await asyncio.to_thread(watch_through_the_gateway, fleet, worlds[0], offer)

        leases = [fleet.ask("POST", "/v1/sessions") for _ in range(6)]
        assert {lease.status_code for lease in leases} == {201}
        full = fleet.ask("POST", "/v1/sessions")
        assert (full.status_code, full.json()["code"]) == (503, "busy")
        assert int(full.headers["retry-after"]) >= 1
        for lease in leases:
            made = lease.json()
            assert fleet.ask("DELETE", f"/v1/sessions/{made['session']}", made["token"]).status_code == 204

        await asyncio.sleep(7.0)  # by now every session is kept as it stands
        before = [world.newest.index for world in worlds if world.newest]
        victim, killed = fleet.workers()[0], time.monotonic()
        os.kill(victim, signal.SIGKILL)
        async with asyncio.timeout(BACK_S):
            while sum(world.reconnected > 0 for world in worlds) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        back_s = time.monotonic() - killed
        again = [await picture(world, last) for world, last in zip(worlds, before, strict=True)]
        assert [bytes(one.pixels) for one in again] == seen  # the same worlds, as they stood
        assert sum(world.reconnected > 0 for world in worlds) >= 3  # a busy machine may cut another's line as well
        for world in worlds:
            assert (await world.press("KeyW")).status == "applied"
        assert fleet.figure("sessions_moved_total") == 3
        assert fleet.figure('snapshot_age_seconds_bucket{le="10.0"}') == 3
        oldest = fleet.figure("snapshot_age_seconds_sum") / 3
        print(f"back after {back_s:.1f} s, from snapshots {oldest:.1f} s old")
        await fleet.until_ready()  # Ray has started another process
        assert len(fleet.workers()) == 2


async def test_a_worker_without_its_gateway_ends_itself(fleet: Fleet) -> None:
    await fleet.until_ready()
    first = set(fleet.workers())
    os.kill(fleet.process.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(15):
            while first & set(fleet.workers()):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
    finally:
        os.kill(fleet.process.pid, signal.SIGCONT)
    await fleet.until_ready()
