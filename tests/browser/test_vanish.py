"""Three hundred visitors vanish, sixty in each phase of a session's life, and both processes are as before."""

from __future__ import annotations

import json
import os
import time

import pytest

from tests.serving import ServerMaker, ServerProcess

from .talker import Talker, talker

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="reads /proc"),
]

EACH = 60  # kills in a phase
STEPS = 8  # that wait when a lockstep session is killed: the wire is cut between the first and the last
ORPHANS = {"WORLDLOOM_ORPHAN_TIMEOUT": "0.5", "WORLDLOOM_MAX_ORPHANS": "1024"}  # none gives way, all time out
GROWTH_MB = 1.0  # of one process in a round: 3 kB a kill; a quiet round takes 0.1
ROUNDS = 4  # in which the heap may still find its size, by as many visitors as happen to be there at once


def before_hello(talker: Talker, number: int) -> None:
    pass


def before_offer(talker: Talker, number: int) -> None:
    talker.hello(video="webrtc", seed=number)


def mid_step(talker: Talker, number: int) -> None:
    if number % 2:
        talker.hello(video="websocket", mode="lockstep", seed=number)
        for seq in range(1, STEPS + 1):
            talker.send("step", seq=seq)
        talker.expect("receipt", seq=1, status="applied")
    else:
        talker.hello(video="websocket", seed=number)
        talker.expect("picture")
        talker.send("key", seq=1, code="KeyW", down=True)


def paused(talker: Talker, number: int) -> None:
    talker.hello(video="websocket", seed=number)
    talker.send("pause", seq=1)
    talker.expect("receipt", seq=1, status="applied")


def lost(talker: Talker, number: int) -> None:
    talker.hello(video="websocket", seed=number)
    talker.expect("picture")


PHASES = (before_hello, before_offer, mid_step, paused, lost)


def test_three_hundred_kills_leave_both_processes_as_they_were(start_server: ServerMaker) -> None:
    server = start_server("--world", "toy", **ORPHANS)
    server.wait_until_ready()
    vanish(server)  # caches and pools fill
    (engine,) = server.engines()
    processes = (server.process.pid, engine)
    files = {pid: open_files(pid) for pid in processes}
    opened = server.metric("worldloom_sessions_opened_total")
    growths = [growth(server, processes)]
    assert server.metric("worldloom_sessions_opened_total") - opened == 4 * EACH  # it was no dry run
    while growths[-1] >= GROWTH_MB and len(growths) < ROUNDS:
        growths.append(growth(server, processes))
    assert min(growths) < GROWTH_MB, f"MB in each round: {growths}"  # what leaks, leaks in every round
    for pid in processes:
        wait_until_shut(pid, files[pid])
    assert server.engines() == [engine]
    assert "worldloom_errors_total{" not in server.get("/metrics")[1]
    with talker(server.url) as late:
        late.hello(video="websocket")
        late.expect("picture")
        late.send("bye")
        assert late.closed() == (1000, "")


def growth(server: ServerProcess, processes: tuple[int, ...]) -> float:
    """MB that one round of kills adds to whichever process grows the most."""
    before = server.family()
    vanish(server)
    after = server.family()
    return max(after[pid] - before[pid] for pid in processes)


def vanish(server: ServerProcess) -> None:
    """Sixty kills in each phase; then everything is given back, orphans when their time is over."""
    for phase in PHASES:
        for number in range(EACH):
            with talker(server.url) as one:
                phase(one, number)
                one.cut()
            if phase is lost:  # and nobody comes back for it
                wait_until_orphaned(server, one.session)
        wait_until_empty(server)


def wait_until_shut(pid: int, files: int) -> None:
    """The last question over HTTP takes a descriptor too, for a moment longer than its answer."""
    deadline = time.monotonic() + 2.0
    while (held := open_files(pid)) > files:
        assert time.monotonic() < deadline, f"{held} descriptors, {files} before"
        time.sleep(0.05)


def wait_until_orphaned(server: ServerProcess, session: str) -> None:
    deadline = time.monotonic() + 2.0
    while sessions(server).get(session) != "orphaned":
        assert time.monotonic() < deadline, sessions(server)
        time.sleep(0.01)


def wait_until_empty(server: ServerProcess) -> None:
    deadline = time.monotonic() + 3.0
    while held := held_by(server):
        assert time.monotonic() < deadline, f"still held: {held}"
        time.sleep(0.05)


def held_by(server: ServerProcess) -> dict[str, object]:
    """What the server says that it holds."""
    names = ("sessions", "states", "connections")
    held: dict[str, object] = {name: count for name in names if (count := server.metric(f"worldloom_{name}"))}
    return held | sessions(server)


def sessions(server: ServerProcess) -> dict[str, str]:
    """Phase by session, orphans too."""
    return {one["session"]: one["phase"] for one in json.loads(server.get("/v1/sessions")[1])["sessions"]}


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
