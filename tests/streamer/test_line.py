"""A whole line without a network: a sender that obeys, a queue that fills, and a viewer that reports."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from tests.network.lane import Conditions, Lane
from worldloom.streamer.transports.copies import AFTER_S
from worldloom.streamer.transports.line import Line
from worldloom.streamer.transports.playout import PlayoutDelay

FPS = 20
TICK = 0.005  # seconds
FLOOR, CEILING, WIDE = 150_000, 1_000_000, 4e6  # bits a second
PACKET = 1200  # bytes
DELAY = 0.025  # seconds, each way
GIVEN_UP = 2.0  # seconds after which a picture that is not whole will not be
COPY = 2**31  # on top of its number, as copies have numbers of their own


@dataclass
class Picture:
    """One that left."""

    at: float  # seconds
    numbers: range  # of its packets


@dataclass
class Second:
    """What came in one second."""

    bitrate: int = 0  # aimed at, at its end
    pictures: int = 0  # that arrived whole
    wait_ms: float = 0.0  # the longest that one of them was under way
    twice: bool = False  # packets left twice, at its end


@dataclass
class Visit:
    """Pictures through a queue, and reports on what came out of it."""

    narrow: float = WIDE  # bits a second from second 3 to 13
    loss: float = 0.0  # fraction of packets
    every: float = 0.2  # seconds between reports
    uneven: float = 0.0  # pictures are larger or smaller than planned by this factor at most
    line: Line = field(default_factory=lambda: Line(FLOOR, CEILING, 0.0))
    seconds: list[Second] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lane, self._dice = Lane(1), random.Random(1)
        self._pictures: list[Picture] = []  # that may still arrive
        self._number, self._named = 0, 0  # packets that left; up to which one a report has spoken
        self._copies: list[tuple[float, bytes]] = []  # seconds when one leaves
        self._arrived: set[int] = set()
        self._copied: set[int] = set()  # of which a copy arrived
        self._reports: list[tuple[float, int, float]] = []  # seconds when one is there, highest number, lost

    def watch(self, seconds: int) -> list[Second]:
        for tick in range(int(seconds / TICK)):
            now = tick * TICK
            if tick % int(1 / TICK) == 0:
                self.seconds.append(Second())
            rate = self.narrow if 3 <= now < 13 else WIDE
            self._lane.conditions = Conditions(rate_bps=rate, delay_ms=1000 * DELAY, loss=self.loss)
            if tick % int(1 / FPS / TICK) == 0 and now >= self.line.silent_until:
                self._send(now)
            while self._copies and self._copies[0][0] <= now:
                self._lane.enter(self._copies.pop(0)[1], now)
            for number in [int.from_bytes(packet[:4], "big") for packet in self._lane.leave(now)]:
                (self._copied if number >= COPY else self._arrived).add(number % COPY)
            self._look(now)
            if tick % int(self.every / TICK) == 0 and self._arrived:
                self._report(now)
            while self._reports and self._reports[0][0] <= now:
                _, highest, lost = self._reports.pop(0)
                self.line.hear(highest % 2**16, lost, now)
            self.seconds[-1].bitrate, self.seconds[-1].twice = self.line.bitrate, self.line.twice
        return self.seconds

    def _send(self, now: float) -> None:
        first = self._number
        left = int(self.line.bitrate / FPS / 8 * (1 + self._dice.uniform(-self.uneven, self.uneven)))
        while left > 0:
            size = max(4, min(PACKET, left))
            self._lane.enter(self._number.to_bytes(4, "big") + bytes(size - 4), now)
            self.line.sent(self._number % 2**16, size, now)
            if self.line.twice:
                self._copies.append((now + AFTER_S, (self._number + COPY).to_bytes(4, "big") + bytes(size - 4)))
            self._number, left = self._number + 1, left - size
        self._pictures.append(Picture(now, range(first, self._number)))

    def _look(self, now: float) -> None:
        there, second = self._arrived | self._copied, self.seconds[-1]
        for picture in [one for one in self._pictures if there.issuperset(one.numbers)]:
            self._pictures.remove(picture)
            second.pictures += 1
            second.wait_ms = max(second.wait_ms, 1000 * (now - picture.at))
        self._pictures = [one for one in self._pictures if now - one.at < GIVEN_UP]

    def _report(self, now: float) -> None:
        highest = max(self._arrived)
        since = range(self._named + 1, highest + 1)
        lost = len([number for number in since if number not in self._arrived]) / max(1, len(since))
        self._reports.append((now + DELAY, highest, lost))
        self._named = highest


def shown(seconds: list[Second]) -> float:
    """Fraction of the pictures."""
    return sum(second.pictures for second in seconds) / FPS / len(seconds)


@pytest.mark.parametrize("uneven", [0.0, 0.8])
@pytest.mark.parametrize("every", [0.2, 1.0])
@pytest.mark.parametrize("narrow", [600e3, 300e3, 200e3])
def test_a_line_that_narrows_is_followed_down_and_up_again(narrow: float, every: float, uneven: float) -> None:
    seconds = Visit(narrow, every=every, uneven=uneven).watch(23)
    assert shown(seconds[:3]) > 0.95
    assert shown(seconds[8:13]) > 0.75, "it lives within what the line takes"
    assert max(second.wait_ms for second in seconds[8:13]) < 700
    assert sum(second.bitrate for second in seconds[6:13]) / 7 > 0.7 * narrow, "and uses it"
    assert all(second.pictures >= 18 for second in seconds[14:]), "at once all pictures are there again"
    assert seconds[21].bitrate > 0.8 * CEILING, "so are pictures as good as before, after eight seconds"


def test_a_wide_line_is_left_alone() -> None:
    visit = Visit(uneven=0.8)
    seconds = visit.watch(10)
    assert {second.bitrate for second in seconds} == {CEILING}
    assert shown(seconds) > 0.95
    assert visit.line.silent_until == 0.0


@pytest.mark.parametrize("copies", [True, False])
def test_a_lossy_line_is_not_a_full_one_but_is_helped(copies: bool) -> None:
    visit = Visit(loss=0.03, line=Line(FLOOR, CEILING, 0.0, copies=copies))
    seconds = visit.watch(10)
    assert {second.bitrate for second in seconds} == {CEILING}
    assert visit.line.twice is copies
    assert (visit.line.playout == PlayoutDelay()) is copies, "either copies or patience"
    if not copies:
        assert visit.line.playout.least >= 50


def test_copies_make_pictures_whole_at_once() -> None:
    plain = Visit(loss=0.03, line=Line(FLOOR, CEILING, 0.0, copies=False)).watch(20)
    copied = Visit(loss=0.03).watch(20)
    assert shown(plain[5:]) < 0.9, "nothing is sent again here"
    assert shown(copied[5:]) > 0.98
    assert max(second.wait_ms for second in copied[5:]) < 1000 * (DELAY + AFTER_S) + 60


def test_copies_that_a_line_has_no_room_for_rest() -> None:
    visit = Visit(narrow=1.3 * CEILING, loss=0.03)
    narrow = visit.watch(13)[3:]
    assert sum(second.twice for second in narrow) <= 4
    assert not narrow[-1].twice
    assert max(second.wait_ms for second in narrow) < 700


def test_what_may_be_sent_again_occupies_the_line_too() -> None:
    line = Line(FLOOR, CEILING, 0.0)
    for number in (1, 2, 3):
        line.sent(number, 1000, 0.1 * number)
    line.hear(1, 0.0, 0.15)
    line.hear(2, 0.0, 1.0)  # the third one waits: the line is full
    quiet = line.silent_until
    assert line.bitrate < CEILING
    assert all(line.may_repair(1000, 1.0) for _ in range(5))
    assert line.silent_until > quiet
    assert not line.may_repair(5000, 1.0)
