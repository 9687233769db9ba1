"""The browser client's own logic, in the browser: the binary frame, the figures, the layout of keys."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from worldloom.streamer.wire import HEADER_BYTES, FrameHeader, pack_frame

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.serving import ServerProcess

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(browser: Browser, server: ServerProcess) -> Iterator[Page]:
    opened = browser.new_page()
    opened.goto(f"{server.url}/icon.svg")
    yield opened
    opened.close()


def run(page: Page, module: str, body: str, argument: Any = None) -> Any:
    """Evaluate `body` with a module's exports as `m` and the argument as `x`."""
    return page.evaluate(f"async (x) => {{ const m = await import('{module}'); {body} }}", argument)


def test_a_frame_message_is_read_as_it_was_written(page: Page) -> None:
    header = FrameHeader(
        index=2**40 + 3, pts=12345, applied_seq=77, width=2, height=1, format="raw", compute_us=21500, age_us=30250
    )
    message = base64.b64encode(pack_frame(header, bytes(range(6)))).decode()
    frame = run(
        page,
        "/js/canvas.js",
        "const bytes = Uint8Array.from(atob(x), (c) => c.charCodeAt(0));"
        "const f = m.unpackFrame(bytes.buffer); return { ...f, payload: [...f.payload] };",
        message,
    )
    assert frame == {
        "index": 2**40 + 3,
        "applied": 77,
        "width": 2,
        "height": 1,
        "format": 0,
        "key": True,
        "compute": 21.5,
        "age": 30.25,
        "payload": [0, 1, 2, 3, 4, 5],
    }
    assert run(page, "/js/canvas.js", "return m.HEADER_BYTES;") == HEADER_BYTES


@pytest.mark.parametrize("damage", ["bytes[0] = 0", "bytes[4] = 9", "bytes = bytes.slice(0, 47)", "bytes[12] += 1"])
def test_a_damaged_frame_message_is_refused(page: Page, damage: str) -> None:
    header = FrameHeader(index=1, pts=0, applied_seq=0, width=1, height=1, format="raw")
    message = base64.b64encode(pack_frame(header, b"abc")).decode()
    body = (
        "let bytes = Uint8Array.from(atob(x), (c) => c.charCodeAt(0));" + damage + ";"
        "try { m.unpackFrame(bytes.buffer); } catch (error) { return error.message; } return 'accepted';"
    )
    assert run(page, "/js/canvas.js", body, message).startswith("expected")


METER = """
const meter = new m.Meter();
meter.clear();
const t = performance.now();
const times = (at) => ({ receivedMs: at - 4, drawnMs: at - 2, shownMs: at, compute: 20, age: 25 });
const show = (index, at) => meter.shown({ index, count: 1, ...times(at) });
"""


def test_latency_joins_the_input_the_receipt_and_the_picture(page: Page) -> None:
    body = """
    meter.roundTrip(2);
    show(9, t);
    meter.input(1, t - 60);
    meter.receipt({ seq: 1, status: 'applied', frame: 11 });
    show(10, t + 10);
    show(11, t + 20);
    return meter.stats();"""
    stats = run(page, "/js/meter.js", METER + body)
    assert stats["input_to_photon_ms"] == {"p50": 80, "p95": 80, "count": 1}
    assert stats["parts_ms"] == {"wait": 49, "compute": 20, "encode": 5, "network": 4, "display": 2}


def test_a_late_receipt_and_a_skipped_picture_are_counted_rightly(page: Page) -> None:
    body = """
    meter.input(1, t - 30);
    meter.input(2, t - 20);
    meter.input(3, t - 10);
    show(5, t);
    show(6, t + 50);
    meter.receipt({ seq: 1, status: 'applied', frame: 5 });     // its picture was there before
    meter.receipt({ seq: 2, status: 'applied', frame: 7 });     // 7 is never shown: 8 counts
    meter.receipt({ seq: 3, status: 'superseded' });
    show(8, t + 100);
    return { latencies: meter.latency.values(t).map((one) => one.total), ...meter.stats() };"""
    stats = run(page, "/js/meter.js", METER + body)
    assert stats["latencies"] == [30, 120]
    assert (stats["frames_shown"], stats["frames_skipped"]) == (3, 1)


def test_time_in_which_nobody_watched_measures_nothing(page: Page) -> None:
    body = """
    show(5, t);
    meter.input(1, t);
    meter.receipt({ seq: 1, status: 'applied', frame: 7 });
    meter.forget();  // the tab was hidden, and comes back a minute later
    show(900, t + 60000);
    return meter.stats();"""
    stats = run(page, "/js/meter.js", METER + body)
    assert (stats["input_to_photon_ms"]["count"], stats["frames_skipped"]) == (0, 0)


def test_windows_and_queues_are_bounded(page: Page) -> None:
    body = """
    for (let seq = 1; seq <= 5000; seq++) {
      meter.input(seq, t);
      if (seq % 2) meter.receipt({ seq, status: 'applied', frame: 1e6 });
    }
    for (let index = 0; index < 5000; index++) show(index, t);
    return [meter.sent.size, meter.awaited.size, meter.log.length, meter.presented.items.length];"""
    assert max(run(page, "/js/meter.js", METER + body)) <= 1024


@pytest.mark.parametrize(
    ("codes", "layout"),
    [
        (["KeyW", "KeyA", "KeyS", "KeyD"], [[[None, "KeyW"], ["KeyA", "KeyS", "KeyD"]]]),
        (["ArrowLeft", "ArrowRight"], [[["ArrowLeft", "ArrowRight"]]]),
        (["KeyF", "KeyR", "Space"], [[["KeyR"], ["KeyF"]], [["Space"]]]),
    ],
)
def test_keys_lie_as_on_a_keyboard(page: Page, codes: list[str], layout: list[list[list[str | None]]]) -> None:
    assert run(page, "/panel.js", "return m.arrange(x);", codes) == layout


def test_a_control_is_followed_by_two_pings_and_by_no_more_than_that(page: Page) -> None:
    body = """
    const sent = [];
    const line = new m.Line(undefined, {});
    line.socket = { readyState: WebSocket.OPEN, send: (text) => sent.push(JSON.parse(text).type), close() {} };
    const rest = () => new Promise((done) => setTimeout(done, 300));
    line.follow();
    line.follow(); // controls that come one right after the other are followed once
    await rest();
    const alive = sent.length;
    line.follow();
    line.leave();
    await rest();
    return [alive, sent];
    """
    assert run(page, "/js/line.js", body) == [2, ["ping", "ping"]]
