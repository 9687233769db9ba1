"""SIGTERM under load, and with an engine that is stuck: all are told, nobody enters, and no process is left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.serving import ServerMaker

from .conftest import Visitor
from .talker import talker

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

GRACE_S = 9.5  # below the ten seconds after which container runtimes lose their patience


def test_sigterm_under_load(start_server: ServerMaker, browser: Browser) -> None:
    server = start_server("--world", "toy")
    server.wait_until_ready()
    visitor = Visitor(browser.new_page(), f"{server.url}/?world=toy")
    visitor.wait_for_picture("webrtc")
    visitor.page.evaluate(
        "window.ends = []; worldloom.client.addEventListener('closed', (e) => ends.push(e.detail.code))"
    )
    with talker(server.url) as one, talker(server.url) as two, talker(server.url) as silent:
        one.hello(video="websocket")
        two.hello(video="websocket", mode="lockstep")
        one.expect("picture")
        for seq in range(1, 21):
            two.send("step", seq=seq)
        family = server.family()
        assert len(server.engines()) == 1
        stopped = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        for visiting in (one, two):
            told = visiting.expect("error", code="draining").message
            assert told["retryable"]
            assert visiting.expect("bye").message["reason"] == "draining"
            assert visiting.closed() == (1012, "draining")
        # it came while the door was open and has said nothing yet
        assert silent.expect("error").message["code"] == "draining"
        assert silent.closed() == (1012, "draining")
        assert server.process.wait(GRACE_S) == 0
        assert time.monotonic() - stopped < GRACE_S
    wait_until_ended(family)
    visitor.wait_for("ends.length > 0")
    assert visitor.page.evaluate("ends") == ["draining"]
    assert visitor.page.locator("#curtain-title").inner_text() == "The server is stopping"
    visitor.page.close()
    assert visitor.problems == []
    log = server.written()
    assert "Traceback" not in log
    assert "error" not in log.lower()
    assert server.get("/readyz")[0] == 0


def test_sigterm_when_the_engine_is_stuck(start_server: ServerMaker) -> None:
    server = start_server("--world", "toy")
    server.wait_until_ready()
    with talker(server.url) as one, talker(server.url) as two, talker(server.url) as three:
        visiting = (one, two, three)
        for each in visiting:
            each.hello(video="websocket")
            each.expect("picture")
        family = server.family()
        (engine,) = server.engines()
        os.kill(engine, signal.SIGSTOP)
        stopped = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        for each in visiting:
            assert each.expect("bye", reason="draining").at - stopped < 1.0
        assert server.process.wait(GRACE_S) == 0
    wait_until_ended(family)
    assert "Traceback" not in server.written()


def wait_until_ended(processes: Iterable[int]) -> None:
    """None of them is left."""
    deadline = time.monotonic() + 1.0  # for the one that sweeps shared memory, when all others have ended
    while left := [pid for pid in processes if runs(pid)]:
        assert time.monotonic() < deadline, [Path(f"/proc/{pid}/cmdline").read_text() for pid in left]
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"
