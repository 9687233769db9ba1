"""Our own page in the Firefox that Debian ships, which has no H.264: VP8 over WebRTC, and a key that is obeyed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.interop.watched import NEAR

if TYPE_CHECKING:
    from tests.serving import ServerProcess

pytestmark = pytest.mark.interop

NAMES = ("firefox-esr", "firefox")
VISIT = Path(__file__).parent / "firefox.cjs"
SECONDS = 5.0


@pytest.fixture(scope="module")
def firefox() -> str:
    """The Firefox of this machine."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no Firefox on this machine: none of {', '.join(NAMES)} is on the PATH")
    return path


@pytest.fixture(scope="module")
def node() -> str:
    """The Node.js of this machine."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("no `node` on the PATH, so nothing to drive Firefox with")
    return path


def test_firefox_plays_and_is_obeyed(server: ServerProcess, firefox: str, node: str, packages: Path) -> None:
    command = [node, str(VISIT), firefox, f"{server.url}/?world=toy&seed=7", "ArrowRight", str(SECONDS)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=90, env={**os.environ, "NODE_PATH": str(packages)}
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    assert "failure" not in seen, seen
    stats = seen["stats"]
    print(
        f"{seen['version']} {seen['codec']}: first frame {seen['first_ms']:.0f} ms after the page was asked for, "
        f"{stats['fps_shown']:.2f} frames/s, {stats['bitrate_kbps']:.0f} kbit/s, key to picture "
        f"{stats['input_to_photon_ms']['p50']:.0f} ms"
    )
    assert (stats["transport"], seen["transport"], seen["codec"]) == ("webrtc", "WebRTC", "video/VP8")
    assert stats["fps_shown"] == pytest.approx(stats["world_fps"], rel=NEAR)
    assert seen["played"] == pytest.approx(SECONDS, rel=0.2)
    down, up = [receipt for receipt in seen["receipts"] if (receipt["control"] or {}).get("type") == "key"]
    assert (down["status"], down["control"]["down"]) == ("applied", True)
    assert (up["status"], up["control"]["down"]) == ("applied", False)
    assert seen["problems"] == []
