"""An engine whose clock is a test's, on a world that notes what is done to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from worldloom.models.spec import Actions, Frames, Image
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.capacity import Entry
from worldloom.streamer.engine import Engine
from worldloom.streamer.engine_config import EngineConfig
from worldloom.streamer.fields import Mode
from worldloom.streamer.origin import Origin, Start
from worldloom.streamer.session import Session
from worldloom.streamer.transports.inprocess import Collector

MS = 1_000_000
PERIOD = 50 * MS


class Probe(ToyWorld):
    """A toy world that counts its states, notes its batches and misbehaves on request."""

    def __init__(self, *, chunk: int = 1) -> None:
        super().__init__(height=6, width=8, chunk=chunk)
        self.living = 0
        self.batches: list[int] = []
        self.rows: list[np.ndarray[Any, Any]] = []
        self.guilty: set[int] = set()  # seeds whose steps raise
        self.during: Callable[[], None] = lambda: None

    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> ToyState:
        if seed == 666:
            raise RuntimeError("secret detail")
        if seed == 667:
            raise ValueError("this seed is refused")
        state = super().start(seed=seed, prompt=prompt, image=image)
        self.living += 1
        return state

    def step(self, states: Sequence[ToyState], actions: Actions) -> Frames:
        self.batches.append(len(states))
        self.rows.append(actions)
        self.during()
        if any(state.seed in self.guilty for state in states):
            raise RuntimeError("secret detail")
        return super().step(states, actions)

    def release(self, state: ToyState) -> None:
        assert not state.released
        self.living -= 1
        super().release(state)


class Desk:
    """An engine without a thread, driven by `turn` at times that the test chooses."""

    def __init__(self, model: Probe | None = None, **config: Any) -> None:
        self.model = model or Probe()
        self.now = 0
        self.engine = Engine(self.model, EngineConfig(**config), clock_ns=lambda: self.now)

    def enter(self, sink: Collector, start: Start, mode: Mode = "realtime", entry: Entry = "new") -> Session:
        """A session that shows itself to `sink`."""
        answer = self.engine.submit(sink, start, mode, entry=entry)
        self.engine.turn()
        session = answer.result(0)
        assert isinstance(session, Session)
        return session

    def open(self, seed: int = 1, mode: Mode = "lockstep") -> tuple[Session, Collector]:
        sink = Collector()
        return self.enter(sink, Origin(seed), mode), sink

    def turn(self, at: int | None = None) -> int | None:
        self.now = self.now if at is None else at
        return self.engine.turn()

    def at(self, now: int) -> Desk:
        """The same, at that time."""
        self.now = now
        return self

    def check_empty(self) -> None:
        stats = self.engine.stats()
        assert (stats.sessions, stats.states, self.model.living) == (0, 0, 0)
