"""Worlds that go on under another text, one engine pass at a time: receipts, pictures, and what a replay does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from worldloom.models.spec import Image, Switch
from worldloom.models.toy import ToyState
from worldloom.streamer.bundle import BadBundle, Event, read
from worldloom.streamer.client_messages import Key, Pause, Reset, Restore, Resume, Rewind, Say, Step, TakeSnapshot
from worldloom.streamer.engine_config import SessionConfig
from worldloom.streamer.errors import Unsupported
from worldloom.streamer.fields import Mode
from worldloom.streamer.origin import Branch, Origin
from worldloom.streamer.past import PastConfig
from worldloom.streamer.recording_files import Row
from worldloom.streamer.replay import regenerated
from worldloom.streamer.replay_log import ReplayLog
from worldloom.streamer.session import Session
from worldloom.streamer.since import Told
from worldloom.streamer.walk import Walk

from .desk import PERIOD, Desk
from .test_parking import AFTER, Parks, rest
from .test_recording_files import begun, log_of
from .test_replay import HERE, Logged
from .test_travel import Shared, answered, frames, pixels


class Teller(Parks):
    """What it is told shows: in its colours, and by where one stands where it forgets or blends."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = replace(self.spec, prompts=True, switches=("recache", "blend", "flush"))
        self.told: list[tuple[str, str, int]] = []

    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> ToyState:
        return super().start(seed=crc32(prompt.encode()) if prompt else seed)

    def say(self, state: ToyState, prompt: str, *, how: Switch = "recache", chunks: int = 1) -> None:
        if prompt == "nonsense":
            raise ValueError("not encoded here")
        if prompt == "fault":
            raise RuntimeError("secret detail")
        self.told.append((prompt, how, chunks))
        if how == "blend":
            state.depth = float(chunks)
            return
        state.seed = crc32(prompt.encode())
        if how == "flush":
            state.yaw = 0.0


class Drive:
    """A session of such a world that is logged."""

    def __init__(self, mode: Mode = "realtime", model: Shared | None = None) -> None:
        past = PastConfig(seconds=60.0)
        self.desk = Desk(model or Teller(), session=SessionConfig(past=past, park_after=AFTER))
        self.sink = Logged(self.desk)
        answer = self.desk.engine.submit(self.sink, Origin(3), mode)
        self.desk.turn()
        session = answer.result(0)
        assert isinstance(session, Session)
        self.session = session
        self.film = self.sink.take(1) if mode == "realtime" else []
        self.seq = 0

    def say(self, kind: Any, **fields: Any) -> int:
        self.seq += 1
        self.session.post(kind(seq=self.seq, **fields))
        return self.seq

    def go(self, count: int) -> None:
        self.say(Key, code="ArrowRight", down=True)
        self.film += frames(self.desk, self.sink, count)


def test_the_next_frame_is_of_the_new_text_and_the_receipt_names_it() -> None:
    drive, plain = Drive(), Drive()
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
    drive = Drive("lockstep")
    first, second = drive.say(Say, text="a castle"), drive.say(Say, text="a lake", how="blend", chunks=3)
    step = drive.say(Step)
    drive.desk.turn()
    answers = {receipt.seq: (receipt.status, receipt.frame) for receipt in drive.sink.take_receipts()}
    assert answers == {first: ("superseded", None), second: ("applied", 0), step: ("applied", 0)}
    world = drive.desk.model
    assert isinstance(world, Teller)
    assert world.told == [("a lake", "blend", 3)]


def test_who_begins_anew_is_not_told_what_came_before_and_is_told_what_came_after() -> None:
    drive = Drive("lockstep")
    before, reset, after = drive.say(Say, text="a castle"), drive.say(Reset, seed=5), drive.say(Say, text="a lake")
    drive.say(Step)
    drive.desk.turn()
    answers = {receipt.seq: receipt.status for receipt in drive.sink.take_receipts()}
    assert (answers[before], answers[reset], answers[after]) == ("superseded", "applied", "applied")
    (frame,) = drive.sink.take(1)
    assert frame.origin == Origin(5)
    assert [told.text for told in frame.told] == ["a lake"]


def test_a_text_that_the_world_does_not_take_is_refused_and_the_stream_goes_on() -> None:
    drive = Drive()
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
    drive = Drive("lockstep")
    seq = drive.say(Say, text="a castle")
    drive.session.read(0)
    assert drive.session.wanted
    assert {receipt.seq: receipt.status for receipt in drive.session.end()} == {seq: "expired"}


@pytest.mark.parametrize(("switches", "expected"), [((), "none: say prompt"), (("flush",), "flush")])
def test_a_world_that_cannot_refuses_at_once(switches: tuple[Switch, ...], expected: str) -> None:
    world = Teller()
    world.spec = replace(world.spec, switches=switches)
    drive = Drive(model=world)
    with pytest.raises(Unsupported, match=expected):
        drive.say(Say, text="a castle")


# Replays --------------------------------------------------------------------------------------------------------------


def again_and_again(drive: Drive) -> None:
    drive.say(Say, text="a castle")
    drive.go(4)
    drive.say(Rewind, frame=7)  # to before it was told
    drive.go(3)
    drive.say(Say, text="a lake", how="flush")
    drive.go(2)
    drive.say(Rewind, seconds=0.05)
    drive.go(2)


def before_a_snapshot(drive: Drive) -> None:
    drive.say(Pause)
    drive.say(Say, text="a castle")
    drive.say(Say, text="a lake", how="blend", chunks=5)
    drive.say(TakeSnapshot)
    drive.say(Resume)
    drive.go(4)
    drive.say(Restore, snapshot="s1")
    drive.say(Say, text="a forest", how="flush")
    drive.go(2)


