"""The JavaScript client at a gateway: it asks for a place, and asks again where its session is when a worker dies."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from .conftest import running

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js on this machine")]


async def test_it_goes_where_its_session_goes() -> None:
    async with running() as gateway:
        # Node 22 has a WebSocket; Node 20 has it behind this flag.
        script = await asyncio.create_subprocess_exec(
            "node",
            "--experimental-websocket",
            str(Path(__file__).with_name("moves.mjs")),
            env=os.environ | {"WORLDLOOM_URL": gateway.sessions},
            stdout=asyncio.subprocess.PIPE,
        )
        assert script.stdout is not None
        async with asyncio.timeout(30):
            session, frame = (await script.stdout.readline()).decode().split()

            def kept() -> bool:
                """What is no older than the first key, or there is nothing to go on from."""
                parcel = gateway.fleet.vault.take(session, time.monotonic())
                return parcel is not None and parcel.snapshot.index > int(frame)

            await gateway.until(kept)
            await gateway.worker_of(session).die()
            told = json.loads(await script.stdout.readline())
            assert await script.wait() == 0
        assert told == {"same": True, "statuses": ["applied", "applied"], "grew": True}
