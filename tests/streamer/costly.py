"""A world whose steps take time on a clock of its own, and a desk before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from worldloom.models.spec import Actions, Frames
from worldloom.models.toy import ToyState
from worldloom.streamer.engine import Engine
from worldloom.streamer.engine_config import EngineConfig

from .desk import MS, Desk, Probe


class Costly(Probe):
    """A world whose steps take `base + each * batch` of a clock that it moves."""

    def __init__(self, base: int = 10 * MS, each: int = 10 * MS) -> None:
        super().__init__()
        self.now, self.base, self.each = 0, base, each
        self.worst = 10**9  # streams at which it fails

    def step(self, states: Sequence[ToyState], actions: Actions) -> Frames:
        if len(states) >= self.worst:
            raise MemoryError("no room")
        self.now += self.base + self.each * len(states)
        return super().step(states, actions)


class Room(Desk):
    """A desk in front of a costly world, on its clock."""

    def __init__(self, model: Costly, **config: Any) -> None:
        self.model = model
        self.engine = Engine(model, EngineConfig(**config), clock_ns=lambda: model.now, free_bytes=lambda: 2**34)

    def turn(self, at: int | None = None) -> int | None:
        return self.engine.turn()

    def measure(self) -> None:
        answer = self.engine.measure()
        self.engine.turn()
        answer.result(0)
