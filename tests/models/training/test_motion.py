"""From recordings to moved latents: the steps are the engine's, the network learns, and clips hold what they should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.models.training.clips import Shard
from worldloom.models.training.fit_dynamics import past_of
from worldloom.models.training.fit_motion import fit_motion, load_motion
from worldloom.models.training.latents import ClipSource
from worldloom.models.training.recipe import MotionRecipe, Recipe, load_recipe
from worldloom.models.training.rollouts import POOL, Rollouts
from worldloom.models.training.walks import Walks

FRAMES = 40


@pytest.fixture
def recipe() -> Recipe:
    toy = load_recipe("toy")
    motion = MotionRecipe(minutes=0.0, steps=40, batch=4, lr=2e-3, widths=(8, 8, 16), unit=10.0, album=10)
    dynamics = replace(toy.dynamics, still_share=0.0, fade_share=0.0)
    return replace(toy, motion=motion, dynamics=dynamics)


@pytest.fixture
def folder(recipe: Recipe, tmp_path: Path) -> Path:
    """Two episodes: one walks north-east while it turns, the other stands."""
    rng = np.random.default_rng(0)
    actions = np.zeros((2 * FRAMES, len(recipe.spec.actions.columns)), np.float32)
    actions[:FRAMES, recipe.spec.actions.columns.index("turn")] = 3.0
    poses = np.zeros((2 * FRAMES, 3), np.float32)
    poses[:FRAMES, 0] = poses[:FRAMES, 1] = np.arange(FRAMES) * 5.0
    poses[:FRAMES, 2] = 90.0 - 3.0 * np.arange(FRAMES)
    frames = rng.integers(0, 256, (2 * FRAMES, recipe.spec.height, recipe.spec.width, 3)).astype(np.uint8)
    Shard(frames, actions, poses, np.repeat([0, 1], FRAMES)).save(tmp_path / "data" / "train" / "0000")
    shape = (2 * FRAMES, recipe.autoencoder.channels, recipe.spec.height // 16, recipe.spec.width // 16)
    for name in ("latents", "moved"):
        np.save(tmp_path / f"{name}-train.npy", rng.normal(1.0, 1.0, shape).astype(np.float16))
    return tmp_path


def test_steps_are_seen_from_the_frame_before_and_momenta_from_the_frame_itself(recipe: Recipe, folder: Path) -> None:
    walks = Walks.of(recipe, folder, "train")
    far = 0.5 * 2**0.5
    # Facing north (90 degrees, left is positive), north-east is as much to the right as it is ahead.
    torch.testing.assert_close(walks.steps[1], torch.tensor([0.5, 0.5]))
    at = 15  # the camera of frame 15 faces 45 degrees: straight along the walk
    torch.testing.assert_close(walks.momenta[at], torch.tensor([0.0, far]), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(walks.turns[1:FRAMES], torch.full((FRAMES - 1,), 3.0))
    assert (walks.steps[[0, FRAMES]] == 0).all()
    assert walks.moving.tolist() == list(range(1, FRAMES))
    assert walks.clocks[[0, FRAMES - 1, FRAMES]].tolist() == [0, FRAMES - 1, 0]


@pytest.mark.slow
def test_the_network_learns_the_momentum_and_resumes(recipe: Recipe, folder: Path) -> None:
    assert recipe.motion
    fit_motion(recipe, folder, torch.device("cpu"))
    state = torch.load(folder / "motion.pt", weights_only=True)
    assert state["done"] == 40
    more = replace(recipe, motion=replace(recipe.motion, steps=45))
    fit_motion(more, folder, torch.device("cpu"))
    assert torch.load(folder / "motion.pt", weights_only=True)["done"] == 45
    walks, motion = Walks.of(recipe, folder, "train"), load_motion(recipe, folder)
    at = np.arange(5, 15)
    with torch.inference_mode():
        step = motion(walks.pictures(at - 1), walks.momenta[at - 1], walks.told(at), walks.clock(at)).step
    assert (step[:, ::2] - walks.steps[at]).abs().mean() < 0.5 * walks.steps[at].abs().mean()


def test_clips_hold_the_frame_before_each_as_it_was_moved(recipe: Recipe, folder: Path) -> None:
    source = ClipSource(recipe, folder, "train")
    at = np.array([[5, 6, 7], [50, 51, 52], [20, 21, 22]])
    batch = source.at(at, begins=np.array([False, True, False]), still=np.array([False, False, True]))
    assert source.moved is not None
    torch.testing.assert_close(batch.moved[0, :, 0], torch.from_numpy(source.moved[at[0]]).float())
    assert (batch.moved[1, 0] == 0).all()
    torch.testing.assert_close(batch.moved[1, 1:, 0], torch.from_numpy(source.moved[at[1, 1:]]).float())
    torch.testing.assert_close(batch.moved[2, :, 0], source.frames(np.array([20, 20, 20])))
    past = past_of(batch)
    torch.testing.assert_close(past[:, :, 0], batch.moved[:, :, 0])
    torch.testing.assert_close(past[:, 1:, 1], batch.context)


class Marker:
    """Moves nothing: what comes back says which frame it was wanted for."""

    def pictures(self, latents: torch.Tensor) -> torch.Tensor:
        return latents

    def towards(self, at: np.ndarray, latents: torch.Tensor, still: np.ndarray) -> torch.Tensor:
        assert not still.any()
        return torch.zeros_like(latents) + torch.from_numpy(at)[:, None, None, None]


def test_rollouts_move_what_they_dreamed_towards_the_frame_that_comes_next(recipe: Recipe, folder: Path) -> None:
    source = ClipSource(recipe, folder, "train")
    pool = Rollouts(source, 4, 10_000, np.random.default_rng(0), mover=Marker())  # type: ignore[arg-type]
    assert source.moved is not None
    first = pool.draw(POOL, 5)
    want = source.moved_frames(pool.end[pool.drawn, None] + np.arange(-4, 1))
    torch.testing.assert_close(first.moved[:, :, 0], want)
    for _ in range(3):
        pool.extend(torch.ones(POOL, *source.latents.shape[1:]))
        batch = pool.draw(POOL, 5)
    marks, ends = batch.moved[:, :, 0, 0, 0, 0], torch.from_numpy(pool.end[pool.drawn]).float()
    dreamed = torch.from_numpy(pool.age[pool.drawn] == 3)
    assert dreamed.sum() > POOL // 2
    for back in range(3):
        assert (marks[dreamed, -1 - back] == ends[dreamed] - back).all()
    fresh = source.moved_frames(pool.end[pool.drawn] - 3)
    torch.testing.assert_close(batch.moved[dreamed, 1, 0], fresh[dreamed])
