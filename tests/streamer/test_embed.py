"""A world in a Python loop: what the world makes, and an end that leaves nothing."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from worldloom.models.spec import Image
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.embed import EmbeddedWorld
from worldloom.streamer.errors import BadAction, ModelFault, SessionClosed, Unsupported
from worldloom.streamer.server_messages import Receipt
from worldloom.streamer.transports.inprocess import Collector

ROWS = np.array([[1, 0, 0, 0, 3, 0.5], [0, 0, 1, 0, -3, 0]], np.float32)


class Picky(ToyWorld):
    """Refuses one seed and breaks on a lever pulled all the way back."""

    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> ToyState:
        if seed == 13:
            raise ValueError("not this one")
        return super().start(seed=seed, prompt=prompt, image=image)

    def step(self, states: object, actions: NDArray[np.float32]) -> NDArray[np.uint8]:
        if actions[..., 5].min() <= -1:
            raise RuntimeError("snap")
        return super().step(states, actions)  # type: ignore[arg-type]


def test_a_loop_gets_what_the_world_makes_and_a_restart_repeats_it() -> None:
    before = set(threading.enumerate())
    alone = ToyWorld(chunk=2)
    state = alone.start(seed=3)
    expected = [alone.step([state], ROWS[None])[0] for _ in range(3)]
    with EmbeddedWorld(ToyWorld(chunk=2)) as world:
        for seed in (3, 3):
            world.restart(seed=seed)
            for chunk in expected:
                np.testing.assert_array_equal(world.step(ROWS), chunk)
    world.close()
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "worldloom-engine"]


def test_a_world_by_name() -> None:
    with EmbeddedWorld("toy") as world:
        world.restart(seed=1)
        assert world.step(ROWS[:1]).shape == (1, world.info.height, world.info.width, 3)


def test_wrong_rows_are_refused_and_the_stream_lives_on() -> None:
    with EmbeddedWorld(ToyWorld(chunk=2)) as world:
        world.restart(seed=1)
        for rows in (ROWS[:1], ROWS[:, :5], ROWS * 100):
            with pytest.raises(BadAction):
                world.step(rows)
        assert world.step(ROWS).shape[0] == 2


def test_a_refused_seed_keeps_the_stream_and_a_fault_ends_it() -> None:
    with EmbeddedWorld(Picky()) as world:
        world.restart(seed=1)
        with pytest.raises(Unsupported, match="13"):
            world.restart(seed=13)
        world.step(ROWS[:1])
        with pytest.raises(ModelFault):
            world.step(np.array([[0, 0, 0, 0, 0, -1]], np.float32))
        with pytest.raises(SessionClosed):
            world.step(ROWS[:1])


def test_a_step_before_the_first_restart_says_so() -> None:
    with EmbeddedWorld("toy") as world, pytest.raises(SessionClosed, match="restart"):
        world.step(ROWS[:1])


def test_a_collector_is_bounded_and_counts() -> None:
    sink = Collector(receipts=2)
    for seq in (1, 2, 3):
        sink.receipt(Receipt(seq=seq, status="applied"))
    assert sink.dropped_receipts == 1
    assert sink.answer(3).seq == 3
    with pytest.raises(TimeoutError):
        sink.answer(1, timeout_s=0.01)
    sink.fault(SessionClosed("over"))
    with pytest.raises(SessionClosed):
        sink.answer(1)
    with pytest.raises(SessionClosed):
        sink.take()
