"""The Godot example, headless: it drives by InputEvents, shows pictures, measures, and comes back when it is cut."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.interop.walks import COMMANDS, Walk

if TYPE_CHECKING:
    from tests.serving import ServerProcess

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def _godot() -> None:
    if shutil.which("godot3-server") is None:
        pytest.skip("no godot3-server on this machine; `make test-interop` installs it on a Debian, as root")


def test_godot_walks_is_cut_off_and_walks_on(server: ServerProcess) -> None:
    made = Walk("godot")
    made.go(server)
    made.check()
    did = {deed["did"] for connection in (0, 1) for deed in made.deeds(connection)}
    assert {"KeyD", "mouse"} <= did
    last = made.lines[-1]
    figures = last["figures"]
    print(made.told(), json.dumps(figures))
    assert (last["walked"], last["times_lost"]) == (True, 1)
    assert figures["pictures"] > 40
    assert figures["receipts"]["applied"] > last["deeds"], "keys also come up"
    for name in ("receipt_ms", "picture_ms"):
        spread = figures[name]
        assert spread["count"] >= last["deeds"]
        assert 0.0 < spread["p50"] <= spread["p95"] <= spread["p99"] < 2000.0
    assert figures["receipt_ms"]["p50"] <= figures["picture_ms"]["p50"]


@pytest.mark.parametrize("world", ["atlantis", ""])
def test_a_walk_that_sees_nothing_fails(server: ServerProcess, world: str) -> None:
    """A world that is not there, or a server that is not."""
    url = server.url.replace("http", "ws") if world else "ws://127.0.0.1:9"
    settings = {"WORLDLOOM_URL": url, "WORLDLOOM_WORLD": world, "WORLDLOOM_WALK": "3"}
    done = subprocess.run(
        COMMANDS["godot"], capture_output=True, text=True, check=False, env=os.environ | settings, timeout=60
    )
    assert done.returncode == 1
    assert "the session has ended: " + ("unknown_world" if world else "there is no server") in done.stderr
