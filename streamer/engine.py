"""The thread that owns a device, and the door to it: open a session, close it, ask how things are.

Runs the scheduler's passes and sleeps in between. It is the engine at home in this process (see home.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from worldloom.models.free_memory import available_memory
from worldloom.models.spec import WorldModel, WorldSpec

from .capacity import Capacity, Entry
from .engine_config import EngineConfig
from .engine_stats import EngineStats
from .errors import EngineLost, SessionClosed, WorldloomError
from .fields import Mode
from .home import EngineHome, LiveSession
from .origin import Branch, Origin, Snapshot, Start
from .scheduler import Scheduler
from .session import Session
from .sink import SessionSink

log = logging.getLogger(__name__)
T = TypeVar("T")


@contextmanager
def _answering(answer: Future[Any]) -> Iterator[None]:
    """Whoever waits is told what is raised; what ends the engine goes on to end it."""
    try:
        yield
    except Exception as error:
        answer.set_exception(error)
    except BaseException:
        answer.set_exception(EngineLost("the engine has died"))
        raise


@dataclass(frozen=True, eq=False)
class _Opening:
    """A session that somebody waits for."""

    sink: SessionSink
    start: Start
    mode: Mode
    answer: Future[LiveSession]

    @property
    def paced(self) -> bool:
        """Whether the clock will pace it."""
        return (self.start.mode if isinstance(self.start, Snapshot | Branch) else self.mode) == "realtime"


@dataclass(frozen=True, eq=False)
class _Saving:
    """A snapshot that somebody waits for."""

    session: LiveSession
    end: bool
    answer: Future[Snapshot]


@dataclass(frozen=True, eq=False)
class _Job(Generic[T]):
    """Work with the world that somebody waits for."""

    job: Callable[[WorldModel[Any]], T]
    answer: Future[T]

    def do(self, model: WorldModel[Any]) -> None:
        """Do it, unless nobody waits any more."""
        if not self.answer.set_running_or_notify_cancel():
            return
        with _answering(self.answer):
            self.answer.set_result(self.job(model))


class Engine(EngineHome):
    """One world on one device, and the sessions that share it.

    `start` runs it on a thread of its own. A test drives it without one, by `submit` and `turn`, under its own clock.
    """

    def __init__(
        self,
        model: WorldModel[Any],
        config: EngineConfig | None = None,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        free_bytes: Callable[[], int | None] | None = None,  # tells the memory that nobody uses
    ) -> None:
        self.model = model
        self.config = config or EngineConfig()
        self.over: Future[None] = Future()
        self.over.set_running_or_notify_cancel()  # whoever waits for it may be cancelled, it may not
        self.others = lambda: 0.0
        self._free_bytes = free_bytes or (lambda: available_memory(str(getattr(model, "device", "cpu"))))
        self._clock_ns = clock_ns
        self._bell = threading.Condition()  # guards the requests, and wakes the loop
        self._woken = False
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._requests: deque[_Opening] = deque()  # bounded: `max_sessions` counts them
        self._measuring: deque[Future[None]] = deque()  # bounded: the warm-up asks once
        self._savings: deque[_Saving] = deque()  # bounded: a session has one keeper, which waits for each
        self._jobs: deque[_Job[Any]] = deque()  # bounded: whoever embeds a world waits for each
        self._scheduler = Scheduler(model, self.config, clock_ns=clock_ns, wake=self._wake)

    @property
    def spec(self) -> WorldSpec:
        """The world that this engine steps."""
        return self.model.spec

    @property
    def alive(self) -> bool:
        """Whether the loop runs."""
        return self._thread is not None and self._thread.is_alive() and not self._stopping

    def start(self) -> None:
        """Run the loop on its own thread."""
        if self._thread is not None or self._stopping:
            raise RuntimeError("expected an engine that was never started or stopped; make a new one")
        self._thread = threading.Thread(target=self._run, name="worldloom-engine", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End every session and the loop.

        Raises:
            TimeoutError: the step under way did not end in time.
        """
        with self._bell:
            self._stopping = True
        self._wake()
        if self._thread is None:
            self._end_all()
            self.over.set_result(None)
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"expected the step under way to end within {timeout_s:g} s")

    def submit(
        self,
        sink: SessionSink,
        start: Start,
        mode: Mode = "realtime",
        answer: Future[LiveSession] | None = None,
        *,
        entry: Entry = "new",
    ) -> Future[LiveSession]:
        """See `EngineHome`. An `answer` of the caller's has its callbacks before the first step can be made."""
        opening = _Opening(sink, start, mode, answer or Future())
        with self._bell:
            if self._stopping:
                raise SessionClosed("the engine has stopped; no session can be opened")
            self._with_requests().check(paced=opening.paced, entry=entry)
            self._requests.append(opening)
        self._wake()
        return opening.answer

    def open(self, sink: SessionSink, start: Start, mode: Mode = "realtime") -> LiveSession:
        """As `submit`, and wait for it. Not on an event loop."""
        if self._thread is None:
            raise RuntimeError("expected a running engine; call start() first")
        return self.submit(sink, start, mode).result()

    def snapshot(self, session: LiveSession, *, end: bool = False) -> Future[Snapshot]:
        """See `EngineHome`."""
        answer: Future[Snapshot] = Future()
        with self._bell:
            if self._stopping:
                answer.set_exception(SessionClosed("the engine has stopped"))
                return answer
            self._savings.append(_Saving(session, end, answer))
        self._wake()
        return answer

    def stats(self) -> EngineStats:
        """See `EngineHome`."""
        return replace(self._scheduler.stats(), free_bytes=self._free_bytes())

    def measure(self) -> Future[None]:
        """See `EngineHome`."""
        answer: Future[None] = Future()
        with self._bell:
            if self._stopping:
                answer.set_exception(SessionClosed("the engine has stopped"))
                return answer
            self._measuring.append(answer)
        self._wake()
        return answer

    def work(self, job: Callable[[WorldModel[Any]], T]) -> Future[T]:
        """Ask for a job with the world itself, on the engine's thread between two steps: for what embeds a world."""
        answer: Future[T] = Future()
        with self._bell:
            if self._stopping:
                raise SessionClosed("the engine has stopped")
            self._jobs.append(_Job(job, answer))
        self._wake()
        return answer

    def _with_requests(self) -> Capacity:
        """Whoever waits for a session counts like those who have one."""
        stats, paced = self.stats(), [one.paced for one in self._requests]
        stats = replace(stats, sessions=stats.sessions + len(paced), realtime=stats.realtime + sum(paced))
        return self.capacity(stats)

    def turn(self) -> int | None:
        """One pass of the loop; returns when the next step is due. For the engine's thread, or a test without one."""
        while self._measuring:
            self._measure_next()
        while self._jobs:
            self._jobs.popleft().do(self.model)
        while self._savings:  # first: what they end makes room for what opens
            self._save_next()
        while self._requests and not self._reads(self._requests[0]):
            self._open_next()
        return self._scheduler.turn()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._sleep_until(self.turn())
        except BaseException:
            log.critical("the engine's loop died; its sessions end", exc_info=True)
            self._end_all(EngineLost("the engine has died"))
        finally:
            self._end_all()
            self.over.set_result(None)

    def _sleep_until(self, due_ns: int | None) -> None:
        with self._bell:
            if not self._woken:
                self._bell.wait(None if due_ns is None else max(0, due_ns - self._clock_ns()) / 1e9)
            self._woken = False

    def _wake(self) -> None:
        with self._bell:
            self._woken = True
            self._bell.notify()

    def _open_next(self) -> None:
        """Serve one request. It leaves the queue only when its session is in place, so it is counted throughout."""
        request = self._requests[0]
        session: Session | None = None
        try:
            if request.answer.set_running_or_notify_cancel():
                with _answering(request.answer):
                    session = self._scheduler.open(request.sink, request.start, request.mode)
        finally:
            with self._bell:
                self._requests.popleft()
        if session is not None:
            request.answer.set_result(session)

    def _reads(self, request: _Opening) -> bool:
        """Whether the world still reads the text that it is to begin with; those behind it wait as well."""
        start = request.start
        texts = (start.prompt,) if isinstance(start, Origin) and start.prompt else ()
        return self._scheduler.reading.waits(request, texts)

    def _measure_next(self) -> None:
        answer = self._measuring.popleft()
        if not answer.set_running_or_notify_cancel():
            return
        with _answering(answer):
            self._scheduler.pace.measure()
            answer.set_result(None)

    def _save_next(self) -> None:
        request = self._savings.popleft()
        if not request.answer.set_running_or_notify_cancel():
            return
        with _answering(request.answer):
            assert isinstance(request.session, Session)
            request.answer.set_result(self._scheduler.snapshot(request.session, end=request.end))

    def _end_all(self, why: WorldloomError | None = None) -> None:
        stopped = why or SessionClosed("the engine has stopped")
        with self._bell:
            self._stopping = True  # also when the loop died of itself: nobody may wait for it
            answers: list[Future[Any]] = [opening.answer for opening in self._requests]
            answers += [*(saving.answer for saving in self._savings), *(job.answer for job in self._jobs)]
            answers += self._measuring
            self._requests, self._savings, self._measuring, self._jobs = deque(), deque(), deque(), deque()
        for answer in answers:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(stopped)
        self._scheduler.end_all(stopped)
