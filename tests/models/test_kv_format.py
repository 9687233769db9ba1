"""Keys and values in eight bits: how much is lost, how much is saved, and that all else goes on as before."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from worldloom.models.check import check_world, random_actions
from worldloom.models.kv_format import decoded, empty, encoded
from worldloom.models.world import DiTWorld

from .tiny import tiny_world


def in_bytes(world: DiTWorld) -> DiTWorld:
    """The same world, its streams in eight bits."""
    return DiTWorld(
        world.spec, world.dit, world.autoencoder, world.config, world.scenes, world.keyframes, world.outlook, kv="int8"
    )


def test_native_is_the_very_tensor() -> None:
    x = torch.randn(2, 3, 5)
    assert decoded(encoded(x, "native"), x.dtype) is x


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_eight_bits_lose_half_a_step_of_each_tokens_scale(dtype: torch.dtype) -> None:
    x = torch.randn(2, 7, 64, generator=torch.Generator().manual_seed(1))
    x = (x * torch.logspace(-3, 3, 7)[:, None]).to(dtype)
    again = decoded(encoded(x, "int8"), torch.float32)
    step = x.float().abs().amax(-1, keepdim=True) / 127
    assert bool(((again - x.float()).abs() <= 0.501 * step).all())
    assert not torch.equal(again, x.float())


def test_zeros_stay_zeros() -> None:
    parts = empty((2, 3, 8), torch.zeros(1, dtype=torch.bfloat16), "int8")
    assert torch.equal(decoded(parts, torch.bfloat16), torch.zeros(2, 3, 8, dtype=torch.bfloat16))
    assert torch.equal(decoded(encoded(torch.zeros(1, 4), "int8"), torch.float32), torch.zeros(1, 4))


@pytest.mark.slow
@pytest.mark.parametrize(("chunk", "sink", "moves"), [(1, 0, False), (3, 3, False), (1, 0, True)])
def test_a_world_in_eight_bits_keeps_every_promise(chunk: int, sink: int, moves: bool) -> None:
    check_world(in_bytes(tiny_world(chunk, sink, "turn", moves=moves)), tolerance=1)


@pytest.mark.parametrize(("chunk", "sink"), [(1, 0), (3, 3)])
def test_it_dreams_nearly_the_same_in_less_memory(chunk: int, sink: int) -> None:
    world = tiny_world(chunk, sink)
    smaller = in_bytes(world)
    one, other = world.start(seed=3), smaller.start(seed=3)
    for k in range(6):
        rows = random_actions(world.spec, k)
        a, b = world.step([one], rows), smaller.step([other], rows)
        assert np.abs(a.astype(int) - b.astype(int)).mean() < 2.0
        torch.testing.assert_close(one.cache.keys, other.cache.keys, atol=0.2, rtol=0.1)
    assert not torch.equal(one.cache.keys, other.cache.keys)
    kept = [sum(t.nbytes for t in state.cache.ring.parts) for state in (one, other)]
    head = world.dit.config.width // world.dit.config.heads
    assert kept[1] / kept[0] == pytest.approx((1 + 4 / head) / 4)  # of float32


def test_states_of_another_format_are_refused() -> None:
    world = tiny_world()
    smaller = in_bytes(world)
    with pytest.raises(ValueError, match="saved state"):
        smaller.load(world.save(world.start(seed=1)))
    with pytest.raises(ValueError, match="saved state"):
        world.load(smaller.save(smaller.start(seed=1)))
