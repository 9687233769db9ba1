"""An engine in a child process does what one on a thread does, and its death is told to everybody at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from worldloom.models.catalog import open_world
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.client_messages import Key, Pause, Reset, Step
from worldloom.streamer.engine import Engine
from worldloom.streamer.engine_child import Job, _Desk
from worldloom.streamer.engine_config import EngineConfig, SessionConfig
from worldloom.streamer.engine_messages import Answer, Open, Told
from worldloom.streamer.engine_process import EngineProcess
from worldloom.streamer.errors import Busy, EngineLost, ModelFault, RateLimited, SessionClosed, UnknownKey, Unsupported
from worldloom.streamer.fields import Mode
from worldloom.streamer.frames import Frame
from worldloom.streamer.home import EngineHome, LiveSession
from worldloom.streamer.origin import Origin, Snapshot
from worldloom.streamer.phase import Phase
from worldloom.streamer.transports.inprocess import Collector

from .desk import Desk

WITHIN = 10.0  # seconds
ROW = ((1.0, 0.0, 0.0, 0.0, 3.0, 0.0),)
# A first step that a busy machine delays refuses nobody.
CONFIG = EngineConfig(max_sessions=3, share=20.0, session=SessionConfig(inbox=8))


FORGETFUL = """
from worldloom.models.catalog import open_world
from worldloom.streamer.engine_child import Job
from worldloom.streamer.engine_config import EngineConfig
from worldloom.streamer.engine_process import EngineProcess

if __name__ == "__main__":
    engine = EngineProcess(Job(open_world, "toy", EngineConfig()))
    engine.start()
    print(engine.pid)
