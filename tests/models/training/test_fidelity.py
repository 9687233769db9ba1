"""Pictures, rollouts and control, against a world whose every measure is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from worldloom.models.spec import Actions, Frames
from worldloom.models.training import fidelity
from worldloom.models.training.clips import Clips
from worldloom.models.training.counts import Counts
from worldloom.models.training.dream import spread
from worldloom.models.training.dreamed import LENGTH, Dreamed, dream_clips
from worldloom.models.training.fidelity import controllability, far_rollouts, next_frames, rollouts, strangers
from worldloom.models.training.metrics import change, psnr
from worldloom.models.training.recipe import Recipe
from worldloom.models.world import DiTWorld

from .oracle import Oracle, Place

FEW = Counts(contexts=30, rollouts=3, far=2, batch=4)


class Obedient(Oracle):
    """Goes on in the recording only under the recorded action, and stands still under any other."""

    def step(self, states: Sequence[Place], actions: Actions) -> Frames:
        for state, rows in zip(states, actions, strict=True):
            if (rows[0] == self.clips.leading[(state.at + 1) % len(self.clips)]).all():
                state.at = (state.at + 1) % len(self.clips)
        return np.stack([self.clips.frame(state.at)[None] for state in states])


@pytest.fixture
def holdout(recordings: Path) -> Clips:
    return Clips.open(recordings / "data" / "holdout")


def oracle(recipe: Recipe, clips: Clips, stride: int = 1, *, strict: bool = True) -> DiTWorld:
    return cast(DiTWorld, Oracle(recipe.spec, clips, stride=stride, strict=strict))


def dreamed(world: DiTWorld, clips: Clips) -> Dreamed:
    return dream_clips(world, clips, 3, LENGTH, 2)


def test_next_frames_of_a_world_that_is_always_right(
    toy_recipe: Recipe, holdout: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fidelity, "MOVING", 8.0)  # about half of the toy's frames
    measured = next_frames(oracle(toy_recipe, holdout), holdout, FEW)
    assert measured["next_frames"] == 30
    assert measured["autoencoder_psnr"] == measured["next_frame_psnr"] == 100.0
    assert measured["next_frame_psnr_moving"] == 100.0
    assert measured["next_frame_ssim"] == pytest.approx(1.0)
    assert measured["copy_last_ssim_moving"] < measured["copy_last_ssim"] < 1.0
    targets = spread(holdout.windows(5), 30) + 4
    truth, last = holdout.take(targets), holdout.take(targets - 1)
    moving = change(truth, last) > 8.0
    assert 5 < moving.sum() < 25
    assert measured["next_frames_moving"] == moving.sum()
    assert measured["copy_last_psnr"] == pytest.approx(psnr(last, truth).mean())
    assert measured["copy_last_psnr_moving"] == pytest.approx(psnr(last, truth)[moving].mean())


def test_a_world_that_repeats_its_last_frame_scores_as_copying(toy_recipe: Recipe, holdout: Clips) -> None:
    measured = next_frames(oracle(toy_recipe, holdout, stride=0), holdout, FEW)
    for key in ("psnr", "psnr_moving", "ssim", "ssim_moving"):
        assert measured[f"next_frame_{key}"] == pytest.approx(measured[f"copy_last_{key}"])
    far = rollouts(dreamed(oracle(toy_recipe, holdout, stride=0, strict=False), holdout))
    assert far["rollout_psnr"] == pytest.approx(far["rollout_psnr_copy"])


def test_rollouts_follow_the_recording_frame_by_frame(toy_recipe: Recipe, holdout: Clips) -> None:
    clips = dreamed(oracle(toy_recipe, holdout), holdout)
    np.testing.assert_array_equal(np.stack(list(clips.real())), clips.made)
    measured = rollouts(clips)
    assert measured["rollout_psnr"] == {"1": 100.0, "4": 100.0, "16": 100.0, "32": 100.0, "64": 100.0}
    assert measured["rollout_ssim"] == pytest.approx({"1": 1.0, "4": 1.0, "16": 1.0, "32": 1.0, "64": 1.0})
    assert measured["rollout_clips"] == 3
    assert all(value < 40.0 for value in measured["rollout_psnr_copy"].values())


def test_clips_between_lie_within_episodes(toy_recipe: Recipe, holdout: Clips) -> None:
    clips = dream_clips(oracle(toy_recipe, holdout), holdout, 8, 20, 4)
    between = list(clips.between())
    assert 4 <= len(between) <= 7
    middle = int(clips.starts[0] + clips.starts[1]) // 2 + clips.known
    np.testing.assert_array_equal(between[0], holdout.take(np.arange(middle, middle + 20)))


def test_far_rollouts_need_long_episodes(toy_recipe: Recipe, holdout: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    world = oracle(toy_recipe, holdout)
    assert far_rollouts(world, holdout, FEW) is None  # episodes of 100 frames
    monkeypatch.setattr(fidelity, "FAR", 90)
    far = far_rollouts(world, holdout, FEW)
    assert far is not None
    assert far["rollout_psnr"] == 100.0
    assert far["rollout_ssim"] == pytest.approx(1.0)
    assert far["rollout_psnr_copy"] < 40.0


def test_control_is_what_other_actions_cost(toy_recipe: Recipe, holdout: Clips) -> None:
    deaf = oracle(toy_recipe, holdout, strict=False)
    assert controllability(deaf, dreamed(deaf, holdout), 2)["controllability_gap"] == 0.0
    obedient = cast(DiTWorld, Obedient(toy_recipe.spec, holdout))
    assert controllability(obedient, dreamed(obedient, holdout), 2)["controllability_gap"] > 20.0


def test_strangers_come_from_other_episodes(holdout: Clips) -> None:
    starts = spread(holdout.windows(10), 20)
    donors = strangers(holdout, starts)
    assert (holdout.episodes[donors] != holdout.episodes[starts]).all()
    with pytest.raises(ValueError, match="two"):
        strangers(holdout, starts[:3])


def test_episodes_that_are_too_short_are_an_error_not_a_number(toy_recipe: Recipe, recordings: Path) -> None:
    clips = Clips.open(recordings / "data" / "battery")  # clips of 29 frames
    world = oracle(toy_recipe, clips)
    with pytest.raises(ValueError, match="too short"):
        dreamed(world, clips)
    assert next_frames(world, clips, Counts(contexts=2))["next_frame_psnr"] == 100.0
