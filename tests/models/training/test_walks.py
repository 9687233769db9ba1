"""How a body goes on, found among recordings in which walls hold it up half of the time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.models.motion import free, turned
from worldloom.models.training.clips import Shard
from worldloom.models.training.recipe import MotionRecipe, load_recipe
from worldloom.models.training.walks import Walks, inertia

KEPT, PUSHED = 0.8, 0.05  # share of the speed from frame to frame; units of depth that a button adds


@pytest.fixture
def walks(tmp_path: Path) -> Walks:
    """One long episode of a body with inertia, which something holds up in every second stretch of twenty frames."""
    toy = load_recipe("toy")
    recipe = replace(
        toy,
        motion=MotionRecipe(minutes=0.0, steps=1, batch=1, lr=1e-3, widths=(8, 8, 16), unit=10.0, album=10),
    )
    columns = recipe.spec.actions.columns
    forward, turn = columns.index("forward"), columns.index("turn")
    rng, count = np.random.default_rng(0), 800
    actions = np.zeros((count, len(columns)), np.float32)
    actions[:, forward] = rng.random(count).round()
    actions[:, turn] = rng.uniform(-3.0, 3.0, count)
    poses, speed = np.zeros((count, 3), np.float32), np.zeros(2)
    for t in range(1, count):
        half = np.radians(poses[t - 1, 2] - 0.5 * actions[t - 1, turn])
        speed = KEPT * speed + PUSHED * actions[t - 1, forward] * np.array([np.cos(half), np.sin(half)])
        speed = speed * rng.uniform(0.2, 0.9) if t // 20 % 2 else speed
        poses[t] = [*(poses[t - 1, :2] + 10.0 * speed), poses[t - 1, 2] - actions[t - 1, turn]]
    frames = np.zeros((count, recipe.spec.height, recipe.spec.width, 3), np.uint8)
    Shard(frames, actions, poses, np.zeros(count, np.int64)).save(tmp_path / "data" / "train" / "0000")
    return Walks.of(recipe, tmp_path, "train")


def test_the_inertia_is_that_of_a_free_body(walks: Walks) -> None:
    measured = inertia(walks)
    torch.testing.assert_close(measured[:, :2], KEPT * torch.eye(2), atol=5e-3, rtol=0.0)
    pushes = measured[:, 2:]
    assert pushes[1].max() == pytest.approx(PUSHED, abs=1e-3)
    assert pushes[0].abs().max() < 1e-3
    at = np.arange(5, 15)  # nothing in the way
    went = free(measured, walks.momenta[at - 1], torch.from_numpy(walks.actions[at]), walks.turns[at])
    torch.testing.assert_close(went, walks.steps[at], atol=1e-3, rtol=0.0)


def test_a_body_without_inertia_goes_on_as_it_went() -> None:
    momentum, turn = torch.tensor([[0.1, 0.2]]), torch.tensor([30.0])
    went = free(torch.eye(2, 5), momentum, torch.ones(1, 3), turn)
    torch.testing.assert_close(went, momentum)
    pushed = torch.cat([torch.zeros(2, 2), torch.tensor([[0.0], [0.1]])], 1)
    ahead = free(pushed, momentum, torch.ones(1, 1), turn)
    torch.testing.assert_close(turned(ahead, 0.5 * turn), torch.tensor([[0.0, 0.1]]))
