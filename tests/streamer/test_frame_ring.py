"""Pictures through shared memory: whole, in order, and never over one that was not taken yet."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from worldloom.models.toy import ToyWorld
from worldloom.streamer.engine_child import _Sink
from worldloom.streamer.engine_messages import Told
from worldloom.streamer.frame_ring import FrameRing
from worldloom.streamer.frames import Frame
from worldloom.streamer.origin import Origin
from worldloom.streamer.session import Session

SHAPE = (6, 8, 3)


@pytest.fixture
def ends() -> Iterator[tuple[FrameRing, FrameRing]]:
    """The reader's and the writer's view of three places."""
    reader = FrameRing.create(SHAPE, 3)
    writer = FrameRing.attach(reader.name, SHAPE, 3)
    yield reader, writer
    writer.close()
    reader.close(unlink=True)


def picture(number: int) -> NDArray[np.uint8]:
    return np.full(SHAPE, number, np.uint8)


def test_pictures_arrive_whole_and_in_order(ends: tuple[FrameRing, FrameRing]) -> None:
    reader, writer = ends
    for number in range(10):
        assert writer.put(picture(number)) == number
        assert np.array_equal(reader.take(number), picture(number))


def test_nothing_is_written_over(ends: tuple[FrameRing, FrameRing]) -> None:
    reader, writer = ends
    assert [writer.put(picture(k)) for k in range(5)] == [0, 1, 2, None, None]
    taken = reader.take(0)
    assert writer.put(picture(9)) == 3
    assert np.array_equal(taken, picture(0))
    assert [int(reader.take(k)[0, 0, 0]) for k in (1, 2, 3)] == [1, 2, 9]


@pytest.mark.parametrize(("mode", "arrive", "unsent"), [("realtime", 3, 2), ("lockstep", 5, 0)])
def test_a_full_ring_costs_a_viewer_frames_and_a_robot_none(
    ends: tuple[FrameRing, FrameRing], mode: Any, arrive: int, unsent: int
) -> None:
    sent: list[Told] = []
    sink = _Sink(7, ends[1], sent.append)
    world = ToyWorld(height=6, width=8, fps=Fraction(20))
    sink.opened(Session(world.spec, None, Origin(1), ident="x", now_ns=0, mode=mode))
    for index in range(5):
        sink.frame(Frame(index, index, picture(index), 0, 0, 0, 0))
    assert (len(sent), sink.unsent) == (arrive, unsent)
    for told in sent:
        assert isinstance(told.news, Frame)
        pixels = told.news.pixels if told.picture is None else ends[0].take(told.picture)
        assert np.array_equal(pixels, picture(told.news.index))
