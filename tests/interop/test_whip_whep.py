"""`WHEPClient` of the npm package whip-whep, in Chromium, on a page of another origin."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import Page, Response, async_playwright

from tests.interop.watched import NEAR, watched
from worldloom.streamer.chromium import FLAGS, MISSING, installed_browser

if TYPE_CHECKING:
    from tests.serving import ServerMaker, ServerProcess

pytestmark = pytest.mark.interop

PAGE = Path(__file__).parent / "whip_whep.html"
SECONDS = 5.0
FIRST_FRAME_S = 10.0


@pytest.fixture(scope="module")
def site(packages: Path) -> Iterator[str]:
    """Somebody else's site, with the page and the package; yields its origin."""
    files = {"/": ("text/html", PAGE), "/whep.js": ("text/javascript", packages / "whip-whep" / "whep.js")}

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, path = files.get(self.path, ("text/plain", None))
            self.send_response(404 if path is None else 200)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(b"" if path is None else path.read_bytes())

        def log_message(self, format: str, *args: Any) -> None:
            """Not into the tests' output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(start_server: ServerMaker, site: str) -> ServerProcess:
    """A server that lets that site's pages in."""
    started = start_server("--world", "toy", WORLDLOOM_ORIGINS=json.dumps([site]))
    started.wait_until_ready()
    return started


@pytest.fixture
async def page(site: str) -> AsyncIterator[Page]:
    """The site's page, in Chromium."""
    path = installed_browser()
    if path is None:
        pytest.skip(MISSING)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        page = await browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        await page.goto(site)
        yield page
        await browser.close()
    assert problems == []


async def test_whip_whep_plays(server: ServerProcess, page: Page) -> None:
    answers: list[tuple[str, int]] = []

    def note(response: Response) -> None:
        if response.url.startswith(server.url):
            answers.append((response.request.method, response.status))

    page.on("response", note)
    async with watched(server) as session:
        async with asyncio.timeout(FIRST_FRAME_S):
            await page.evaluate("([url, token]) => player.view(url, token)", [session.url, session.token])
        assert session.watchers() == [1, 1]
        before = await page.evaluate("player.seen()")
        await asyncio.sleep(SECONDS)
        after = await page.evaluate("player.seen()")
        await page.evaluate("player.stop()")
        await session.until_left()
    shown = [at for at in after["at"] if at > before["at"][-1]]
    rate = len(shown) * 1000 / (shown[-1] - before["at"][-1])
    version = page.context.browser.version if page.context.browser else "?"
    print(
        f"whip-whep in Chromium {version}, {after['codec']}: first frame after "
        f"{after['at'][0] - after['begun']:.0f} ms, {rate:.2f} frames/s"
    )
    assert (after["state"], after["codec"], after["size"]) == ("connected", "video/H264", session.size)
    assert rate == pytest.approx(session.fps, rel=NEAR)
    assert after["decoded"] - before["decoded"] == pytest.approx(len(shown), rel=0.1)
    assert after["quality"] > before["quality"]
    assert answers[0] == ("POST", 201)
    assert ("PATCH", 204) in answers, "addresses follow the offer"
    assert answers[-1] == ("DELETE", 200)
