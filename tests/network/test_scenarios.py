"""The whole way over a bad line: what a visitor in Chromium sees of a real server.

Both ends share this machine with whatever else it does. So what a bad line leaves is judged against what the same visit
showed on the clean line before, and by the median second. Run with -s to see the figures by second.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from worldloom.streamer.chromium import wait_for

from .scenario import PICTURE_S, Change, figures, play

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from .conftest import Theatre
    from .table import Table

pytestmark = [pytest.mark.network, pytest.mark.timeout(180)]

FAR: dict[str, Any] = {"delay_ms": 25}  # each way


def test_a_steady_line(theatre: Theatre, page: Page) -> None:
    theatre.link.set("both", **FAR)
    before = lost(theatre)
    table = play(page, theatre.link, 8)
    print(f"\n{table}")
    in_order(table, 8)
    assert table.usual >= 0.9
    assert 50 <= table.photon_ms(0.5) < 250  # there and back
    assert lost(theatre) == before


def test_a_line_that_loses_two_percent_each_way(theatre: Theatre, page: Page) -> None:
    theatre.link.set("both", **FAR)
    good = play(page, theatre.link, 10)
    before = lost(theatre)
    theatre.link.set("both", loss=0.02)
    bad = play(page, theatre.link, 20, warm_up=4)  # what is lost must be noticed first
    print(f"\n{good}\n{bad}")
    in_order(bad, 20)
    assert bad.shown >= 0.9 * min(1.0, good.shown)
    # A machine that is slow without losses too is judged by what losses add.
    assert bad.photon_ms(0.95) <= max(250, 1.5 * good.photon_ms(0.95))
    assert lost(theatre) > before


@pytest.mark.parametrize("arrival", ["a new visitor", "a page that is reloaded"])
def test_where_udp_is_blocked_pictures_come_over_the_websocket(theatre: Theatre, page: Page, arrival: str) -> None:
    theatre.link.set("both", **FAR, block_udp=True)
    if arrival == "a new visitor":
        page.evaluate("sessionStorage.clear(); window.worldloom.client.close()")
    session = page.evaluate("window.worldloom.session")
    page.reload()
    wait_for(page, "window.worldloom?.client", PICTURE_S)
    connected = time.monotonic()
    wait_for(page, "window.worldloom.stats().frames_shown > 0", PICTURE_S)
    assert time.monotonic() - connected <= 5
    assert figures(page)["transport"] == "websocket"
    assert (page.evaluate("window.worldloom.session") == session) == (arrival == "a page that is reloaded")
    theatre.link.set("both", block_udp=False)
    wait_for(page, "window.worldloom.stats().transport === 'webrtc'", PICTURE_S)


def test_pictures_stop_with_the_line_and_come_back_with_it(theatre: Theatre, page: Page) -> None:
    theatre.link.set("both", **FAR)
    cut, mend = Change(2, "both", {"down": True}), Change(3, "both", {"down": False})
    table = play(page, theatre.link, 8, [cut, mend])
    print(f"\n{table}")
    assert table.pause_ms >= 950
    assert table.part(5).usual > 0.8 * clean(table, 2)


@pytest.mark.parametrize("narrow", [pytest.param(600e3, id="600 kbit/s"), pytest.param(300e3, id="300 kbit/s")])
def test_a_line_that_narrows_and_widens_again(theatre: Theatre, page: Page, narrow: float) -> None:
    theatre.link.set("both", **FAR, rate_bps=4e6)
    schedule = [Change(3, "both", {"rate_bps": narrow}), Change(13, "both", {"rate_bps": 4e6})]
    table = play(page, theatre.link, 24, schedule)
    print(f"\n{table}")
    before = clean(table, 3)
    assert table.part(8, 13).usual > 0.7 * before, "it lives within what the line takes"
    assert table.part(21).usual > 0.9 * before, "the full rate again within eight seconds"
    assert table.transports == {"webrtc"}


def test_after_three_seconds_of_nothing_it_is_the_same_world(theatre: Theatre, page: Page) -> None:
    theatre.link.set("both", **FAR)
    session = page.evaluate("window.worldloom.session")
    cut, mend = Change(2, "both", {"down": True}), Change(5, "both", {"down": False})
    table = play(page, theatre.link, 11, [cut, mend])
    print(f"\n{table}")
    assert page.evaluate("window.worldloom.session") == session
    frames = [frame for row in table.rows for frame in row.frames]
    assert all(early < late for early, late in pairwise(frames))
    assert table.part(7).usual > 0.85 * clean(table, 2), "pictures within two seconds"
    assert max(len(row.frames) for row in table.rows) <= 1.3 * 20, "what was missed is not shown in a burst"


def test_a_poor_and_distant_line_lives(theatre: Theatre, page: Page) -> None:
    theatre.link.set("both", delay_ms=50, loss=0.05)
    table = play(page, theatre.link, 10)
    print(f"\n{table}")
    assert table.shown > 0.5
    assert table.part(5).usual > 0.5


def in_order(table: Table, seconds: int) -> None:
    """Pictures came over WebRTC all the time, never backwards, none twice."""
    assert len(table.rows) == seconds
    assert table.transports == {"webrtc"}
    frames = [frame for row in table.rows for frame in row.frames]
    assert all(early < late for early, late in pairwise(frames))


def clean(table: Table, seconds: int) -> float:
    """What is usually shown in the first seconds, while the line is good."""
    usual = table.part(0, seconds).usual
    assert usual > 0.5, "this machine does not show enough on a good line to judge a bad one"
    return usual


def lost(theatre: Theatre) -> int:
    """Packets that the link has lost so far, both ways."""
    return sum(counts.lost for counts in theatre.link.counts().values())
