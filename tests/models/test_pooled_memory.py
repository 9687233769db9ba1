"""Streams whose memories are rows of one pool: the same pictures as with buffers of their own, and no row lost."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

from tests.models.tiny import tiny_world
from worldloom.models.check import check_world, random_actions
from worldloom.models.kv_format import KVFormat
from worldloom.models.pooled_memory import PooledMemory
from worldloom.models.state import DiTState
from worldloom.models.world import DiTWorld


def pool_of(world: DiTWorld) -> int:
    """Rows left."""
    assert world.pool is not None
    return world.pool.free


@pytest.mark.parametrize(
    ("chunk", "moves", "kv"),
    [
        (1, False, "native"),
        (3, False, "native"),
        pytest.param(1, True, "native", marks=pytest.mark.slow),
        (1, False, "int8"),
    ],
)
def test_pooled_equals_apart(chunk: int, moves: bool, kv: KVFormat) -> None:
    """Streams of different ages, in batches that change, across evictions; rows in another order than the batch."""
    close = {"native": 1e-4 if moves else 1e-5, "int8": 1e-3}[kv]  # eight bits make a step of a rounding
    worlds = [tiny_world(chunk, azimuth="turn", moves=moves, kv=kv, pool=pool) for pool in (8, 0)]
    streams = [[world.start(seed=k) for k in range(5)] for world in worlds]
    rng = np.random.default_rng(1)
    for k in range(8):
        chosen = rng.permutation(5)[: 1 + k % 5]
        rows = np.concatenate([random_actions(worlds[0].spec, 10 * k + b) for b in chosen])
        for world, states in zip(worlds, streams, strict=True):
            world.step([states[b] for b in chosen], rows)
    for pooled, apart in zip(*streams, strict=True):
        assert pooled.cache.ring.row is not None
        assert apart.cache.ring.row is None
        torch.testing.assert_close(pooled.past, apart.past, atol=close, rtol=close)
        if kv == "native":
            torch.testing.assert_close(pooled.cache.keys, apart.cache.keys, atol=close, rtol=close)


def test_a_world_with_a_pool_keeps_every_promise() -> None:
    check_world(tiny_world(azimuth="turn", pool=16), chunks=3, tolerance=1)


def test_the_batch_is_one_and_not_a_stream_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    world, sizes = tiny_world(pool=4), []
    attend = PooledMemory.attend

    def watched(self: PooledMemory, layer: int, qk: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        sizes.append(len(v))
        return attend(self, layer, qk, v)

    monkeypatch.setattr(PooledMemory, "attend", watched)
    states = [world.start(seed=k) for k in range(3)]
    sizes.clear()
    world.step(states, np.concatenate([random_actions(world.spec, k) for k in range(3)]))
    assert set(sizes) == {4}  # the bucket


def test_a_fork_keeps_its_past_and_takes_a_row_when_it_writes() -> None:
    worlds = [tiny_world(pool=pool) for pool in (3, 0)]
    ends = []
    for world in worlds:
        state = world.start(seed=1)
        fork = world.fork(state)
        for k in range(4):  # more than the window: everything that the fork remembers is replaced
            world.step([state], random_actions(world.spec, k))
        if world.pool:
            assert pool_of(world) == 2
        for k in range(3):
            world.step([fork, state], np.concatenate([random_actions(world.spec, 50 + k)] * 2))
        if world.pool:
            assert pool_of(world) == 1
        ends.append((state.past, fork.past))
    for pooled, apart in zip(*ends, strict=True):
        torch.testing.assert_close(pooled, apart, atol=1e-5, rtol=1e-5)


def test_who_finds_no_row_has_a_buffer_of_his_own() -> None:
    world, apart = tiny_world(pool=2), tiny_world()
    rows = np.concatenate([random_actions(world.spec, k) for k in range(3)])
    crowd, few = ([one.start(seed=k) for k in range(3)] for one in (world, apart))
    for _ in range(4):
        world.step(crowd, rows)
        apart.step(few, rows)
    assert [state.cache.ring.row is None for state in crowd] == [False, False, True]
    for a, b in zip(crowd, few, strict=True):
        torch.testing.assert_close(a.past, b.past, atol=1e-5, rtol=1e-5)


def test_rows_come_back_and_carry_nothing_over() -> None:
    world = tiny_world(pool=2)
    for seed in range(3):
        states = [world.start(seed=seed), world.start(seed=seed + 1)]
        fork = world.fork(states[0])
        for k in range(3):
            world.step(states, np.concatenate([random_actions(world.spec, k)] * 2))
        assert pool_of(world) == 0
        for state in (*states, fork):
            world.release(state)
        gc.collect()
        assert pool_of(world) == 2
    fresh = world.start(seed=9)
    seen = fresh.cache.filled() * fresh.cache.config.tokens
    assert not fresh.cache.keys[:, :, seen:].any()
    assert world.save(fresh) == tiny_world(pool=2).save(tiny_world(pool=2).start(seed=9))


def test_a_stream_counts_its_row_and_not_the_pool() -> None:
    world, apart = tiny_world(pool=64), tiny_world()
    one, other = world.start(seed=1), apart.start(seed=1)
    assert world.footprint([one]) == apart.footprint([other]) < world.pool.nbytes if world.pool else False
    assert world.footprint([one, world.start(seed=2)]) == apart.footprint([other, apart.start(seed=2)])
    assert one.cache.nbytes == other.cache.nbytes


def test_padding_writes_into_no_stream() -> None:
    world = tiny_world(pool=4)
    states = [world.start(seed=k) for k in range(4)]
    rows = np.concatenate([random_actions(world.spec, k) for k in range(4)])
    world.step(states, rows)
    before = [state.cache.keys.clone() for state in states[3:]]
    for _ in range(3):
        world.step(states[:3], rows[:3])
    assert torch.equal(states[3].cache.keys, before[0])


def test_sinks_are_turned_a_stream_at_a_time() -> None:
    world, apart = tiny_world(1, 1, pool=4), tiny_world(1, 1)
    ends: list[DiTState] = []
    for one in (world, apart):
        state = one.start(seed=3)
        for k in range(6):
            one.step([state], random_actions(one.spec, k))
        ends.append(state)
    assert torch.equal(ends[0].past, ends[1].past)
