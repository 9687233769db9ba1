"""The small interface behind which an engine lives, wherever that is: a thread of this process, or one of its own.

`Engine` (engine.py) is the thread, for embedding and tests; `EngineProcess` (engine_process.py) has a child process
do the same, so that neither side's Python stalls the other and a fault of the device takes only the child along. Knows
what callers may ask of an engine and of a session; nothing of how it is done.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, Self

from worldloom.models.spec import WorldSpec

from .capacity import Capacity, Entry, capacity_of
from .engine_config import EngineConfig
from .engine_stats import EngineStats
from .fields import Mode
from .origin import Origin, Restart, Snapshot, Start
from .phase import Phase
from .protocol import Control
from .sink import SessionSink


class LiveSession(Protocol):
    """What whoever opened a session sees of it; `post`, `let_go` and `close` are for any thread."""

    ident: str
    origin: Origin
    phase: Phase
    index: int  # number of the next frame
    ended: Future[None]  # done once nothing is held for it any more

    def post(self, event: Control | Restart) -> None:
        """Hand in a control; see `session.Session.post`."""

    def let_go(self) -> None:
        """Whoever held the controls has left them."""

    def close(self) -> None:
        """Ask for the end."""


class EngineHome(ABC):
    """One world on one device, and the sessions that share it."""

    config: EngineConfig
    over: Future[None]  # done when the engine runs no more, asked for or not
    others: Callable[[], float]  # load of other engines that share the machine, for admission

    @property
    @abstractmethod
    def spec(self) -> WorldSpec:
        """The world that this engine steps."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether it runs."""

    @abstractmethod
    def start(self) -> None:
        """Run. Not on an event loop: it may load the world first."""

    @abstractmethod
    def stop(self, timeout_s: float = 10.0) -> None:
        """End every session and the engine.

        Raises:
            TimeoutError: the step under way did not end in time.
        """

    @abstractmethod
    def submit(
        self, sink: SessionSink, start: Start, mode: Mode = "realtime", *, entry: Entry = "new"
    ) -> Future[LiveSession]:
        """Ask for a session, or for one to go on. The future holds the session, `Unsupported` or `ModelFault`.

        Raises:
            Busy: every place is taken; the future may hold this too.
            SessionClosed: the engine is stopping.
            EngineLost: it has died.
        """

    @abstractmethod
    def snapshot(self, session: LiveSession, *, end: bool = False) -> Future[Snapshot]:
        """Ask for a session as it is between two steps; with `end` it ends there, and nothing is told to its sink but
        receipts. The future holds the snapshot, `SessionClosed`, or `ModelFault` if the world cannot save.
        """

    @abstractmethod
    def measure(self) -> Future[None]:
        """Ask for steps for nobody, to know how many sessions fit. The future fails as the world does."""

    @abstractmethod
    def stats(self) -> EngineStats:
        """Counters and percentiles, and what was measured."""

    @property
    def load(self) -> float:
        """Share of a chunk's duration that one step of all realtime sessions takes."""
        stats = self.stats()
        return stats.measured.load(stats.realtime)

    def capacity(self, stats: EngineStats | None = None) -> Capacity:
        """What there is, is taken and is left; by these figures, or the latest."""
        stats = stats or self.stats()
        return capacity_of(
            stats.measured,
            sessions=stats.sessions,
            realtime=stats.realtime,
            setting=self.config.max_sessions,
            share=self.config.share,
            others=self.others(),
            free_bytes=stats.free_bytes,
            past_bytes=self.config.session.past.reserve(float(self.spec.fps), stats.measured.state_bytes or 0),
            most_bytes=self.config.most_bytes,
        )

    async def open_async(
        self, sink: SessionSink, start: Start, mode: Mode = "realtime", *, entry: Entry = "new"
    ) -> LiveSession:
        """As `submit`, and await it. A caller that is cancelled meanwhile leaves no session behind."""
        answer = self.submit(sink, start, mode, entry=entry)
        try:
            return await asyncio.wrap_future(answer)
        except asyncio.CancelledError:
            answer.add_done_callback(_close_unwanted)
            raise

    def close(self, session: LiveSession) -> Future[None]:
        """End a session. Returns at once; the future is done when its state is freed."""
        session.close()
        return session.ended

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _close_unwanted(answer: Future[LiveSession]) -> None:
    """A session that was opened for somebody who has left."""
    if not answer.cancelled() and answer.exception() is None:
        answer.result().close()
