"""GStreamer's `webrtcbin` as a WHEP player: its ICE, DTLS, SRTP, jitter buffer and decoders are not ours."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.interop.watched import NEAR, watched

if TYPE_CHECKING:
    from tests.serving import ServerProcess

pytestmark = pytest.mark.interop

PYTHON = Path("/usr/bin/python3")  # the system's, for GStreamer's bindings are there
PLAYER = Path(__file__).parent / "gstreamer_player.py"
SECONDS = 6.0  # of play, of which the first does not count: its jitter buffer fills, then empties at once


@pytest.fixture(scope="module")
def player() -> tuple[Path, Path]:
    """The command that plays."""
    if not PYTHON.exists():
        pytest.skip(f"no {PYTHON} on this machine, and so no GStreamer for it")
    missing = subprocess.run([PYTHON, PLAYER], capture_output=True, text=True)
    if missing.returncode != 0:
        pytest.skip(f"no GStreamer with WebRTC for {PYTHON}: {missing.stderr.strip().splitlines()[-1]}")
    if json.loads(missing.stdout):
        pytest.skip(f"GStreamer on this machine lacks {', '.join(json.loads(missing.stdout))}")
    return PYTHON, PLAYER


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_gstreamer_plays(server: ServerProcess, player: tuple[Path, Path], codec: str) -> None:
    async with watched(server) as session:
        process = await asyncio.create_subprocess_exec(
            *player, session.url, session.token, codec, str(SECONDS), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, problems = await process.communicate()
        assert process.returncode == 0, problems.decode()
        played: dict[str, Any] = json.loads(out)
        frames = played["frames"]
        assert (played["failure"], played["state"]) == (None, "connected")
        assert len(frames) > 2 * session.fps
        print(f"{played['version']} {codec}: first frame after {1000 * frames[0]:.0f} ms, {rate(frames):.2f} frames/s")
        assert rate(frames) == pytest.approx(session.fps, rel=NEAR)
        assert played["pictures"] > 0.8 * len(frames), "the world turns, and no frame is like another"
        assert played["size"] == session.size
        assert played["deleted"] == 200
        await session.until_left()


def rate(frames: list[float]) -> float:
    """Frames a second, from a second after the first to the last."""
    counted = [at for at in frames if at > frames[0] + 1.0]
    return (len(counted) - 1) / (counted[-1] - counted[0])
