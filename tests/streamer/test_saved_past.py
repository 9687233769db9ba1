"""What a session can go back to survives its driver: in few bytes, in another engine, and in a replay."""

from __future__ import annotations

import asyncio
import pickle
from dataclasses import replace

import pytest

from worldloom.models.toy import ToyState
from worldloom.streamer.client_messages import Restore, Rewind, TakeSnapshot
from worldloom.streamer.engine_config import SessionConfig
from worldloom.streamer.origin import Origin, Snapshot
from worldloom.streamer.orphans import Orphans
from worldloom.streamer.past import PastConfig
from worldloom.streamer.session import Session
from worldloom.streamer.transports.inprocess import Collector

from .desk import PERIOD, Desk
from .logged import Drive, Logged, check_replay
from .test_parking import Parks
from .test_snapshot import saved
from .test_travel import Shared, answered, frames, walked


def desk_of(model: Shared | None = None, seconds: float = 60.0) -> Desk:
    return Desk(model or Parks(), session=SessionConfig(past=PastConfig(seconds=seconds)))


def away_and_back(desk: Desk, session: Session, other: Desk | None = None) -> tuple[Session, Collector, Snapshot]:
    """The session ends, as when its driver is lost, and goes on later: in the same engine or in another."""
    snapshot: Snapshot = pickle.loads(pickle.dumps(saved(desk, session, end=True)))  # as between processes
    desk.check_empty()
    other, sink = other or desk, Collector()
    other.now = desk.now
    return other.enter(sink, snapshot), sink, snapshot


def test_who_comes_back_can_still_rewind_and_restore() -> None:
    desk, other = desk_of(), desk_of()
    session, sink, film = walked(desk)
    session.post(TakeSnapshot(seq=7))
    desk.turn()
    assert answered(sink, 7).snapshot == "s1"
    film += frames(desk, sink, 5)
    points = len(session.past)
    again, sink, snapshot = away_and_back(desk, session, other)
    assert len(again.past) == points + 1, "and where it is now"
    again.post(Rewind(seq=8, seconds=1.0))
    other.turn(other.now + PERIOD)
    to = answered(sink, 8).to
    assert to is not None
    assert 20 <= to <= 26
    (frame,) = sink.take(1)
    assert (frame.back_to, frame.rebuilt) == (to, True)
    again.post(Restore(seq=9, snapshot="s1"))
    again.post(TakeSnapshot(seq=10))
    other.turn(other.now + PERIOD)
    receipts = {receipt.seq: receipt for receipt in sink.take_receipts()}
    assert (receipts[9].status, receipts[9].to) == ("applied", 40)
    assert receipts[10].snapshot == "s2", "names go on"
    assert snapshot.past is not None
    assert snapshot.octets == len(snapshot.state) + snapshot.past.octets > len(snapshot.state)
    again.close()
    other.turn()
    other.check_empty()
    assert other.engine.stats().points == 0


def test_a_world_that_cannot_park_keeps_snapshots_as_they_were() -> None:
    desk = desk_of(Keeps())
    session, sink, film = walked(desk)
    session.post(TakeSnapshot(seq=7))
    desk.turn()
    film += frames(desk, sink, 5)
    again, sink, _ = away_and_back(desk, session)
    again.post(Restore(seq=9, snapshot="s1"))
    shown = frames(desk, sink, 1)
    assert (answered(sink, 9).to, shown[0].rebuilt) == (40, False)
    again.close()
    desk.turn()
    desk.check_empty()


def test_a_deterministic_session_is_not_parked_on_the_way() -> None:
    desk = desk_of()
    sink = Collector()
    session = desk.enter(sink, Origin(3, deterministic=True), "realtime")
    frames(desk, sink, 9)
    session.post(TakeSnapshot(seq=7))
    desk.turn()
    world = desk.model
    assert isinstance(world, Parks)
    again, sink, snapshot = away_and_back(desk, session)
    assert world.parks == 0
    assert snapshot.past is not None
    assert (len(snapshot.past.points), len(snapshot.past.snapshots)) == (0, 1)
    again.post(Restore(seq=9, snapshot="s1"))
    assert not frames(desk, sink, 1)[0].rebuilt


def test_a_replay_goes_the_same_way() -> None:
    desk = desk_of()
    drive = Drive(desk)
    drive.go(20)
    drive.say(TakeSnapshot)
    drive.go(5)
    snapshot = saved(desk, drive.session, end=True)
    log = drive.sink.log
    drive.sink = Logged(desk)
    drive.sink.log = log
    drive.session = desk.enter(drive.sink, snapshot)
    drive.say(Restore, snapshot="s1")
    drive.go(4)
    drive.say(Rewind, seconds=0.9)
    drive.go(4)
    assert sum(frame.back_to is not None for frame in drive.film) == 2
    check_replay(drive.bundle, Parks(), drive.film)


class Keeps(Shared):
    """Cannot park; counts loaded states too."""

    def load(self, blob: bytes) -> ToyState:
        self.living += 1
        return super().load(blob)


class Forgetful(Parks):
    def park(self, state: ToyState) -> bytes:
        raise RuntimeError("secret detail")


class Illiterate(Keeps):
    """Loads one state, and no more."""

    def load(self, blob: bytes) -> ToyState:
        if self.living:
            raise RuntimeError("secret detail")
        return super().load(blob)


@pytest.mark.parametrize("model", [Forgetful, Illiterate])
def test_a_past_that_cannot_be_kept_costs_nothing_but_itself(model: type[Shared]) -> None:
    desk = desk_of(model())
    session, sink, _ = walked(desk)
    session.post(TakeSnapshot(seq=7))
    desk.turn()
    again, sink, _ = away_and_back(desk, session)
    again.post(Restore(seq=9, snapshot="s1"))
    desk.turn()
    assert answered(sink, 9).code == "unknown_snapshot"
    again.close()
    desk.turn()
    desk.check_empty()


async def test_nobody_gives_way_for_what_another_could_go_back_to() -> None:
    class Away:
        """As much of a room as orphans know."""

        def __init__(self, snapshot: Snapshot) -> None:
            self.snapshot, self.ident = snapshot, "away"

    desk = desk_of()
    session, _, _ = walked(desk)
    snapshot = saved(desk, session, end=True)
    alone = replace(snapshot, past=None).octets
    ended: list[object] = []
    orphans = Orphans(4, snapshot.octets + alone + 10, ended.append)
    rooms = [Away(snapshot) for _ in range(3)]
    assert all(orphans.keep(room, 60.0) for room in rooms[:2])  # type: ignore[arg-type]
    assert (rooms[0].snapshot.past is None, rooms[1].snapshot.past is None, ended) == (False, True, [])
    assert orphans.keep(rooms[2], 60.0)  # type: ignore[arg-type]
    assert ended == [rooms[0]], "but for the session itself the oldest does"
    await asyncio.sleep(0)
    for room in rooms[1:]:
        orphans.expire(room)  # type: ignore[arg-type]
