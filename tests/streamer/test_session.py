"""A session alone, with a clock made of numbers: when it is due, and what it samples."""

from __future__ import annotations

import threading
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from worldloom.models.toy import ToyWorld
from worldloom.streamer.client_messages import Action, Look, Pause, Prompt, Reset, Resume, Step
from worldloom.streamer.errors import BadAction, RateLimited, SessionClosed, UnknownKey, Unsupported
from worldloom.streamer.origin import Origin, Restart
from worldloom.streamer.phase import Phase
from worldloom.streamer.protocol import Control

from .driver import FORWARD, MS, PERIOD, TURN, Driver, key

# Time -----------------------------------------------------------------------------------------------------------------


def test_chunks_are_due_one_period_apart() -> None:
    driver = Driver()
    dues = []
    for _ in range(3):
        due = driver.session.due()
        assert due is not None
        dues.append(due)
        driver.step(due)
    assert dues == [0, PERIOD, 2 * PERIOD]
    assert [frame.pts for frame in driver.frames] == [0, 4500, 9000]
    assert [frame.index for frame in driver.frames] == [0, 1, 2]


def test_a_late_chunk_re_anchors_the_clock_and_pts_follows() -> None:
    driver = Driver()
    driver.step(0)
    driver.step(1000 * MS)
    assert driver.session.due() == 1050 * MS  # no burst for the nineteen that were missed
    assert driver.session.stalls == 1
    assert driver.frames[1].pts == 90_000
    driver.step(1050 * MS)
    assert driver.frames[2].pts == 90_000 + 4500


def test_a_little_lateness_is_made_up() -> None:
    driver = Driver()
    driver.step(0)
    driver.step(PERIOD + 10 * MS)
    assert driver.session.due() == 2 * PERIOD
    assert driver.session.stalls == 0


def test_pause_stops_frames_and_resume_re_anchors() -> None:
    driver = Driver()
    driver.step(0)
    driver.post(Pause(seq=1))
    driver.read(10 * MS)
    assert driver.session.phase is Phase.PAUSED
    assert driver.session.due() is None
    driver.post(Resume(seq=2))
    driver.read(5000 * MS)
    assert driver.session.due() == 5000 * MS
    driver.step(5000 * MS)
    assert driver.frames[1].index == 1
    assert driver.frames[1].pts == 5 * 90_000
    assert driver.answers == {1: ("applied", 1), 2: ("applied", 1)}


def test_the_frames_of_a_chunk_are_shown_in_turn() -> None:
    driver = Driver(spec=ToyWorld(height=4, width=4, fps=Fraction(20), chunk=3).spec)
    driver.step(0)
    assert driver.session.due() == 3 * PERIOD
    assert [frame.show_ns - frame.made_ns for frame in driver.frames] == [0, PERIOD, 2 * PERIOD]
    assert [frame.pts for frame in driver.frames] == [0, 4500, 9000]


def test_a_frame_tells_when_its_controls_were_sampled_and_what_it_cost() -> None:
    driver = Driver()
    driver.step(5 * MS)
    frame = driver.frames[0]
    assert (frame.sampled_ns, frame.step_ns, frame.made_ns) == (5 * MS, 7, 5 * MS + 7)


def test_a_frame_carries_the_row_that_the_world_was_given_and_what_its_stream_began_from() -> None:
    driver = Driver()
    driver.post(key(1))
    rows = [driver.step(0)[0], driver.step(PERIOD)[0]]
    assert rows[0][FORWARD] == 1.0
    carried = [frame.actions for frame in driver.frames]
    assert np.array_equal(np.array(carried), np.array(rows))
    driver.post(Reset(seq=2))
    driver.session.read(PERIOD)
    driver.session.restarted("state 1", PERIOD)
    driver.step(2 * PERIOD)
    assert [frame.origin for frame in driver.frames] == [Origin(seed=1), None, Origin(seed=1)], (
        "told once for each start"
    )


def test_what_a_stream_began_from_is_told_although_it_was_away_before_its_first_frame() -> None:
    driver = Driver()
    past = driver.session.snapshot(b"")
    driver.step(0)
    for start, told in ((past, Origin(seed=1)), (driver.session.snapshot(b""), None)):
        again = Driver()
        again.session.go_on(start, PERIOD)
        again.step(PERIOD)
        assert again.frames[0].origin == told


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (key(9, code="KeyZ"), UnknownKey),
        (Action(seq=9, values=(0.0,)), BadAction),
        (Prompt(seq=9, text="a maze"), Unsupported),
    ],
)
def test_what_it_cannot_obey_is_refused_with_its_seq(event: Control, error: type[Exception]) -> None:
    driver = Driver()
    with pytest.raises(error) as caught:
        driver.post(event)
    assert getattr(caught.value, "seq", None) == 9
    driver.step(0)
    assert driver.answers == {}


