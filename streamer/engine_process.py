"""An engine in a child process, seen from the parent: the same calls, and the same sinks are fed.

A thread reads what the child says and feeds the sinks, another writes to it: no caller ever waits for the pipe. When
the child dies, however it dies, every session is told `engine_lost` and all that waited is answered. Knows the messages
of engine_child.py; no world and no device.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from worldloom.models.spec import WorldSpec

from .capacity import Entry
from .engine_child import Job, main
from .engine_messages import Answer, Ask, Measure, Open, Ring, Save, Told, View
from .engine_stats import EngineStats
from .errors import EngineLost, ModelFault, SessionClosed, WorldloomError
from .fields import Mode
from .frame_ring import FrameRing
from .frames import Frame
from .home import EngineHome, LiveSession
from .origin import Branch, Origin, Snapshot, Start
from .remote_session import RemoteSession
from .sink import SessionSink

log = logging.getLogger(__name__)

PLACES = 64  # pictures in the ring
REAPED_S = 2.0  # seconds until a child that was killed has ended
NOTHING = EngineStats(0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0)


class EngineProcess(EngineHome):
    """See the module."""

    def __init__(self, job: Job) -> None:
        self.config = job.config
        self.over: Future[None] = Future()
        self.over.set_running_or_notify_cancel()  # whoever waits for it may be cancelled, it may not
        self.others = lambda: 0.0
        self._job = job
        self._spec: WorldSpec | None = None
        self._stats = NOTHING
        self._stopping = False
        self._gone = False  # the child has died, or ended as it was asked to
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()  # guards the two tables
        self._calls: dict[int, tuple[Future[Any], Callable[[Any], Any]]] = {}  # bounded as in `Engine`
        self._sessions: dict[int, RemoteSession] = {}
        self._outgoing: SimpleQueue[Any] = SimpleQueue()  # bounded: by the sessions, and what may wait for each
        self._pipe: Connection
        self._ring: FrameRing

    @property
    def spec(self) -> WorldSpec:
        """The world that this engine steps."""
        if self._spec is None:
            raise RuntimeError("expected a running engine; call start() first")
        return self._spec

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._spec is not None and not self._stopping and not self._gone

    @property
    def pid(self) -> int | None:
        """Of the child."""
        return self._process.pid

    def start(self) -> None:
        """Start the child and wait until it has loaded the world.

        Raises:
            ModelFault: it could not; the message says why.
        """
        # Not forked: a copy of a process with threads may find its locks held for ever.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(theirs, self._job), name="worldloom-engine", daemon=True)
        self._process.start()
        # Whoever ends without stopping us: the child ignores the signal that Python would send it, and be waited for.
        atexit.register(self._process.kill)
        theirs.close()
        try:
            spec = self._pipe.recv()
        except (EOFError, OSError):
            spec = "its process died while the world was loaded"
        if isinstance(spec, str):
            self._reap(1.0)
            self.over.set_result(None)
            raise ModelFault(spec)
        shape = (spec.height, spec.width, 3)
        self._ring = FrameRing.create(shape, PLACES)
        self._pipe.send(Ring(self._ring.name, shape, PLACES))
        self._spec = spec
        for work in (self._read, self._write):
            threading.Thread(target=work, name=f"worldloom-engine{work.__name__}", daemon=True).start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End every session and the child."""
        self._stopping = True
        if self._spec is None:
            return
        self._outgoing.put(None)
        try:
            self.over.result(timeout_s)
        except TimeoutError:
            self._process.kill()
            self.over.result(REAPED_S)  # what is shared is given back
            raise TimeoutError(f"expected the step under way to end within {timeout_s:g} s; killed it") from None

    def submit(
        self, sink: SessionSink, start: Start, mode: Mode = "realtime", *, entry: Entry = "new"
    ) -> Future[LiveSession]:
        """See `EngineHome`."""
        number = next(self._numbers)
        kept: Mode = mode if isinstance(start, Origin) else start.mode
        if isinstance(start, Branch):
            assert isinstance(start.of, RemoteSession)
            start = replace(start, of=start.of.number)

        def opened(view: View) -> RemoteSession:
            inbox = self.config.session.inbox
            session = RemoteSession(number, view, mode=kept, sink=sink, spec=self.spec, inbox=inbox, send=self.send)
            with self._lock:
                self._sessions[number] = session
            return session

        return self._call(number, Open(number, start, mode, entry, self.others()), opened)

    def snapshot(self, session: LiveSession, *, end: bool = False) -> Future[Snapshot]:
        """See `EngineHome`."""
        assert isinstance(session, RemoteSession)
        number = next(self._numbers)
        try:
            return self._call(number, Save(number, session.number, end), lambda snapshot: snapshot)
        except WorldloomError as error:
            answer: Future[Snapshot] = Future()
            answer.set_exception(error)
            return answer

    def measure(self) -> Future[None]:
        """See `EngineHome`."""
        number = next(self._numbers)
        return self._call(number, Measure(number), lambda _: None)

    def stats(self) -> EngineStats:
        """What the child said last, four times a second; only the sessions are counted here and now."""
        with self._lock:
            sessions = list(self._sessions.values())
        stats = self._stats if not self._gone else replace(self._stats, states=0, realtime=0)
        refused = stats.refused + sum(session.refused for session in sessions)
        return replace(stats, sessions=len(sessions), refused=refused)

    def send(self, message: Any) -> None:
        """To the child, soon."""
        self._outgoing.put(message)

    # Inside -----------------------------------------------------------------------------------------------------------

    def _call(self, number: int, message: Any, then: Callable[[Any], Any]) -> Future[Any]:
        """Ask the child; `then` makes of its answer what the future holds."""
        answer: Future[Any] = Future()
        with self._lock:
            if self._stopping:
                raise SessionClosed("the engine has stopped")
            if not self.alive:
                raise _lost()
            self._calls[number] = (answer, then)
        self.send(message)
        return answer

    def _write(self) -> None:
        """Everything that the parent says; on a thread of its own."""
        try:
            while (message := self._outgoing.get()) is not None:
                self._pipe.send(message)
            self._pipe.send(None)  # no more
        except OSError:  # the child has died; the reader sees to that
            pass

    def _read(self) -> None:
        """Everything that the child says; on a thread of its own."""
        try:
            while True:
                self._hear(self._pipe.recv())
        except (EOFError, OSError):
            pass
        except Exception:
            log.critical("the engine's process talks nonsense; ending it", exc_info=True)
        finally:
            self._end()

    def _hear(self, message: EngineStats | Answer | Told) -> None:
        match message:
            case EngineStats():
                self._stats = message
            case Answer():
                with self._lock:
                    answer, then = self._calls.pop(message.call)
                if answer.set_running_or_notify_cancel():
                    if isinstance(message.result, Exception):
                        answer.set_exception(message.result)
                    else:
                        answer.set_result(then(message.result))
                elif isinstance(message.result, View):
                    self.send(Ask(message.call, "close"))  # opened for somebody who has left
            case Told(session=number, news=None):
                with self._lock:
                    session = self._sessions.pop(number, None)
                if session is not None:
                    session.over(None)
            case Told():
                self._tell(message)

    def _tell(self, message: Told) -> None:
        news = message.news
        pixels = None if message.picture is None else self._ring.take(message.picture)  # whoever wants it or not
        session = self._sessions.get(message.session)
        if session is None or news is None:
            return
        if message.view is not None:
            view = message.view
            session.phase, session.index = view.phase, view.index
            if view.origin is not None:
                session.origin = view.origin
        if isinstance(news, Frame) and pixels is not None:
            news = replace(news, pixels=pixels)
        session.told(news)

    def _end(self) -> None:
        """The child has gone: answer everybody, and give back what is shared."""
        error = SessionClosed("the engine has stopped") if self._stopping else _lost()
        with self._lock:
            self._gone = True
            calls, sessions = list(self._calls.values()), list(self._sessions.values())
            self._calls, self._sessions = {}, {}
        for session in sessions:
            session.over(error)
        for answer, _ in calls:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(error)
        self._outgoing.put(None)
        self._ring.close(unlink=True)
        self._reap(1.0)
        self.over.set_result(None)

    def _reap(self, timeout_s: float) -> None:
        self._process.join(timeout_s)
        if self._process.is_alive():  # it neither ends nor talks
            self._process.kill()
            self._process.join()
        if not self._stopping and self._process.exitcode:
            log.error("the engine's process ended with %s", self._process.exitcode)
        self._pipe.close()
        atexit.unregister(self._process.kill)
        self._process.close()


def _lost() -> EngineLost:
    return EngineLost("the engine has died and starts anew; the session goes on from where it was kept, if it was")
