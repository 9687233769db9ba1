"""One stream: its inbox, its phase, its place in time and the world's memory of it. Events in, frames out.

No socket, thread, clock or tensor inside: the engine calls it and tells it the time. What it has of `Post` is for any
thread; everything else belongs to the engine's. A viewer's session (realtime) and a robot's
(lockstep) differ only in when the next chunk is due. A viewer's session that is paused goes on by single steps.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worldloom.models.spec import WorldSpec

from .client_messages import Pause, Prompt, Reset, Restore, Resume, Rewind, Say, Shift, Step, TakeSnapshot
from .clock import FrameClock
from .controls import ControlState
from .engine_config import SessionConfig
from .errors import Unsupported
from .fields import Mode
from .frames import Frame
from .origin import Origin, Restart, Snapshot
from .past import Past, Point
from .phase import Phase
from .post import Post
from .protocol import Control
from .server_messages import Receipt
from .since import MADE, Since
from .sink import Delivery
from .wishes import Wishes

FULL = Fraction(1)  # frames last as long as the world says


class Session(Post, Wishes):
    """One stream; see the module."""

    def __init__(
        self,
        spec: WorldSpec,
        state: Any,
        origin: Origin,
        *,
        ident: str,
        now_ns: int,
        mode: Mode = "realtime",
        config: SessionConfig | None = None,
        wake: Callable[[], None] = lambda: None,
        beat: Callable[[int], int] = lambda now_ns: now_ns,
    ) -> None:
        """`beat` says when a schedule that begins now has its first frame due."""
        Post.__init__(self, spec, mode, (config or SessionConfig()).inbox, wake)
        self._controls = ControlState(spec.actions, spec.chunk)
        Wishes.__init__(self, origin, self._controls)
        self.ident = ident
        self.state = state  # the world's memory of this stream; opaque here
        self.parked: bytes | None = None  # in its place while the session rests (parking.py)
        self.paused_ns: int | None = None  # since when it is paused
        self.keeps = False  # its memory is not to be parked
        self.reading = False  # the world reads a text for it; what the clock paces goes on meanwhile
        self.phase = Phase.LIVE
        self.ended: Future[None] = Future()  # done once the engine has freed the state
        self.ended.set_running_or_notify_cancel()  # whoever waits for it may be cancelled, it may not
        self.stalls = 0  # times that lateness moved the schedule
        self.moment = 0  # frames that led to where the world is now
        self._config = config or SessionConfig()
        self._beat = beat
        self.past = Past(self._config.past, reach=round(self._config.past.seconds * spec.fps))
        span_ns = FrameClock(spec.fps).span_ns(spec.chunk)
        self._clock = FrameClock(spec.fps, grace_ns=int(span_ns * self._config.grace))
        self._clock.anchor(0, beat(now_ns) if mode == "realtime" else now_ns)
        self._step: Step | None = None  # lockstep, or while paused: the request to answer next
        self._step_ns = 0  # when that request was read
        self._sampled_ns = 0
        self._rows = spec.actions.neutral(spec.chunk)  # sampled for the chunk that is being made

    # The engine's thread ----------------------------------------------------------------------------------------------

    def read(self, now_ns: int) -> None:
        """Take in what was posted; stops at a `step`, so that later controls shape later chunks."""
        if self._let_go:
            self._let_go = False
            self._controls.let_go()
            self._receipts.drain()
        for _ in range(self._config.inbox):  # bounded, however fast somebody posts
            if self._step is not None or self.wish is not None:
                return
            event = self._inbox.take()
            if event is None:
                return
            self._take(event, now_ns)

    def due(self) -> int | None:
        """When the next chunk is due, in the engine's nanoseconds; None if nothing will make it due but an event."""
        paced = self.mode == "realtime" and self.phase is Phase.LIVE
        if self.asks and not (paced and self.reading and self.wish is None):
            return None
        if self._step is not None:
            return self._step_ns
        return self._clock.due(self.index) if paced else None

    @property
    def wanted(self) -> bool:
        """Whether its memory is needed now."""
        return self.asks or self.due() is not None

    def sample(self, now_ns: int) -> NDArray[np.float32]:
        """(F, A) action rows of the next chunk, from the controls as they are now."""
        self._sampled_ns = now_ns
        if self.mode == "realtime" and self._clock.settle(self.index, now_ns) > 0:
            self.stalls += 1
        if self._step is not None and self._step.actions is not None:
            self._controls.settle("superseded")  # the rows of the step take the place of what waited
            rows = np.array(self._step.actions, np.float32)
        else:
            rows = self._controls.sample()
        self._receipts.sampled()
        if self._step is not None:
            self._receipts.shapes(self._step.seq)
            self._step = None
        self._rows = rows
        return rows

    def deliver(
        self, pixels: NDArray[np.uint8], *, step_ns: int, made_ns: int, slow: Fraction = FULL, steps: int = 0
    ) -> Delivery:
        """Turn a chunk (F, H, W, 3) into frames, and name the controls that shaped it. Each frame lasts `slow` times
        as long as the world says; `steps`: denoising steps, where they were fewer than usual.
        """
        first, frames = self.index, []
        origin, since, self.since = self.origin if self.since.fresh else None, self.since, MADE
        for offset, picture in enumerate(pixels):
            frames.append(
                Frame(
                    index=self.index,
                    pts=self._clock.pts(self.index),
                    pixels=picture,
                    applied=self._receipts.applied,
                    step_ns=step_ns,
                    sampled_ns=self._sampled_ns,
                    made_ns=made_ns,
                    show_ns=made_ns + int(slow * self._clock.span_ns(offset)) if self.mode == "realtime" else 0,
                    actions=self._rows[offset],
                    origin=origin if offset == 0 else None,
                    back_to=since.back_to if offset == 0 else None,
                    told=since.told if offset == 0 else (),
                    rebuilt=since.rebuilt and offset == 0,
                    steps=steps,
                )
            )
            self.index, self.moment = self.index + 1, self.moment + 1
            self._clock.stretch(1, slow)
        self._receipts.shaped(first)
        return Delivery(self.take_receipts(), tuple(frames))

    def restarted(self, state: Any, now_ns: int) -> Any:
        """Go on with the state that was started for `restart`; returns the old one, to be released."""
        assert self.restart is not None
        old, self.state = self.state, state
        self._receipts.applied, self.origin = self.restart
        self.since, self.parked = Since(), None
        self._receipts.answer(self._receipts.applied, "applied", self.index)
        self.restart = None
        self._anchor(now_ns)
        return old

    def went_back(self, point: Point, state: Any, now_ns: int) -> Any:
        """Go on from a point of the past; returns the old state, to be released. Frame numbers and pts only grow."""
        old, self.state, self.origin, self.moment = self.state, state, point.origin, point.moment
        self.since, self.parked = point.since.left(point.index, parked=isinstance(point.state, bytes)), None
        self._receipts.settle("expired")
        self._anchor(now_ns)
        self.granted(to=point.index)
        return old

    def park(self, state: bytes) -> None:
        """Rest on these bytes; the memory that was is the caller's."""
        self.state, self.parked = None, state

    def woken(self, state: Any) -> None:
        """Go on with a memory that was made anew."""
        self.state, self.parked, self.since = state, None, replace(self.since, rebuilt=True)
        if self.paused_ns is not None:
            self.keeps = True  # somebody comes and goes: what is done for a single step would be done for each

    def snapshot(self, state: bytes) -> Snapshot:
        """This session as it is now, with the world's memory as the world saved it."""
        return Snapshot(
            ident=self.ident,
            origin=self.origin,
            mode=self.mode,
            index=self.index,
            applied=self._receipts.applied,
            paused=self.phase is Phase.PAUSED,
            clock=self._clock.state,
            state=state,
            since=replace(self.since, rebuilt=self.since.rebuilt or self.parked is not None),
            moment=self.moment,
        )

    def go_on(self, past: Snapshot, now_ns: int) -> None:
        """Take up where a snapshot ended; the time between is forgotten."""
        self.index, self.since, self._receipts.applied = past.index, past.since, past.applied
        self.moment = past.moment
        self.phase = Phase.PAUSED if past.paused else Phase.LIVE
        self.paused_ns = now_ns if past.paused else None
        self._clock.go_on(past.clock)
        self._anchor(now_ns)

    def take_receipts(self) -> tuple[Receipt, ...]:
        """Receipts since the last call."""
        return self._receipts.take()

    def end(self) -> tuple[Receipt, ...]:
        """The session is over: every control that still waits expires. Returns the last receipts."""
        self._inbox.close()
        self.phase = Phase.CLOSED
        self.state = None
        self._receipts.settle("expired")
        self._receipts.unshaped()
        self._expire_wishes()
        if self._step is not None:
            self._receipts.answer(self._step.seq, "expired")
            self._step = None
        while (event := self._inbox.take()) is not None:
            self._receipts.answer(event.seq, "expired")
        return self.take_receipts()

    # Inside -----------------------------------------------------------------------------------------------------------

    def _take(self, event: Control | Restart, now_ns: int) -> None:
        match event:
            case Step() if self.mode == "realtime" and self.phase is Phase.LIVE:
                self._receipts.answer(event.seq, "rejected", code=Unsupported.code)
            case Step() if self.mode == "lockstep" and self.phase is not Phase.LIVE:
                self._receipts.answer(event.seq, "expired")
            case Step():
                self._step, self._step_ns = event, now_ns
                self._anchor(now_ns)
            case Pause():
                self.phase, self.paused_ns = Phase.PAUSED, now_ns
                self._receipts.settle("expired")
                self._receipts.answer(event.seq, "applied", self.index)
            case Resume():
                if self.phase is Phase.PAUSED:
                    self.phase, self.paused_ns, self.keeps = Phase.LIVE, None, False
                    self._anchor(now_ns)
                self._receipts.answer(event.seq, "applied", self.index)
            case Shift() if self._beat(now_ns) != now_ns:  # others have the same schedule, so that one step serves all
                self._receipts.answer(event.seq, "rejected", code=Unsupported.code)
            case Shift():
                self._clock.shift(int(event.ms * 1e6))
                self._receipts.answer(event.seq, "applied", self.index)
            case Rewind() | Restore() | TakeSnapshot():
                self.wish = event
            case Say():
                self._plan_saying(event)
            case Reset() | Restart() | Prompt():
                self._plan_restart(event)
            case _:
                self._controls.apply(event)
                if self.phase is Phase.PAUSED:  # remembered, so that no key sticks, but it shapes no frame by itself
                    self._receipts.settle("expired")
                self._receipts.drain()

    def _anchor(self, now_ns: int) -> None:
        """The next chunk is due now; what was missed is forgotten. Lockstep knows no lateness."""
        if self.mode == "realtime":
            self._clock.anchor(self.index, self._beat(now_ns))
