"""When a picture is seen, as the page reckons it, beside Chromium's own trace; and pictures that come in time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, CDPSession

from tests.serving import ServerMaker, ServerProcess

from .conftest import Visitor

pytestmark = pytest.mark.browser

PICTURES = 60


@pytest.fixture(scope="module")
def server(start_server: ServerMaker) -> ServerProcess:
    """A server of the toy alone."""
    started = start_server("--world", "toy")
    started.wait_until_ready()
    return started


FILM = """(count) => new Promise((resolve) => {
  const meter = window.worldloom.client.meter, shown = meter.shown, pictures = [];
  performance.mark('worldloom-film');
  meter.shown = function (one) {
    pictures.push([one.drawnMs, one.shownMs]);
    const at = performance.getEntriesByName('worldloom-film').at(-1).startTime;
    if (pictures.length === count) resolve({ at, pictures });
    return shown.call(this, one);
  };
})"""


def trace(devtools: CDPSession, film: Callable[[], Any]) -> tuple[Any, list[dict[str, Any]]]:
    """What `film` returns, and what Chromium says of the time meanwhile."""
    events: list[dict[str, Any]] = []
    over: list[Any] = []
    devtools.on("Tracing.dataCollected", lambda part: events.extend(part["value"]))
    devtools.on("Tracing.tracingComplete", lambda end: over.append(end))
    categories = ["media", "viz", "blink.user_timing"]
    devtools.send("Tracing.start", {"traceConfig": {"includedCategories": categories}, "transferMode": "ReportEvents"})
    answer = film()
    devtools.send("Tracing.end")
    while not over:
        devtools.send("Browser.getVersion")  # events are heard meanwhile
    return answer, events


def test_a_picture_is_seen_when_chromium_has_drawn_it(browser: Browser, visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy&transport=webrtc")
    visitor.wait_for_picture("webrtc")
    visitor.page.wait_for_timeout(2000)  # the display is measured, and the browser's first pictures are over
    film, events = trace(browser.new_browser_cdp_session(), lambda: visitor.page.evaluate(FILM, PICTURES))
    drawn = sorted((event["ts"], event["dur"]) for event in events if event["name"] == "Display::DrawAndSwap")
    marks = [event["ts"] for event in events if event["name"] == "worldloom-film"]
    if not drawn or not marks:
        pytest.skip("this Chromium calls what it draws otherwise in its traces")
    origin = marks[-1] / 1000 - film["at"]  # of the page's clock, on the trace's
    done = [(begin / 1000 - origin, (begin + spent) / 1000 - origin) for begin, spent in drawn]
    ends = [(seen, next((end for begin, end in done if begin > handed), None)) for handed, seen in film["pictures"]]
    late = [seen - end for seen, end in ends if end is not None]
    assert len(late) > PICTURES // 2
    low, middle, high = np.percentile(late, (10, 50, 90))
    assert low > -8, f"pictures are drawn later than the page says: {low} ms"  # a busy machine takes longer to draw
    assert 0 < middle < 17, "within a beat of 60 Hz"
    assert high < 25


def test_pictures_come_in_time_for_the_display(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy&transport=webrtc")
    visitor.wait_for_picture("webrtc")
    visitor.page.wait_for_timeout(9000)  # two looks of 60 pictures, and a shift
    shown = np.array([seen for _, seen in visitor.page.evaluate(FILM, PICTURES)["pictures"]])
    gaps = np.array([later - earlier for earlier, later in pairwise(shown)])
    assert np.median(gaps) == pytest.approx(50, abs=1)
    assert np.mean(np.abs(gaps - 50) < 1) > 0.75, "every picture stays three beats"
