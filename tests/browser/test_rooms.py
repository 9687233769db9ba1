"""One session, several pages: reloaded, taken over, watched; and a line that is cut and comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.wire import Wire

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.conftest import Visitor
    from tests.serving import ServerProcess

pytestmark = pytest.mark.browser

INDEX = "window.worldloom.client.meter.lastIndex"


@pytest.fixture
def wire(server: ServerProcess) -> Iterator[Wire]:
    wire = Wire(int(server.url.rsplit(":", 1)[1]))
    yield wire
    wire.close()


def test_a_reloaded_page_goes_on_in_the_same_session(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy")
    visitor.wait_for_picture()
    session, frame = visitor.page.evaluate(f"[window.worldloom.session, {INDEX}]")
    visitor.page.reload()
    visitor.wait_for_picture()
    again, later = visitor.page.evaluate(f"[window.worldloom.session, {INDEX}]")
    assert again == session
    assert later > frame
    visitor.click_picture()
    visitor.page.keyboard.press(visitor.opposites()[0])
    assert visitor.wait_for_receipts("key", 2)[0]["status"] == "applied"


def test_another_page_takes_over_and_the_first_says_so(visit: Callable[..., Visitor]) -> None:
    first = visit("world=toy")
    first.wait_for_picture()
    token = first.page.evaluate("window.worldloom.client.tokens.resume")
    second = visit(f"world=toy&resume={token}")
    second.wait_for_picture()
    first.wait_for("!document.getElementById('retry').hidden")
    assert first.page.locator("#curtain-title").inner_text() == "You are driving elsewhere"
    assert second.page.evaluate("window.worldloom.session")


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
def test_a_spectator_sees_what_the_driver_does(visit: Callable[..., Visitor], transport: str) -> None:
    driver = visit("world=toy")
    driver.wait_for_picture()
    token = driver.page.evaluate("window.worldloom.client.tokens.watch")
    spectator = visit(f"watch={token}&transport={transport}")
    spectator.wait_for_picture(transport)
    assert spectator.page.locator("#link-text").inner_text() == "Watching"
    assert spectator.page.evaluate("window.worldloom.session") == driver.page.evaluate("window.worldloom.session")
    still = spectator.film(6)
    driver.click_picture()
    key = driver.opposites()[0]
    driver.page.keyboard.down(key)
    driver.wait_for_receipts("key", 1)
    moving = spectator.film(8)
    driver.page.keyboard.up(key)
    assert abs(moving[-1] - moving[0]).mean() > 4.0 * abs(still[-1] - still[0]).mean()
    driver.page.evaluate("window.worldloom.client.close()")
    spectator.wait_for("!document.getElementById('retry').hidden")


@pytest.mark.parametrize("transport", ["auto", "websocket"])
def test_a_cut_line_comes_back_to_the_same_world(
    visit: Callable[..., Visitor], browser: Browser, wire: Wire, transport: str
) -> None:
    visitor = visit(f"world=toy&transport={transport}", port=wire.port)
    visitor.wait_for_picture()
    session = visitor.page.evaluate("window.worldloom.session")
    visitor.page.evaluate(
        """window.heard = [];
           for (const type of ['lost', 'back']) {
             window.worldloom.client.addEventListener(type, () => heard.push(type));
           }"""
    )
    wire.cut()
    visitor.wait_for("heard.includes('lost')")
    assert visitor.page.locator("#link-text").inner_text() == "Reconnecting"
    frame = visitor.page.evaluate(INDEX)
    visitor.page.wait_for_timeout(1500)
    wire.mend()
    visitor.wait_for(f"heard.includes('back') && {INDEX} > {frame}", 5)
    assert visitor.page.evaluate("window.worldloom.session") == session
    assert visitor.page.evaluate(INDEX) < frame + 60, "the world waited"
    visitor.click_picture()
    visitor.page.keyboard.press(visitor.opposites()[0])
    assert visitor.wait_for_receipts("key", 1)[0]["status"] == "applied"
    visitor.problems.clear()  # the browser notes each attempt that found nobody
