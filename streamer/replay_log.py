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

PICTURES = 32  # kept as they were; when there are more, every second one goes


@dataclass(frozen=True, eq=False)
class _Row:
    frame: int
    actions: NDArray[np.float32]
    steps: int
    digest: bytes
    back_to: int | None
    origin: Origin | None


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
        self._rows: deque[_Row] = deque()
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
            self._rows.append(_Row(frame.index, frame.actions, frame.steps, digest, back, frame.origin))
            if frame.index % self._stride == 0:
                self._picture(frame)
            self._bound()

    def start(self, past: Snapshot) -> None:
        """The session as it was between two frames."""
        with self._lock:
            latest = self._starts[-1][0] if self._starts else None
            known = not self._rows or self._rows[0].frame <= past.index <= self._rows[-1].frame + 1
            late = latest is None or past.index - latest >= self._most // 2
            before = any(r.back_to is not None and r.back_to < past.index <= r.frame for r in self._rows)
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
            rows = [row for row in self._rows if row.frame >= first]
            pictures = {index: picture for index, picture in self._pictures.items() if index >= first}
        whole = len(rows) - len(rows) % self._spec.chunk
        return _bundle(self._spec, source, first, state, rows[:whole], pictures) if whole else None

    # Inside, under the lock -------------------------------------------------------------------------------------------

    def _next(self, index: int) -> int:
        """Number of the frame that goes on from what is known; any where nothing is."""
        if self._rows:
            return self._rows[-1].frame + 1
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
            if self._starts and self._starts[0][0] > self._rows[0].frame:
                self._rows.popleft()
            elif len(self._starts) > 1:
                self._starts.popleft()
            else:  # no snapshot came in time: the next one makes it whole again
                self._starts.clear()
                self._rows.popleft()
        first = self._rows[0].frame
        self._pictures = {index: one for index, one in self._pictures.items() if index >= first}

    def _forget(self) -> None:
        self._rows.clear()
        self._starts.clear()
        self._pictures.clear()
        self._stride = 1


def digest_of(pixels: NDArray[np.uint8]) -> bytes:
    """Of a picture's bytes."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=DIGEST).digest()


def _bundle(
    spec: WorldSpec,
    source: Source,
    first: int,
    state: bytes | None,
    rows: list[_Row],
    pictures: dict[int, NDArray[np.uint8]],
) -> Bundle:
    events: list[Event] = []
    images: list[NDArray[np.uint8]] = []
    for row in rows:
        if row.back_to is not None:
            events.append(Event(frame=row.frame, to=row.back_to))
        if row.origin is not None and not (row.frame == first and state is not None):
            origin, image = row.origin, None
            if origin.image is not None:
                image = next((k for k, known in enumerate(images) if known is origin.image), len(images))
                images += [origin.image] if image == len(images) else []
            events.append(Event(frame=row.frame, seed=origin.seed, prompt=origin.prompt, image=image))
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
        frame=first,
        events=tuple(events),
    )
    kept = [index for index in sorted(pictures) if index < first + len(rows)]
    shape = (len(kept), spec.height, spec.width, 3)
    return Bundle(
        header,
        np.stack([row.actions for row in rows]),
        np.array([row.steps for row in rows], np.uint8),
        np.frombuffer(b"".join(row.digest for row in rows), np.uint8).reshape(-1, DIGEST),
        np.array([pictures[index] for index in kept], np.uint8).reshape(shape),
        np.array(kept, np.int64),
        tuple(images),
        state,
    )
