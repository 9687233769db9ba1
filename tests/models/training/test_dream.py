from __future__ import annotations

import numpy as np
import pytest
import torch

from worldloom.models.state import DiTState, StartScene
from worldloom.models.training.dream import context_frames, dream, reconstruct, spread
from worldloom.models.world import DiTWorld

from ..tiny import tiny_world


def scenes(world: DiTWorld, count: int, frames: int) -> list[StartScene]:
    g = torch.Generator().manual_seed(5)
    return [StartScene(torch.randn(frames, 4, 2, 3, generator=g), torch.zeros(frames, 3)) for _ in range(count)]


@pytest.mark.parametrize("chunk", [1, 3])
def test_a_dream_of_any_length_equals_stepping_by_hand(chunk: int) -> None:
    world = tiny_world(chunk)
    known = context_frames(world)
    assert known == 2 * chunk
    rows = np.random.default_rng(0).uniform(-1, 1, (2, 7, 3)).astype(np.float32)
    starts = scenes(world, 2, known)
    made = np.stack(list(dream(world, starts, rows, seed=11)), 1)
    assert made.shape == (2, 7, 32, 48, 3)
    states = [world.begin(scene, 11 + b) for b, scene in enumerate(starts)]
    by_hand = [world.step(states, rows[:, k : k + chunk]) for k in range(0, 7 - chunk + 1, chunk)]
    np.testing.assert_array_equal(made[:, : 7 // chunk * chunk], np.concatenate(by_hand, 1))


def test_states_are_released_when_a_dream_is_left_early(monkeypatch: pytest.MonkeyPatch) -> None:
    world = tiny_world()
    released: list[DiTState] = []
    monkeypatch.setattr(world, "release", released.append)
    dreaming = dream(world, scenes(world, 3, 2), np.zeros((3, 100, 3), np.float32))
    next(dreaming)
    assert not released
    del dreaming
    assert len(released) == 3


def test_reconstruct_is_encode_and_decode_in_parts() -> None:
    world = tiny_world()
    pictures = np.random.default_rng(0).integers(0, 256, (40, 32, 48, 3), dtype=np.uint8)
    again = reconstruct(world.autoencoder, pictures)
    assert again.shape == pictures.shape
    assert again.dtype == np.uint8
    np.testing.assert_allclose(again[35], reconstruct(world.autoencoder, pictures[35:36])[0], atol=1)


def test_spread_is_even_and_takes_nothing_twice() -> None:
    assert spread(np.arange(10, 21), 3).tolist() == [10, 15, 20]
    assert spread(np.arange(2), 5).tolist() == [0, 1]
    with pytest.raises(ValueError, match="too short"):
        spread(np.arange(0), 3)