@pytest.mark.parametrize("rows", [((0.0,) * 5,), ((0.0,) * 6,) * 2, ((0.0,) * 4 + (99.0, 0.0),)])
def test_a_step_with_the_wrong_rows_is_refused(rows: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(BadAction):
        Driver("lockstep").post(Step(seq=1, actions=rows))


def test_a_full_inbox_refuses_and_counts() -> None:
    driver = Driver(inbox=2)
    driver.post(key(1), key(2))
    with pytest.raises(RateLimited) as caught:
        driver.post(key(3))
    assert caught.value.seq == 3
    assert driver.session.refused == 1
    driver.read()
    driver.post(key(4))


def test_nothing_can_be_posted_after_close() -> None:
    driver = Driver()
    driver.session.close()
    with pytest.raises(SessionClosed):
        driver.post(key(1))
    assert driver.woken == 1


def test_every_post_wakes_the_engine() -> None:
    driver = Driver()
    threads = [threading.Thread(target=driver.post, args=(key(seq),)) for seq in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert driver.woken == 8
    driver.read()
    assert len(driver.answers) == 7  # one press of eight is left to be sampled


# Reset ----------------------------------------------------------------------------------------------------------------


def test_a_reset_keeps_index_and_pts_growing_and_hands_back_the_old_state() -> None:
    driver = Driver()
    driver.step(0)
    driver.post(key(1), Reset(seq=2, seed=77), key(3, code="KeyA"))
    driver.session.read(PERIOD)
    assert driver.session.restart == (2, Origin(seed=77))
    assert driver.session.due() is None  # nothing is made from the old state any more
    assert driver.session.restarted("state 1", 3 * PERIOD) == "state 0"
    assert driver.session.state == "state 1"
    assert driver.session.origin.seed == 77
    driver.step(3 * PERIOD)
    assert [frame.index for frame in driver.frames] == [0, 1]
    assert driver.frames[1].pts == 3 * 4500
    assert driver.frames[1].applied == 3
    assert driver.answers == {1: ("expired", None), 2: ("applied", 1), 3: ("applied", 1)}


def test_of_two_resets_the_later_counts_and_a_seed_is_kept() -> None:
    driver = Driver()
    driver.post(Reset(seq=1, seed=5), Reset(seq=2))
    driver.read()
    assert driver.session.restart == (2, Origin(seed=5))
    assert driver.answers == {1: ("superseded", None)}


def test_a_refused_restart_leaves_the_old_stream_running() -> None:
    driver = Driver()
    driver.post(Reset(seq=1))
    driver.session.read(0)
    driver.session.restart_refused()
    driver.step(0)
    assert driver.answers == {1: ("rejected", None)}
    assert driver.session.state == "state 0"


def test_a_prompt_starts_anew_where_the_world_takes_one() -> None:
    driver = Driver(spec=replace(ToyWorld(height=4, width=4).spec, prompts=True))
    driver.post(Prompt(seq=1, text="a maze"))
    driver.session.read(0)
    assert driver.session.restart == (1, Origin(seed=1, prompt="a maze"))


def test_a_reset_during_a_pause_stays_paused() -> None:
    driver = Driver()
    driver.post(Pause(seq=1), Reset(seq=2))
    driver.session.read(0)
    driver.session.restarted("state 1", 0)
    assert driver.session.due() is None
    driver.post(Resume(seq=3))
    driver.step(PERIOD)
    assert driver.answers == {1: ("applied", 0), 2: ("applied", 0), 3: ("applied", 0)}


# Lockstep -------------------------------------------------------------------------------------------------------------


def test_lockstep_makes_nothing_without_a_step_and_one_chunk_for_each() -> None:
    driver = Driver("lockstep")
    driver.post(key(1))
    driver.read(10**12)
    assert driver.session.due() is None
    driver.post(Step(seq=2), Step(seq=3))
    driver.step(10**12)
    driver.step(10**12)
    driver.read(10**12)
    assert driver.session.due() is None
    assert [frame.applied for frame in driver.frames] == [2, 3]
    assert driver.answers == {1: ("applied", 0), 2: ("applied", 0), 3: ("applied", 1)}


def test_lockstep_time_is_exact_whatever_the_clock_says() -> None:
    driver = Driver("lockstep")
    for n, now in enumerate((0, 999 * PERIOD, 1000 * PERIOD)):
        driver.post(Pause(seq=3 * n + 1), Resume(seq=3 * n + 2), Step(seq=3 * n + 3))
        driver.step(now)
    assert [frame.pts for frame in driver.frames] == [0, 4500, 9000]
    assert driver.session.stalls == 0


def test_controls_after_a_step_shape_the_next_chunk() -> None:
    driver = Driver("lockstep")
    driver.post(Step(seq=1), key(2), Step(seq=3))
    assert [driver.step(0)[0, FORWARD] for _ in range(2)] == [0, 1]
    assert driver.answers[2] == ("applied", 1)


def test_rows_of_a_step_take_the_place_of_what_waits() -> None:
    driver = Driver("lockstep", spec=ToyWorld(height=4, width=4, chunk=2).spec)
    rows = ((0.0, 1.0, 0.0, 0.0, 2.5, -1.0), (1.0, 0.0, 0.0, 0.0, -2.5, 1.0))
    driver.post(key(1), Look(seq=2, yaw=3.0), Step(seq=3, actions=rows), Step(seq=4))
    np.testing.assert_array_equal(driver.step(0), np.array(rows, np.float32))
    held = driver.step(0)
    assert held[0, FORWARD] == 1  # the key is still down
    assert held[0, TURN] == 0
    assert driver.answers == {1: ("superseded", None), 2: ("superseded", None), 3: ("applied", 0), 4: ("applied", 2)}


def test_reading_is_bounded_however_fast_somebody_posts() -> None:
    driver = Driver(inbox=4)

    def flood() -> Any:
        while True:
            try:
                driver.session.post(Pause(seq=1))
            except RateLimited:
                return

    flood()
    original = driver.session._take

    def take_and_refill(event: Control | Restart, now_ns: int) -> None:
        original(event, now_ns)
        flood()

    driver.session._take = take_and_refill  # type: ignore[method-assign]
    driver.session.read(0)
    assert len(driver.session.take_receipts()) == 4
