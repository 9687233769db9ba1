"""The stages of a world that moves its pictures: what each leaves is what the next one needs, and the world streams."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.models.album import Album
from worldloom.models.check import check_world
from worldloom.models.training.collect import record_episodes
from worldloom.models.training.fit_autoencoder import encode_recordings, fit_autoencoder
from worldloom.models.training.fit_detail import Dreamers, fit_detail, load_detail
from worldloom.models.training.fit_dynamics import fit_dynamics
from worldloom.models.training.fit_low_noise import fit_low_noise
from worldloom.models.training.fit_motion import fit_motion
from worldloom.models.training.moved import CameraMover, move_recordings
from worldloom.models.training.recipe import DetailRecipe, MotionRecipe, Recipe, load_recipe
from worldloom.models.training.run import about, assemble
from worldloom.models.training.simulators import open_simulator
from worldloom.models.training.survey import survey
from worldloom.models.training.walks import Walks
from worldloom.models.weights import load_world, save_world

CPU = torch.device("cpu")

pytestmark = pytest.mark.slow  # every stage of a moving world


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    toy = load_recipe("toy")
    assert toy.low_noise
    motion = MotionRecipe(minutes=0.0, steps=3, batch=4, lr=1e-3, widths=(8, 8, 16), unit=10.0, album=20, body=5.0)
    detail = DetailRecipe(minutes=0.0, steps=4, batch=3, lr=1e-3, texture=0.5, width=8, depth=1, frames=6)
    return replace(
        toy,
        motion=motion,
        detail=detail,
        autoencoder=replace(toy.autoencoder, steps=5),
        dynamics=replace(toy.dynamics, steps=4, rollout_share=0.5, rollout_frames=4),
        low_noise=replace(toy.low_noise, steps=4),
    )


@pytest.fixture(scope="module")
def folder(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moving")
    simulator = open_simulator("toy", recipe.spec.height, recipe.spec.width)
    for name, seed in (("train", 1), ("holdout", 1_000_001)):
        record_episodes(simulator, 120, 40, seed).save(folder / "data" / name / "0000")
    fit_autoencoder(recipe, folder, CPU)
    encode_recordings(recipe, folder, CPU)
    fit_motion(recipe, folder, CPU)
    move_recordings(recipe, folder, CPU)
    fit_dynamics(recipe, folder, CPU)
    fit_low_noise(recipe, folder, CPU)
    fit_detail(recipe, folder, CPU)
    return folder


def test_recordings_are_moved_from_the_frame_before(recipe: Recipe, folder: Path) -> None:
    moved, walks = np.load(folder / "moved-train.npy"), Walks.of(recipe, folder, "train")
    assert (moved[walks.followers] != 0).any((1, 2, 3)).all()
    begins = np.flatnonzero(walks.clocks == 0)
    assert (moved[begins] == 0).all(), "nothing comes before an episode"
    mover, at = CameraMover(recipe, folder, "train", CPU), walks.followers[5:7]
    np.testing.assert_allclose(mover.towards(at, walks.pictures(at - 1)).numpy(), moved[at], atol=0.05)


def test_nothing_is_recalled_from_an_episodes_own_frames(recipe: Recipe, folder: Path) -> None:
    mover = CameraMover(recipe, folder, "train", CPU)
    album, frames = survey(recipe, mover.walks.clips)
    at = np.array([10, 50, 90])
    pictures = mover.walks.pictures(at - 1)
    chosen: list[int] = []
    taken_near = mover.outlook.album.taken_near

    class Watched(Album):
        def taken_near(self, poses: torch.Tensor, barred: torch.Tensor | None = None) -> torch.Tensor:
            assert barred is not None
            chosen.extend(taken_near(poses, barred).tolist())
            return torch.tensor(chosen)

    mover.outlook.album = Watched(**album.tensors())
    mover.glimpse(at, pictures)
    assert (mover.walks.clips.episodes[frames[chosen]] != mover.walks.clips.episodes[at]).all()


def test_dreamers_follow_their_episodes_and_begin_anew_in_time(recipe: Recipe, folder: Path) -> None:
    dreamers = Dreamers(recipe, folder, CPU, np.random.default_rng(0))
    episodes, window = dreamers.mover.walks.clips.episodes, recipe.dynamics.window
    for k in range(8):
        dreamers._dreamers[0].still |= k == 3
        before = [(d.at, d.left, d.still) for d in dreamers._dreamers]
        dreamed, glimpse, truth = dreamers.dream()
        want = dreamers.mover.walks.pictures(np.array([at for at, *_ in before]))
        assert torch.equal(truth, want)
        dreamers.show(dreamed, glimpse)
        for (at, left, still), now in zip(before, dreamers._dreamers, strict=True):
            assert 1 <= now.left <= (recipe.detail.frames if recipe.detail else 0)
            if still and left > 1:
                assert (now.at, now.left) == (at, left - 1)
            elif left > 1 and episodes[min(at + 1, len(episodes) - 1)] == episodes[at] and at + 1 < len(episodes):
                assert (now.at, now.left) == (at + 1, left - 1)
            else:
                assert now.state.frame == window


def test_the_network_changes_and_resumes(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    assert torch.load(folder / "detail.pt", weights_only=True)["done"] == 4
    assert load_detail(recipe, folder).leave.weight.abs().max() > 0
    for part in folder.iterdir():
        (tmp_path / part.name).symlink_to(part)
    (tmp_path / "detail.pt").unlink()
    (tmp_path / "detail.pt").write_bytes((folder / "detail.pt").read_bytes())
    assert recipe.detail
    fit_detail(replace(recipe, detail=replace(recipe.detail, steps=5)), tmp_path, CPU)
    assert torch.load(tmp_path / "detail.pt", weights_only=True)["done"] == 5


def test_what_comes_out_is_a_world(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    world = assemble(recipe, folder)
    assert world.scenes[0].poses is not None
    assert world.scenes[0].picture is not None
    save_world(tmp_path / "toy.safetensors", world, about(recipe, folder, {}), torch.float32)
    again = load_world(tmp_path / "toy.safetensors", device="cpu", dtype=torch.float32)
    rows = np.zeros((1, 1, len(recipe.spec.actions.columns)), np.float32)
    rows[..., recipe.spec.actions.columns.index("turn")] = 4.0
    states = world.start(seed=0), again.start(seed=0)
    for _ in range(3):
        ours, theirs = (w.step([s], rows) for w, s in zip((world, again), states, strict=True))
        assert np.abs(ours.astype(int) - theirs).max() <= 2, "scenes and keyframes are stored in fewer bits"
    check_world(again, tolerance=2)  # one rounding of float32, fed back
