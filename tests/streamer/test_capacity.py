"""How many sessions fit, by numbers alone."""

from __future__ import annotations

from typing import Any

import pytest

from worldloom.streamer.capacity import (
    MEMORY_SHARE,
    RECENT,
    SESSION_BYTES,
    Capacity,
    Line,
    Measured,
    Places,
    StepTimes,
    capacity_of,
    fit,
)
from worldloom.streamer.errors import Busy
from worldloom.streamer.protocol import refusal
from worldloom.streamer.server_messages import Error

from .desk import MS


def test_the_line_goes_through_what_was_measured() -> None:
    line = fit({1: 30.0, 2: 40.0, 4: 60.0})
    assert (line.base, line.each) == pytest.approx((20.0, 10.0))
    assert line.fitting(59.9, 64) == 3
    assert line.fitting(1000.0, 64) == 64
    assert line.fitting(10.0, 64) == 0


@pytest.mark.parametrize(
    ("times", "want"),
    [
        ({1: 30.0}, Line(0.0, 30.0)),  # nothing says that a second stream is cheaper
        ({1: 30.0, 2: 90.0}, Line(0.0, 45.0)),  # dearer together than apart: the dearest counts
        ({1: 30.0, 2: 28.0}, Line(30.0, 0.0)),  # free, as far as was seen
        ({1: 0.0, 2: 5.0}, Line(0.0, 2.5)),
    ],
)
def test_a_line_is_never_steeper_or_flatter_than_it_may_be(times: dict[int, float], want: Line) -> None:
    assert fit(times) == want


def test_the_latest_steps_say_how_fast_the_machine_is_now() -> None:
    times = StepTimes()
    assert times.line() is None
    times.probed({1: [30] * 5, 2: [40] * 5})
    assert times.line() == pytest.approx(Line(20.0, 10.0).at(1) and fit({1: 30.0, 2: 40.0}))
    for _ in range(RECENT):
        times.add(1, 60)  # twice as slow
    line = times.line()
    assert line is not None
    assert line.at(2) == pytest.approx(80.0)
    for _ in range(RECENT):
        times.add(2, 40)
    line = times.line()
    assert line is not None
    assert line.at(1) == pytest.approx(30.0)


def test_without_a_measurement_every_stream_is_taken_to_cost_the_same() -> None:
    times = StepTimes()
    times.add(2, 80)
    assert times.line() == Line(0.0, 40.0)
    assert times.by_batch() == {2: 80e-6}


def capacity(**given: Any) -> Capacity:
    line = given.pop("line", Line(20.0 * MS, 10.0 * MS))
    known = {name: given.pop(name) for name in ("state_bytes", "proven", "level") if name in given}
    measured = Measured(period_ns=100 * MS, line=line, **known)
    common = {"sessions": 0, "realtime": 0, "setting": 64, "share": 0.85, "others": 0.0, "free_bytes": None}
    return capacity_of(measured, **(common | given))


def test_the_lowest_limit_counts_and_is_named() -> None:
    assert capacity().places == Places(setting=64, compute=6)
    assert (capacity().places.count, capacity().places.limit) == (6, "compute")
    assert capacity(setting=2).places.limit == "setting"
    assert capacity(proven=1).places == Places(setting=1, compute=6)
    each = 2**20 + SESSION_BYTES
    tight = capacity(sessions=1, state_bytes=2**20, free_bytes=int(2.5 * each / MEMORY_SHARE))
    assert (tight.places.memory, tight.places.count, tight.places.limit) == (3, 3, "memory")
    assert capacity(line=None).places == Places(setting=64)


def test_what_other_worlds_take_is_not_there() -> None:
    assert capacity(others=0.3).places.compute == 3
    assert capacity(others=2.0).places.count == 1, "the first is never refused"


def test_nobody_enters_while_something_is_given_up() -> None:
    open_three = {"sessions": 3, "realtime": 3}
    assert capacity(**open_three).places.count == 6
    assert capacity(level=1, **open_three).places.count == 3


def test_sessions_that_no_clock_paces_fill_what_is_left() -> None:
    capacity(sessions=9, realtime=0).check(paced=False)  # nobody is there who could be late
    for sessions, realtime, paced in ((9, 0, True), (6, 1, False)):
        with pytest.raises(Busy, match="6, limited by step time"):
            capacity(sessions=sessions, realtime=realtime).check(paced=paced)
    with pytest.raises(Busy, match="limited by max_sessions"):
        capacity(sessions=9, setting=9).check(paced=False)


def test_busy_crosses_the_wire_with_a_time_to_wait() -> None:
    with pytest.raises(Busy) as caught:
        capacity(sessions=6).check(paced=True)
    (told,) = refusal(caught.value)
    assert isinstance(told, Error)
    assert (told.code, told.retryable, told.retry_after) == ("busy", True, 5.0)
