"""A hand in recordings: where it was meant to be, what is told of it, and the stages that learn from both."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.models.training.clips import Clips, Shard
from worldloom.models.training.fit_autoencoder import fit_autoencoder
from worldloom.models.training.fit_reach import fit_reach, load_reach, rolled_off
from worldloom.models.training.fit_reader import fit_reader, load_read
from worldloom.models.training.fit_warp import Own, fit_warp, load_warp
from worldloom.models.training.hands import HIGH, THINGS, Hands, clean_plates, things_of
from worldloom.models.training.recipe import HandRecipe, Recipe, load_recipe

FRAMES = 30
TRACK = (0.53, 0.74, 0.09)
CPU = torch.device("cpu")


@pytest.fixture
def recipe() -> Recipe:
    arm = load_recipe("arm")
    hand = HandRecipe(minutes=0.0, steps=3, batch=6, lr=1e-3, widths=(8, 8, 8), counting=0.1, track=TRACK)
    return replace(arm, spec=replace(arm.spec, height=32, width=48), hand=hand)


@pytest.fixture
def folder(recipe: Recipe, tmp_path: Path) -> Path:
    """Two episodes: in one the hand goes right and a bright square with it, in the other it stands."""
    actions, poses = np.zeros((2 * FRAMES, 4), np.float32), np.zeros((2 * FRAMES, 7), np.float32)
    actions[:FRAMES, 0] = 2.0  # more than a stick can ask for
    poses[:, :4] = (0.4, 0.6, 0.2, 1.0)
    poses[:, 4:] = (0.03, 0.74, 0.09)
    poses[20:FRAMES, 5] -= 0.01 * np.arange(10)
    poses[::FRAMES, 4] = 0.0  # as engines leave it before the first step
    poses[:FRAMES, 0] = 0.4 + 0.005 * np.arange(FRAMES)
    frames = np.full((2 * FRAMES, 32, 48, 3), 80, np.uint8)
    for k in range(2 * FRAMES):
        at = min(k, FRAMES)
        frames[k, 10:20, at : at + 10] = 250
    Shard(frames, actions, poses, np.repeat([0, 1], FRAMES)).save(tmp_path / "data" / "train" / "0000")
    return tmp_path


def test_targets_go_as_actions_say_and_stay_in_their_box(recipe: Recipe, folder: Path) -> None:
    hands = Hands.of(recipe, folder, "train")
    torch.testing.assert_close(hands.targets[3, 0], torch.tensor(0.43))
    assert float(hands.targets[FRAMES - 1, 0]) == HIGH[0]
    torch.testing.assert_close(hands.targets[FRAMES], torch.tensor([0.4, 0.6, 0.2]))


def test_handles_are_where_their_episode_has_them_and_slide_where_they_do(recipe: Recipe, folder: Path) -> None:
    hands = Hands.of(recipe, folder, "train")
    torch.testing.assert_close(hands.things[:, 0], torch.full((2 * FRAMES,), 0.03))
    assert hands.moving.tolist() == list(range(21, FRAMES))
    assert not hands.kinds.any()
    assert recipe.hand
    without = Hands.of(replace(recipe, hand=replace(recipe.hand, track=None)), folder, "train")
    assert not without.things.any()
    assert not len(without.moving)


def test_tasks_say_what_can_be_moved(recipe: Recipe, folder: Path) -> None:
    three = replace(recipe, data=replace(recipe.data, tasks=("pick-place-v3", "drawer-open-v3")))
    assert things_of(three) == (THINGS["pick-place-v3"], things_of(recipe)[0])
    path = folder / "data" / "train" / "0000.poses.npy"
    flags = np.zeros((2 * FRAMES, 3), np.float32)
    flags[FRAMES:, 2] = 1.0
    np.save(path, np.concatenate([np.load(path), flags], 1))
    hands = Hands.of(three, folder, "train")
    assert hands.kinds.tolist() == [0] * FRAMES + [1] * FRAMES
    with pytest.raises(ValueError, match="window-open-v3"):
        things_of(replace(recipe, data=replace(recipe.data, tasks=("window-open-v3",))))


def test_nothing_is_told_across_the_beginning_of_an_episode(recipe: Recipe, folder: Path) -> None:
    hands = Hands.of(recipe, folder, "train")
    told = hands.told(np.array([0, 1, 2, FRAMES]))
    assert told[:, :, 0].tolist() == [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 0.0]]
    first = hands.arm(np.array([FRAMES]))
    assert torch.equal(first.hand, first.before)


def test_the_plate_is_what_stands_behind(recipe: Recipe, folder: Path) -> None:
    (plate,) = clean_plates(recipe, Clips.open(folder / "data" / "train"))
    assert plate.shape == (32, 48, 3)
    assert bool((plate[:, :25] == 80).all()), "what passed by is not in it"


def test_each_task_has_its_own_plate(recipe: Recipe, folder: Path) -> None:
    path = folder / "data" / "train"
    poses, frames = np.load(path / "0000.poses.npy"), np.load(path / "0000.frames.npy")
    flags = np.zeros((2 * FRAMES, 3), np.float32)
    flags[FRAMES:, 2] = 1.0
    frames[FRAMES:] = 40
    np.save(path / "0000.poses.npy", np.concatenate([poses, flags], 1))
    np.save(path / "0000.frames.npy", frames)
    two = replace(recipe, data=replace(recipe.data, tasks=("drawer-open-v3", "pick-place-v3")))
    plates = clean_plates(two, Clips.open(path))
    assert plates[:, 0, 0, 0].tolist() == [80, 40]


def test_own_pictures_begin_anew_where_episodes_end(recipe: Recipe, folder: Path) -> None:
    hands, rng = Hands.of(recipe, folder, "train"), np.random.default_rng(0)
    own = Own.of(hands, 4, rng)
    for _ in range(40):
        assert (hands.clocks[own.at + 1] == hands.clocks[own.at] + 1).all(), "there is a frame to go to"
        before = own.at.copy()
        own.go_on(torch.zeros(4, 2, 32, 48), rng)
        anew = own.at != before + 1
        assert not anew.any() or torch.equal(own.pictures[torch.from_numpy(anew)], hands.pictures(own.at[anew]))


@pytest.mark.slow
def test_stages_run_and_resume(recipe: Recipe, folder: Path) -> None:
    assert recipe.hand
    for steps in (3, 5):
        more = replace(recipe, hand=replace(recipe.hand, steps=steps))
        fit_reach(more, folder, CPU)
        fit_warp(more, folder, CPU)
        for stage in ("reach", "warp"):
            assert torch.load(folder / f"{stage}.pt", weights_only=True)["done"] == steps
    hands = Hands.of(recipe, folder, "train")
    off = rolled_off(load_reach(recipe, folder), hands, np.array([1]), 4, torch.tensor([False]))
    assert off.shape == (1, 4, 7)
    before, after = (hands.arm(np.array([k])).places for k in (4, 5))
    flow, trust = load_warp(recipe, folder)(hands.pictures(np.array([4])), before, after)
    assert (flow.shape, trust.shape) == ((1, 2, 32, 48), (1, 1, 32, 48))


@pytest.mark.slow
def test_a_reader_is_trained_once(recipe: Recipe, folder: Path) -> None:
    assert recipe.hand
    recipe = replace(recipe, autoencoder=replace(recipe.autoencoder, steps=1))
    with pytest.raises(FileNotFoundError, match="run the motion stage"):
        load_read(recipe, folder)
    shutil.copytree(folder / "data" / "train", folder / "data" / "holdout")
    fit_autoencoder(recipe, folder, CPU)
    fit_reader(recipe, folder, CPU)
    reader = load_read(recipe, folder)
    assert reader.kinds == 1
    assert reader.holdout["frames"] == FRAMES
    before = (folder / "reader.safetensors").stat().st_mtime_ns
    fit_reader(recipe, folder, CPU)
    assert (folder / "reader.safetensors").stat().st_mtime_ns == before
