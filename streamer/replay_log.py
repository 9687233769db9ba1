"""What a session did, frame by frame, for a bundle that replays it: kept in memory while it lasts, bounded.

It begins where the stream began, or anew; a long session goes on from a snapshot of later, and what was before is
forgotten. A few pictures are kept as they were, ever farther apart. Knows frames and snapshots; no room, no file.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worldloom.models.spec import WorldSpec

from .bundle import DIGEST, Bundle, Event, Header
from .frames import Frame
from .origin import Origin, Snapshot
from .since import Told, in_order

PICTURES = 32  # kept as they were; when there are more, every second one goes


class _Rows:
    """Frames that follow one another, in some 40 bytes each: an hour of them is kept."""

    def __init__(self, first: int = 0, columns: int = 0) -> None:
        self.first = first  # number of the first frame
        self.back_to: dict[int, int] = {}  # frames before which the world went back, and to where
        self.told: dict[int, tuple[Told, ...]] = {}  # frames before which the world was told something
        self.rebuilt: set[int] = set()  # frames before which the memory was made anew
        self.origins: dict[int, Origin] = {}  # frames that began a stream, or began it anew
        self._columns = columns  # of an action row
        self._actions, self._steps, self._digests = bytearray(), bytearray(), bytearray()

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def next(self) -> int:
        """Number of the frame that follows."""
        return self.first + len(self)

    def add(self, frame: Frame, actions: NDArray[np.float32], digest: bytes) -> None:
        """The next one."""
        if frame.back_to is not None:
            self.back_to[frame.index] = frame.back_to
        if frame.told:
            self.told[frame.index] = frame.told
        if frame.rebuilt:
            self.rebuilt.add(frame.index)
        if frame.origin is not None:
            self.origins[frame.index] = frame.origin
        self._actions += actions.astype("<f4", copy=False).tobytes()
        self._steps.append(frame.steps)
        self._digests += digest

    def drop_first(self) -> None:
        """Forget the oldest one."""
        self.back_to.pop(self.first, None)
        self.told.pop(self.first, None)
        self.origins.pop(self.first, None)
        self.rebuilt.discard(self.first)
        del self._actions[: 4 * self._columns], self._steps[:1], self._digests[:DIGEST]
        self.first += 1

    def part(self, first: int, chunk: int) -> _Rows:
        """A copy of whole chunks, from a frame on."""
        skipped = first - self.first
        last = len(self) - (len(self) - skipped) % chunk
        made = _Rows(first, self._columns)
        made.back_to = {frame: to for frame, to in self.back_to.items() if first <= frame < self.first + last}
        made.told = {frame: one for frame, one in self.told.items() if first <= frame < self.first + last}
        made.rebuilt = {frame for frame in self.rebuilt if first <= frame < self.first + last}
        made.origins = {frame: one for frame, one in self.origins.items() if first <= frame < self.first + last}
        made._actions = self._actions[4 * self._columns * skipped : 4 * self._columns * last]
        made._steps, made._digests = self._steps[skipped:last], self._digests[DIGEST * skipped : DIGEST * last]
        return made

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8]]:
        """Actions (N, A), denoising steps (N,), digests (N, DIGEST)."""
        actions = np.frombuffer(bytes(self._actions), "<f4").reshape(len(self), self._columns)
        steps, digests = (np.frombuffer(bytes(part), np.uint8) for part in (self._steps, self._digests))
        return actions, steps, digests.reshape(-1, DIGEST)


@dataclass(frozen=True)
class Source:
    """Where the frames come from."""

    session: str
    started: str
    weights: dict[str, str] | None
    versions: dict[str, str | None]
    machine: str


class ReplayLog:
    """See the module. `frame` is for the engine's thread, the rest for any other."""

    def __init__(self, spec: WorldSpec, most: int) -> None:
        """`most`: frames; 0: none."""
        self._spec = spec
        self._most = most
        self._lock = threading.Lock()
        self._rows = self._none()
        self._starts: deque[tuple[int, bytes | None]] = deque()  # frames that it can begin with; state, or an origin
        self._pictures: dict[int, NDArray[np.uint8]] = {}
        self._stride = 1  # frames between two kept pictures

    def frame(self, frame: Frame) -> None:
        """A frame was made."""
        if not self._most or frame.actions is None:
            return
        digest = digest_of(frame.pixels)
        with self._lock:
            if frame.index != self._next(frame.index):
                self._forget()
            if frame.origin is not None and (not self._starts or self._starts[0][0] == frame.index):
                self._starts = deque([(frame.index, None)])
            back = frame.back_to
            while back is not None and self._starts and back < self._starts[0][0]:
                self._starts.popleft()  # from there on it could not be followed
            if not self._rows:
                self._rows.first = frame.index
            self._rows.add(frame, frame.actions, digest)
            if frame.index % self._stride == 0:
                self._picture(frame)
            self._bound()

    def start(self, past: Snapshot) -> None:
        """The session as it was between two frames."""
        with self._lock:
            latest = self._starts[-1][0] if self._starts else None
            known = not self._rows or self._rows.first <= past.index <= self._rows.next
            late = latest is None or past.index - latest >= self._most // 2
            before = any(to < past.index <= frame for frame, to in self._rows.back_to.items())
            if self._most and known and late and not before:
                self._starts.append((past.index, past.state))

    def lost(self, past: Snapshot) -> None:
        """The engine died: what follows goes on from here."""
        with self._lock:
            self._forget()
            self._starts.append((past.index, past.state))

    def bundle(self, source: Source) -> Bundle | None:
        """Everything so far; None where nothing can be replayed yet."""
        with self._lock:
            if not self._starts:
                return None
            first, state = self._starts[0]
            if first >= self._rows.next:
                return None
            rows = self._rows.part(first, self._spec.chunk)
            pictures = {index: picture for index, picture in self._pictures.items() if index >= first}
        return _bundle(self._spec, source, state, rows, pictures) if rows else None

    # Inside, under the lock -------------------------------------------------------------------------------------------

    def _next(self, index: int) -> int:
        """Number of the frame that goes on from what is known; any where nothing is."""
        if self._rows:
            return self._rows.next
        return self._starts[-1][0] if self._starts else index

    def _picture(self, frame: Frame) -> None:
        self._pictures[frame.index] = frame.pixels.copy()
        if len(self._pictures) > PICTURES:
            self._stride *= 2
            self._pictures = {index: one for index, one in self._pictures.items() if index % self._stride == 0}

    def _bound(self) -> None:
        """Forget what is older than may be, up to where it can begin."""
        if len(self._rows) <= self._most:
            return
        while len(self._rows) > self._most:
            if self._starts and self._starts[0][0] > self._rows.first:
                self._rows.drop_first()
            elif len(self._starts) > 1:
                self._starts.popleft()
            else:  # no snapshot came in time: the next one makes it whole again
                self._starts.clear()
                self._rows.drop_first()
        first = self._rows.first
        self._pictures = {index: one for index, one in self._pictures.items() if index >= first}

    def _none(self) -> _Rows:
        return _Rows(columns=len(self._spec.actions.columns))

    def _forget(self) -> None:
        self._rows = self._none()
        self._starts.clear()
        self._pictures.clear()
        self._stride = 1


