"""Measuring what a world can do before anybody enters: how long, how far, and what becomes of failures."""

from __future__ import annotations

import numpy as np
import pytest

from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.capacity import SESSION_BYTES, Places
from worldloom.streamer.errors import ModelFault
from worldloom.streamer.probe import LONGEST_NS, TIMED, probe

from .costly import Costly, Room
from .desk import MS, PERIOD, Desk


def test_batches_are_measured_as_long_as_more_would_fit() -> None:
    world = Costly(base=20 * MS, each=2 * MS)
    found = probe(world, most=64, within_ns=40 * MS, clock_ns=lambda: world.now)
    assert {batch: set(ns) for batch, ns in found.times_ns.items()} == {
        batch: {(20 + 2 * batch) * MS} for batch in (1, 2, 4, 8)
    }
    assert world.batches == [batch for batch in (1, 2, 4, 8) for _ in range(1 + TIMED)]
    assert found.state_bytes == len(world.save(ToyState(seed=0, frame=24)))
    assert (world.living, found.failed) == (0, None)


@pytest.mark.parametrize(("most", "within_ms", "sizes"), [(1, 1000, [1]), (3, 1000, [1, 2, 3]), (64, 15, [1])])
def test_no_more_than_may_be_or_could_be_used(most: int, within_ms: int, sizes: list[int]) -> None:
    world = Costly()
    found = probe(world, most=most, within_ns=within_ms * MS, clock_ns=lambda: world.now)
    assert list(found.times_ns) == sizes
    assert world.living == 0


def test_a_slow_world_is_not_probed_for_minutes(caplog: pytest.LogCaptureFixture) -> None:
    world = Costly(base=0, each=200 * MS)
    found = probe(world, most=64, within_ns=10**12, clock_ns=lambda: world.now)
    assert list(found.times_ns) == [1, 2, 4]
    assert world.now < 2 * LONGEST_NS
    assert "up to 4 streams only" in caplog.text


def test_a_world_that_fails_on_many_streams_is_given_fewer(caplog: pytest.LogCaptureFixture) -> None:
    room = Room(Costly(each=0))
    room.model.worst = 4  # type: ignore[attr-defined]
    room.measure()
    assert "failed on 4 streams" in caplog.text
    assert room.engine.capacity().places == Places(
        setting=2, compute=64, memory=2**34 * 8 // 10 // (SESSION_BYTES + 76)
    )


def test_a_world_that_fails_on_one_stream_fails_the_measurement_and_leaves_nothing() -> None:
    room = Room(Costly())
    room.model.worst = 1  # type: ignore[attr-defined]
    with pytest.raises(ModelFault):
        room.measure()
    room.check_empty()


def test_a_measurement_that_nobody_makes_is_answered_when_the_engine_stops() -> None:
    desk = Desk()
    answer = desk.engine.measure()
    desk.engine.stop()
    assert answer.exception(0) is not None
    assert desk.engine.measure().exception(0) is not None


def test_places_leave_pictures_alone() -> None:
    """A probe changes nobody's dream: states are its own, and the seeds too."""
    world = ToyWorld(height=6, width=8)
    state, twin = world.start(seed=1), world.start(seed=1)
    rows = np.zeros((1, 1, 6), np.float32)
    first = world.step([state], rows)
    probe(world, most=2, within_ns=1e9, clock_ns=lambda: PERIOD)
    assert np.array_equal(first, world.step([twin], rows))
