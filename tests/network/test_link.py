"""The link itself: it does to packets what it is told, and leaves nothing behind.

Bounds are those of a busy machine: the link may be late, never early.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from .forwarder import processes_in
from .link import ROOT, Link

pytestmark = [pytest.mark.network, pytest.mark.timeout(30)]

PEERS = Path(__file__).with_name("peers.py")
PORT = 7000
HEADERS = 28  # of IP and UDP, bytes
LATE_MS = 20.0  # what a busy machine may add to a round trip, median

OUTLIVED = """
import subprocess, sys, time
from tests.network.link import Link
with Link() as link:
    for side in ("a", "b"):
        link.run_in(side, ["sh", "-c", "trap '' TERM HUP; sleep 600 & setsid sleep 600 & wait"])
    time.sleep(0.2)
    print(link.pid, flush=True)
    {then}
"""

Ask = Callable[..., Any]


@pytest.fixture
def ask(link: Link) -> Ask:
    """Runs one of `peers` on side b against an echo on side a; returns what it prints."""
    pipe = subprocess.PIPE
    echo = link.run_in("a", [sys.executable, str(PEERS), "echo", link.address["a"], str(PORT)], stdout=pipe)
    assert echo.stdout is not None
    assert json.loads(echo.stdout.readline()) == "ready"

    def ask(what: str, *numbers: float, wait: bool = True) -> Any:
        words = [what, link.address["a"], str(PORT), *map(str, numbers)]
        process = link.run_in("b", [sys.executable, str(PEERS), *words], stdout=pipe, stderr=pipe)
        return answer_of(process) if wait else process

    return ask


def answer_of(process: subprocess.Popen[Any]) -> Any:
    told, complaint = process.communicate(timeout=20)
    return json.loads(told) if process.returncode == 0 else complaint.decode()


def test_a_clean_link_passes_everything_at_once(link: Link, ask: Ask) -> None:
    answers = ask("ping", 200, 0.002, 100)
    assert [number for number, _, _ in answers] == list(range(200))
    assert 1000 * median(trip for _, _, trip in answers) < LATE_MS
    for counts in link.counts().values():
        assert (counts.entered, counts.forwarded, counts.forwarded_bytes) == (200, 200, 200 * (100 + HEADERS))


def test_loss_is_as_asked_and_in_its_direction(link: Link, ask: Ask) -> None:
    link.set("ba", loss=0.1)
    answers = ask("ping", 2000, 0.0003, 20)
    counts = link.counts()
    assert counts["ba"].lost == pytest.approx(200, abs=40)  # three times the standard deviation
    assert counts["ba"].lost + len(answers) == counts["ba"].entered == 2000
    assert counts["ab"].lost == 0


def test_delay_and_jitter(link: Link, ask: Ask) -> None:
    link.set("ab", delay_ms=40)
    link.set("ba", delay_ms=20)
    trips = [1000 * trip for _, _, trip in ask("ping", 100, 0.005, 100)]
    assert min(trips) >= 60
    assert median(trips) < 60 + LATE_MS
    link.set("ba", jitter_ms=20)
    trips = [1000 * trip for _, _, trip in ask("ping", 100, 0.005, 100)]
    assert len(trips) == 100
    assert 40 <= min(trips) < 60
    assert max(trips) > 70


def test_the_rate_is_kept_and_the_queue_overflows(link: Link, ask: Ask) -> None:
    link.set("ba", rate_bps=2e6, queue_bytes=40_000)
    answers = ask("ping", 100, 0.0, 1000)  # all at once: one is on the wire, 38 wait, and a few as these leave
    counts = link.counts()["ba"]
    assert 35 <= len(answers) <= 60
    assert counts.queue_drops == 100 - len(answers)
    arrived = [sent + trip for _, sent, trip in answers]
    bits = 8 * (1000 + HEADERS) * (len(answers) - 1)
    assert bits / (arrived[-1] - arrived[0]) == pytest.approx(2e6, rel=0.2)


def test_duplicates_arrive(link: Link, ask: Ask) -> None:
    link.set("ba", duplicate=0.5)
    answers = ask("ping", 200, 0.002, 100)
    assert len(answers) - len({number for number, _, _ in answers}) == link.counts()["ba"].duplicated
    assert len(answers) == pytest.approx(300, abs=25)


def test_an_outage_ends_and_nothing_of_it_comes_later(link: Link, ask: Ask) -> None:
    link.set("both", delay_ms=10)
    pinging = ask("ping", 300, 0.005, 100, wait=False)
    while link.counts()["ba"].forwarded < 100:  # 0.5 s, and what it takes to start
        time.sleep(0.01)
    begin = time.monotonic()
    link.set("both", down=True)
    least = time.monotonic()
    time.sleep(0.3)
    least = time.monotonic() - least
    link.set("both", down=False)
    most = time.monotonic() - begin
    sent = [sent for _, sent, _ in answer_of(pinging)]
    pauses = sorted(after - before for before, after in zip(sent, sent[1:], strict=False))
    assert least <= pauses[-1] <= most + 0.2  # what was under way, and what a busy machine adds
    assert pauses[-2] < least
    assert sent[-1] > 1.4  # it went on to the end
    assert sum(counts.cut for counts in link.counts().values()) == 300 - len(sent)


def test_udp_is_blocked_while_tcp_passes(link: Link, ask: Ask) -> None:
    link.set("both", block_udp=True)
    assert ask("ping", 20, 0.002, 100) == []
    assert ask("send", 100_000)["whole"]
    assert link.counts()["ba"].blocked == 20
    link.set("both", block_udp=False)
    assert len(ask("ping", 20, 0.002, 100)) == 20


def test_tcp_gets_through_two_percent_loss(link: Link, ask: Ask) -> None:
    link.set("both", loss=0.02, delay_ms=5)
    assert ask("send", 400_000)["whole"]
    assert sum(counts.lost for counts in link.counts().values()) > 0


@pytest.mark.parametrize("end", ["of itself", "by an exception", "by a kill"])
def test_nothing_outlives_the_program(needs_namespaces: None, end: str) -> None:
    then = {"of itself": "sys.stdin.readline()", "by an exception": "sys.stdin.readline(); 1 / 0"}
    script = OUTLIVED.format(then=then.get(end, "time.sleep(600)"))
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        forwarder = int(program.stdout.readline())
        inodes = namespaces_of(forwarder)
        inhabitants = processes_in(inodes)
        assert len(set(inodes)) == 2
        assert len(inhabitants) >= 7  # the forwarder, and three on each side
        if end == "by a kill":
            program.send_signal(signal.SIGKILL)
        else:
            program.stdin.write(b"\n")
            program.stdin.flush()
        program.wait(10)
        deadline = time.monotonic() + 5
        while left := [pid for pid in inhabitants if Path(f"/proc/{pid}/ns/net").exists()]:
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.02)
        assert processes_in(inodes) == []


def namespaces_of(forwarder: int) -> list[int]:
    """Inodes of the two network namespaces that a forwarder holds."""
    files = [Path(f"/proc/{forwarder}/fd/{name}") for name in os.listdir(f"/proc/{forwarder}/fd")]
    return [file.stat().st_ino for file in files if os.readlink(file).startswith("net:")]
