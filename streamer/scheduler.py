"""One pass over the sessions of a device: which are due -> sample their controls -> one batched step -> deliver.

Knows sessions and the world's interface; no thread, socket, codec or event loop. States are started, stepped and
released here only, so a session that ends, however it ends, leaves nothing behind.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from worldloom.models.spec import Actions, WorldModel

from .due import Dues, batch_of, beat_of, dues_of, parts_of
from .engine_config import EngineConfig
from .engine_stats import EngineStats
from .errors import ModelFault, SessionClosed, Unsupported, WorldloomError
from .fields import Mode
from .frames import Frame
from .origin import Snapshot, Start
from .overload import Rung
from .pace import Pace
from .parking import Parking
from .phase import Phase
from .reading import Reading
from .server_messages import Receipt
from .session import FULL, Session
from .sink import SessionSink
from .states import States
from .telling import tell
from .travel import Travel

log = logging.getLogger(__name__)


class Scheduler:
    """The sessions that share one world; every call but `stats` and `__len__` belongs to the engine's thread."""

    def __init__(
        self, model: WorldModel[Any], config: EngineConfig, *, clock_ns: Callable[[], int], wake: Callable[[], None]
    ) -> None:
        self._model = model
        self._config = config
        self._clock_ns = clock_ns
        self._wake = wake
        self.pace = Pace(model, most=config.max_batch, share=config.share, clock_ns=clock_ns)
        self.travel = Travel(model, config.session.past)
        self.parking = Parking(model, config.session.park_after)
        self._gather_ns = int(self.pace.span_ns * config.gather)
        self._lock = threading.Lock()  # guards what `stats` reads
        self._seats: dict[Session, SessionSink] = {}
        self._steps_ns: deque[int] = deque(maxlen=config.history)
        self.reading = Reading(model, wake)
        self._states = States(model, self.travel, self.parking)
        self._opened = self._faults = self._steps = self._frames = 0
        self._past_stalls = self._past_refused = 0  # of sessions that are gone

    def __len__(self) -> int:
        return len(self._seats)

    def stats(self) -> EngineStats:
        """Counters and percentiles; from any thread."""
        with self._lock:
            steps_ns, sessions = list(self._steps_ns), list(self._seats)
        parked = sum(session.parked is not None for session in sessions)
        p50, p95 = np.percentile(steps_ns, (50, 95)) / 1e6 if steps_ns else (0.0, 0.0)
        return EngineStats(
            sessions=len(sessions),
            states=self._states.count - parked,
            parked=parked,
            opened=self._opened,
            faults=self._faults,
            steps=self._steps,
            frames=self._frames,
            stalls=self._past_stalls + sum(session.stalls for session in sessions),
            refused=self._past_refused + sum(session.refused for session in sessions),
            step_ms_p50=float(p50),
            step_ms_p95=float(p95),
            level=self.pace.level,
            reduced=self.pace.rung.reduced,
            realtime=sum(session.mode == "realtime" for session in sessions),
            measured=self.pace.measured(),
            points=self.travel.points,
        )

    def open(self, sink: SessionSink, start: Start, mode: Mode) -> Session:
        """A new session with a state of its own, or one that goes on.

        Raises:
            Unsupported: the world refuses the prompt, the image or the saved state.
            SessionClosed, UnknownSnapshot: there is nothing to branch off.
            ModelFault: the world failed to start.
        """
        try:
            start, state = self._states.begun(start)
        except ValueError as error:
            raise Unsupported(f"the world refused to start: {error}"[:256]) from error
        except Exception as error:
            raise _fault_of(error) from error
        past, origin = (start, start.origin) if isinstance(start, Snapshot) else (None, start)
        ident = past.ident if past else secrets.token_urlsafe(12)
        session = Session(
            self._model.spec,
            state,
            origin,
            ident=ident,
            now_ns=self._clock_ns(),
            mode=past.mode if past else mode,
            config=self._config.session,
            wake=self._wake,
            beat=lambda now: beat_of((one for one in self._seats if one.ident != ident), now),
        )
        if past is not None:
            session.go_on(past, self._clock_ns())
            self.travel.take_up(session, past.past)
        with self._lock:
            self._seats[session] = sink
        self._opened += past is None
        self.travel.note(session)
        return session

    def snapshot(self, session: Session, *, end: bool) -> Snapshot:
        """The session as it is now; with `end`, it ends here and its state is freed.

        Raises:
            SessionClosed: it has ended already.
            ModelFault: the world cannot save; the session goes on, or ends where `end` was asked for.
        """
        if session not in self._seats or session.closing:
            raise SessionClosed("the session has ended")
        try:
            snapshot = session.snapshot(session.parked or self._model.save(session.state))
            return replace(snapshot, past=self.travel.saved(session)) if end else snapshot
        except Exception as error:
            raise ModelFault("the world cannot save this session") from error
        finally:
            if end:
                self._end(session)

    def turn(self) -> int | None:
        """One pass: read, restart, close; then one step if any is due. Returns when the next one is."""
        for session in list(self._seats):
            self._attend(session)
        now = self._clock_ns()
        most, apart = self._config.max_batch, self.pace.level > 0
        batch = batch_of(self._dues(now), now, gather_ns=self._gather_ns, most=most, apart=apart)
        if batch:
            self._advance(batch, now)
        for session in batch:  # behind the `step` that was just made, another may have waited unread
            if (session.mode == "lockstep" or session.phase is Phase.PAUSED) and session in self._seats:
                self._attend(session)
        if not batch:
            self.parking.turn(self._seats, now)
        dues = [at for at, _ in self._dues(self._clock_ns())[:1]]
        return min((at for at in (*dues, self.parking.due(self._seats)) if at is not None), default=None)

    def end_all(self, error: WorldloomError) -> None:
        """End every session; those that nobody closed are told `error`."""
        for session in list(self._seats):
            self._end(session, None if session.closing else error)
        self.reading.close()

    # Reading ----------------------------------------------------------------------------------------------------------

    def _attend(self, session: Session) -> None:
        """Whatever a session wants besides frames."""
        try:
            if session.closing:
                self._end(session)
                return
            session.read(self._clock_ns())
            if session.parked is not None and session.wanted:
                self.parking.wake(session)
            while session.asks:
                session.reading = self.reading.waits(session, session.texts)
                if session.reading:
                    break
                if session.restart is not None:
                    self._restart(session)
                if session.saying is not None:
                    tell(self._model, session)
                if session.wish is not None:
                    self.travel.grant(session, self._clock_ns())
                session.read(self._clock_ns())
            self._send(session, session.take_receipts())
        except Exception as error:
            self._fail(session, error)

    def _restart(self, session: Session) -> None:
        assert session.restart is not None
        try:
            state = self._states.start(session.restart[1])
        except ValueError as error:
            log.warning("session %s: the world refused to start anew: %s", session.ident, error)
            session.restart_refused()
            return
        self._states.release(session.restarted(state, self._clock_ns()))

    # Stepping ---------------------------------------------------------------------------------------------------------

    def _dues(self, now: int) -> Dues:
        return dues_of(self._seats, now, span_ns=self.pace.span_ns, step_ns=self.pace.expected_ns)

    def _advance(self, batch: Sequence[Session], now: int) -> None:
        """Sample the controls of a batch, step the world, deliver."""
        stalls = sum(session.stalls for session in batch)
        actions = np.stack([session.sample(now) for session in batch])
        stalls = sum(session.stalls for session in batch) - stalls
        for part in parts_of(batch, steady=getattr(self._model, "steady", False)):
            self._advance_part([batch[k] for k in part], actions[part], stalls)
            stalls = 0

    def _advance_part(self, batch: Sequence[Session], actions: Actions, stalls: int) -> None:
        """Step the world once, deliver."""
        try:
            self._step(batch, actions, stalls)
        except Exception as error:
            if len(batch) == 1:
                self._fail(batch[0], error)
                return
            # Find the guilty one. The others may have advanced before it failed: they skip a chunk, and live.
            log.warning("a step of %d sessions failed; stepping them one by one: %s", len(batch), error)
            for session, rows in zip(batch, actions, strict=True):
                try:
                    self._step([session], rows[None])
                except Exception as own_error:
                    self._fail(session, own_error)

    def _step(self, batch: Sequence[Session], actions: Actions, stalls: int = 0) -> None:
        """One call of the world, and its pictures to their sinks. Raises only what the world raised."""
        paced = any(session.mode == "realtime" for session in batch)
        rung = self.pace.rung if paced else Rung()  # what no clock paces gives up nothing
        begun = self._clock_ns()
        pictures = self.pace.make([session.state for session in batch], actions, rung)
        made = self._clock_ns()
        with self._lock:
            self._steps_ns.append(made - begun)
        self._steps += 1
        for session, chunk in zip(batch, pictures, strict=True):
            if session.closing:
                continue  # closed during the step: nobody wants these; the next pass frees the state
            slow = rung.slow if session.mode == "realtime" else FULL
            delivery = session.deliver(chunk, step_ns=made - begun, made_ns=made, slow=slow, steps=rung.steps)
            self._send(session, delivery.receipts, delivery.frames)
        self.pace.took(len(batch), made - begun, rung, paced=paced, stalls=stalls)
        for session in batch:
            self.travel.note(session)

    def _send(self, session: Session, receipts: Sequence[Receipt], frames: Sequence[Frame] = ()) -> None:
        """To the sink. One that raises loses its session; the others do not notice."""
        sink = self._seats[session]
        try:
            for receipt in receipts:
                sink.receipt(receipt)
            for frame in frames:
                sink.frame(frame)
                self._frames += 1
        except Exception:
            log.exception("session %s: its sink failed, closing it", session.ident)
            session.close()

    # Ends -------------------------------------------------------------------------------------------------------------

    def _fail(self, session: Session, error: Exception) -> None:
        log.error("session %s failed", session.ident, exc_info=error)
        self._faults += 1
        self._end(session, _fault_of(error))

    def _end(self, session: Session, error: WorldloomError | None = None) -> None:
        """The end of a session, asked for or not: its state is freed in any case."""
        state = session.state
        try:
            self._send(session, session.end())
            if error is not None:
                self._seats[session].fault(error)
        except Exception:
            log.exception("session %s: its sink failed at the end", session.ident)
        finally:
            self._states.release(state)
            self.travel.free(session)
            self.reading.forget(session)
            with self._lock:
                del self._seats[session]
            if self.pace.level and not any(other.mode == "realtime" for other in self._seats):
                self.pace.rest()
            self._past_stalls += session.stalls
            self._past_refused += session.refused
            session.ended.set_result(None)


def _fault_of(error: Exception) -> WorldloomError:
    """An exception as it may cross the wire: our own as they are, anything else without its details."""
    return error if isinstance(error, WorldloomError) else ModelFault("the world failed; this session has ended")
