"""The Chromium of this machine: which one it is, how it is started, and how a page of it is waited for.

Knows Playwright, and imports it only where there is a browser already; no server, no world.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserType, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = f"no Chromium on this machine: none of {', '.join(BROWSERS)} is on the PATH"
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
ASK_EVERY_MS = 20.0


def installed_browser() -> str | None:
    """Path of the Chromium of this machine, if it has one."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def launch(chromium: BrowserType, *flags: str, path: Path | None = None) -> Browser:
    """A browser of its own, with further flags; from `path` instead of where it is installed.

    Raises:
        FileNotFoundError: there is none.
    """
    found = path or installed_browser()
    if found is None:
        raise FileNotFoundError(MISSING)
    return chromium.launch(executable_path=found, args=[*FLAGS, *flags])


@contextmanager
def opened(chromium: BrowserType, url: str, *, path: Path | None = None) -> Iterator[Page]:
    """A page in a browser of its own. Raises as `launch`."""
    browser = launch(chromium, path=path)
    try:
        page = browser.new_page(viewport={"width": 1280, "height": 860})  # the whole page is seen without scrolling
        page.goto(url)
        yield page
    finally:
        browser.close()


def wait_for(page: Page, condition: str, seconds: float = 20.0) -> None:
    """Until a JavaScript expression holds. Playwright's own waiting needs `eval`, which the page's policy forbids.

    Raises:
        TimeoutError: it does not; with what the page tells people.
    """
    deadline = time.monotonic() + seconds
    while not page.evaluate(f"Boolean({condition})"):
        if time.monotonic() > deadline:
            said = page.evaluate("document.getElementById('curtain-title')?.textContent ?? ''")
            raise TimeoutError(f"after {seconds:g} s not yet: {condition}; the page says {said!r}")
        page.wait_for_timeout(ASK_EVERY_MS)
