"""A real server process and a real Chromium, for tests that drive a world as a person does.

Chromium is the one that is installed; without one every test here is skipped and says so. Sessions in these tests use
Playwright's synchronous interface, which owns the thread's event loop: no test in this folder is a coroutine.
"""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from worldloom.models.catalog import shipped_worlds
from worldloom.streamer.bench_stream import BROWSERS, FLAGS, installed_browser

WORLDS = ("toy", *shipped_worlds())
READY_S = 120.0
PROBE = (Path(__file__).parent / "probe.js").read_text()

Clip = NDArray[np.float32]
"""(N, H, W) luma of N presented frames, 0 to 255."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes a `world` runs on the toy and on each trained world."""
    if "world" in metafunc.fixturenames:
        metafunc.parametrize("world", WORLDS, scope="module")


@dataclass
class ServerProcess:
    """`worldloom serve` in a process of its own."""

    process: subprocess.Popen[bytes]
    url: str  # like http://127.0.0.1:8000
    log: Path
    readiness: list[int] = field(default_factory=list)  # answers of /readyz, in order, repeats left out

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one answer; status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_until_ready(self) -> None:
        """Poll /readyz until it says yes."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            status, _ = self.get("/readyz")
            if self.readiness[-1:] != [status]:
                self.readiness.append(status)
            if status == 200:
                return
            time.sleep(0.02)
        raise AssertionError(f"the server is not ready, /readyz said {self.readiness}:\n{self.log.read_text()}")

    def metric(self, name: str) -> float:
        """Sum over the labels of one metric of /metrics."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if line.startswith((name + "{", name + " "))]
        assert lines, f"/metrics has no {name}"
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def family(self) -> dict[int, float]:
        """The process and its children: MB of resident memory by process."""
        listed = subprocess.run(["ps", "-eo", "pid=,ppid=,rss="], capture_output=True, text=True, check=True).stdout
        rows = [tuple(map(int, line.split())) for line in listed.splitlines()]
        family = {self.process.pid}
        for pid, parent, _ in sorted(rows):
            if parent in family:
                family.add(pid)
        return {pid: rss / 1024 for pid, _, rss in rows if pid in family}

    def memory_mb(self) -> float:
        """Resident memory of the process and its children."""
        return sum(self.family().values())

    def engines(self) -> list[int]:
        """The children that step worlds."""
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in self.family()}
        return [pid for pid, command in commands.items() if b"spawn_main" in command]

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not end on SIGINT:\n{self.log.read_text()}") from None


ServerMaker = Callable[..., ServerProcess]


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """`wait_for`, for tests with a page of their own."""
    return wait_for


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerMaker]:
    """Starts servers and ends them; arguments are those of `worldloom serve`."""
    running: list[ServerProcess] = []

    def start(*arguments: str, **environment: str) -> ServerProcess:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = tmp_path_factory.mktemp("server") / "log"
        command = [sys.executable, "-m", "worldloom.streamer", "serve", "--port", str(port), *arguments]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **environment})
        running.append(ServerProcess(process, f"http://127.0.0.1:{port}", log))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="module")
def server(start_server: ServerMaker) -> ServerProcess:
    """A server of every world that there is, ready."""
    arguments = [part for name in WORLDS for part in ("--world", name)]
    started = start_server(*arguments)
    started.wait_until_ready()
    return started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium of this machine."""
    path = installed_browser()
    if path is None:
        pytest.skip(f"no Chromium on this machine: none of {', '.join(BROWSERS)} is on the PATH")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


def wait_for(page: Page, condition: str, seconds: float = 20.0) -> None:
    """Until a JavaScript expression holds. Playwright's own waiting needs `eval`, which the page's policy forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(f"Boolean({condition})"):
        assert time.monotonic() < deadline, f"after {seconds:g} s not yet: {condition}"
        page.wait_for_timeout(20)


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
