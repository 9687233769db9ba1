"""A real server process and a real Chromium, for tests that drive a world as a person does.

Chromium is the one that is installed; without one every test here is skipped and says so. Sessions in these tests use
Playwright's synchronous interface, which owns the thread's event loop: no test in this folder is a coroutine.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.serving import ServerMaker, ServerProcess
from worldloom.models.catalog import shipped_worlds
from worldloom.streamer.chromium import wait_for

WORLDS = ("toy", *shipped_worlds())
PROBE = (Path(__file__).parent / "probe.js").read_text()

Clip = NDArray[np.float32]
"""(N, H, W) luma of N presented frames, 0 to 255."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes a `world` runs on the toy and on each trained world."""
    if "world" in metafunc.fixturenames:
        metafunc.parametrize("world", WORLDS, scope="module")


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """`wait_for`, for tests with a page of their own."""
    return wait_for


@pytest.fixture(scope="module")
def server(start_server: ServerMaker) -> ServerProcess:
    """A server of every world that there is, ready."""
    arguments = [part for name in WORLDS for part in ("--world", name)]
    started = start_server(*arguments)
    started.wait_until_ready()
    return started


class Visitor:
    """A page that shows a world, and what a person does there."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.add_init_script(PROBE)
        page.goto(url)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    def wait_for(self, condition: str, seconds: float = 20.0) -> None:
        """Until a JavaScript expression holds."""
        wait_for(self.page, condition, seconds)

    def wait_for_picture(self, transport: str | None = None) -> None:
        """Until frames are shown, over that transport."""
        self.wait_for("window.worldloom?.stats()?.frames_shown > 2")
        if transport is not None:
            assert self.stats()["transport"] == transport
        self.page.evaluate("probe.listen()")

    def stats(self) -> dict[str, Any]:
        """The page's own figures."""
        stats: dict[str, Any] = self.page.evaluate("window.worldloom.stats()")
        return stats

    def click_picture(self) -> None:
        """Give the keyboard to the world."""
        self.page.locator("#stage").click()

    def receipts(self, kind: str) -> list[dict[str, Any]]:
        """Receipts of one kind of control since the picture came."""
        receipts: list[dict[str, Any]] = self.page.evaluate("probe.receipts")
        return [receipt for receipt in receipts if (receipt["control"] or {}).get("type") == kind]

    def wait_for_receipts(self, kind: str, count: int) -> list[dict[str, Any]]:
        """As `receipts`, once there are that many."""
        self.wait_for(f"probe.receipts.filter((one) => one.control?.type === '{kind}').length >= {count}")
        return self.receipts(kind)

    def film(self, frames: int) -> Clip:
        """The next frames that are shown."""
        shots = self.page.evaluate("(count) => probe.film(count)", frames)
        pictures = [np.frombuffer(base64.b64decode(shot["luma"]), np.uint8) for shot in shots]
        return np.stack([p.reshape(shots[0]["height"], shots[0]["width"]) for p in pictures]).astype(np.float32)

    def opposites(self) -> tuple[str, str]:
        """Two keys that move the same axis, up and down: turning where the world turns, else its first such axis."""
        actions = self.page.evaluate("window.worldloom.info.actions")
        names = sorted((axis["name"] for axis in actions["axes"]), key=lambda name: name != "turn")
        for name in names:
            keys = {code: key["value"] for code, key in actions["keys"].items() if key["column"] == name}
            up = [code for code, value in keys.items() if value > 0]
            down = [code for code, value in keys.items() if value < 0]
            if up and down:
                return up[0], down[0]
        raise AssertionError(f"no axis has keys for both directions: {actions['keys']}")


@pytest.fixture
def visit(browser: Browser, server: ServerProcess) -> Iterator[Callable[..., Visitor]]:
    """Opens pages, and closes them after the test, each of which must have run without an error in its console."""
    visitors: list[Visitor] = []

    def open_page(query: str, *, width: int = 1280, height: int = 860, script: str = "", port: int = 0) -> Visitor:
        page = browser.new_page(viewport={"width": width, "height": height})
        if script:
            page.add_init_script(script)
        url = f"http://127.0.0.1:{port}" if port else server.url
        visitors.append(Visitor(page, f"{url}/?{query}"))
        return visitors[-1]

    yield open_page
    problems = [problem for visitor in visitors for problem in visitor.problems]
    for visitor in visitors:
        visitor.page.close()
    assert problems == []
