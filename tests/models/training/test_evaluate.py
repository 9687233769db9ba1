"""The evaluation against a world whose every measure is known, and against a tiny one from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch

from worldloom.models.autoencoder import Autoencoder
from worldloom.models.dit import CausalDiT
from worldloom.models.training import missing
from worldloom.models.training.clips import Clips
from worldloom.models.training.counts import Counts
from worldloom.models.training.directions import directions
from worldloom.models.training.evaluate import PARTS, evaluate
from worldloom.models.training.fit_autoencoder import autoencoder_config
from worldloom.models.training.fit_dynamics import dit_config
from worldloom.models.training.recipe import Recipe
from worldloom.models.weights import save_world
from worldloom.models.world import DiTWorld, DreamConfig

from .oracle import Oracle

FEW = Counts(
    contexts=30,
    rollouts=6,
    far=1,
    starts=3,
    drift_streams=2,
    drift_frames=40,
    drift_tail=24,
    long_streams=1,
    long_frames=60,
    long_tail=40,
    places=2,
    reader_frames=200,
    reader_steps=4,
    batch=4,
)


def oracle(recipe: Recipe, folder: Path, name: str, stride: int = 1, *, strict: bool = True) -> DiTWorld:
    clips = Clips.open(folder / "data" / name)
    return cast(DiTWorld, Oracle(recipe.spec, clips, stride=stride, strict=strict))


@pytest.fixture
def dreamer(toy_recipe: Recipe) -> DiTWorld:
    torch.manual_seed(0)
    dit, autoencoder = CausalDiT(dit_config(toy_recipe)), Autoencoder(autoencoder_config(toy_recipe))
    config = DreamConfig((1.0, 0.0), 0.1, toy_recipe.dynamics.window, azimuth="turn")
    return DiTWorld(toy_recipe.spec, dit, autoencoder, config)


@pytest.mark.parametrize(("stride", "share"), [(1, 1.0), (0, 0.0)])
def test_directions_of_a_world_that_obeys_and_of_one_that_stands_still(
    toy_recipe: Recipe, recordings: Path, stride: int, share: float
) -> None:
    world = oracle(toy_recipe, recordings, "battery", stride, strict=stride == 1)
    measured = directions(world, toy_recipe, recordings, FEW)
    assert measured["direction_accuracy_real"] == {"turn": 1.0}
    assert measured["direction_accuracy"] == {"turn": share}
    assert measured["direction_accuracy_interval"] == {"turn": [share, share]}
    assert measured["speed_ratio"]["turn"] == pytest.approx(float(stride), abs=0.01)


def test_directions_of_a_world_that_does_the_opposite(toy_recipe: Recipe, recordings: Path) -> None:
    """The same clips under swapped names: what turned right is said to have been asked to turn left."""
    swapped = dict(reversed(toy_recipe.data.directions.items()))
    recipe = replace(toy_recipe, data=replace(toy_recipe.data, directions=swapped))
    measured = directions(oracle(recipe, recordings, "battery"), recipe, recordings, FEW)
    assert measured["direction_accuracy"] == measured["direction_accuracy_real"] == {"turn": 0.0}
    assert measured["direction_amount"]["turn left"]["dream"] < -10.0


@pytest.mark.slow
def test_a_tiny_world_from_end_to_end(recordings: Path, dreamer: DiTWorld, tmp_path: Path) -> None:
    result = evaluate("toy", folder=recordings, world=dreamer, counts=FEW, report=tmp_path)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert set(result["rollout_psnr"]) == {"1", "4", "16", "32", "64"}
    assert set(result["direction_accuracy"]) == {"turn"}
    assert set(result["drift"]) == {"luma", "saturation", "sharpness"}
    assert set(result["drift_10000"]) == {"luma", "saturation", "sharpness", "flow"}
    for key in ("autoencoder_psnr", "next_frame_psnr", "next_frame_psnr_moving", "copy_last_psnr_moving"):
        assert 0.0 < result[key] < 100.0
    for key in ("look_around_psnr", "look_around_unrelated_psnr", "there_and_back_psnr", "look_error_deg"):
        assert 0.0 < result[key] < 100.0
    for key in ("key_macro_f1", "key_macro_f1_ceiling"):
        assert 0.0 <= result[key] <= 1.0
    assert set(result["frechet"]) == set(result["frechet_floor"]) == {"16", "64"}
    # What could not be measured says why; nothing is there under both.
    assert set(result["absent"]) == {
        "rollout_psnr.256", "wall_penetration", "gripper_error_px", "success_precision", "success_recall",
    }  # fmt: skip
    assert not set(result["absent"]) & set(result)
    page = (tmp_path / "index.html").read_text()
    assert f"{result['key_macro_f1_ceiling']:.4g}" in page
    assert "data:video/mp4" in page
    assert result["counts"]["contexts"] == 30
    assert result["seconds"]["total"] > 0
    assert result["hardware"]["dtype"] == "float32"
    # Same seeds, same numbers, whatever ran before; and in parts as in one.
    halves = list(PARTS)[:4], list(PARTS)[4:]
    first, last = (evaluate("toy", folder=recordings, world=dreamer, counts=FEW, parts=half) for half in halves)
    assert set(first["seconds"]) == {*halves[0], "total"}
    again = first | last | {"absent": first["absent"] | last["absent"]}
    assert {k: v for k, v in again.items() if k != "seconds"} == {k: v for k, v in result.items() if k != "seconds"}


def test_parts_that_there_are_not_and_pages_of_some_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pictures, .* got dreems"):
        evaluate("arm", parts=["dreems", "drift"])
    with pytest.raises(ValueError, match="expected all parts for a page, got drift"):
        evaluate("arm", parts=["drift"], report=tmp_path)


@pytest.mark.slow
def test_the_weights_of_a_run_are_found(toy_recipe: Recipe, recordings: Path, dreamer: DiTWorld) -> None:
    path = recordings / "toy-dream.safetensors"
    counts = replace(FEW, contexts=2, rollouts=4, starts=1, drift_streams=1, drift_frames=8, drift_tail=8)
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

    monkeypatch.setattr(missing, "collect", no_engine)
    with pytest.raises(RuntimeError, match=r"worldloom\[train\]"):
        evaluate("toy", folder=recordings, world=dreamer)
