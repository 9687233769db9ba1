from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from worldloom.models.state import DiTState, StartScene
from worldloom.models.training.clips import Clips
from worldloom.models.training.dream import _velocities, context_frames, dream, reconstruct, spread
from worldloom.models.world import DiTWorld

from ..room import walker
from ..tiny import tiny_outlook, tiny_world


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


def test_how_fast_a_body_was_is_right_where_it_hit_a_wall() -> None:
    outlook, body, ahead = tiny_outlook(planned=True), walker(), torch.tensor([[1.0, 0.0, 0.0]])
    pose, velocity = torch.tensor([[-1.0, 1.2, 45.0]], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
    poses, velocities = [pose[0]], [velocity[0]]
    for _ in range(39):
        pose, velocity = body.moved(pose, velocity, ahead, torch.zeros(1))
        poses.append(pose[0])
        velocities.append(velocity[0])
    true, rows = torch.stack(velocities), np.repeat(ahead.numpy(), 40, 0)
    begins = np.arange(40) == 0
    clips = cast(Clips, SimpleNamespace(begins=begins, leading=rows))
    at = np.arange(40).reshape(4, 10)
    found = _velocities(outlook, clips, torch.stack(poses), np.ones(3, np.float32), at)
    assert found is not None
    torch.testing.assert_close(found.flatten(0, 1), true, atol=1e-3, rtol=0.0)
    gone = torch.stack(poses)[:, :2].diff(dim=0)
    read = body.velocity_of(gone, torch.stack(poses)[1:, 2], torch.from_numpy(rows[1:]))
    assert float((read - true[1:]).abs().max()) > 0.01, "read off its way it is not"
    assert _velocities(tiny_outlook(), clips, torch.stack(poses), np.ones(3, np.float32), at) is None