def before_the_first_frame(drive: Drive) -> None:
    drive.say(Pause)
    drive.say(Reset, seed=9)
    drive.say(Say, text="a castle")
    drive.say(TakeSnapshot)
    drive.say(Resume)
    drive.go(3)
    drive.say(Restore, snapshot="s1")
    drive.go(3)


def while_parked(drive: Drive) -> None:
    drive.say(Pause)
    drive.say(Say, text="a castle")
    rest(drive.desk, AFTER + 1)
    drive.say(Say, text="a lake", how="flush")
    drive.say(Resume)
    drive.go(3)


def parked_between(drive: Drive) -> None:
    drive.say(Pause)
    drive.say(Say, text="a lake", how="blend", chunks=2)
    rest(drive.desk, AFTER + 1)
    drive.say(Resume)
    drive.go(3)


def kept(drive: Drive) -> None:
    drive.say(Say, text="a castle", how="blend", chunks=4)
    drive.desk.turn()
    answer = drive.desk.engine.snapshot(drive.session)
    drive.desk.engine._save_next()
    drive.sink.log = ReplayLog(drive.desk.model.spec, 1000)  # one that begins with this state
    drive.sink.log.start(answer.result(0))
    drive.go(3)
    del drive.film[: drive.film[-1].index - 2]


@pytest.mark.parametrize(
    "act", [again_and_again, before_a_snapshot, before_the_first_frame, while_parked, parked_between, kept]
)
def test_a_replay_is_told_the_same(tmp_path: Path, act: Callable[[Drive], None]) -> None:
    drive = Drive()
    drive.go(9)
    act(drive)
    bundle = drive.sink.log.bundle(HERE)
    assert bundle is not None
    assert any(event.say for event in bundle.header.events)
    bundle.write(tmp_path / "one.wloom")
    bundle = read(tmp_path / "one.wloom")
    again = list(regenerated(bundle, Teller()))
    assert [number for number, _ in again] == [frame.index for frame in drive.film]
    assert [picture.tobytes() for _, picture in again] == pixels(drive.film)


def test_a_fork_that_was_told_before_its_first_frame_says_so() -> None:
    drive = Drive("lockstep")
    drive.say(Say, text="a castle")
    drive.desk.turn()
    sink = Logged(drive.desk)
    answer = drive.desk.engine.submit(sink, Branch(drive.session, None, "lockstep"), "lockstep")
    drive.desk.turn()
    fork = answer.result(0)
    assert isinstance(fork, Session)
    fork.post(Step(seq=1))
    drive.desk.turn()
    (frame,) = sink.take(1)
    assert frame.origin == Origin(3)
    assert [told.text for told in frame.told] == ["a castle"]
    bundle = sink.log.bundle(HERE)
    assert bundle is not None
    assert [picture.tobytes() for _, picture in regenerated(bundle, Teller())] == pixels([frame])


def test_who_goes_on_from_a_snapshot_still_says_what_was_told() -> None:
    """An orphan's log goes on where it was: it has the frames before, and must hear of the text."""
    drive = Drive()
    drive.go(4)
    drive.say(Say, text="a castle")
    drive.desk.turn()
    answer = drive.desk.engine.snapshot(drive.session)
    drive.desk.engine._save_next()
    sink = Logged(drive.desk)
    sink.log = drive.sink.log
    drive.session.close()
    drive.desk.turn()
    again = drive.desk.engine.submit(sink, answer.result(0), "realtime")
    drive.desk.turn()
    again.result(0)
    drive.desk.turn(drive.desk.now + PERIOD)
    film = [*drive.film, *sink.take(1)]
    assert [told.text for told in film[-1].told] == ["a castle"]
    bundle = sink.log.bundle(HERE)
    assert bundle is not None
    assert [picture.tobytes() for _, picture in regenerated(bundle, Teller())] == pixels(film)


def test_a_bundle_of_a_stranger_cannot_tell_a_world_what_it_does_not_take() -> None:
    drive = Drive()
    drive.go(3)
    bundle = drive.sink.log.bundle(HERE)
    assert bundle is not None
    for event, world in [
        (Event(frame=2, say="a castle", how="flush"), Shared()),
        (Event(frame=2, say="nonsense"), Teller()),
    ]:
        events = (*bundle.header.events, event)
        wrong = replace(bundle, header=bundle.header.model_copy(update={"events": events}))
        with pytest.raises(BadBundle):
            list(regenerated(wrong, world))
        assert world.living == 0


@pytest.mark.parametrize(
    "event",
    [
        Event(frame=1, say="a castle", rebuilt=True),
        Event(frame=1, say="a castle", to=0),
        Event(frame=1, say="a castle", seed=1),
        Event(frame=1),
    ],
)
def test_an_event_is_one_thing(tmp_path: Path, event: Event) -> None:
    drive = Drive()
    drive.go(3)
    bundle = drive.sink.log.bundle(HERE)
    assert bundle is not None
    events = (*bundle.header.events, event)
    replace(bundle, header=bundle.header.model_copy(update={"events": events})).write(tmp_path / "one.wloom")
    with pytest.raises(BadBundle, match="can be followed"):
        read(tmp_path / "one.wloom")


def test_a_recording_says_so_and_a_walk_that_it_is_not_whole(tmp_path: Path) -> None:
    drive, files, walk = Drive(), begun(tmp_path), Walk()
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
