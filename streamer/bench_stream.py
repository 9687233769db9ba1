"""`worldloom bench stream`: a server of its own, a real Chromium beside it, and the page's own figures.

From a key press (the browser's event time) to the presentation of the first frame that the key shaped, both on the
page's clock. Knows the command line of the server and the page's `window.worldloom`; nothing inside either.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from .bench_frames import FrameWatch
from .bounds import bounds
from .chromium import opened, wait_for
from .hardware import hardware
from .server_process import ServerFailed, ServerProcess

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURE_S = 30.0  # seconds that the first picture may take
WARM_UP_S = 4.0  # seconds of play before anything counts
HOLD_S = (0.1, 0.5)  # shortest and longest hold of a key, seconds
REST_S = (0.1, 0.4)  # the same between two keys
SETTLE_S = 1.5  # seconds after which figures that are told once a second are there


class BenchFailed(Exception):
    """There is nothing to measure: no browser, no server, or no picture."""


def bench_stream(
    world: str, seconds: float, *, transport: str = "auto", seed: int = 1, warm_up: float = WARM_UP_S
) -> dict[str, Any]:
    """Play `world` in Chromium for so many seconds and measure.

    Raises:
        BenchFailed: no browser, no server or no picture.
    """
    with _server(world) as url, _page(f"{url}/?transport={transport}") as page:
        _wait_for_pictures(page)
        page.locator("#stage").click()
        keys = sorted(page.evaluate("Object.keys(window.worldloom.info.actions.keys)"))
        rng = random.Random(seed)
        _play(page, keys, warm_up, rng)
        before = _drops(page)
        page.evaluate("window.worldloom.clearStats()")
        watch = FrameWatch(page, url)
        _play(page, keys, seconds, rng)
        stats = page.evaluate("window.worldloom.stats()")
        stats.update(watch.figures())
        page.wait_for_timeout(1000 * SETTLE_S)
        after = _drops(page)
        stats["server"] = page.evaluate("window.worldloom.stats().server")
    return _figures(stats, {cause: after[cause] - before[cause] for cause in after})


def _figures(stats: dict[str, Any], drops: dict[str, int]) -> dict[str, Any]:
    """What is printed. Frames that were numbered but never shown are drops; each known cause explains some."""
    shown, span = stats["frames_shown"], stats["measured_s"]
    skipped = stats["frames_skipped"]
    figures = {
        "world": stats["world"],
        "world_fps": stats["world_fps"],
        "fps_shown": round(shown / span, 3),
        "input_to_photon_ms": stats["input_to_photon_ms"],
        "parts_ms": stats["parts_ms"],
        "step_ms": stats["step_ms"],
        "frame_interval_ms": stats["frame_interval_ms"],
        "key_frames_unasked": stats["key_frames_unasked"],
        "drops": {"skipped": skipped, **drops},
        "drops_unexplained": max(0, skipped - sum(drops.values())),
        "transport": stats["transport"],
        "bitrate_kbps": round(stats["bitrate_kbps"], 1),
        "rtt_ms": stats["rtt_ms"],
        "server": stats["server"],
        "seconds": round(span, 2),
        "hardware": hardware(),
    }
    return {**figures, "bounds": bounds(figures)}


def _play(page: Page, keys: list[str], seconds: float, rng: random.Random) -> None:
    """Hold keys at random moments."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        code = rng.choice(keys)
        page.keyboard.down(code)
        page.wait_for_timeout(1000 * rng.uniform(*HOLD_S))
        page.keyboard.up(code)
        page.wait_for_timeout(1000 * rng.uniform(*REST_S))


def _drops(page: Page) -> dict[str, int]:
    """Frames lost so far, by cause: replaced by a newer one in the server's slot, or given up by the browser."""
    counted: dict[str, int] = page.evaluate(
        """async () => {
          const page = window.worldloom, picture = page.client.view.picture;
          const drops = { replaced_on_server: page.stats().server?.dropped ?? 0, dropped_by_browser: 0 };
          drops.replaced_on_page = page.stats().frames_replaced ?? 0;
          for (const one of (await picture?.peer?.getStats?.())?.values() ?? [])
            if (one.type === 'inbound-rtp' && one.kind === 'video') drops.dropped_by_browser += one.framesDropped ?? 0;
          return drops;
        }"""
    )
    return counted


def _wait_for_pictures(page: Page) -> None:
    try:
        wait_for(page, "window.worldloom?.stats()?.frames_shown > 5", PICTURE_S)
    except TimeoutError as error:
        raise BenchFailed(f"no picture: {error}") from error


@contextmanager
def _page(url: str) -> Iterator[Page]:
    """A page in a Chromium of its own."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise BenchFailed("expected playwright: pip install 'worldloom[bench]'") from error
    with sync_playwright() as playwright:
        try:
            with opened(playwright.chromium, url) as page:
                yield page
        except FileNotFoundError as error:
            raise BenchFailed(f"{error}; try: apt install chromium") from error


@contextmanager
def _server(world: str) -> Iterator[str]:
    """A ready server of that world; its address."""
    try:
        server = ServerProcess.start("--world", world, "--log-level", "warning")
    except ServerFailed as error:
        raise BenchFailed(str(error)) from error
    try:
        server.wait_until_ready()
        yield server.url
    except ServerFailed as error:
        raise BenchFailed(str(error)) from error
    finally:
        with suppress(ServerFailed):  # what was measured is worth more than how it ended
            server.stop()
