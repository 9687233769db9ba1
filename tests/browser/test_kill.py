"""Visitors who vanish: a hundred sessions are killed in the middle, and the server is as before."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import ClientConnection, connect

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.conftest import Visitor
    from tests.serving import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SOCKETS = 90  # killed without a page: over the WebSocket, in realtime and lockstep
PAGES = 10  # killed in Chromium, with WebRTC
GROWTH_MB = 24.0  # what the allocator may keep


def test_a_hundred_kills_leave_nothing_behind(
    server: ServerProcess, browser: Browser, visit: Callable[..., Visitor], until: Callable[..., None], world: str
) -> None:
    for number in range(20):  # caches and pools fill up first
        kill_socket(server, world, number)
    kill_page(browser, server, world, until)
    wait_until_empty(server)
    before, opened = server.memory_mb(), server.metric("worldloom_sessions_opened_total")
    for number in range(SOCKETS):
        kill_socket(server, world, number)
        if number % (SOCKETS // PAGES) == 0:
            kill_page(browser, server, world, until)
    wait_until_empty(server)
    assert server.metric("worldloom_sessions_opened_total") - opened >= 0.7 * (SOCKETS + PAGES)  # it was no dry run
    assert server.memory_mb() - before < GROWTH_MB
    visitor = visit(f"world={world}")
    visitor.wait_for_picture("webrtc")
    visitor.click_picture()
    visitor.page.keyboard.press(visitor.opposites()[0])
    assert visitor.wait_for_receipts("key", 1)[0]["status"] == "applied"


def kill_socket(server: ServerProcess, world: str, number: int) -> None:
    """Open a session, press something, and cut the wire at one of several moments."""
    while not _killed(server, world, number):  # the ones before are still being cleared away: that is an answer too
        time.sleep(0.1)


def _killed(server: ServerProcess, world: str, number: int) -> bool:
    """Whether there was a place; where there is none the server closes the wire itself."""
    video, mode = [("websocket", "realtime"), ("none", "realtime"), ("websocket", "lockstep")][number % 3]
    hello = {"type": "hello", "protocol": 1, "world": world, "video": video, "mode": mode}
    with connect(server.url.replace("http", "ws") + "/v1/session", compression=None, close_timeout=0.1) as wire:
        wire.send(json.dumps(hello))
        if number % 4 != 0:  # else: before the welcome, and there may never be a session
            welcome = json.loads(receive(wire))
            if welcome.get("code") == "busy":
                return False
            assert welcome["type"] == "welcome"
            wire.send(json.dumps({"type": "reset" if mode == "realtime" else "step", "seq": 1}))
            receive(wire)
        wire.socket.shutdown(socket.SHUT_RDWR)  # no close frame, no goodbye
        return True


def receive(wire: ClientConnection) -> str:
    """The next text message."""
    while True:
        message = wire.recv(timeout=20)
        if isinstance(message, str):
            return message


def kill_page(browser: Browser, server: ServerProcess, world: str, until: Callable[..., None]) -> None:
    """Close a tab in the middle of its video."""
    page = browser.new_page()
    page.goto(f"{server.url}/?world={world}")
    until(page, "window.worldloom?.stats()?.frames_shown > 0 || !document.getElementById('retry').hidden")
    page.close(run_before_unload=False)


def wait_until_empty(server: ServerProcess) -> None:
    """Until no session, state or connection is left: within two seconds of the last kill."""
    deadline = time.monotonic() + 2.0
    while (held := [server.metric(f"worldloom_{name}") for name in ("sessions", "states", "connections")]) != [0, 0, 0]:
        assert time.monotonic() < deadline, f"sessions, states, connections still {held}"
        time.sleep(0.05)
