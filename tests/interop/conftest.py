"""A server for players that we did not write, and where those from npm lie.

A player that this machine does not have is skipped with the reason; `peers.sh` installs what can be.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serving import ServerMaker, ServerProcess

PACKAGES = Path(__file__).parents[2] / "build" / "interop" / "node_modules"


@pytest.fixture(scope="module")
def server(start_server: ServerMaker) -> ServerProcess:
    """A server of the toy world, ready."""
    started = start_server("--world", "toy")
    started.wait_until_ready()
    return started


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder of the packages from npm."""
    if not PACKAGES.is_dir():
        pytest.skip(f"no packages from npm in {PACKAGES}; `make test-interop` installs them where there is npm")
    return PACKAGES
