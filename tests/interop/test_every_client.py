"""Every client at one running server, at once: each drives, sees, is cut off, and goes on where it was."""

from __future__ import annotations

import importlib.util
import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.interop.walks import Walk
from worldloom.streamer.chromium import installed_browser

if TYPE_CHECKING:
    from tests.serving import ServerMaker, ServerProcess

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

CLIENTS = {
    "chromium": installed_browser() is not None,
    "pygame": importlib.util.find_spec("pygame") is not None,
    "python": True,
    "node": shutil.which("node") is not None,
    "godot": shutil.which("godot3-server") is not None,
}  # whether this machine has it; the last one walks for a time of its own
OPEN_S = 40.0  # seconds that one may take to come: a busy machine has fewer places for a while
LEFT_S = 5.0  # seconds after which no session may be left


def sessions(server: ServerProcess) -> set[str]:
    told = json.loads(server.get("/v1/sessions")[1])
    return {room["session"] for room in told["sessions"]}


def test_every_client_drives_sees_and_comes_back(start_server: ServerMaker) -> None:
    missing = [client for client, is_here in CLIENTS.items() if not is_here]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    server = start_server("--world", "tests.interop.calm:CalmToy", "--max-sessions", str(len(CLIENTS)))
    server.wait_until_ready()
    all_here = threading.Event()
    walks = [Walk(client) for client in CLIENTS]
    with ThreadPoolExecutor(len(walks)) as threads:
        try:
            walking = []
            for walk in walks:  # one after the other: a machine that starts five programs at once has fewer places
                walking.append(threads.submit(walk.go, server, all_here))
                assert walk.opened.wait(OPEN_S)
            together = sessions(server)
        finally:
            all_here.set()
        for one in walking:
            one.result()
    for walk in walks:
        walk.check()
        print(walk.told())
    assert {walk.sessions[0] for walk in walks} == together, "all were there at the same time"
    assert {"transport": "webrtc"} in walks[0].lines
    deadline = time.monotonic() + LEFT_S
    while (left := sessions(server)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, "each said goodbye"