"""


class Moody(ToyWorld):
    """Fails at a step of seed 13, and refuses to start from 14."""

    def start(self, **kwargs: object) -> ToyState:
        if kwargs["seed"] == 14:
            raise ValueError("not this seed")
        return super().start(**kwargs)  # type: ignore[arg-type]

    def step(self, states, actions):  # type: ignore[no-untyped-def]
        if any(state.seed == 13 for state in states):
            raise RuntimeError("secret detail")
        return super().step(states, actions)


def moody(_: str) -> Moody:
    return Moody()


@pytest.fixture(scope="module")
def shared() -> Iterator[EngineProcess]:
    """One child for all tests that leave it alive."""
    with EngineProcess(Job(moody, "", CONFIG)) as engine:
        yield engine


@pytest.fixture
def child(shared: EngineProcess) -> Iterator[EngineProcess]:
    yield shared
    deadline = time.monotonic() + WITHIN
    while shared.stats().sessions or shared.stats().states:  # whatever a test did, nothing is left
        assert time.monotonic() < deadline
        time.sleep(0.01)


def opened(
    engine: EngineHome, start: Origin | Snapshot, mode: Mode = "lockstep", *, depth: int = 256
) -> tuple[LiveSession, Collector]:
    sink = Collector(depth=depth)
    return engine.submit(sink, start, mode).result(WITHIN), sink


def walk(session: LiveSession, sink: Collector, steps: int, first_seq: int = 1) -> list[NDArray[np.uint8]]:
    for seq in range(first_seq, first_seq + steps):
        session.post(Step(seq=seq, actions=ROW))
    return [frame.pixels for frame in sink.take(steps, timeout_s=WITHIN)]


def end(engine: EngineHome, *sessions: LiveSession) -> None:
    for session in sessions:
        engine.close(session).result(WITHIN)


def test_the_same_frames_as_on_a_thread(child: EngineProcess) -> None:
    with Engine(Moody(), CONFIG) as thread:
        a, b = opened(thread, Origin(5)), opened(child, Origin(5))
        assert np.array_equal(walk(*a, 6), walk(*b, 6))
        for session, sink in (a, b):
            assert [(r.seq, r.status, r.frame) for r in sink.take_receipts()] == [
                (k, "applied", k - 1) for k in range(1, 7)
            ]
            assert (session.phase, session.index) == (Phase.LIVE, 6)
        end(child, b[0])
        assert b[0].phase is Phase.CLOSED


def test_a_session_goes_on_from_its_snapshot(child: EngineProcess) -> None:
    (straight, all_frames), (session, sink) = opened(child, Origin(5)), opened(child, Origin(5))
    want = walk(straight, all_frames, 6)
    walk(session, sink, 3)
    snapshot = child.snapshot(session, end=True).result(WITHIN)
    session.ended.result(WITHIN)
    again, again_sink = opened(child, snapshot)
    assert again.ident == session.ident
    assert np.array_equal(walk(again, again_sink, 3, 4), want[3:])
    end(child, straight, again)


def test_what_this_world_cannot_obey_is_refused_at_once(child: EngineProcess) -> None:
    session, sink = opened(child, Origin(5))
    with pytest.raises(UnknownKey):
        session.post(Key(seq=1, code="KeyZ", down=True))
    with pytest.raises(Unsupported, match="refused to start"):
        opened(child, Origin(14))
    session.post(Reset(seq=2, seed=9))
    assert sink.answer(2, timeout_s=WITHIN).status == "applied"
    assert session.origin.seed == 9
    end(child, session)
    with pytest.raises(SessionClosed):
        session.post(Step(seq=3, actions=ROW))
    with pytest.raises(SessionClosed):
        child.snapshot(session).result(WITHIN)


def test_controls_that_wait_are_bounded_and_expire_at_the_end(child: EngineProcess) -> None:
    session, sink = opened(child, Origin(5))
    session.post(Pause(seq=1))
    assert sink.answer(1, timeout_s=WITHIN).status == "applied"
    assert session.phase is Phase.PAUSED
    os.kill(child.pid or 0, signal.SIGSTOP)  # the child reads nothing: what waits, waits here
    try:
        for seq in range(2, 10):
            session.post(Step(seq=seq, actions=ROW))
        with pytest.raises(RateLimited):
            session.post(Step(seq=10, actions=ROW))
    finally:
        os.kill(child.pid or 0, signal.SIGCONT)
    end(child, session)
    assert sorted(r.seq for r in sink.take_receipts() if r.status == "expired") == list(range(2, 10))


def test_a_fault_ends_one_session_and_full_is_busy(child: EngineProcess) -> None:
    (bad, bad_sink), (good, good_sink), (other, _) = (opened(child, Origin(seed)) for seed in (13, 5, 6))
    with pytest.raises(Busy):
        opened(child, Origin(7))
    bad.post(Step(seq=1, actions=ROW))
    bad.ended.result(WITHIN)
    assert isinstance(bad_sink.error, ModelFault)
    assert "secret" not in str(bad_sink.error)
    assert len(walk(good, good_sink, 2)) == 2
    end(child, good, other)


def test_a_world_that_does_not_load_says_why() -> None:
    engine = EngineProcess(Job(open_world, "no such world", CONFIG))
    with pytest.raises(ModelFault, match="no such world"):
        engine.start()
    assert not engine.alive
    assert engine.over.done()


def test_killed_it_tells_everybody_and_leaves_nothing() -> None:
    with EngineProcess(Job(moody, "", CONFIG)) as engine:
        memory = engine._ring.name
        SharedMemory(memory).close()
        (live, live_sink), (waiting, waiting_sink) = opened(engine, Origin(1), "realtime"), opened(engine, Origin(2))
        live_sink.take(2, timeout_s=WITHIN)
        assert engine.pid
        os.kill(engine.pid, signal.SIGSTOP)
        waiting.post(Step(seq=1, actions=ROW))
        unanswered = engine.snapshot(live)
        os.kill(engine.pid, signal.SIGKILL)
        engine.over.result(2.0)
        for session, sink in ((live, live_sink), (waiting, waiting_sink)):
            session.ended.result(0)
            assert isinstance(sink.error, EngineLost)
        assert [r.status for r in waiting_sink.take_receipts()] == ["expired"]
        with pytest.raises(EngineLost):
            unanswered.result(0)
        with pytest.raises(EngineLost):
            engine.submit(Collector(), Origin(1))
        assert not engine.alive
        assert (engine.stats().sessions, engine.stats().states) == (0, 0)
        with pytest.raises(FileNotFoundError):
            SharedMemory(memory)


def test_stuck_it_is_killed_at_the_end_and_leaves_nothing() -> None:
    with EngineProcess(Job(moody, "", CONFIG)) as engine:
        memory = engine._ring.name
        live, _ = opened(engine, Origin(1), "realtime")
        assert engine.pid
        os.kill(engine.pid, signal.SIGSTOP)
        with pytest.raises(TimeoutError, match="killed it"):
            engine.stop(0.2)
        live.ended.result(0)
        with pytest.raises(FileNotFoundError):
            SharedMemory(memory)


def test_who_ends_without_stopping_it_does_not_wait_for_it(tmp_path: Path) -> None:
    script = tmp_path / "forgetful.py"
    script.write_text(FORGETFUL)
    ended = subprocess.run([sys.executable, str(script)], timeout=WITHIN, check=True, capture_output=True, text=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int(ended.stdout), 0)


def test_what_the_child_measures_is_known_here_and_decides_there(child: EngineProcess) -> None:
    child.measure().result(WITHIN)
    deadline = time.monotonic() + WITHIN
    while child.capacity().measured.state_bytes is None:  # told with the next figures
        assert time.monotonic() < deadline
        time.sleep(0.01)
    capacity = child.capacity()
    assert {1, 2} <= capacity.measured.step_ms.keys()
    assert capacity.free_bytes
    assert (capacity.places.setting, capacity.places.count) == (3, 3)
    child.others = lambda: 20.0  # other worlds leave nothing: one place, as always
    session, _ = opened(child, Origin(1), "realtime")
    with pytest.raises(Busy, match="step time") as caught:
        opened(child, Origin(2), "realtime")
    assert caught.value.retry_after
    child.others = lambda: 0.0
    other, _ = opened(child, Origin(2), "realtime")
    for one in (session, other):
        child.close(one).result(WITHIN)


def test_a_first_picture_that_comes_at_once_is_not_lost() -> None:
    """The engine's thread may have made it before whoever asked for the session goes on."""
    session, _ = Desk().open(1, "realtime")
    now = time.monotonic_ns()
    first = Frame(0, 0, np.zeros((6, 8, 3), np.uint8), applied=0, step_ns=0, sampled_ns=now, made_ns=now)

    def submit(sink: Any, start: Any, mode: str, answer: Future[Any] | None = None, *, entry: str) -> Future[Any]:
        answer = answer or Future()
        answer.set_result(session)
        sink.frame(first)
        return answer

    sent: list[Any] = []
    engine: Any = SimpleNamespace(submit=submit)
    ring: Any = SimpleNamespace(put=lambda pixels: 0)
    _Desk(engine, ring, sent.append).obey(Open(7, Origin(1), "realtime", "new", 0.0))
    assert [type(message) for message in sent] == [Answer, Told]