def digest_of(pixels: NDArray[np.uint8]) -> bytes:
    """Of a picture's bytes."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=DIGEST).digest()


def _bundle(
    spec: WorldSpec, source: Source, state: bytes | None, rows: _Rows, pictures: dict[int, NDArray[np.uint8]]
) -> Bundle:
    events: list[Event] = []
    images: list[NDArray[np.uint8]] = []
    for frame in sorted(rows.back_to.keys() | rows.origins.keys() | rows.told.keys() | rows.rebuilt):
        if frame in rows.back_to:
            events.append(Event(frame=frame, to=rows.back_to[frame]))
        if frame in rows.origins and not (frame == rows.first and state is not None):
            origin, image = rows.origins[frame], None
            if origin.image is not None:
                image = next((k for k, known in enumerate(images) if known is origin.image), len(images))
                images += [origin.image] if image == len(images) else []
            events.append(Event(frame=frame, seed=origin.seed, prompt=origin.prompt, image=image))
        for told in in_order(rows.told.get(frame, ()), rebuilt=frame in rows.rebuilt):
            if told is None:
                events.append(Event(frame=frame, rebuilt=True))
            else:
                events.append(Event(frame=frame, say=told.text, how=told.how, chunks=told.chunks))
    header = Header(
        world=spec.name,
        weights=source.weights,
        versions=source.versions,
        machine=source.machine,
        session=source.session,
        started=source.started,
        fps=spec.fps.as_integer_ratio(),
        chunk=spec.chunk,
        height=spec.height,
        width=spec.width,
        columns=spec.actions.columns,
        frame=rows.first,
        events=tuple(events),
    )
    kept = [index for index in sorted(pictures) if index < rows.next]
    shape = (len(kept), spec.height, spec.width, 3)
    shown = np.array([pictures[index] for index in kept], np.uint8).reshape(shape)
    return Bundle(header, *rows.arrays(), shown, np.array(kept, np.int64), tuple(images), state)
