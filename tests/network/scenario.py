"""The real server on one side of a link, a real Chromium on the other, and what a visitor sees second by second.

`Server` and `visit` put the two in their places; `play` presses keys for so many seconds while a schedule changes the
link, and gives a `Table` of figures. Knows the command line of the server and the page's `window.worldloom`; nothing
inside the server.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from playwright.sync_api import Page, Playwright

from worldloom.streamer.chromium import MISSING, installed_browser, opened, wait_for
from worldloom.streamer.server_process import SERVE, ServerProcess

from .link import Direction, Link, Side
from .table import Second, Table

SERVER: Side = "a"
VISITOR: Side = "b"
TO_VISITOR: Direction = "ab"
TO_SERVER: Direction = "ba"
PORT = 8000
PICTURE_S = 30.0  # seconds that the first pictures may take
PRESS_S = 0.23  # seconds that a key is held, and is not; out of step with the frames of a world

FETCH = """
import json, sys, urllib.error, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1], timeout=5) as answer:
        status, text = answer.status, answer.read().decode()
except urllib.error.HTTPError as error:
    status, text = error.code, error.read().decode()
except OSError as error:
    status, text = 0, str(error)
print(json.dumps([status, text]))
"""

# What the page's own meter has seen since it was asked before. Told once each, by identity: the time of a sample is no
# guide, as a picture may be presented a little after it is reported, and a receipt may come long after its picture.
WATCH = """() => {
  const world = window.worldloom.client, stats = window.worldloom.stats(), now = performance.now();
  if (world === null) return { now };
  const told = (window.toldBefore ??= new WeakSet());
  const fresh = (items) => items.filter((item) => !told.has(item) && told.add(item));
  return {
    now,
    transport: stats.transport,
    bitrate_kbps: stats.bitrate_kbps,
    frames_shown: stats.frames_shown,
    picture_at: world.meter.log.at(-1)?.shownMs,
    frames: fresh(world.meter.log).map((one) => [one.index, one.shownMs]),
    photons: fresh(world.meter.latency.items).map((one) => one.value.total),
  };
}"""


@dataclass(frozen=True)
class Change:
    """The link behaves otherwise from some second of the play on."""

    at_s: float
    direction: Direction | Literal["both"]
    conditions: dict[str, Any] = field(default_factory=dict)  # those of `lane.Conditions`


class Server(ServerProcess):
    """A server on its side of a link."""

    def __init__(self, link: Link, log: Path, *arguments: str, world: str = "toy", **environment: str) -> None:
        address = link.address[SERVER]
        command = [*SERVE, "--world", world, "--host", address, "--port", str(PORT), *arguments]
        variables = {**os.environ, "WORLDLOOM_AUTH": "off", **environment}  # the link is ours
        with log.open("w") as out:
            process = link.run_in(SERVER, command, stdout=out, stderr=out, env=variables)
        super().__init__(process, f"http://{address}:{PORT}", log)
        self._link = link

    def __enter__(self) -> Self:
        self.wait_until_ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one answer, asked on the server's own side: no condition of the link touches it."""
        command = self._link.command_in(SERVER, [sys.executable, "-I", "-c", FETCH, self.url + path])
        status, text = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=20).stdout)
        return status, text


@contextmanager
def visit(playwright: Playwright, link: Link, url: str, folder: Path) -> Iterator[Page]:
    """A page in a Chromium of its own, on the visitor's side. `folder` takes a file of ours.

    We drive it through pipes, which reach across namespaces: it inherits them through the script that takes it there.
    """
    chromium = installed_browser()
    assert chromium is not None, MISSING
    script = folder / "chromium-over-there"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(link.command_in(VISITOR, [chromium]))} "$@"\n')
    script.chmod(0o755)
    with opened(playwright.chromium, url, path=script) as page:
        yield page


def start(page: Page, *, seconds: float = PICTURE_S) -> None:
    """Wait for pictures, and give the keyboard to the world."""
    wait_for(page, "window.worldloom?.stats()?.frames_shown > 5", seconds)
    page.locator("#stage").click()


def figures(page: Page) -> dict[str, Any]:
    """The page's own figures; among them fps_shown, input_to_photon_ms (p50, p95, count), transport, rtt_ms."""
    stats: dict[str, Any] | None = page.evaluate("window.worldloom.stats()")
    return stats or {}


def play(page: Page, link: Link, seconds: int, schedule: Sequence[Change] = (), *, warm_up: float = 2.0) -> Table:
    """Press keys for so many seconds after the warm-up; a row of figures for each of them. Changes count from then on.

    Everything that is to happen stands in one agenda, so that nothing here needs a thread: Playwright has but one.
    """
    table = Table(fps=figures(page)["world_fps"])
    watch = _watcher(page, table)
    keys = page.evaluate("Object.keys(window.worldloom.info.actions.keys).sort()")
    agenda: list[tuple[float, Callable[[], object]]] = []
    for press in range(int((warm_up + seconds) / (2 * PRESS_S))):
        key = keys[press % len(keys)]
        agenda.append((2 * press * PRESS_S, partial(page.keyboard.down, key)))
        agenda.append(((2 * press + 1) * PRESS_S, partial(page.keyboard.up, key)))
    for change in schedule:
        agenda.append((warm_up + change.at_s, partial(link.set, change.direction, **change.conditions)))
    agenda += [(warm_up + second, watch) for second in range(seconds + 1)]
    begin = time.monotonic()
    for at, act in sorted(agenda, key=lambda item: item[0]):
        page.wait_for_timeout(1000 * max(0.0, begin + at - time.monotonic()))
        act()
    return table


def _watcher(page: Page, table: Table) -> Callable[[], None]:
    """Adds a row for what came since the call before; the first call only begins."""
    last: dict[str, Any] = {}

    def watch() -> None:
        seen = page.evaluate(WATCH)
        if last:
            table.rows.append(Second.between(last, seen))
        # What is not told this time, like a picture's time in a session that has none yet, stays as it was.
        last.update({name: value for name, value in seen.items() if value is not None})

    return watch
