"""One session and everybody at it: who drives, who watches, what they are shown; and what is left when they are gone.

A room outlives its connections. While somebody drives, it holds a session of the engine. When the driver is lost it is
an orphan: the session becomes a snapshot, nothing is computed, and whoever brings the room's resume token within its
time goes on in the same world at the same frame. Knows the engine's interface and the broadcast; no socket.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import replace

from worldloom.models.spec import WorldSpec

from .capacity import Entry
from .client_messages import Pause, Resume
from .engine_stats import EngineStats
from .errors import EngineLost, SessionClosed, WorldloomError
from .fields import MAX_INT, Mode, Role
from .frames import Frame
from .guests import Guest, Guests
from .home import EngineHome, LiveSession
from .keys import Keys
from .metrics import Metrics
from .origin import Snapshot, Start
from .phase import Phase
from .recording import Recording
from .replay_log import ReplayLog
from .server_messages import Receipt
from .transports.broadcast import Broadcast
from .twin import Twin
from .walk import Walk

log = logging.getLogger(__name__)

OWN_SEQ = MAX_INT  # of what the room itself says to its session; no driver gets so far
FREE_WITHIN = 5.0  # seconds that the engine may take to end a session: as long as its longest step


class Room:
    """See the module. Everything but `frame`, `receipt` and `fault` belongs to the event loop."""

    def __init__(
        self,
        spec: WorldSpec,
        engine: EngineHome,
        broadcast: Broadcast,
        *,
        mode: Mode,
        metrics: Metrics,
        log: ReplayLog | None = None,
    ) -> None:
        self.spec = spec
        self.engine = engine
        self.broadcast = broadcast
        self.mode: Mode = mode
        self.keys = Keys()
        self.last_seq = 0  # highest number of a control that a driver has used
        self.session: LiveSession | None = None  # while somebody drives, and the engine lives
        self.snapshot: Snapshot | None = None  # while nobody does, or the engine is being replaced
        self.kept: Snapshot | None = None  # the latest one of a session that goes on, for when its engine dies
        self.recording: Recording | None = None  # while there is one; also while nobody drives
        self.log = log or ReplayLog(spec, 0)  # what replays it
        self.walk = Walk()
        self.twin: Twin | None = None  # the engine beside the dream, while somebody looks at it
        self.waits = False  # it stands still until the driver comes to whom the place was promised
        self.closed = False
        self.since = self.controlled = time.monotonic()  # seconds: opened; somebody was last at the controls
        self.changing = asyncio.Lock()  # one change of phase at a time
        self._loop = asyncio.get_running_loop()
        self._metrics = metrics
        self._guests = Guests()
        self._showing: asyncio.Task[None] | None = None
        self._shown = -1  # number of the last frame
        broadcast.on_key_frame = lambda asked: metrics.key_frame(spec.name, asked)

    @property
    def phase(self) -> Phase:
        """Where the room is in its life."""
        if self.closed:
            return Phase.CLOSED
        return self.session.phase if self.session is not None else Phase.ORPHANED

    @property
    def ident(self) -> str:
        """The session's name, the same for as long as the room lives."""
        return self._past.ident if self._past else ""

    @property
    def seed(self) -> int:
        """What the stream started from, or its last reset."""
        return self._past.origin.seed if self._past else 0

    @property
    def next_frame(self) -> int:
        """Number of the next frame."""
        return self._past.index if self._past else 0

    @property
    def _past(self) -> LiveSession | Snapshot | None:
        return self.session or self.snapshot

    @property
    def watchers(self) -> int:
        """Spectators."""
        return len(self._guests.watchers)

    @property
    def driven(self) -> bool:
        """Whether a driver is here."""
        return self._guests.driven

    def engine_stats(self) -> EngineStats:
        """The engine's figures, as far as they concern this session: nothing is given up where no clock paces."""
        stats = self.engine.stats()
        return stats if self.mode == "realtime" else replace(stats, level=0, reduced="")

    # The engine's thread: a SessionSink ------------------------------------------------------------------------------

    def frame(self, frame: Frame) -> None:
        """A frame was made."""
        self._shown = frame.index
        self._metrics.step_seconds.labels(self.spec.name).observe(frame.step_ns / 1e9)
        self.walk.frame(frame)
        if (twin := self.twin) is not None:
            twin.frame(frame)
        recording = self.recording
        if recording is not None:
            recording.frame(frame)
        self.log.frame(frame)
        self.broadcast.slot.put(frame)

    def receipt(self, receipt: Receipt) -> None:
        """A control was answered."""
        if receipt.seq != OWN_SEQ:
            self._guests.receipt(receipt)

    def fault(self, error: WorldloomError) -> None:
        """The session has ended by itself."""
        with suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self._loop.call_soon_threadsafe(self._failed, error)

    # Phases -----------------------------------------------------------------------------------------------------------

    async def begin(self, start: Start, *, entry: Entry = "new") -> None:
        """Open the session, or go on with the snapshot.

        Raises:
            Busy: the engine has no place; a snapshot is kept.
            SessionClosed: the room was closed meanwhile.
            WorldloomError: the world refused or failed.
        """
        session = await self.engine.open_async(self, start, self.mode, entry=entry)
        if self.closed:
            session.close()
            raise SessionClosed("the session has ended")
        self.session = session
        self.snapshot, self.kept = None, start if isinstance(start, Snapshot) else None
        if self._showing is None:
            self._showing = asyncio.create_task(self._show())

    def hold(self, still: bool = True) -> None:
        """Stand still until a driver comes: a promised place is held, and computes nothing."""
        self.waits = still
        if self.mode == "realtime" and self.session is not None:
            self.session.post(Pause(seq=OWN_SEQ) if still else Resume(seq=OWN_SEQ))
            self.kept = self.kept and replace(self.kept, paused=still)

    async def back_up(self, most: int) -> None:
        """Take a snapshot of the running session, for when its engine dies; none of more than `most` bytes."""
        session, waits = self.session, self.waits
        if session is None:
            return
        try:
            snapshot = await asyncio.wrap_future(self.engine.snapshot(session))
        except WorldloomError as error:
            log.debug("session %s cannot be kept: %s", session.ident, error)
            return
        self.log.start(snapshot)
        if self.session is session and self.waits == waits:
            self.kept = snapshot if snapshot.octets <= most else None

    @property
    def bytes_kept(self) -> int:
        """What snapshots hold."""
        return max((past.octets for past in (self.kept, self.snapshot) if past is not None), default=0)

    def _failed(self, error: WorldloomError) -> None:
        """The session has ended by itself. If only its engine died, it goes on from what was kept, on the next one."""
        if self.closed or self.session is None:
            return
        recovers = isinstance(error, EngineLost) and self._fall_back()
        (self.warn if recovers else self.close)(error)

    def _fall_back(self) -> bool:
        """Whether there is a snapshot to go on from. Frame numbers never go back, the world does by some seconds."""
        if self.kept is None:
            return False
        self.session = None
        self.snapshot = replace(self.kept, index=max(self.kept.index, self._shown + 1))
        self.log.lost(self.snapshot)
        self.walk.rewound(self.kept.index, self.snapshot.index)
        if self.twin is not None:
            self.twin.end("the world went back")
        if self.recording is not None:
            self.recording.rewound(self.snapshot.index, self.kept.index)
        return True

    async def orphan(self) -> bool:
        """Nobody drives: keep what there is and free the engine. Returns whether there is something to come back to."""
        session, self.session = self.session, None
        if session is None:
            return self.snapshot is not None
        try:
            self.snapshot = await asyncio.wrap_future(self.engine.snapshot(session, end=True))
        except WorldloomError as error:
            log.warning("session %s cannot be kept: %s", session.ident, error)
            if not isinstance(error, EngineLost) or not self._fall_back():
                session.close()
        self.kept = None
        await self._stop_showing()
        return self.snapshot is not None

    async def remember(self) -> Snapshot:
        """The session as it is now, between two steps. If its engine dies, it goes back no further than this.

        Raises:
            SessionClosed: it has ended.
            ModelFault: the world cannot save it.
        """
        async with self.changing:
            if self.session is not None:
                snapshot = await asyncio.wrap_future(self.engine.snapshot(self.session))
                self.kept = snapshot if self.kept is not None else None  # it takes the place of one that was allowed
                return snapshot
            if self.snapshot is None:
                raise SessionClosed("the session has ended")
            return self.snapshot

    def close(self, error: WorldloomError | None = None) -> None:
        """The end; guests are told `error`. The engine frees the state, see `freed`."""
        if self.closed:
            return
        self.closed = True
        if self.session is not None:
            self.session.close()
        self.snapshot = self.kept = None
        self.walk.forget()
        if self.twin is not None:
            self.twin.end("the session has ended")
        self.broadcast.close()
        if self._showing is None:
            self.broadcast.end()
        self._guests.dismiss(error or SessionClosed("the session has ended"))

    async def freed(self) -> None:
        """Wait until a closed room holds nothing."""
        await self._stop_showing()
        self.broadcast.end()
        if self.recording is not None:
            await self.recording.ended(FREE_WITHIN)
        if self.session is None:
            return
        done, _ = await asyncio.wait([asyncio.wrap_future(self.session.ended)], timeout=FREE_WITHIN)
        if not done:
            log.error("session %s was not freed within %g s: the engine is busy or stuck", self.ident, FREE_WITHIN)

    # Guests -----------------------------------------------------------------------------------------------------------

    def enter(self, guest: Guest, role: Role) -> None:
        """Somebody comes. A new driver takes the place of the one before, and hears what that one did not."""
        if role == "drive" and self.waits:
            self.hold(False)
        if self._guests.enter(guest, role) is not None and self.session is not None:
            self.session.let_go()

    def leave(self, guest: Guest) -> bool:
        """Somebody has gone. Returns whether that was the driver."""
        return self._guests.leave(guest)

    def warn(self, error: WorldloomError) -> None:
        """Tell everybody of something that went wrong and that the session survives."""
        self._guests.warn(error)

    async def _show(self) -> None:
        try:
            await self.broadcast.run()
        except Exception:
            log.exception("session %s: its pictures failed", self.ident)
            self.close(WorldloomError("the server failed to compress a picture; this session has ended"))

    async def _stop_showing(self) -> None:
        showing, self._showing = self._showing, None
        if showing is not None:
            showing.cancel()
            await asyncio.wait([showing])
