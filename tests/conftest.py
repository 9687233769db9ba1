"""Fixtures that many tests share."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.serving import ServerMaker, servers
from worldloom.models.toy import ToyWorld

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Nothing has imported torch yet, here or in any process that a test starts: threads of many processes on few cores wait
# for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before every test, pytest-rerunfailures writes to the first process twice and then reads.

    TCP holds back the second write until the first is acknowledged, 40 ms later: a minute and a half over all tests.
    """
    line = getattr(getattr(config, "failures_db", None), "sock", None)
    if line is not None:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported here stays until the end: the garbage collector need not go through it again and again.

    What tests leave is little beside it, and need not be sought after every few hundred objects.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 50)
        gc.enable()


# Speed is for benchmarks: a busy machine fails no test. Examples are others in every run.
settings.register_profile("busy", deadline=None, max_examples=30)
settings.load_profile("busy")


@pytest.fixture
def toy() -> ToyWorld:
    return ToyWorld()


@pytest.fixture(scope="session", autouse=True)
def _state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What an installation keeps for itself, such as its own certificate, is not that of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerMaker]:
    """Starts servers and ends them; arguments are those of `worldloom serve`."""
    with servers(lambda: tmp_path_factory.mktemp("server")) as start:
        yield start


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium of this machine."""
    from playwright.sync_api import sync_playwright  # most tests need none

    from worldloom.streamer.chromium import MISSING, installed_browser, launch

    if installed_browser() is None:
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        launched = launch(playwright.chromium)
        yield launched
        launched.close()
