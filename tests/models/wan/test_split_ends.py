"""A process of a split world dies: the others end soon, and whoever had the world is told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.serving import ServerMaker, ServerProcess
from worldloom.models.exchange import refuse_second
from worldloom.models.spec import WorldLost
from worldloom.models.wan.crew import Crew, CrewConfig
from worldloom.models.wan.leader import SplitState, SplitWorld, open_split, opened
from worldloom.streamer.client_messages import Step
from worldloom.streamer.engine import Engine
from worldloom.streamer.errors import EngineLost
from worldloom.streamer.origin import Origin
from worldloom.streamer.transports.inprocess import Collector

from .test_split_world import OPTIONS, REST, small

pytestmark = pytest.mark.slow  # each pair of processes loads torch once more

CONFIG = CrewConfig(exchange_s=4.0, grace_s=0.5)
WITHIN_S = 15.0
MIXED = 8  # grey levels, in bfloat16, where the server takes that


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(tmp_path_factory.mktemp("worlds"))


@pytest.fixture
def world(path: Path) -> Iterator[SplitWorld]:
    world = opened(Crew(2, "cpu", CONFIG), path, **OPTIONS)
    yield world
    world.close()
    world.close()
    refuse_second()


def follower(world: SplitWorld) -> subprocess.Popen[bytes]:
    return world._crew._ends[0][0]


def in_its_midst(world: SplitWorld, do: Callable[[], None]) -> None:
    """`do` happens in the next step, before this rank's first exchange: the follower waits in it."""
    step = world._own.step_tensors

    def late(*args: Any) -> torch.Tensor:
        time.sleep(0.5)
        do()
        return step(*args)

    world._own.step_tensors = late  # type: ignore[method-assign, assignment]


def lost(world: SplitWorld, state: SplitState, why: str) -> None:
    """Now and for good; the process is gone, and what is freed raises nothing."""
    begun, process = time.monotonic(), follower(world)
    for _ in range(2):
        with pytest.raises(WorldLost, match=why) as error:
            world.step([state], REST)
        assert not isinstance(error.value, Exception)
    assert time.monotonic() - begun < WITHIN_S
    assert process.poll() is not None
    world.release(state)
    assert state.own.released
    refuse_second()


def test_a_follower_dies_in_the_midst_of_a_step(world: SplitWorld) -> None:
    state = world.start(seed=1)
    in_its_midst(world, follower(world).kill)
    lost(world, state, "ended")


def test_a_follower_hangs(world: SplitWorld) -> None:
    state = world.start(seed=1)
    in_its_midst(world, lambda: os.kill(follower(world).pid, signal.SIGSTOP))
    lost(world, state, "did not answer|did not arrive|lost")


def test_the_first_one_fails_while_the_others_wait_for_it(world: SplitWorld) -> None:
    state = world.start(seed=1)

    def fail() -> None:
        raise MemoryError("no room here")

    in_its_midst(world, fail)
    lost(world, state, "did not answer within 0.5 s")


def test_a_follower_that_fails_alone_ends_itself(world: SplitWorld) -> None:
    """It cannot call back the exchange in which the first one waits: that ends with it."""
    state = world.start(seed=1)
    state.number += 1  # which the follower does not know
    lost(world, state, "rank 1 failed: KeyError")


def test_a_follower_dies_between_two_steps_and_the_engine_says_so(world: SplitWorld) -> None:
    state = world.start(seed=1)
    engine = Engine(world)
    engine.start()
    sink = Collector()
    session = engine.open(sink, Origin(1), "lockstep")
    follower(world).kill()
    session.post(Step(seq=1))
    engine.over.result(WITHIN_S)
    assert isinstance(sink.error, EngineLost)
    assert not engine.alive
    lost(world, state, "ended")


LEADER = """
import sys, time
from pathlib import Path
import numpy as np, torch
from worldloom.models.wan.leader import open_split
world = open_split(Path(sys.argv[1]), 2, device="cpu", dtype=torch.float32)
state = world.start(seed=1)
print("ready", flush=True)
while True:
    world.step([state], np.zeros((1, 8, 0), np.float32)) if sys.argv[2] == "busy" else time.sleep(1)
"""


@pytest.mark.parametrize("when", ["idle", "busy"])
def test_the_first_one_dies(path: Path, when: str) -> None:
    """The follower has its output, which closes with the last of the two."""
    command = [sys.executable, "-c", LEADER, str(path), when]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        process.kill()
        begun = time.monotonic()
        assert process.stdout.read() == ""
        assert time.monotonic() - begun < WITHIN_S


def test_a_world_that_cannot_be_opened_leaves_no_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="multiple|window"):
        open_split(path, 2, device="cpu", attention=5)
    refuse_second()
    monkeypatch.setattr("worldloom.models.wan.crew.FOLLOWER", "worldloom.models.wan.nobody")
    with pytest.raises(ValueError, match="did not start"):
        open_split(path, 2, device="cpu")
    refuse_second()


def ready_again(server: ServerProcess, before: int) -> None:
    until = time.monotonic() + 60.0
    while server.children("wan.follower") in ([], [before]):
        assert time.monotonic() < until
        time.sleep(0.2)
    server.wait_until_ready()


async def test_a_server_with_the_flag(path: Path, start_server: ServerMaker) -> None:
    """The pictures of one device; and when a follower dies, the session goes on on the next engine."""
    from worldloom.client.connection import connect
    from worldloom.models.wan.open import open_wan

    server = start_server("--world", str(path), "--split", "2", WORLDLOOM_SNAPSHOT_EVERY="0.1")
    server.wait_until_ready()
    alone = open_wan(path, device="cpu")
    state = alone.start(seed=4)
    async with connect(server.url, mode="lockstep", format="raw", seed=4) as world:
        for _ in range(3):
            shown = np.stack([picture.pixels for picture in await world.step()])
            want = alone.step([state], REST)[0]
            assert np.abs(shown.astype(int) - want).max() <= MIXED
        await asyncio.sleep(1.0)  # until it is kept
        (process,) = server.children("wan.follower")
        os.kill(process, signal.SIGKILL)
        with pytest.raises(EngineLost):
            async with connect(server.url, mode="lockstep", seed=4):
                pass
        await asyncio.to_thread(ready_again, server, process)
        shown = np.stack([picture.pixels for picture in await world.step()])
        assert np.abs(shown.astype(int) - alone.step([state], REST)[0]).max() <= MIXED
