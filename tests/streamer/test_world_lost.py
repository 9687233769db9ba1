"""A world that is lost for good: whoever waits for it is told, and its engine ends."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from worldloom.models.spec import WorldLost
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.engine import Engine
from worldloom.streamer.errors import EngineLost
from worldloom.streamer.origin import Origin
from worldloom.streamer.transports.inprocess import Collector


class Gone(ToyWorld):
    """A world that can be lost."""

    lost = False

    def start(self, **more: Any) -> ToyState:
        if self.lost:
            raise WorldLost("its other half has gone")
        return super().start(**more)

    def save(self, state: ToyState) -> bytes:
        if self.lost:
            raise WorldLost("its other half has gone")
        return super().save(state)


@pytest.mark.parametrize("when", ["measure", "work", "open", "snapshot"])
def test_whoever_waits_for_a_world_that_is_lost_is_told(when: str) -> None:
    """And the engine ends: another world must be opened."""
    model, sink = Gone(), Collector()
    engine = Engine(model)
    engine.start()
    session = engine.open(sink, Origin(1), "lockstep")
    model.lost = True
    asks: dict[str, Callable[[], Future[Any]]] = {
        "measure": engine.measure,
        "work": lambda: engine.work(lambda model: model.start(seed=1)),
        "open": lambda: engine.submit(Collector(), Origin(2), "lockstep"),
        "snapshot": lambda: engine.snapshot(session),
    }
    asked = asks[when]()
    with pytest.raises(EngineLost):
        asked.result(30)
    engine.over.result(30)
    assert isinstance(sink.error, EngineLost)
    assert not engine.alive
