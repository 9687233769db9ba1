"""Streams as bytes: whole ones go on to the bit; parked ones are small, and go on nearly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from worldloom.models.check import random_actions
from worldloom.models.prefill import prefill
from worldloom.models.state import DiTState
from worldloom.models.world import DiTWorld

from .tiny import tiny_world

SHAPES = [(1, 0, False), (3, 0, False), (3, 3, False), (1, 2, False), (1, 0, True)]
AGED = [(*shape, age) for shape in SHAPES for age in (0, 1, 7)]
FAST = [(3, 3, False, 7), (1, 0, True, 7)]


def dreamed(world: DiTWorld, state: DiTState, plan: range) -> np.ndarray:
    return np.stack([world.step([state], random_actions(world.spec, k)) for k in plan]) if plan else np.zeros(0)


@pytest.mark.parametrize(
    ("chunk", "sink", "moves", "age"),
    [one if one in FAST else pytest.param(*one, marks=pytest.mark.slow) for one in AGED],
)
def test_who_was_parked_goes_on_nearly_the_same(chunk: int, sink: int, moves: bool, age: int) -> None:
    world = tiny_world(chunk, sink, "turn", moves=moves)
    state = world.start(seed=3)
    dreamed(world, state, range(age))
    again = world.load(world.park(state))
    assert (again.frame, again.cache.frame, again.yaw) == (state.frame, state.cache.frame, state.yaw)
    assert len(again.history) == len(state.history)
    stays, comes = dreamed(world, state, range(100, 103)), dreamed(world, again, range(100, 103))
    assert np.abs(stays.astype(int) - comes).mean() < 2.0
    other = dreamed(world, world.start(seed=4), range(100, 103))
    assert np.abs(stays.astype(int) - other).mean() > 5.0


@pytest.mark.parametrize(("chunk", "sink"), [(1, 0), (3, 0), (3, 3)])
def test_as_long_as_nothing_is_forgotten_a_prefill_makes_the_same_memory(chunk: int, sink: int) -> None:
    world = tiny_world(chunk, sink, "turn")
    scene, length = world.scenes[0], max(2, chunk)  # no longer than the window
    state = world.begin(replace(scene, latents=scene.latents[:length], actions=scene.actions[:length]), 3)
    with torch.inference_mode():
        world._remember([state])
        empty = world.load(world.save(state)).cache
        for part in empty.ring.parts:
            part.zero_()
        prefill(world.dit, empty, state.history, world.config.context_sigma)
    seen = min(state.cache.frame, state.cache.config.slots) * state.cache.config.tokens
    assert empty.frame == state.cache.frame
    torch.testing.assert_close(empty.keys[:, :, :seen], state.cache.keys[:, :, :seen], atol=5e-3, rtol=5e-3)
    torch.testing.assert_close(empty.values[:, :, :seen], state.cache.values[:, :, :seen], atol=5e-3, rtol=5e-3)
    assert bool(empty.keys[:, :, :seen].abs().sum(-1).all())


def test_a_parked_stream_can_be_parked_again() -> None:
    world = tiny_world()
    state = world.start(seed=3)
    dreamed(world, state, range(5))
    once = world.park(state)
    assert world.park(world.load(once)) == once


@pytest.mark.parametrize("sink", [0, 1])
def test_a_stream_that_was_saved_is_parked_as_it_would_have_been(sink: int) -> None:
    world = tiny_world(1, sink)
    state = world.start(seed=3)
    dreamed(world, state, range(3))
    loaded = world.load(world.save(state))
    assert world.park(loaded) == world.park(state)
    assert len(world.park(loaded)) < len(world.save(loaded))
    for stream in (state, loaded):
        dreamed(world, stream, range(4))
    assert world.park(loaded) == world.park(state)


@pytest.mark.parametrize("sink", [0, 1])
def test_a_stream_of_unknown_history_is_parked_whole(sink: int) -> None:
    world = tiny_world(1, sink)
    state = world.start(seed=3)
    dreamed(world, state, range(3))
    small, state.history = len(world.park(state)), ()
    assert world.park(state) == world.save(state)
    dreamed(world, state, range(4))
    assert (len(world.park(state)) <= small) == (sink == 0)  # a sink is never seen again
    again = world.load(world.park(state))
    assert np.abs(dreamed(world, state, range(3)).astype(int) - dreamed(world, again, range(3))).mean() < 2.0


def test_a_parked_state_shares_nothing_and_leaves_the_stream_alone() -> None:
    world = tiny_world()
    state, twin = world.start(seed=3), world.start(seed=3)
    dreamed(world, state, range(3)), dreamed(world, twin, range(3))
    again = world.load(world.park(state))
    dreamed(world, again, range(50, 60))
    assert np.array_equal(dreamed(world, state, range(3, 6)), dreamed(world, twin, range(3, 6)))


def test_damaged_bytes_are_refused() -> None:
    world = tiny_world()
    blob = world.park(world.start(seed=1))
    for bad in (blob[:-9], b"", b"x" * 100):
        with pytest.raises(ValueError, match="saved state"):
            world.load(bad)
