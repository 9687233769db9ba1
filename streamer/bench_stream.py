"""`worldloom bench stream`: a server of its own, a real Chromium beside it, and the page's own figures.

From a key press (the browser's event time) to the presentation of the first frame that the key shaped, both on the
page's clock. Knows the command line of the server and the page's `window.worldloom`; nothing inside either.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .bench_frames import FrameWatch
from .bounds import bounds
from .hardware import hardware

if TYPE_CHECKING:
    from playwright.sync_api import Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Both for machines with no network but the loop-back: there WebRTC needs its address, and in the open.
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
)
READY_S = 180.0  # seconds that the server may take to be ready
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
        _wait(page, "window.worldloom?.stats()?.frames_shown > 5", PICTURE_S, "no picture")
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


def _wait(page: Page, condition: str, seconds: float, complaint: str) -> None:
    """Until an expression holds; the page's policy forbids `eval`, so it is asked again and again."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(f"Boolean({condition})"):
        if time.monotonic() > deadline:
            said = page.evaluate("document.querySelector('#curtain-title')?.textContent ?? ''")
            raise BenchFailed(f"{complaint} within {seconds:g} s; the page says {said!r}")
        page.wait_for_timeout(50)


def installed_browser() -> str | None:
    """Path of the Chromium of this machine, if it has one."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


@contextmanager
def _page(url: str) -> Iterator[Page]:
    """A page in a Chromium of its own."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise BenchFailed("expected playwright: pip install 'worldloom[bench]'") from error
    path = installed_browser()
    if path is None:
        raise BenchFailed(f"expected Chromium on the PATH, as one of {', '.join(BROWSERS)}; try: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            page.goto(url)
            yield page
        finally:
            browser.close()


@contextmanager
def _server(world: str) -> Iterator[str]:
    """A ready server of that world; its address."""
    command = [sys.executable, "-m", "worldloom.streamer", "serve", "--world", world, "--port", "0"]
    command += ["--log-level", "warning"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        assert process.stdout is not None
        url = process.stdout.readline().rpartition(" ")[2].strip()
        if not url.startswith("http"):
            raise BenchFailed(f"the server did not start; it ended with {process.wait(10)}")
        _wait_until_ready(process, url)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _wait_until_ready(process: subprocess.Popen[str], url: str) -> None:
    deadline = time.monotonic() + READY_S
    said = ""
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except urllib.error.HTTPError as error:
            with error:
                said = json.loads(error.read())["worlds"]
        except OSError as error:
            said = str(error)
        time.sleep(0.1)
    raise BenchFailed(f"the server is not ready: {said}")
