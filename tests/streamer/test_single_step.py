"""A `step` during a pause: a viewer's session makes one chunk, a robot's none."""

from __future__ import annotations

from worldloom.streamer.client_messages import Pause, Resume, Step

from .driver import FORWARD, PERIOD, Driver, key


def test_a_step_during_a_pause_expires() -> None:
    driver = Driver("lockstep")
    driver.post(Pause(seq=1), Step(seq=2))
    driver.read()
    assert driver.answers == {1: ("applied", 0), 2: ("expired", None)}


def test_a_viewer_who_paused_steps_one_chunk_at_a_time() -> None:
    driver = Driver()
    driver.step(0)
    driver.post(Step(seq=1))
    driver.read(PERIOD)
    assert driver.answers == {1: ("rejected", None)}, "the clock makes the frames of a session that goes on"
    driver.post(Pause(seq=2), key(3), Step(seq=4), Step(seq=5))
    held = driver.step(9 * PERIOD)
    driver.step(10 * PERIOD)
    assert held[0, FORWARD] == 1  # pressed during the pause, and held
    assert driver.session.due() is None
    assert driver.session.stalls == 0
    assert [frame.index for frame in driver.frames] == [0, 1, 2]
    assert {seq: answer for seq, answer in driver.answers.items() if seq > 3} == {4: ("applied", 1), 5: ("applied", 2)}
    driver.post(Resume(seq=6))
    driver.read(20 * PERIOD)
    assert driver.session.due() == 20 * PERIOD
