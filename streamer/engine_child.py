"""The child's side of an engine in a process of its own: load the world, run the engine, do as the pipe says.

Pictures leave through shared memory, all else through the pipe, written by a thread of its own: the engine never waits
for whoever reads. When the pipe closes, the parent has gone, and so does the child. Knows the engine and what
both sides say (engine_messages.py); no server.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np

from worldloom.models.spec import WorldModel

from .engine import Engine
from .engine_config import EngineConfig
from .engine_messages import Answer, Ask, Measure, Open, Post, Ring, Save, Told, View
from .engine_stats import EngineStats
from .errors import SessionClosed, WorldloomError
from .frame_ring import FrameRing
from .frames import Frame
from .freed_memory import keep_freed_memory
from .home import LiveSession
from .logs import Style, set_up
from .origin import Branch, Origin
from .server_messages import Receipt
from .session import Session

log = logging.getLogger(__name__)

STATS_EVERY = 0.25  # seconds between two reports of the engine's figures
NO_PIXELS = np.empty(0, np.uint8)


@dataclass(frozen=True)
class Job:
    """What the child is for."""

    load: Callable[[str], WorldModel[Any]]  # importable from the child
    source: str  # what it is given
    config: EngineConfig
    log: tuple[Style, str] = ("text", "info")  # style and level


class _Sink:
    """A session's sink: passes everything on."""

    def __init__(self, number: int, ring: FrameRing, send: Callable[[Any], None]) -> None:
        self.session: Session | None = None
        self.unsent = 0  # pictures for which there was no place
        self._origin: Origin | None = None  # of which the parent knows
        self._number, self._ring, self._send = number, ring, send

    def opened(self, session: Session) -> None:
        self.session = session
        session.ended.add_done_callback(lambda _: self._send(Told(self._number, None)))

    def receipt(self, receipt: Receipt) -> None:
        self._send(Told(self._number, receipt, self.view()))

    def frame(self, frame: Frame) -> None:
        picture = self._ring.put(frame.pixels)
        if picture is not None:
            frame = replace(frame, pixels=NO_PIXELS)
        elif self.session is not None and self.session.mode == "realtime":
            self.unsent += 1  # the parent is far behind: when it is back, a viewer will want newer ones
            if self.unsent == 1:
                log.warning("session %s: the server does not take its pictures; dropping some", self.session.ident)
            return
        self._send(Told(self._number, frame, self.view(), picture))  # lockstep loses no frame

    def fault(self, error: WorldloomError) -> None:
        self._send(Told(self._number, error))

    def view(self) -> View:
        """The session now."""
        session = self.session
        assert session is not None, "nothing is told before a session is open"
        told, self._origin = self._origin, session.origin
        return View(session.ident, session.phase, session.index, session.origin if session.origin is not told else None)


class _Desk:
    """Does what the parent says."""

    def __init__(self, engine: Engine, ring: FrameRing, send: Callable[[Any], None]) -> None:
        self._engine, self._ring, self._send = engine, ring, send
        self._sinks: dict[int, _Sink] = {}  # of sessions that have not ended; bounded: the engine counts them

    def obey(self, message: Open | Measure | Save | Post | Ask) -> None:
        match message:
            case Open():
                self._open(message)
            case Measure(call=call):
                self._engine.measure().add_done_callback(lambda done: self._send(Answer(call, _result(done))))
            case Save():
                self._save(message)
            case Post() | Ask():
                self._pass_on(message)

    def _open(self, message: Open) -> None:
        sink = _Sink(message.call, self._ring, self._send)

        def opened(answer: Future[LiveSession]) -> None:  # on the engine's thread, before the first step
            result = _result(answer)
            if isinstance(result, Session):
                sink.opened(result)
                self._sinks[message.call] = sink
                result.ended.add_done_callback(lambda _: self._sinks.pop(message.call, None))
                result = sink.view()
            self._send(Answer(message.call, result))

        start, answer = message.start, Future[LiveSession]()
        self._engine.others = lambda: message.others
        answer.add_done_callback(opened)
        try:
            start = replace(start, of=self._session(start.of)) if isinstance(start, Branch) else start
            self._engine.submit(sink, start, message.mode, answer, entry=message.entry)
        except WorldloomError as error:
            self._send(Answer(message.call, error))

    def _save(self, message: Save) -> None:
        session = self._session(message.session)
        if session is None:
            self._send(Answer(message.call, SessionClosed("the session has ended")))
            return
        answer = self._engine.snapshot(session, end=message.end)
        answer.add_done_callback(lambda done: self._send(Answer(message.call, _result(done))))

    def _pass_on(self, message: Post | Ask) -> None:
        session = self._session(message.session)
        if isinstance(message, Ask):
            if session is not None:
                session.let_go() if message.what == "let_go" else session.close()
            return
        try:
            if session is None:
                raise SessionClosed("the session has ended")
            session.post(message.event)
        except WorldloomError:  # the parent has checked it; only the session's end may have come between
            self._send(Told(message.session, Receipt(seq=message.event.seq, status="expired")))

    def _session(self, number: int) -> Session | None:
        sink = self._sinks.get(number)
        return sink.session if sink is not None else None


def main(pipe: Connection, job: Job) -> None:
    """The child's whole life."""
    set_up(*job.log)
    keep_freed_memory()
    for number in (signal.SIGINT, signal.SIGTERM):  # whoever stops the server stops us by closing the pipe
        signal.signal(number, signal.SIG_IGN)
    try:
        model = job.load(job.source)
    except Exception as error:
        return pipe.send(f"{type(error).__name__}: {error}")
    pipe.send(model.spec)
    place: Ring = pipe.recv()
    ring = FrameRing.attach(place.name, place.shape, place.places)
    outgoing: SimpleQueue[Any] = SimpleQueue()  # bounded: controls are answered once, pictures lie in the ring
    writer = Thread(target=_write, args=(pipe, outgoing), name="worldloom-pipe")
    writer.start()
    engine = Engine(model, job.config)
    try:
        with engine:
            _serve(pipe, engine, _Desk(engine, ring, outgoing.put), outgoing.put)
    finally:
        outgoing.put(None)
        writer.join()
        ring.close()
        pipe.close()  # the engine has ended: nobody waits until Python has cleared up behind it


def _serve(pipe: Connection, engine: Engine, desk: _Desk, send: Callable[[EngineStats], None]) -> None:
    """Until the parent says nothing more, or the engine has died."""
    told = 0.0
    while engine.alive:
        try:
            if pipe.poll(STATS_EVERY):
                message = pipe.recv()
                if message is None:  # the parent's last word
                    return
                desk.obey(message)
        except (EOFError, OSError):
            return
        if time.monotonic() - told >= STATS_EVERY:
            told = time.monotonic()
            send(engine.stats())


def _write(pipe: Connection, outgoing: SimpleQueue[Any]) -> None:
    while (message := outgoing.get()) is not None:
        try:
            pipe.send(message)
        except OSError:  # nobody reads any more
            return


def _result(answer: Future[Any]) -> Any:
    error = answer.exception()
    return answer.result() if error is None else error
