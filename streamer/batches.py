"""Streams that a program drives together over the network: lockstep sessions of an engine, and what was saved of them.

A batch whose program was lost is kept for a while, with its last answer, so that a request that comes again is answered
and not done twice. Calls wait, and are for a worker's thread. Knows the engine's interface; no socket.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from worldloom.models.spec import WorldSpec

from .client_messages import Step
from .clock import FrameClock
from .embed import CHUNK_S, drift
from .errors import SessionClosed, UnknownSession, Unsupported, WorldloomError
from .home import EngineHome, LiveSession
from .origin import Origin, Snapshot
from .transports.inprocess import Collector
from .validation import clipped_rows
from .worlds import Chunk, Start


class SavedStates:
    """States that programs saved, under names that cannot be guessed; the oldest gives way. From any thread."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0

    def put(self, state: bytes) -> bytes:
        """Keep it; returns its name."""
        name = secrets.token_bytes(16)
        self._held[name] = state
        self._bytes += len(state)
        while self._bytes > self._most and len(self._held) > 1:
            self._bytes -= len(self._held.popitem(last=False)[1])
        return name

    def get(self, name: bytes) -> bytes:
        """The state of that name.

        Raises:
            Unsupported: it is not here, or not any more.
        """
        state = self._held.get(name)
        if state is None:
            raise Unsupported("expected a state that this server saved and still has; it keeps the latest")
        return state


class Batch:
    """B streams of one program."""

    def __init__(self, engine: Callable[[], EngineHome], size: int, saved: SavedStates) -> None:
        """`engine` gives the one that steps the world now: one that died is replaced."""
        self._engine = engine
        self.resume = secrets.token_urlsafe(24)  # who knows it may go on with this batch
        self.driver: object | None = None  # whose connection it is
        self.left: float | None = None  # since when nobody drives it, seconds on the monotonic clock
        self.busy = asyncio.Lock()  # one request at a time, though a lost program is back before its request is done
        self.last: tuple[int, bytes] = (0, b"")  # number of the latest request, and the answer to it
        self._saved = saved
        self._seats: list[tuple[LiveSession, Collector] | None] = [None] * size
        self._seq = 0

    def start(self, starts: Mapping[int, Start]) -> None:
        """See `worlds.Worlds`; needs places for the new streams beside those that they replace.

        Raises:
            Busy: there are not enough.
        """
        fresh: dict[int, tuple[LiveSession, Collector]] = {}
        try:
            for number, start in starts.items():
                sink = Collector(depth=self.spec.chunk)
                session = self._engine().submit(sink, self._beginning(start), "lockstep").result(CHUNK_S)
                fresh[number] = session, sink
        except BaseException:
            self._end(list(fresh.values()))
            raise
        self._end([seat for number in fresh if (seat := self._seats[number]) is not None])
        for number, seat in fresh.items():
            self._seats[number] = seat

    def step(self, rows: NDArray[np.float32], which: Sequence[int]) -> Chunk:
        """See `worlds.Worlds`."""
        seats, spec = self._chosen(which), self.spec
        rows = clipped_rows(rows, spec, len(seats))
        self._seq += 1
        try:
            for (session, _), row in zip(seats, rows.tolist(), strict=True):
                session.post(Step(seq=self._seq, actions=tuple(map(tuple, row))))
            taken = [sink.take(spec.chunk, timeout_s=CHUNK_S) for _, sink in seats]
        except BaseException:
            self._end(seats)
            for number in which:
                self._seats[number] = None
            raise
        pixels = np.stack([np.stack([frame.pixels for frame in chunk]) for chunk in taken])
        compute_ms = max(chunk[0].step_ns for chunk in taken) / 1e6
        return Chunk(pixels, drift(pixels[:, -1], spec.looks), compute_ms)

    def save(self, which: Sequence[int]) -> tuple[bytes, ...]:
        """Names of states from which `start` goes on, on this server, while it has them."""
        asked = [self._engine().snapshot(session) for session, _ in self._chosen(which)]
        return tuple(self._saved.put(one.result(CHUNK_S).state) for one in asked)

    def close(self) -> None:
        """Free what the streams hold."""
        self._end([seat for seat in self._seats if seat is not None])
        self._seats = [None] * len(self._seats)

    @property
    def spec(self) -> WorldSpec:
        """The world."""
        return self._engine().spec

    def __len__(self) -> int:
        return len(self._seats)

    def _beginning(self, start: Start) -> Origin | Snapshot:
        if start.state is None:
            return Origin(start.seed, start.prompt, start.image, start.frames, start.actions)
        clock = FrameClock(self.spec.fps)
        clock.anchor(0, 0)
        return Snapshot(
            ident=secrets.token_urlsafe(12),
            origin=Origin(start.seed),
            mode="lockstep",
            index=0,
            applied=0,
            paused=False,
            clock=clock.state,
            state=self._saved.get(start.state),
        )

    def _chosen(self, which: Sequence[int]) -> list[tuple[LiveSession, Collector]]:
        seats = [self._seats[number] for number in which]
        if None in seats:
            raise SessionClosed("expected every stream to have been started, and none to have ended")
        return [seat for seat in seats if seat is not None]

    @staticmethod
    def _end(seats: Sequence[tuple[LiveSession, Collector]]) -> None:
        for session, _ in seats:
            session.close()
        for session, _ in seats:
            with suppress(WorldloomError, TimeoutError):
                session.ended.result(CHUNK_S)


class Batches:
    """The batches of a server, those of lost programs among them; for the event loop."""

    def __init__(self, *, keep_s: float, most_lost: int, saved_bytes: int) -> None:
        self.saved = SavedStates(saved_bytes)
        self._keep_s = keep_s  # seconds that a lost program may take to come back
        self._most_lost = most_lost
        self._batches: dict[str, Batch] = {}

    def __len__(self) -> int:
        return len(self._batches)

    def enter(self, batch: Batch, driver: object) -> None:
        """A new one, or one that its program is back at; whoever drove it before does not any more."""
        self._batches[batch.resume] = batch
        batch.driver, batch.left = driver, None

    def find(self, resume: str) -> Batch:
        """A batch by its token.

        Raises:
            UnknownSession: it has ended, or never was.
        """
        batch = self._batches.get(resume)
        if batch is None:
            raise UnknownSession("expected the token of a batch that is still kept")
        return batch

    def lose(self, batch: Batch, driver: object) -> None:
        """The connection of its program was lost."""
        if batch.driver is driver:
            batch.driver, batch.left = None, time.monotonic()

    def expired(self, *, all: bool = False) -> list[Batch]:
        """Those that nobody came back to in time, and the longest lost where there are too many; they are forgotten."""
        lost = sorted((one for one in self._batches.values() if one.left is not None), key=lambda one: one.left or 0.0)
        late = time.monotonic() - self._keep_s
        over = [one for k, one in enumerate(lost) if (one.left or 0.0) <= late or k < len(lost) - self._most_lost]
        chosen = list(self._batches.values()) if all else over
        for batch in chosen:
            del self._batches[batch.resume]
        return chosen

    def remove(self, batch: Batch) -> None:
        """Its program has said goodbye."""
        self._batches.pop(batch.resume, None)
