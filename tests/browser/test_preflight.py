"""/preflight in a real Chromium: every step of a visit, and the name of the one that fails."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from worldloom.streamer.chromium import launch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.serving import ServerMaker, ServerProcess

pytestmark = pytest.mark.browser

DECIDED = "document.getElementById('again').disabled === false"
STATES = "Object.fromEntries([...document.querySelectorAll('#steps li')].map((li) => [li.id, li.dataset.state]))"
Open = Callable[..., "Page"]


@pytest.fixture
def open_preflight(browser: Browser, until: Callable[..., None]) -> Iterator[Open]:
    """Opens the page of a server and waits for its verdict."""
    pages: list[Page] = []

    def open_page(server: ServerProcess, query: str = "", script: str = "", by: Browser = browser) -> Page:
        pages.append(by.new_page())
        page = pages[-1]
        if script:
            page.add_init_script(script)
        page.goto(f"{server.url}/preflight{query}")
        until(page, DECIDED, 60.0)
        return page

    yield open_page
    for page in pages:
        page.close()


def states(page: Page) -> dict[str, str]:
    found: dict[str, str] = page.evaluate(STATES)
    return {step.removeprefix("step-"): state for step, state in found.items()}


def detail(page: Page, step: str, part: str = "detail") -> str:
    return page.locator(f"#step-{step} .{part}").inner_text()


def verdict(page: Page) -> tuple[str | None, str]:
    found = page.locator("#verdict")
    return found.get_attribute("data-transport"), found.inner_text()


def test_every_step_succeeds_and_the_page_says_webrtc(open_preflight: Open, server: ServerProcess) -> None:
    page = open_preflight(server, "?world=toy")
    assert set(states(page).values()) == {"ok"}, states(page)
    assert len(states(page)) == 10
    assert verdict(page) == ("webrtc", "Pictures will come over WebRTC.")
    assert detail(page, "candidates") == "host"
    assert re.fullmatch(r"host \S+:\d+ udp → host \S+:\d+ udp", detail(page, "ice"))
    assert detail(page, "picture") == "256x192"
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_a_browser_without_webrtc_is_named_and_gets_the_websocket(open_preflight: Open, server: ServerProcess) -> None:
    page = open_preflight(server, "?world=toy", "delete window.RTCPeerConnection")
    found = states(page)
    assert [step for step, state in found.items() if state == "failed"] == ["offer"]
    assert [step for step, state in found.items() if state == "skipped"] == ["candidates", "ice", "picture"]
    assert found["websocket-video"] == "ok"
    assert "Allow WebRTC" in detail(page, "offer", "remedy")
    transport, text = verdict(page)
    assert transport == "websocket"
    assert "WebRTC offer answered" in text


def test_a_browser_whose_policy_forbids_udp_finds_no_address(
    open_preflight: Open, browser: Browser, server: ServerProcess
) -> None:
    strict = launch(browser.browser_type, "--webrtc-ip-handling-policy=disable_non_proxied_udp")
    try:
        page = open_preflight(server, "?world=toy", by=strict)
        found = states(page)
        assert [step for step, state in found.items() if state == "failed"] == ["candidates"]
        assert [step for step, state in found.items() if state == "skipped"] == ["ice", "picture"]
        assert verdict(page)[0] == "websocket"
    finally:
        strict.close()


def test_a_door_with_a_lock_is_named(open_preflight: Open, start_server: ServerMaker) -> None:
    secret = "a secret that is only good for this test"
    server = start_server("--world", "toy", WORLDLOOM_AUTH="on", WORLDLOOM_SECRET=secret)
    server.wait_until_ready()
    page = open_preflight(server)
    found = states(page)
    assert (found["socket"], found["hello"], found["websocket-video"]) == ("ok", "failed", "skipped")
    assert "unauthorized" in detail(page, "hello")
    assert "?token=" in detail(page, "hello", "remedy")
    assert verdict(page)[0] == "none"


def test_a_world_that_is_closed_is_named_and_the_other_is_tried(
    open_preflight: Open, start_server: ServerMaker
) -> None:
    server = start_server("--world", "nowhere", "--world", "toy")
    deadline = time.monotonic() + 60
    while '"ready":true' not in server.get("/readyz")[1]:  # the toy, which is opened after the other
        assert time.monotonic() < deadline
        time.sleep(0.05)
    page = open_preflight(server)
    found = states(page)
    assert [step for step, state in found.items() if state != "ok"] == ["ready"]
    assert "no world named" in detail(page, "ready")
    assert verdict(page) == ("webrtc", "Pictures will come over WebRTC. What fails first: Worlds ready.")
