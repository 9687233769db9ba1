"""Every control gets one answer: applied at a frame, superseded or expired."""

from __future__ import annotations

from worldloom.streamer.client_messages import Action, Look, Pause, Reset, Resume
from worldloom.streamer.phase import Phase

from .driver import FORWARD, PERIOD, Driver, key


def test_a_control_is_applied_at_the_first_frame_it_shaped() -> None:
    driver = Driver()
    driver.step(0)
    driver.post(key(5))
    rows = driver.step(PERIOD)
    assert rows[0, FORWARD] == 1
    assert driver.answers == {5: ("applied", 1)}
    driver.step(2 * PERIOD)
    assert [frame.applied for frame in driver.frames] == [0, 5, 5]


def test_a_tap_shorter_than_a_chunk_counts() -> None:
    driver = Driver()
    driver.post(key(1), key(2, down=False))
    assert [driver.step(n * PERIOD)[0, FORWARD] for n in range(2)] == [1, 0]
    assert driver.answers == {1: ("applied", 0), 2: ("applied", 1)}


def test_a_newer_action_supersedes_and_the_older_is_told_at_once() -> None:
    driver = Driver()
    driver.post(Action(seq=1, values=(0.0,) * 6), Action(seq=2, values=(1.0,) + (0.0,) * 5))
    driver.read()
    assert driver.answers == {1: ("superseded", None)}
    driver.step(0)
    assert driver.answers[2] == ("applied", 0)


def test_a_pause_expires_what_waits_and_what_is_sent_meanwhile_but_no_key_sticks() -> None:
    driver = Driver()
    driver.post(key(1))
    driver.step(0)
    driver.post(Look(seq=2, yaw=5.0), Pause(seq=3), key(4, down=False), Look(seq=5, yaw=5.0), Resume(seq=6))
    rows = driver.step(PERIOD)
    assert not rows.any()
    expired = {seq for seq, (status, _) in driver.answers.items() if status == "expired"}
    assert expired == {2, 4, 5}


def test_a_key_pressed_during_a_pause_is_held_after_it() -> None:
    driver = Driver()
    driver.post(Pause(seq=1), key(2), Resume(seq=3))
    assert driver.step(0)[0, FORWARD] == 1
    assert driver.answers[2] == ("expired", None)


def test_the_end_answers_everything() -> None:
    driver = Driver()
    driver.post(key(1), Reset(seq=2), key(3))
    driver.read()
    driver.post(Look(seq=4, yaw=1.0))
    driver.receipts += driver.session.end()
    assert {seq: status for seq, (status, _) in driver.answers.items()} == dict.fromkeys((1, 2, 3, 4), "expired")
    assert driver.session.phase is Phase.CLOSED
    assert driver.session.due() is None
    assert driver.session.state is None


def test_controls_of_a_chunk_that_never_came_expire() -> None:
    driver = Driver()
    driver.post(key(1))
    driver.session.read(0)
    driver.session.sample(0)
    driver.receipts += driver.session.end()
    assert driver.answers == {1: ("expired", None)}
