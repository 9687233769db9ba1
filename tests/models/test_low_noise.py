"""The low-noise expert: what it says below noise level 1, and that it is silent at it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from worldloom.models.check import check_world, random_actions
from worldloom.models.finer import in_steps
from worldloom.models.low_noise import LowNoise, LowNoiseConfig
from worldloom.models.weights import load_world, save_world
from worldloom.models.world import DiTWorld

from .tiny import randomise, tiny_dit, tiny_world

CONFIG = LowNoiseConfig(2, (2, 4))


def tiny_low_noise(seed: int = 8) -> LowNoise:
    """Differences everywhere."""
    low_noise = LowNoise(CONFIG, tiny_dit())
    randomise(low_noise, seed, 0.1)
    return low_noise


def with_expert(world: DiTWorld, low_noise: LowNoise | None, *, pool: int = 0) -> DiTWorld:
    """The same world beside an expert, in one step."""
    parts = (world.dit, world.autoencoder, world.config, world.scenes, world.keyframes, world.outlook, low_noise)
    return in_steps(DiTWorld(world.spec, *parts, pool=pool), 1)


def frames(world: DiTWorld, steps: int, *, count: int = 4) -> list[np.ndarray]:
    """Of one stream, in so many denoising steps."""
    finer = in_steps(world, steps)
    state = finer.start(seed=4)
    return [finer.step([state], random_actions(world.spec, k)) for k in range(count)]


def test_without_differences_it_is_the_transformer() -> None:
    dit = tiny_dit()
    merged = LowNoise(CONFIG, dit).merged(dit).state_dict()
    assert merged.keys() == dit.state_dict().keys()
    assert all(torch.equal(merged[name], weight) for name, weight in dit.state_dict().items())


def test_large_matrices_differ_by_products_of_that_rank() -> None:
    dit, low_noise = tiny_dit(), tiny_low_noise()
    merged = low_noise.merged(dit)
    for (name, weight), (_, other) in zip(dit.named_parameters(), merged.named_parameters(), strict=True):
        difference = (other - weight).flatten(1) if weight.ndim > 1 else other - weight
        assert difference.any(), name
        if name.endswith("qkv.weight"):
            assert torch.linalg.matrix_rank(difference, rtol=1e-4) == CONFIG.rank
    assert torch.equal(merged.change, dit.change)  # no weight, and the same for both
    learned, all_there = (sum(p.numel() for p in module.parameters()) for module in (low_noise, dit))
    assert learned < all_there


def test_one_step_is_the_same_to_the_bit() -> None:
    plain, expert = with_expert(tiny_world(), None), with_expert(tiny_world(), tiny_low_noise())
    assert np.array_equal(frames(plain, 1), frames(expert, 1))
    assert not np.array_equal(frames(plain, 2), frames(expert, 2))


def test_it_speaks_at_every_level_but_the_first_and_leaves_nothing_in_the_memory() -> None:
    """A step behind the first is the transformer's that has the merged weights, on the memory of the other."""
    world, low_noise = tiny_world(), tiny_low_noise()
    expert = low_noise.merged(world.dit)
    levels: list[tuple[str, list[float]]] = []
    for name, dit in (("first", world.dit), ("later", expert)):

        def watched(x, past, sigma, *rest, name=name, forward=dit.forward, **more):  # type: ignore[no-untyped-def]
            levels.append((name, sigma[0].tolist()))
            return forward(x, past, sigma, *rest, **more)

        dit.forward = watched  # type: ignore[method-assign]
    finer = in_steps(with_expert(world, low_noise), 4)
    finer._network._expert = expert
    state = finer.start(seed=1)
    for k in range(2):
        finer.step([state], random_actions(finer.spec, k))
    context = pytest.approx(world.config.context_sigma)
    chunk = [("first", [context, 1.0]), ("later", [0.75]), ("later", [0.5]), ("later", [0.25])]
    assert levels == 2 * chunk


@pytest.mark.parametrize("pool", [0, 3])
def test_a_world_with_an_expert_keeps_its_promises(pool: int) -> None:
    check_world(in_steps(with_expert(tiny_world(), tiny_low_noise(), pool=pool), 2), tolerance=1)


def test_a_pool_says_what_buffers_say() -> None:
    alone, pooled = (with_expert(tiny_world(), tiny_low_noise(), pool=pool) for pool in (0, 3))
    for one, other in zip(frames(alone, 4), frames(pooled, 4), strict=True):
        assert np.abs(one.astype(np.int16) - other).max() <= 1


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "tiny.safetensors"
        save_world(path, with_expert(tiny_world(), tiny_low_noise()), {}, torch.float32)
        return path

    def test_round_trip(self, path: Path) -> None:
        again = load_world(path, device="cpu", dtype=torch.float32)
        assert again.low_noise
        assert again.low_noise.config == CONFIG
        assert np.array_equal(frames(again, 2), frames(with_expert(tiny_world(), tiny_low_noise()), 2))

    def test_what_does_not_fit_is_named(self, path: Path) -> None:
        tensors = load_file(path)
        del tensors["low_noise.up.blocks-0-qkv-weight"]
        save_file(tensors, path)
        with pytest.raises(ValueError, match="low_noise: missing up.blocks-0-qkv-weight"):
            load_world(path, device="cpu")

    def test_a_table_that_is_not_one_is_refused(self, path: Path) -> None:
        table = json.loads(path.with_suffix(".json").read_text())
        table["low_noise"] = {"rank": 2}
        path.with_suffix(".json").write_text(json.dumps(table))
        with pytest.raises(ValueError, match="low_noise"):
            load_world(path, device="cpu")
