"""The page itself: it fits a phone, works with fingers, says plainly what is wrong, and needs nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from worldloom.models.catalog import shipped_worlds

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.conftest import Visitor
    from tests.serving import ServerMaker, ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

SLOW_WORLD = '''
import time
from worldloom.models.toy import ToyWorld

class SlowWorld(ToyWorld):
    """Takes its time to wake up."""

    def start(self, **options):
        time.sleep(0.5)
        return super().start(**options)
'''


def test_it_is_not_ready_before_it_has_warmed_up(
    start_server: ServerMaker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("worlds")
    (folder / "slow_world.py").write_text(SLOW_WORLD)
    server = start_server("--world", "slow_world:SlowWorld", PYTHONPATH=str(folder))
    server.wait_until_ready()
    assert [status for status in server.readiness if status != 0] == [503, 200]
    assert server.get("/healthz")[0] == 200


@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_nothing_sticks_out(visit: Callable[..., Visitor], width: int) -> None:
    visitor = visit("world=toy", width=width, height=740)
    visitor.wait_for_picture()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width
    stage = visitor.page.locator("#stage").bounding_box()
    assert stage is not None
    assert stage["width"] > 300
    assert stage["height"] > 200
    small = visitor.page.evaluate(
        """[...document.querySelectorAll('button:not([hidden]), input[type=range]')]
           .filter((one) => one.offsetParent && Math.min(one.offsetWidth, one.offsetHeight) < 24).length"""
    )
    assert small == 0, "something to press is too small for a finger"


WRITES = """() => new Promise((done) => {
  let beats = 0, writes = 0;
  const watch = new MutationObserver((news) => (writes += news.length));
  watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  const beat = () => (++beats < 60 ? requestAnimationFrame(beat) : done(writes));
  requestAnimationFrame(beat);
})"""


def test_it_lies_still_while_nothing_changes(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy")
    visitor.wait_for_picture()
    visitor.wait_for("document.getAnimations().length === 0")  # the curtain's, too, once it is away
    visitor.page.locator("#stage").focus()
    visitor.page.keyboard.down("KeyW")
    visitor.wait_for_receipts("key", 1)
    assert visitor.page.evaluate(WRITES) < 60, "something is written at every beat of the display"
    assert visitor.page.evaluate("document.getAnimations().length") == 0


def test_everything_can_be_reached_from_the_keyboard(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy")
    visitor.wait_for_picture()
    reached = set()
    for _ in range(60):
        visitor.page.keyboard.press("Tab")
        reached.add(visitor.page.evaluate("document.activeElement.id || document.activeElement.dataset.code || ''"))
    buttons = {"pause", "reset", "seed", "fullscreen", "screenshot", "film", "walk", "share"}
    assert {"stage", *buttons, "KeyW", "ArrowLeft"} <= reached
    visitor.page.locator("#stage").focus()
    visitor.page.keyboard.down("KeyW")
    assert visitor.wait_for_receipts("key", 1)[0]["status"] == "applied"
    visitor.page.keyboard.press("Tab")  # leaving lets go of the key
    receipts = visitor.wait_for_receipts("key", 2)
    assert [receipt["control"]["down"] for receipt in receipts] == [True, False]


def test_a_cap_can_be_held_with_the_pointer(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy", width=360, height=740)
    visitor.wait_for_picture()
    cap = visitor.page.locator(".cap[data-code=ArrowRight]")
    cap.hover()
    visitor.page.mouse.down()
    visitor.wait_for_receipts("key", 1)
    visitor.page.mouse.up()
    receipts = visitor.wait_for_receipts("key", 2)
    assert [(one["status"], one["control"]["down"]) for one in receipts] == [("applied", True), ("applied", False)]


def test_a_slider_moves_its_axis(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy")
    visitor.wait_for_picture()
    visitor.page.locator(".lever input").fill("0.5")
    receipt = visitor.wait_for_receipts("axes", 1)[0]
    assert (receipt["status"], receipt["control"]["values"]) == ("applied", {"lever": 0.5})


def test_dragging_turns_the_view(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy", script="delete Element.prototype.requestPointerLock")
    visitor.wait_for_picture()
    visitor.page.locator("#stage").hover()
    visitor.page.mouse.down()
    visitor.page.mouse.move(500, 300, steps=4)
    visitor.page.mouse.move(600, 300, steps=10)
    visitor.page.mouse.up()
    looks = visitor.wait_for_receipts("look", 1)
    assert sum(one["control"]["yaw"] for one in looks) != 0


def test_losing_the_window_releases_every_key(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy")
    visitor.wait_for_picture()
    visitor.click_picture()
    for key in ("KeyW", "KeyD"):
        visitor.page.keyboard.down(key)
    visitor.wait_for_receipts("key", 2)
    visitor.page.evaluate("window.dispatchEvent(new Event('blur'))")
    receipts = visitor.wait_for_receipts("key", 4)
    assert sorted((one["control"]["code"], one["control"]["down"]) for one in receipts[2:]) == [
        ("KeyD", False),
        ("KeyW", False),
    ]


DROP = """async (type) => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 200, height: 150 });
  const context = canvas.getContext('2d');
  context.fillStyle = '#c02020';
  context.fillRect(0, 0, 200, 150);
  const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
  const files = new DataTransfer();
  files.items.add(new File([blob], 'red.png', { type }));
  document.getElementById('stage').dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
}"""  # noqa: E501


@pytest.mark.skipif("arm" not in shipped_worlds(), reason="needs a world that starts from pictures")
def test_a_picture_that_is_dropped_on_the_world_starts_it(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=arm&seed=7")
    visitor.wait_for_picture()
    before = visitor.film(1)[0]
    visitor.page.evaluate(DROP, "image/png")
    receipt = visitor.wait_for_receipts("reset", 1)[0]
    assert (receipt["status"], len(receipt["control"]["image"])) == ("applied", 16)
    assert abs(visitor.film(3)[2] - before).mean() > 20, "a red field is no robot at a drawer"
    visitor.page.locator("#reset").click()
    assert visitor.wait_for_receipts("reset", 2)[1]["control"]["image"] == "none"


def test_a_picture_that_cannot_be_used_is_told(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy")
    visitor.wait_for_picture()
    visitor.page.evaluate(DROP, "image/png")
    visitor.wait_for("document.getElementById('link-text').textContent === 'This world starts from no picture'")
    visitor.wait_for("document.getElementById('link-text').textContent === 'Live'")


def test_a_full_server_has_a_line_to_wait_in(
    browser: Browser, start_server: ServerMaker, until: Callable[..., None]
) -> None:
    server = start_server("--world", "toy", WORLDLOOM_MAX_SESSIONS="1")
    server.wait_until_ready()
    first, second = browser.new_page(), browser.new_page()
    try:
        first.goto(f"{server.url}/")
        until(first, "window.worldloom?.stats()?.frames_shown > 0")
        second.goto(f"{server.url}/")
        until(second, "document.getElementById('curtain-title').textContent === 'All places are taken'")
        assert "number 1" in second.locator("#curtain-text").inner_text()
        first.evaluate("window.worldloom.client.close()")
        until(second, "window.worldloom.stats()?.frames_shown > 0")
        assert second.locator("#curtain").get_attribute("data-open") == "false"
    finally:
        first.close()
        second.close()


OVERLOADED_WORLD = '''
import time
from worldloom.models.toy import ToyWorld

class OverloadedWorld(ToyWorld):
    """Cannot keep its rate."""

    def step(self, states, actions):
        time.sleep(0.06)
        return super().step(states, actions)
'''


def test_an_overloaded_server_says_what_it_gives_up(
    browser: Browser, start_server: ServerMaker, until: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("worlds")
    (folder / "overloaded_world.py").write_text(OVERLOADED_WORLD)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    server = start_server("--world", "overloaded_world:OverloadedWorld", PYTHONPATH=path)
    server.wait_until_ready()
    page = browser.new_page()
    try:
        page.goto(f"{server.url}/")
        until(page, "window.worldloom?.stats()?.server?.reduced === 'rate'")
        until(page, "!document.getElementById('reduced').hidden")
        assert "server is busy" in page.locator("#reduced").inner_text()
    finally:
        page.close()


def test_a_full_line_is_said_to_be_full(
    browser: Browser, start_server: ServerMaker, until: Callable[..., None]
) -> None:
    server = start_server("--world", "toy", WORLDLOOM_MAX_SESSIONS="1", WORLDLOOM_MAX_WAITING="0")
    server.wait_until_ready()
    first, second = browser.new_page(), browser.new_page()
    try:
        first.goto(f"{server.url}/")
        until(first, "window.worldloom?.stats()?.frames_shown > 0")
        second.goto(f"{server.url}/")
        until(second, "!document.getElementById('retry').hidden")
        assert second.locator("#curtain-title").inner_text() == "All places are taken"
        first.evaluate("window.worldloom.client.close()")
        second.wait_for_timeout(500)
        second.locator("#retry").click()
        until(second, "window.worldloom.stats()?.frames_shown > 0")
        assert second.locator("#curtain").get_attribute("data-open") == "false"
    finally:
        first.close()
        second.close()


def test_a_server_that_dies_is_sought_and_one_that_stops_says_so(
    browser: Browser, start_server: ServerMaker, until: Callable[..., None]
) -> None:
    for end, words in ((signal.SIGKILL, "The thread broke"), (signal.SIGTERM, "The server is stopping")):
        server = start_server("--world", "toy")
        server.wait_until_ready()
        page = browser.new_page()
        try:
            page.goto(f"{server.url}/")
            until(page, "window.worldloom?.stats()?.frames_shown > 0")
            server.process.send_signal(end)
            until(page, f"document.getElementById('curtain-title').textContent === '{words}'")
            state = page.locator("#link").get_attribute("data-state")
            assert state == ("waiting" if end == signal.SIGKILL else "failed")
        finally:
            page.close()


def test_the_page_asks_nobody_else(browser: Browser, server: ServerProcess, until: Callable[..., None]) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    try:
        answer = page.goto(f"{server.url}/")
        until(page, "window.worldloom?.stats()?.frames_shown > 0")
    finally:
        page.close()
    assert answer is not None
    assert "unsafe-inline" not in answer.headers["content-security-policy"]
    assert [url for url in asked if not url.startswith(server.url)] == []
