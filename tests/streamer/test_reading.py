"""A world that takes long to read: nobody else waits, and who asked gets the text when it is read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from worldloom.models.spec import Image, Switch
from worldloom.models.toy import ToyState
from worldloom.streamer.client_messages import Key, Pause, Prompt, Reset, Rewind, Say, Step
from worldloom.streamer.errors import Unsupported
from worldloom.streamer.fields import Mode
from worldloom.streamer.origin import Origin
from worldloom.streamer.reading import Reading
from worldloom.streamer.session import Session
from worldloom.streamer.transports.inprocess import Collector

from .desk import PERIOD, Desk, Probe


class Reader(Probe):
    """Reads a text when the test lets it, and refuses to use one that it has not read."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = replace(self.spec, prompts=True, switches=("recache", "blend"))
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.known: list[str] = []
        self.threads: set[str] = set()

    def read(self, prompt: str) -> None:
        self.threads.add(threading.current_thread().name)
        self.begun.set()
        assert self.gate.wait(10.0)
        if prompt == "nonsense":
            raise ValueError("not encoded here")
        self.known.append(prompt)

    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> ToyState:
        if prompt == "nonsense":
            raise ValueError("not encoded here")
        assert prompt is None or prompt in self.known
        return super().start(seed=len(prompt) if prompt else seed)

    def say(self, state: ToyState, prompt: str, *, how: Switch = "recache", chunks: int = 1) -> None:
        del how, chunks
        if prompt == "nonsense":
            raise ValueError("not encoded here")
        assert prompt in self.known
        state.seed = len(prompt)


@pytest.fixture
def world() -> Iterator[Reader]:
    model = Reader()
    yield model
    model.gate.set()


@pytest.fixture
def desk(world: Reader) -> Iterator[Desk]:
    made = Desk(world)
    yield made
    world.gate.set()
    made.engine.stop()


def until(desk: Desk, done: Callable[[], bool]) -> None:
    """Passes of the engine while its clock stands still, until what another thread does has been taken up."""
    deadline = time.monotonic() + 10.0
    while not done():
        assert time.monotonic() < deadline
        desk.turn()
        time.sleep(0.001)


def reached(session: Session, index: int) -> Callable[[], bool]:
    return lambda: session.index == index


def receipts(sink: Collector) -> dict[int, tuple[str, int | None]]:
    return {receipt.seq: (receipt.status, receipt.frame) for receipt in sink.take_receipts()}


@pytest.mark.parametrize("kind", [Say, Prompt])
def test_what_the_clock_paces_goes_on_meanwhile(kind: type[Say] | type[Prompt], desk: Desk, world: Reader) -> None:
    session, sink = desk.open(mode="realtime")
    other, _ = desk.open(mode="realtime")
    until(desk, lambda: session.index == 1)
    session.post(kind(seq=1, text="a castle"))
    for k in range(1, 4):
        session.post(Key(seq=1 + k, code="ArrowRight", down=k % 2 == 1))
        until(desk.at(k * PERIOD), reached(session, 1 + k))
    assert other.index >= 3
    assert world.begun.wait(10.0)
    assert 1 not in receipts(sink), "not taken up"
    world.gate.set()
    until(desk, lambda: not session.asks)
    assert receipts(sink)[1] == ("applied", 4)
    assert world.threads == {"worldloom-reader_0"}


@pytest.mark.parametrize("mode", ["lockstep", "realtime"])
def test_a_step_behind_a_text_waits_for_it(mode: Mode, desk: Desk, world: Reader) -> None:
    session, sink = desk.open(mode=mode)
    if mode == "realtime":
        session.post(Pause(seq=1))
    desk.turn()
    at = session.index
    receipts(sink)
    session.post(Say(seq=2, text="a castle"))
    session.post(Step(seq=3))
    desk.turn(), desk.turn(PERIOD)
    assert session.index == at
    world.gate.set()
    until(desk, lambda: session.index == at + 1)
    assert sink.take(at + 1)[-1].told[0].text == "a castle"
    answers = receipts(sink)
    assert (answers[2], answers[3]) == (("applied", at), ("applied", at))


def test_a_later_text_is_read_in_place_of_one_that_nobody_began(desk: Desk, world: Reader) -> None:
    busy, _ = desk.open(mode="realtime")
    session, sink = desk.open(mode="realtime")
    busy.post(Say(seq=1, text="first"))
    desk.turn()
    assert world.begun.wait(10.0)
    for seq, text in enumerate(("dropped", "too", "the last one"), start=1):
        session.post(Say(seq=seq, text=text))
        desk.turn()
    assert len(desk.engine._scheduler.reading) == 2, "one for each who waits"
    world.gate.set()
    until(desk, lambda: not desk.engine._scheduler.reading)
    assert world.known == ["first", "the last one"]
    assert {seq: status for seq, (status, _) in receipts(sink).items()} == {
        1: "superseded",
        2: "superseded",
        3: "applied",
    }


def test_a_text_that_cannot_be_read_is_refused_by_the_world_itself(desk: Desk, world: Reader) -> None:
    world.gate.set()
    session, sink = desk.open(mode="realtime")
    session.post(Say(seq=1, text="nonsense"))
    desk.turn()
    until(desk, lambda: not session.asks)
    assert receipts(sink)[1][0] == "rejected"
    answer = desk.engine.submit(Collector(), Origin(1, prompt="nonsense"))
    until(desk, answer.done)
    assert isinstance(answer.exception(), Unsupported)


def test_who_opens_with_a_text_waits_and_the_others_do_not(desk: Desk, world: Reader) -> None:
    session, sink = desk.open(mode="realtime")
    answer = desk.engine.submit(Collector(), Origin(1, prompt="a castle"), "lockstep")
    until(desk, lambda: session.index == 1)
    until(desk.at(PERIOD), lambda: session.index == 2)
    assert not answer.done()
    world.gate.set()
    until(desk, answer.done)
    opened = answer.result(0)
    assert isinstance(opened, Session)
    assert sink.error is None


def test_what_waits_behind_a_text_is_done_after_it(desk: Desk, world: Reader) -> None:
    session, sink = desk.open(mode="realtime")
    until(desk, lambda: session.index == 1)
    session.post(Say(seq=1, text="a castle"))
    session.post(Rewind(seq=2, frame=0))
    desk.turn(PERIOD), desk.turn(2 * PERIOD)
    assert session.index == 1, "nothing is made for a past that is about to be left"
    world.gate.set()
    until(desk, lambda: not session.asks)
    assert list(receipts(sink)) == [1, 2]


def test_who_leaves_or_begins_anew_is_forgotten(desk: Desk, world: Reader) -> None:
    session, _ = desk.open(mode="realtime")
    other, sink = desk.open(mode="realtime")
    for one in (session, other):
        one.post(Say(seq=1, text="a castle"))
    desk.turn()
    session.close()
    other.post(Reset(seq=2, seed=4))
    desk.turn()
    assert not desk.engine._scheduler.reading
    assert {seq: status for seq, (status, _) in receipts(sink).items()} == {1: "superseded", 2: "applied"}
    other.close()
    desk.turn()
    desk.check_empty()


def test_a_world_that_reads_quickly_is_asked_for_nothing() -> None:
    woken: list[None] = []
    reading = Reading(Probe(), lambda: woken.append(None))
    assert not reading.waits("somebody", ("a castle",))
    reading.close()
    assert not woken
