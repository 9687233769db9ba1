"""Forks share the memory until somebody writes, and nobody sees what another one wrote."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

from worldloom.models.check import random_actions
from worldloom.models.ring import Ring, footprint_of
from worldloom.models.state import PENDING, DiTState
from worldloom.models.world import DiTWorld

from .tiny import tiny_world

SHAPES = [(1, 0, False), (3, 0, False), (1, 1, False), (3, 3, False), (1, 0, True)]
AGED = [(*shape, age) for shape in SHAPES for age in (0, 1, 2, 3, 7)]
FAST = [(3, 3, False, 7), (1, 0, True, 7)]


def dreamed(world: DiTWorld, state: DiTState, plan: range) -> list[bytes]:
    return [world.step([state], random_actions(world.spec, k)).tobytes() for k in plan]


def copied(world: DiTWorld, state: DiTState) -> DiTState:
    """A copy that shares nothing at all."""
    return world.load(world.save(state))


def whole(state: DiTState) -> int:
    return state.cache.nbytes


@pytest.mark.parametrize(
    ("chunk", "sink", "moves", "age"),
    [one if one in FAST else pytest.param(*one, marks=pytest.mark.slow) for one in AGED],
)
def test_a_fork_and_its_origin_dream_what_two_copies_dream(chunk: int, sink: int, moves: bool, age: int) -> None:
    world = tiny_world(chunk, sink, "turn", moves=moves)
    origin = world.start(seed=3)
    dreamed(world, origin, range(age))
    twins = [copied(world, origin) for _ in range(2)]
    fork = world.fork(origin)
    others = [dreamed(world, twin, range(100, 106)) for twin in twins]
    assert others[0] == others[1]
    mine: list[list[bytes]] = [[], []]
    for k in range(100, 106):  # in turns, so that each could see what the other writes
        for said, state in zip(mine, (origin, fork), strict=True):
            said += dreamed(world, state, range(k, k + 1))
    assert mine == others
    for state in (origin, fork):
        assert torch.equal(state.cache.keys, twins[0].cache.keys)
        assert torch.equal(state.cache.values, twins[0].cache.values)


@pytest.mark.slow
@pytest.mark.parametrize(("chunk", "sink", "moves"), SHAPES)
def test_a_past_is_what_it_was_however_far_its_origin_went(chunk: int, sink: int, moves: bool) -> None:
    """A restore point at every step, each gone back to long after, and again."""
    world = tiny_world(chunk, sink, "turn", moves=moves)
    origin = world.start(seed=3)
    pasts, film = [], []
    for k in range(12):
        pasts.append(world.fork(origin))
        film += dreamed(world, origin, range(k, k + 1))
    world.release(origin)
    for k, past in enumerate(pasts):
        for _ in range(2):  # gone back to twice: the past itself is never stepped
            again = world.fork(past)
            assert dreamed(world, again, range(k, 12)) == film[k:]
            world.release(again)


def test_a_fork_that_strays_leaves_its_origin_alone() -> None:
    world = tiny_world()
    origin = world.start(seed=3)
    dreamed(world, origin, range(4))
    twin, fork = copied(world, origin), world.fork(origin)
    assert dreamed(world, fork, range(50, 56)) != dreamed(world, origin, range(4, 10))
    assert dreamed(world, twin, range(4, 12))[6:] == dreamed(world, origin, range(10, 12))


@pytest.mark.parametrize("moves", [False, True])
def test_a_fork_costs_no_bytes_and_a_step_beside_it_one_chunk(moves: bool) -> None:
    world = tiny_world(moves=moves)
    origin = world.start(seed=3)
    dreamed(world, origin, range(4))
    one = world.footprint([origin])
    forks = [world.fork(origin) for _ in range(20)]
    assert world.footprint([origin, *forks]) == one
    place = whole(origin) * world.spec.chunk // origin.cache.config.slots
    before = world.footprint(forks)
    dreamed(world, origin, range(4, 5))
    more = world.footprint([origin, *forks]) - world.footprint([origin])
    history = footprint_of(getattr(one, name) for one in origin.history for name in PENDING)
    newest = footprint_of(getattr(origin.history[-1], name) for name in PENDING)
    values = before - whole(origin) - history + newest  # what is replaced at each step: latents, the last picture
    assert more == place + values


def test_far_behind_a_past_holds_its_own_frames_and_no_ring() -> None:
    world = tiny_world()
    origin = world.start(seed=3)
    dreamed(world, origin, range(4))
    past = world.fork(origin)
    ring = origin.cache.buffer
    assert isinstance(ring, Ring)
    dreamed(world, origin, range(4, 12))
    c = origin.cache.config
    assert past.cache.nbytes == whole(origin) * c.window // c.slots
    gone = weakref.ref(ring)
    world.release(origin)
    del ring
    gc.collect()
    assert gone() is None


def test_pasts_of_many_frames_share_what_they_have_in_common() -> None:
    world = tiny_world()
    origin = world.start(seed=3)
    pasts = []
    for k in range(30):
        pasts.append(world.fork(origin))
        dreamed(world, origin, range(k, k + 1))
    c = origin.cache.config
    frame = whole(origin) // c.slots
    held = {id(t): t.nbytes for past in pasts for t in past.cache.tensors()}
    assert sum(held.values()) <= (len(pasts) + 2 * c.window + 1) * frame + whole(origin)


def test_a_released_past_is_left_nothing() -> None:
    world = tiny_world()
    origin = world.start(seed=3)
    dreamed(world, origin, range(4))
    past = world.fork(origin)
    world.release(past)
    world.release(past)
    dreamed(world, origin, range(4, 9))
    assert past.cache.nbytes == 0
    with pytest.raises(ValueError, match="released"):
        dreamed(world, past, range(1))


def test_a_fork_out_of_a_batch_does_not_hold_the_batch() -> None:
    world = tiny_world()
    states = [world.start(seed=k) for k in range(8)]
    world.step(states, np.concatenate([random_actions(world.spec, k) for k in range(8)]))
    fork = world.fork(states[0])
    assert fork.pending
    for part in (fork.pending.latents, fork.pending.shown, fork.recent):
        assert part.untyped_storage().nbytes() == part.nbytes
