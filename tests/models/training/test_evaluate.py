"""The evaluation against a world whose every measure is known, and against a tiny one from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from worldloom.models.autoencoder import Autoencoder
from worldloom.models.dit import CausalDiT
from worldloom.models.training import evaluate as evaluation
from worldloom.models.training.clips import Clips
from worldloom.models.training.dream import spread
from worldloom.models.training.evaluate import Counts, directions, evaluate, long_dreams, next_frames, rollouts
from worldloom.models.training.fit_autoencoder import autoencoder_config
from worldloom.models.training.fit_dynamics import dit_config
from worldloom.models.training.metrics import change, psnr
from worldloom.models.training.recipe import Recipe
from worldloom.models.weights import save_world
from worldloom.models.world import DiTWorld, DreamConfig

from .oracle import Oracle

FEW = Counts(contexts=30, rollouts=3, starts=3, drift_streams=2, drift_frames=40, drift_tail=24, batch=4)


def oracle(recipe: Recipe, folder: Path, name: str, stride: int = 1, *, strict: bool = True) -> DiTWorld:
    clips = Clips.open(folder / "data" / name)
    return cast(DiTWorld, Oracle(recipe.spec, clips, stride=stride, strict=strict))


@pytest.fixture
def dreamer(toy_recipe: Recipe) -> DiTWorld:
    torch.manual_seed(0)
    dit, autoencoder = CausalDiT(dit_config(toy_recipe)), Autoencoder(autoencoder_config(toy_recipe))
    config = DreamConfig((1.0, 0.0), 0.1, toy_recipe.dynamics.window, azimuth="turn")
    return DiTWorld(toy_recipe.spec, dit, autoencoder, config)


def test_next_frames_of_a_world_that_is_always_right(
    toy_recipe: Recipe, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "MOVING", 8.0)  # about half of the toy's frames
    clips = Clips.open(recordings / "data" / "holdout")
    measured = next_frames(oracle(toy_recipe, recordings, "holdout"), clips, FEW)
    assert measured["next_frames"] == 30
    assert measured["autoencoder_psnr"] == measured["next_frame_psnr"] == 100.0
    assert measured["next_frame_psnr_moving"] == 100.0
    targets = spread(clips.windows(5), 30) + 4
    truth, last = clips.take(targets), clips.take(targets - 1)
    moving = change(truth, last) > 8.0
    assert 5 < moving.sum() < 25
    assert measured["next_frames_moving"] == moving.sum()
    assert measured["copy_last_psnr"] == pytest.approx(psnr(last, truth).mean())
    assert measured["copy_last_psnr_moving"] == pytest.approx(psnr(last, truth)[moving].mean())


def test_a_world_that_repeats_its_last_frame_scores_as_copying(toy_recipe: Recipe, recordings: Path) -> None:
    clips = Clips.open(recordings / "data" / "holdout")
    world = oracle(toy_recipe, recordings, "holdout", stride=0)
    measured = next_frames(world, clips, FEW)
    assert measured["next_frame_psnr"] == pytest.approx(measured["copy_last_psnr"])
    assert measured["next_frame_psnr_moving"] == pytest.approx(measured["copy_last_psnr_moving"])
    far = rollouts(oracle(toy_recipe, recordings, "holdout", stride=0, strict=False), clips, FEW)
    assert far["rollout_psnr"] == pytest.approx(far["rollout_psnr_copy"])


def test_rollouts_follow_the_recording_frame_by_frame(toy_recipe: Recipe, recordings: Path) -> None:
    clips = Clips.open(recordings / "data" / "holdout")
    measured = rollouts(oracle(toy_recipe, recordings, "holdout"), clips, FEW)
    assert measured["rollout_psnr"] == {"1": 100.0, "4": 100.0, "16": 100.0, "32": 100.0, "64": 100.0}
    assert measured["rollout_clips"] == 3
    assert all(value < 40.0 for value in measured["rollout_psnr_copy"].values())


@pytest.mark.parametrize(("stride", "share"), [(1, 1.0), (0, 0.0)])
def test_directions_of_a_world_that_obeys_and_of_one_that_stands_still(
    toy_recipe: Recipe, recordings: Path, stride: int, share: float
) -> None:
    world = oracle(toy_recipe, recordings, "battery", stride, strict=stride == 1)
    measured = directions(world, toy_recipe, recordings, FEW)
    assert measured["direction_accuracy_real"] == {"turn": 1.0}
    assert measured["direction_accuracy"] == {"turn": share}


def test_directions_of_a_world_that_does_the_opposite(toy_recipe: Recipe, recordings: Path) -> None:
    """The same clips under swapped names: what turned right is said to have been asked to turn left."""
    swapped = dict(reversed(toy_recipe.data.directions.items()))
    recipe = replace(toy_recipe, data=replace(toy_recipe.data, directions=swapped))
    measured = directions(oracle(recipe, recordings, "battery"), recipe, recordings, FEW)
    assert measured["direction_accuracy"] == measured["direction_accuracy_real"] == {"turn": 0.0}
    assert measured["direction_amount"]["turn left"]["dream"] < -10.0


def test_a_long_replay_hardly_drifts(toy_recipe: Recipe, recordings: Path) -> None:
    clips = Clips.open(recordings / "data" / "holdout")
    counts = replace(FEW, drift_streams=6, drift_frames=120, drift_tail=120)
    measured = long_dreams(oracle(toy_recipe, recordings, "holdout"), clips, counts)
    assert all(value < 0.1 for value in measured["drift"].values())
    assert measured["drift_autoencoder"] == {"luma": 0.0, "saturation": 0.0, "sharpness": 0.0}
    assert measured["drift_beyond_autoencoder"] == measured["drift"]


def test_a_tiny_world_from_end_to_end(toy_recipe: Recipe, recordings: Path, dreamer: DiTWorld) -> None:
    result = evaluate("toy", folder=recordings, world=dreamer, counts=FEW)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert set(result["rollout_psnr"]) == {"1", "4", "16", "32", "64"}
    assert set(result["direction_accuracy"]) == {"turn"}
    assert set(result["drift"]) == {"luma", "saturation", "sharpness"}
    for key in ("autoencoder_psnr", "next_frame_psnr", "next_frame_psnr_moving", "copy_last_psnr_moving"):
        assert 0.0 < result[key] < 100.0
    assert result["counts"]["contexts"] == 30
    assert result["seconds"]["total"] > 0
    assert result["hardware"]["dtype"] == "float32"
    # Same seeds, same numbers, whatever ran before.
    again = evaluate("toy", folder=recordings, world=dreamer, counts=FEW)
    assert {k: v for k, v in again.items() if k != "seconds"} == {k: v for k, v in result.items() if k != "seconds"}


def test_the_weights_of_a_run_are_found(toy_recipe: Recipe, recordings: Path, dreamer: DiTWorld) -> None:
    path = recordings / "toy-dream.safetensors"
    counts = Counts(contexts=2, rollouts=1, starts=1, drift_streams=1, drift_frames=8, drift_tail=8)
    with pytest.raises(ValueError, match="worldloom train"):
        evaluate("toy", folder=recordings, counts=counts)
    save_world(path, dreamer, {}, torch.float32)
    try:
        assert evaluate("toy", folder=recordings, counts=counts)["world"] == "toy-dream"
    finally:
        path.unlink()
        path.with_suffix(".json").unlink()


def test_a_missing_engine_says_what_to_install(
    recordings: Path, dreamer: DiTWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_engine(recipe: Recipe, folder: Path) -> None:
        raise ModuleNotFoundError("No module named 'vizdoom'")

    monkeypatch.setattr(evaluation, "collect", no_engine)
    with pytest.raises(RuntimeError, match=r"worldloom\[train\]"):
        evaluate("toy", folder=recordings, world=dreamer)


def test_episodes_that_are_too_short_are_an_error_not_a_number(
    toy_recipe: Recipe, recordings: Path, dreamer: DiTWorld
) -> None:
    clips = Clips.open(recordings / "data" / "battery")  # clips of 29 frames
    with pytest.raises(ValueError, match="too short"):
        rollouts(dreamer, clips, FEW)
    assert np.isfinite(next_frames(dreamer, clips, replace(FEW, contexts=2))["next_frame_psnr"])
