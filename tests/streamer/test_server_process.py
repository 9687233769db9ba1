"""A server in a process of its own is started, asked and ended from outside; a failure says what the server wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from worldloom.streamer.server_process import ServerFailed, ServerProcess


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    started = ServerProcess.start("--world", "toy", log=tmp_path / "log")
    yield started
    started.stop()
    assert started.process.returncode == 0


@pytest.mark.slow
def test_it_becomes_ready_and_tells_figures(server: ServerProcess) -> None:
    server.wait_until_ready()
    assert server.readiness[-1] == 200
    assert server.metric("worldloom_sessions") == 0
    with pytest.raises(LookupError, match="worldloom_dragons"):
        server.metric("worldloom_dragons")


@pytest.mark.slow
def test_one_that_has_ended_is_not_ready_and_answers_nobody(tmp_path: Path) -> None:
    server = ServerProcess.start("--world", "toy", log=tmp_path / "log")
    server.stop()
    assert server.get("/readyz")[0] == 0
    with pytest.raises(ServerFailed, match="not ready"):
        server.wait_until_ready()


def test_one_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="(?s)ended with 2.*--nonsense"):
        ServerProcess.start("--nonsense", log=tmp_path / "log")
