"""A world inside a Python program, one chunk for each call: no server, no socket, no clock.

    with EmbeddedWorld("arm") as world:
        world.restart(seed=7)
        for rows in policy:                 # (F, A): one row for each frame of a chunk
            pictures = world.step(rows)     # (F, H, W, 3)

The documented way in for code that embeds a world; the same session and engine run behind a server.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from worldloom.models.catalog import open_world
from worldloom.models.spec import WorldModel

from .client_messages import Reset, Step
from .engine import Engine
from .engine_config import EngineConfig
from .errors import SessionClosed, Unsupported
from .home import LiveSession
from .origin import Origin
from .transports.inprocess import Collector
from .world_info import WorldInfo

CHUNK_S = 300.0  # seconds that one chunk may take: the first may compile kernels


class EmbeddedWorld:
    """One stream of a world, in lockstep, on an engine of its own; from one thread."""

    def __init__(self, world: str | WorldModel[Any]) -> None:
        model = open_world(world) if isinstance(world, str) else world
        self.info = WorldInfo.of(model.spec)
        self._engine = Engine(model, EngineConfig(max_sessions=1))
        self._sink = Collector(depth=model.spec.chunk)
        self._session: LiveSession | None = None
        self._seq = 0
        self._engine.start()

    def restart(self, seed: int) -> None:
        """Begin anew from a seed; the first call begins.

        Raises:
            Unsupported: the world refuses to start from it.
        """
        if self._session is None:
            self._session = self._engine.open(self._sink, Origin(seed), "lockstep")
            return
        self._session.post(Reset(seq=self._next(), seed=seed))
        if self._sink.answer(self._seq, timeout_s=CHUNK_S).status != "applied":
            raise Unsupported(f"the world refused to start from seed {seed}")

    def step(self, rows: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(F, A) action rows -> (F, H, W, 3) RGB pictures of one chunk, in an array of their own.

        Raises:
            BadAction: rows of the wrong shape or out of range.
            ModelFault: the world failed; this stream is over.
            SessionClosed: `restart` was never called, or `close` was.
        """
        if self._session is None:
            raise SessionClosed("expected restart(seed) before the first step")
        self._session.post(Step(seq=self._next(), actions=tuple(tuple(row) for row in rows.tolist())))
        return np.stack([frame.pixels for frame in self._sink.take(self.info.chunk, timeout_s=CHUNK_S)])

    def close(self) -> None:
        """Free the state and stop the engine. Closing twice is allowed."""
        self._engine.stop()

    def __enter__(self) -> EmbeddedWorld:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self) -> int:
        self._seq += 1
        return self._seq
