"""`kill -9` of the engine's process under a page and two programs: all hear of it, and all go on where they were."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.serving import ServerMaker, ServerProcess

from .conftest import Visitor
from .talker import Talker, talker

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

TOLD_S = 2.0  # seconds within which everybody knows
KEPT_S = 0.8  # seconds after which a snapshot has been taken of everybody as they are
ROW = [[1.0, 0.0, 0.0, 0.0, 3.0, 0.0]]  # forward, turning
LISTEN = """window.heard = [];
  window.worldloom.client.addEventListener('notice', ({ detail: { code } }) => heard.push({ code, at: Date.now() }));"""
SEEN = """({ session: window.worldloom.session, seed: document.getElementById('seed').value,
  index: window.worldloom.client.meter.lastIndex, shown: window.worldloom.stats().frames_shown })"""


@pytest.fixture(scope="module")
def server(start_server: ServerMaker) -> ServerProcess:
    started = start_server("--world", "toy", WORLDLOOM_SNAPSHOT_EVERY="0.2")
    started.wait_until_ready()
    return started


@pytest.fixture
def visitor(browser: Browser, server: ServerProcess) -> Iterator[Visitor]:
    """A page that has gone somewhere, and stands there."""
    visitor = Visitor(browser.new_page(), f"{server.url}/?world=toy&seed=7")
    visitor.wait_for_picture("webrtc")
    visitor.click_picture()
    key = visitor.opposites()[0]
    visitor.page.keyboard.down(key)
    visitor.wait_for_receipts("key", 1)
    visitor.page.wait_for_timeout(700)
    visitor.page.keyboard.up(key)
    visitor.wait_for_receipts("key", 2)
    visitor.page.evaluate(LISTEN)
    yield visitor
    visitor.page.close()
    assert visitor.problems == []


def test_killed_under_a_page_and_two_programs(server: ServerProcess, visitor: Visitor) -> None:
    with talker(server.url) as driver, talker(server.url) as stepper, talker(server.url) as twin:
        welcomes = [driver.hello(video="websocket", seed=3), stepper.hello(video="websocket", mode="lockstep", seed=5)]
        press(driver, "KeyD")
        there = [step(stepper, number) for number in range(1, 5)]
        twin.hello(video="websocket", mode="lockstep", seed=5)
        everything = [step(twin, number) for number in range(1, 6)]
        twin.send("bye")
        twin.closed()
        time.sleep(KEPT_S)
        page, picture, rest = visitor.page.evaluate(SEEN), visitor.film(1), driver.last_picture()
        killed, clock = time.monotonic(), time.time()
        (engine,) = server.engines()
        os.kill(engine, signal.SIGKILL)
        wait_for_answer(server, 503)
        for one in (driver, stepper):
            assert one.expect("notice", code="engine_lost").at - killed < TOLD_S
        visitor.wait_for("heard.length > 0")
        heard = visitor.page.evaluate("heard")
        assert [one["code"] for one in heard] == ["engine_lost"]
        assert heard[0]["at"] / 1000 - clock < TOLD_S
        page_says_so_meanwhile(visitor, server)
        assert server.engines() != [engine]
        visitor.wait_for("document.getElementById('link-text').textContent === 'Live'")
        visitor.wait_for(f"window.worldloom.stats().frames_shown > {page['shown']} + 20")
        again = visitor.page.evaluate(SEEN)
        assert (again["session"], again["seed"]) == (page["session"], page["seed"]) != ("", "")
        assert again["index"] > page["index"]
        assert visitor.stats()["transport"] == "webrtc"
        assert abs(visitor.film(1) - picture).mean() < 2.0, "the same place"
        last = driver.expect("picture", after=time.monotonic()).message
        assert last["index"] > rest["index"]
        assert last["payload"] == rest["payload"]
        assert there + [step(stepper, 5)] == everything, "the same world, as if nothing had been"
        with talker(server.url) as other:  # the tokens from before still open the sessions
            assert other.hello(resume=welcomes[0]["resume"])["session"] == welcomes[0]["session"]
    assert "Traceback" not in server.written()


def press(driver: Talker, code: str) -> None:
    """Walk a little, then stand still."""
    for seq, down in ((1, True), (2, False)):
        driver.send("key", seq=seq, code=code, down=down)
        driver.expect("receipt", seq=seq, status="applied")


def step(stepper: Talker, number: int) -> bytes:
    """One step ahead: its picture."""
    stepper.send("step", seq=number, actions=ROW)
    frame = stepper.expect("receipt", seq=number, status="applied").message["frame"]
    payload: bytes = stepper.expect("picture", index=frame).message["payload"]
    return payload


def wait_for_answer(server: ServerProcess, status: int) -> None:
    deadline = time.monotonic() + TOLD_S
    while (got := server.get("/readyz")[0]) != status:
        assert time.monotonic() < deadline, f"/readyz says {got}"
        time.sleep(0.01)


def page_says_so_meanwhile(visitor: Visitor, server: ServerProcess) -> None:
    """Until the server is ready again."""
    deadline = time.monotonic() + 30.0
    while True:
        says = visitor.page.locator("#link-text").inner_text()
        if server.get("/readyz")[0] == 200:
            return
        assert says == "The engine starts anew"
        assert time.monotonic() < deadline
        visitor.page.wait_for_timeout(50)
