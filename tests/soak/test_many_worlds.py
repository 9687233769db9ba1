"""Sixteen sessions at one engine that join, pause, rest, fork, go back, leave and return at random.

At every pass nothing is held twice, nothing is lost and bytes stay bounded; and each session's frames, whoever it was
stepped with, are those of a replay of it alone. Under a clock of its own, seeded; WORLDLOOM_SOAK_MINUTES says how long
the long one goes on (twice that).
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.models.tiny import tiny_world
from tests.streamer.desk import PERIOD, Desk
from tests.streamer.logged import HERE, Logged
from tests.streamer.test_snapshot import saved
from worldloom.models.ring import Ring
from worldloom.models.world import DiTWorld
from worldloom.streamer.client_messages import (
    Key,
    Pause,
    Reset,
    Restore,
    Resume,
    Rewind,
    Step,
    TakeSnapshot,
)
from worldloom.streamer.engine_config import SessionConfig
from worldloom.streamer.fields import Mode
from worldloom.streamer.origin import Branch, Origin, Snapshot, Start
from worldloom.streamer.past import PastConfig
from worldloom.streamer.phase import Phase
from worldloom.streamer.replay import regenerated
from worldloom.streamer.replay_log import digest_of
from worldloom.streamer.session import Session

MOST = 16
MINUTES = 2 * float(os.environ.get("WORLDLOOM_SOAK_MINUTES", "5"))
ENOUGH = 100  # frames that are made once more, however slow the machine
LONGEST = 160  # frames of one session before it leaves, for all of them are made once more
OCTETS = 2**18  # that a session's past may hold


class Counting(DiTWorld):
    """A tiny world in the arithmetic of streams, which counts its states."""

    living = 0

    def begin(self, *given: Any) -> Any:
        self.living += 1
        return super().begin(*given)

    def fork(self, state: Any) -> Any:
        self.living += 1
        return super().fork(state)

    def load(self, blob: bytes) -> Any:
        made = super().load(blob)
        self.living += 1
        return made

    def release(self, state: Any) -> None:
        assert not state.released
        self.living -= 1
        super().release(state)


def counting(chunk: int, sink: int) -> Counting:
    w = tiny_world(chunk, sink, "turn")
    return Counting(w.spec, w.dit, w.autoencoder, w.config, w.scenes, dtype=torch.bfloat16)


class Crowd:
    """Who is there, and what each of them did."""

    def __init__(self, world: Counting, seed: int) -> None:
        self.rng = random.Random(seed)
        self.world = world
        self.alone = counting(world.spec.chunk, world.config.sink)  # makes everything once more
        past = PastConfig(seconds=8.0, octets=OCTETS, snapshots=3)
        self.desk = Desk(world, max_sessions=64, session=SessionConfig(past=past, park_after=2.0))  # type: ignore[arg-type]
        self.seats: dict[Session, Logged] = {}
        self.away: list[tuple[Snapshot, Logged]] = []
        self.said: dict[str, int] = {}
        self.seq = self.checked = self.rebuilt = 0

    def live(self) -> Session | None:
        return self.rng.choice(list(self.seats)) if self.seats else None

    def say(self, session: Session, kind: Any, **fields: Any) -> None:
        self.seq += 1
        session.post(kind(seq=self.seq, **fields))

    def enter(self, start: Start, sink: Logged, mode: Mode = "realtime") -> Session:
        session = self.desk.enter(sink, start, mode, entry="recovered")
        self.seats[session] = sink
        return session

    # What they do -----------------------------------------------------------------------------------------------------

    def join(self) -> None:
        if len(self.seats) < MOST:
            mode: Mode = "lockstep" if self.rng.random() < 0.2 else "realtime"
            start = Origin(self.rng.randrange(1000), deterministic=self.rng.random() < 0.2)
            self.enter(start, Logged(self.desk), mode)

    def press(self, session: Session) -> None:
        self.say(session, Key, code=self.rng.choice(["KeyW", "ArrowRight"]), down=self.rng.random() < 0.6)

    def pause(self, session: Session) -> None:
        if session.phase is not Phase.PAUSED:
            self.say(session, Pause)
        elif session.parked is not None or self.rng.random() < 0.2:  # most rest until they are parked
            self.say(session, Resume)

    def step(self, session: Session) -> None:
        if session.mode == "lockstep" or session.phase is Phase.PAUSED:
            self.say(session, Step)

    def rewind(self, session: Session) -> None:
        if session.mode == "realtime":
            self.say(session, Rewind, seconds=self.rng.uniform(0.1, 9.0))

    def keep(self, session: Session) -> None:
        self.say(session, TakeSnapshot)

    def restore(self, session: Session) -> None:
        self.say(session, Restore, snapshot=f"s{self.rng.randint(1, 4)}")

    def reset(self, session: Session) -> None:
        self.say(session, Reset, seed=self.rng.randrange(1000))

    def fork(self, session: Session) -> None:
        if len(self.seats) < MOST and not session.closing:
            sink = Logged(self.desk)
            fork = self.enter(Branch(session, None, session.mode), sink)
            sink.log.start(saved(self.desk, fork, end=False))
            self.say(fork, Resume)

    def leave(self, session: Session) -> None:
        self.desk.engine.close(session)
        self.desk.turn()
        self.check_replay(self.seats.pop(session))

    def be_lost(self, session: Session) -> None:
        self.away.append((saved(self.desk, session, end=True), self.seats.pop(session)))

    def come_back(self) -> None:
        if self.away and len(self.seats) < MOST:
            self.enter(*self.away.pop(0))

    def act(self) -> None:
        deeds = [self.press] * 8 + [self.pause] * 2 + [self.step] * 4 + [self.rewind, self.keep, self.restore]
        deeds += [self.fork, self.reset, self.leave, self.be_lost]
        for _ in range(2):
            session = self.live()
            if session is None or self.rng.random() < 0.12:
                name, deed = "come and go", self.rng.choice([self.join, self.join, self.come_back])
                deed()
            else:
                done = self.rng.choice(deeds)
                name = done.__name__
                done(session)
            self.said[name] = self.said.get(name, 0) + 1
        for session in [one for one in self.seats if one.index > LONGEST]:
            self.leave(session)

    # What must hold ---------------------------------------------------------------------------------------------------

    def check(self) -> None:
        stats, sessions = self.desk.engine.stats(), list(self.seats)
        assert stats.faults == 0
        assert stats.sessions == len(sessions)
        assert stats.states == len(sessions) - stats.parked
        held = [point.state for one in sessions for point in one.past if not isinstance(point.state, bytes)]
        states = [one.state for one in sessions if one.parked is None]
        assert self.world.living == len(states) + len(held)
        rings = [s.cache.buffer for s in states if isinstance(s.cache.buffer, Ring)]
        slots = [part.data_ptr() for ring in rings for part in ring.parts]
        assert len(slots) == len(set(slots)), "two streams write into one slot"
        each = max((self.world.footprint([s]) for s in states), default=0)
        assert self.world.footprint([*states, *held]) <= len(sessions) * (each + OCTETS)

    def check_replay(self, sink: Logged) -> None:
        """Its frames are those of a replay of it alone."""
        bundle = sink.log.bundle(HERE)
        if bundle is None:  # it went back to before its log
            return
        self.rebuilt += sum(event.rebuilt for event in bundle.header.events)
        for (frame, picture), digest in zip(regenerated(bundle, self.alone), bundle.digests, strict=True):
            assert digest_of(picture) == digest.tobytes(), f"frame {frame} of {len(bundle)}: {bundle.header.events}"
            self.checked += 1
        assert self.alone.living == 0

    def passes(self) -> Iterator[int]:
        """Engine passes, each when it is due."""
        number = 0
        while True:
            due = self.desk.turn()
            yield number
            self.desk.now = min(max(self.desk.now + 1, due or 0), self.desk.now + PERIOD)
            number += 1


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("chunk", "sink"), [(1, 0), (3, 3)])
def test_sixteen_sessions_do_whatever_they_like(chunk: int, sink: int) -> None:
    run(Crowd(counting(chunk, sink), seed=chunk), 8.0)


@pytest.mark.soak
@pytest.mark.timeout(60 * MINUTES + 300)
def test_sixteen_sessions_do_whatever_they_like_for_minutes() -> None:
    run(Crowd(counting(1, 0), seed=7), 60 * MINUTES)


def run(crowd: Crowd, seconds: float) -> None:
    end = time.monotonic() + seconds
    with torch.inference_mode():
        for _ in crowd.passes():
            crowd.check()
            if crowd.rng.random() < 0.3:
                crowd.act()
            if time.monotonic() > end and crowd.checked > ENOUGH:
                break
        for session in list(crowd.seats):
            crowd.leave(session)
    crowd.desk.check_empty()
    assert crowd.checked > ENOUGH
    print(f"\n{crowd.checked} frames made twice, {crowd.rebuilt} memories made anew; {crowd.said}")
