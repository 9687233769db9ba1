"""What a replay does with texts that a world was told on its way, and with events that a stranger made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from worldloom.streamer.bundle import BadBundle, Event, read
from worldloom.streamer.client_messages import Pause, Reset, Restore, Resume, Rewind, Say, Step, TakeSnapshot
from worldloom.streamer.origin import Branch, Origin
from worldloom.streamer.replay import regenerated
from worldloom.streamer.replay_log import ReplayLog

from .logged import Drive, Logged, check_replay
from .telling import Teller, driven
from .test_parking import AFTER, rest
from .test_travel import Shared, frames


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
    drive.sink.log = ReplayLog(drive.desk.model.spec, 1000)
    drive.sink.log.start(drive.saved())  # it begins with this state
    drive.go(3)
    del drive.film[: drive.film[-1].index - 2]


@pytest.mark.parametrize(
    "act", [again_and_again, before_a_snapshot, before_the_first_frame, while_parked, parked_between, kept]
)
def test_a_replay_is_told_the_same(tmp_path: Path, act: Callable[[Drive], None]) -> None:
    drive = driven()
    drive.go(9)
    act(drive)
    bundle = drive.bundle
    assert any(event.say for event in bundle.header.events)
    bundle.write(tmp_path / "one.wloom")
    check_replay(read(tmp_path / "one.wloom"), Teller(), drive.film)


def test_a_fork_that_was_told_before_its_first_frame_says_so() -> None:
    drive = driven("lockstep")
    drive.say(Say, text="a castle")
    drive.desk.turn()
    sink = Logged(drive.desk)
    fork = drive.desk.enter(sink, Branch(drive.session, None, "lockstep"), "lockstep")
    fork.post(Step(seq=1))
    drive.desk.turn()
    (frame,) = sink.take(1)
    assert frame.origin == Origin(3)
    assert [told.text for told in frame.told] == ["a castle"]
    check_replay(sink.bundle, Teller(), [frame])


def test_who_goes_on_from_a_snapshot_still_says_what_was_told() -> None:
    """An orphan's log goes on where it was: it has the frames before, and must hear of the text."""
    drive = driven()
    drive.go(4)
    drive.say(Say, text="a castle")
    drive.desk.turn()
    kept = drive.saved()
    sink = Logged(drive.desk)
    sink.log = drive.sink.log
    drive.session.close()
    drive.desk.turn()
    drive.desk.enter(sink, kept)
    film = drive.film + frames(drive.desk, sink, 1)
    assert [told.text for told in film[-1].told] == ["a castle"]
    check_replay(sink.bundle, Teller(), film)


def test_a_bundle_of_a_stranger_cannot_tell_a_world_what_it_does_not_take() -> None:
    drive = driven()
    drive.go(3)
    bundle = drive.bundle
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
    drive = driven()
    drive.go(3)
    bundle = drive.bundle
    events = (*bundle.header.events, event)
    replace(bundle, header=bundle.header.model_copy(update={"events": events})).write(tmp_path / "one.wloom")
    with pytest.raises(BadBundle, match="can be followed"):
        read(tmp_path / "one.wloom")
