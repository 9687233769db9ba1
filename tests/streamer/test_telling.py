"""Worlds that go on under another text, one engine pass at a time: receipts, pictures and recordings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worldloom.models.spec import Switch
from worldloom.streamer.client_messages import Reset, Say, Step
from worldloom.streamer.errors import Unsupported
from worldloom.streamer.origin import Origin
from worldloom.streamer.recording_files import Row
from worldloom.streamer.since import Told
from worldloom.streamer.walk import Walk

from .telling import Teller, driven
from .test_recording_files import begun, log_of
from .test_travel import answered, pixels


def test_the_next_frame_is_of_the_new_text_and_the_receipt_names_it() -> None:
    drive, plain = driven(), driven()
    for one in (drive, plain):
        one.go(5)
    seq = drive.say(Say, text="a castle")
    for one in (drive, plain):
        one.go(3)
    receipt = answered(drive.sink, seq)
    assert (receipt.status, receipt.frame) == ("applied", 6)
    same = [a == b for a, b in zip(pixels(drive.film), pixels(plain.film), strict=True)]
    assert same == [True] * 6 + [False] * 3
    assert drive.film[6].told == (Told("a castle", "recache", 8),)
    assert drive.film[6].applied >= seq
    assert not drive.film[7].told
    assert drive.desk.model.living == plain.desk.model.living, "nobody began anew"
    drive.session.close()
    drive.desk.turn()
    drive.desk.check_empty()


def test_a_later_text_takes_the_place_of_one_that_was_not_taken_up() -> None:
    drive = driven("lockstep")
    first, second = drive.say(Say, text="a castle"), drive.say(Say, text="a lake", how="blend", chunks=3)
    step = drive.say(Step)
    drive.desk.turn()
    answers = {receipt.seq: (receipt.status, receipt.frame) for receipt in drive.sink.take_receipts()}
    assert answers == {first: ("superseded", None), second: ("applied", 0), step: ("applied", 0)}
    world = drive.desk.model
    assert isinstance(world, Teller)
    assert world.told == [("a lake", "blend", 3)]


def test_who_begins_anew_is_not_told_what_came_before_and_is_told_what_came_after() -> None:
    drive = driven("lockstep")
    before, reset, after = drive.say(Say, text="a castle"), drive.say(Reset, seed=5), drive.say(Say, text="a lake")
    drive.say(Step)
    drive.desk.turn()
    answers = {receipt.seq: receipt.status for receipt in drive.sink.take_receipts()}
    assert (answers[before], answers[reset], answers[after]) == ("superseded", "applied", "applied")
    (frame,) = drive.sink.take(1)
    assert frame.origin == Origin(5)
    assert [told.text for told in frame.told] == ["a lake"]


def test_a_text_that_the_world_does_not_take_is_refused_and_the_stream_goes_on() -> None:
    drive = driven()
    drive.go(2)
    seq = drive.say(Say, text="nonsense")
    drive.go(2)
    receipt = answered(drive.sink, seq)
    assert (receipt.status, receipt.code) == ("rejected", "unknown_prompt")
    assert not any(frame.told for frame in drive.film)
    drive.say(Say, text="fault")
    drive.desk.turn()
    drive.desk.check_empty()
    assert drive.sink.error is not None
    assert "secret" not in str(drive.sink.error)


def test_what_nobody_took_up_expires() -> None:
    drive = driven("lockstep")
    seq = drive.say(Say, text="a castle")
    drive.session.read(0)
    assert drive.session.wanted
    assert {receipt.seq: receipt.status for receipt in drive.session.end()} == {seq: "expired"}


@pytest.mark.parametrize(("switches", "expected"), [((), "none: say prompt"), (("flush",), "flush")])
def test_a_world_that_cannot_refuses_at_once(switches: tuple[Switch, ...], expected: str) -> None:
    world = Teller()
    world.spec = replace(world.spec, switches=switches)
    drive = driven(model=world)
    with pytest.raises(Unsupported, match=expected):
        drive.say(Say, text="a castle")


def test_a_recording_says_so_and_a_walk_that_it_is_not_whole(tmp_path: Path) -> None:
    drive, files, walk = driven(), begun(tmp_path), Walk()
    drive.go(3)
    drive.say(Say, text="a castle", how="blend", chunks=2)
    drive.go(1)
    files.write([Row.of(frame) for frame in drive.film[3:]], None)
    files.end([], "stopped")
    lines = [line for line in log_of(tmp_path) if line["type"] == "say"]
    assert lines == [{"type": "say", "frame": 4, "text": "a castle", "how": "blend", "chunks": 2}]
    for frame in drive.film:
        walk.frame(frame)
    taken = walk.taken()
    assert taken is not None
    assert taken.reduced
    assert np.shape(taken.rows) == (5, 6)
    assert json.dumps(lines)
