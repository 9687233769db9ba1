"""The page walks in Chromium, with a keyboard's keys and pictures by WebRTC.

python -m tests.interop.walkers.chromium_walker URL
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, sync_playwright

from tests.interop.walkers.deeds import say, walk
from worldloom.streamer.chromium import launch, wait_for

PROBE = (Path(__file__).parents[2] / "browser" / "probe.js").read_text()
LISTEN = """() => {
  probe.listen();
  window.timesBack = 0;
  window.worldloom.client.addEventListener('back', () => { timesBack += 1; });
}"""


class PageHands:
    """See `deeds.Hands`."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def session(self) -> str:
        return str(self._page.evaluate("window.worldloom.session"))

    def times_back(self) -> int:
        return int(self._page.evaluate("timesBack"))

    def screen(self) -> NDArray[np.uint8] | None:
        shot = self._page.evaluate("probe.grab()")
        return np.frombuffer(base64.b64decode(shot["luma"]), np.uint8)

    def shown(self) -> int:
        return int(self._page.evaluate("window.worldloom.client.meter.lastIndex ?? -1"))

    def press(self, code: str) -> None:
        self._page.evaluate("probe.receipts = []")
        self._page.keyboard.down(code)

    def release(self, code: str) -> None:
        self._page.keyboard.up(code)

    def receipt(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._page.evaluate(
            "probe.receipts.find(({ control }) => control?.type === 'key' && control.down) ?? null"
        )
        return None if found is None else {"frame": None} | found

    def wait(self, seconds: float) -> None:
        self._page.wait_for_timeout(1000 * seconds)


def main(url: str) -> None:
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.add_init_script(PROBE)
        page.goto(f"{url.replace('ws://', 'http://')}/")
        wait_for(page, "window.worldloom?.stats()?.frames_shown > 2", 60.0)
        page.evaluate(LISTEN)
        page.locator("#stage").click()
        walk(PageHands(page))
        say(transport=page.evaluate("window.worldloom.stats().transport"))
        page.evaluate("window.worldloom.client.close()")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
