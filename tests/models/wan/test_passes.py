"""Passes in graphs, not captured here: the same pictures as without, and nothing in a pass that waits for a device."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from worldloom.models.buckets import Buckets
from worldloom.models.kv_format import KVFormat
from worldloom.models.pooled_memory import PooledMemory
from worldloom.models.wan.block import Moment
from worldloom.models.wan.config import Rollout
from worldloom.models.wan.controls import STILL
from worldloom.models.wan.open import open_wan
from worldloom.models.wan.world import WanWorld

from .folders import PROMPTS, folder, played
from .tiny import ROLL, tiny_dit, with_sinks

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal", "_to_cpu")
"""Operators whose result the host has to know before it goes on."""


class Unwaiting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses these."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert not name.startswith(WAITS), f"{name}: the host waits for the device"
        return func(*args, **(kwargs or {}))


def opened(path: Path, graphs: int, kv: KVFormat = "native") -> WanWorld:
    return open_wan(path, dtype=torch.float32, kv=kv, graphs=graphs)


def rest(world: WanWorld, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.repeat(world.spec.actions.neutral(world.spec.chunk)[None], count, 0)


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many streams each pass had that a graph would hold."""
    sizes, call = [], Buckets.__call__

    def watched(self: Buckets, *inputs: Tensor) -> Tensor:
        sizes.append(len(inputs[-1]))
        return call(self, *inputs)

    monkeypatch.setattr(Buckets, "__call__", watched)
    return sizes


@pytest.mark.parametrize("kv", ["native", pytest.param("int8", marks=pytest.mark.slow)])
def test_the_same_pictures(tmp_path: Path, captured: list[int], kv: KVFormat) -> None:
    """Streams of different ages in batches that change, beyond an eviction."""
    path, ends = folder(tmp_path / "tiny"), []
    for graphs in (3, 0):
        world = opened(path, graphs, kv)
        streams = [world.start(seed=0, prompt=PROMPTS[0]) for _ in range(3)]
        shown = []
        for chosen in ([0], [1, 0], [2], [0, 1, 2], [2, 0], [1]):
            shown.append(world.step([streams[k] for k in chosen], rest(world, len(chosen))).astype(int))
        assert all((stream.cache.ring.row is not None) == bool(graphs) for stream in streams)
        ends.append((np.concatenate(shown), streams[0].cache.keys))
    assert set(captured) == {1, 2, 3}
    assert np.abs(ends[0][0] - ends[1][0]).max() <= (1 if kv == "native" else 2)
    near = 1e-5 if kv == "native" else 0.05  # eight bits make a step of a rounding
    torch.testing.assert_close(ends[0][1], ends[1][1], rtol=near, atol=near)


def test_who_goes_without(tmp_path: Path, captured: list[int]) -> None:
    """Different prompts beside each other, more streams than rows, a prompt in mid-stream: the same pictures too."""
    path, ends = folder(tmp_path / "tiny"), []
    for graphs in (2, 0):
        world = opened(path, graphs)
        streams = [world.start(seed=k, prompt=PROMPTS[k % 2]) for k in range(3)]
        shown = [world.step(streams[:2], rest(world, 2)), world.step(streams, rest(world, 3))]
        world.say(streams[0], PROMPTS[1])
        shown.append(world.step(streams[:1], rest(world, 1)))
        fork = world.fork(streams[0])
        world.release(streams[2])
        shown += [world.step([one], rest(world, 1)) for one in (streams[0], fork, world.load(world.save(fork)))]
        ends.append(np.concatenate([part.reshape(-1, 3) for part in shown]).astype(int))
    assert np.abs(ends[0] - ends[1]).max() <= 1
    assert 2 not in captured
    assert 1 in captured


@pytest.mark.parametrize(
    ("roll", "pooled"),
    [
        (ROLL, True),
        (with_sinks(ROLL, 0, positions="beside"), True),
        (with_sinks(ROLL, 0, positions="relative"), False),
        (with_sinks(ROLL, 2), False),
    ],
)
def test_which_rollouts_have_a_pool(tmp_path: Path, roll: Rollout, pooled: bool) -> None:
    assert (opened(folder(tmp_path / "tiny", roll), 2).pool is not None) == pooled


def test_a_world_that_is_played_keeps_its_rows_and_goes_without_graphs(tmp_path: Path, captured: list[int]) -> None:
    path, shown = played(tmp_path / "tiny"), []
    for graphs in (1, 0):
        world = opened(path, graphs)
        state = world.start(seed=0)
        shown.append(np.concatenate([world.step([state], rest(world, 1)) for _ in range(2)]).astype(int))
    assert not captured
    assert np.abs(shown[0] - shown[1]).max() <= 1


def test_rows_come_back_and_are_counted(tmp_path: Path) -> None:
    path = folder(tmp_path / "tiny")
    world, apart = opened(path, 2), opened(path, 0)
    assert world.pool is not None
    for _ in range(3):
        state = world.start(seed=0)
        world.step([state], rest(world, 1))
        assert world.pool.free == 1
        other = apart.start(seed=0)
        apart.step([other], rest(apart, 1))
        assert world.footprint([state]) == apart.footprint([other])
        world.release(state)
        del state
        gc.collect()
        assert world.pool.free == 2


@pytest.mark.parametrize("graphs", [2, 0])
def test_nobody_waits_for_the_device_in_a_pass(tmp_path: Path, graphs: int) -> None:
    """What is between the memory, which knows where streams are, and the result."""
    world = opened(folder(tmp_path / "tiny"), graphs)
    states = [world.start(seed=0, prompt=PROMPTS[0]) for _ in range(2)]
    for _ in range(4):
        world.step(states, rest(world, 2))
    passes, texts = world._passes, [state.said.keys for state in states]
    with torch.inference_mode():
        passes.moment(0.0)
        memory, x = passes.memory([state.cache for state in states]), torch.randn(2, *world._latent)
        assert isinstance(memory, PooledMemory) == bool(graphs)
        with Unwaiting():  # type: ignore[no-untyped-call]
            assert passes.velocity(x, 0.0, texts, memory, STILL).shape == x.shape
            passes.commit(x, 0.0, texts, memory, STILL)


@pytest.mark.parametrize("waiting", [lambda x: x.sum().item(), lambda x: x.nonzero(), lambda x: bool((x > 0).all())])
def test_who_waits_is_found(waiting: Any) -> None:
    with pytest.raises(AssertionError, match="the host waits"), Unwaiting():  # type: ignore[no-untyped-call]
        waiting(torch.ones(3))


def test_a_moment_is_three_tensors_and_comes_back() -> None:
    moment = tiny_dit().moment(500.0)
    again = Moment.of(*moment.tensors)
    assert torch.equal(again.time, moment.time)
    for ours, theirs in zip(moment.blocks, again.blocks, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
