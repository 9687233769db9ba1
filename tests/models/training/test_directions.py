from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from worldloom.models.training.clips import Clips, Shard
from worldloom.models.training.collect import CONTEXT, HELD, STARTS
from worldloom.models.training.directions import (
    FLOWS,
    FlowReader,
    HandReader,
    accuracy,
    batteries,
    group_of,
    intervals,
    open_reader,
    speed_ratios,
    walking,
)
from worldloom.models.training.flow import across, expansion
from worldloom.models.training.probe import ProbeConfig, fit_probe, open_probe
from worldloom.models.training.recipe import Recipe

Clip = NDArray[np.uint8]


def texture(seed: int, size: int = 256) -> NDArray[np.uint8]:
    """Smooth coloured noise, (size, size, 3)."""
    noise = np.random.default_rng(seed).uniform(0, 255, (size, size, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.asarray((soft - soft.min()) / (soft.max() - soft.min()) * 255, np.uint8)


def sliding(seed: int, pixels: float, frames: int = HELD + 1) -> Clip:
    """(1, T, 96, 128, 3): the scene moves right by that many pixels a frame."""
    big = texture(seed)
    moves = (np.array([[1, 0, -60 + pixels * t], [0, 1, -60]], np.float32) for t in range(frames))
    shots = [cv2.warpAffine(big, move, (128, 96), borderMode=cv2.BORDER_WRAP) for move in moves]
    return np.stack(shots).astype(np.uint8)[None]


def zooming(seed: int, factor: float, frames: int = HELD + 1) -> Clip:
    """(1, T, 96, 128, 3): the scene grows by that factor a frame about the centre."""
    big = texture(seed)
    shots = []
    for t in range(frames):
        scale = factor ** (t - frames // 2)
        move = np.array([[scale, 0, 64 - 128 * scale], [0, scale, 48 - 128 * scale]], np.float32)
        shots.append(cv2.warpAffine(big, move, (128, 96), borderMode=cv2.BORDER_WRAP))
    return np.stack(shots).astype(np.uint8)[None]


def test_names_of_groups() -> None:
    assert [group_of(name) for name in ("x+", "z-", "turn left", "walk back")] == ["x", "z", "turn", "walk"]


def test_expansion_and_shift_of_exact_flow_fields() -> None:
    x, y = np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 48))
    outward = np.stack([x, y], -1).astype(np.float32)
    right = np.zeros((48, 64, 2), np.float32)
    right[..., 0] = 2.0
    assert expansion(outward) > 0.6
    assert expansion(-outward) < -0.6
    assert across(outward) == pytest.approx(0.0, abs=1e-6)
    assert across(right) == pytest.approx(2.0)
    assert expansion(right) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("pixels", [0.6, 3.0, 8.0])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_flow_across(pixels: float, seed: int) -> None:
    reader = FlowReader()
    right, left = sliding(seed, pixels), sliding(seed, -pixels)
    assert reader.follow("turn left", right)[0] == pytest.approx(pixels * HELD, rel=0.3)
    assert reader.follow("turn right", left)[0] == pytest.approx(pixels * HELD, rel=0.3)
    assert reader.follow("turn right", right)[0] < -reader.still
    assert reader.follow("strafe left", left)[0] < -reader.still


@pytest.mark.parametrize("factor", [1.01, 1.04])
def test_flow_of_walking(factor: float) -> None:
    reader = FlowReader()
    closer, away = zooming(2, factor), zooming(2, 1 / factor)
    assert reader.follow("walk forward", closer)[0] > reader.still
    assert reader.follow("walk back", away)[0] > reader.still
    assert reader.follow("walk back", closer)[0] < -reader.still


def test_dim_and_soft_pictures_are_read_as_well() -> None:
    """Walls in the dark, and the blur of a dream."""
    dim = (sliding(3, 3.0).astype(np.float32) * 0.15).astype(np.uint8)
    assert FlowReader().follow("turn left", dim)[0] > 20.0


def test_a_still_picture_follows_nothing() -> None:
    still = np.repeat(sliding(4, 1.0)[:, :1], HELD + 1, 1)
    noise = np.random.default_rng(0).integers(-2, 3, still.shape)
    flicker = np.clip(still.astype(np.int16) + noise, 0, 255).astype(np.uint8)
    for direction in list(FLOWS)[::2]:  # its opposite reads the same with the other sign
        assert abs(FlowReader().follow(direction, still)[0]) < FlowReader.still
        assert abs(FlowReader().follow(direction, flicker)[0]) < FlowReader.still


def test_clips_of_a_batch_are_read_one_by_one() -> None:
    both = np.concatenate([sliding(0, 3.0), sliding(1, -3.0)])
    amounts = FlowReader().follow("turn left", both)
    assert amounts[0] > 0 > amounts[1]


def hands(count: int, seed: int) -> Shard:
    """A white square on grey: pose columns are its x, its y, and its brightness."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0.0, 1.0, (count, 3)).astype(np.float32)
    frames = np.full((count, 64, 64, 3), 90, np.uint8)
    for frame, (x, y, z) in zip(frames, places, strict=True):
        left, top = int(x * 48), int(y * 48)
        frame[top : top + 16, left : left + 16] = int(120 + 130 * z)
    return Shard(frames, np.zeros((count, 4), np.float32), places, np.zeros(count, np.int64))


QUICK_PROBE = ProbeConfig(seed=0, frames=400, samples=400, steps=150, batch=32)


@pytest.fixture(scope="module")
def hand_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hands")
    hands(400, 0).save(folder / "data" / "train" / "0000")
    open_probe(folder / "probe.pt", Clips.open(folder / "data" / "train"), QUICK_PROBE)
    return folder


@pytest.mark.slow
def test_a_probe_reads_where_the_hand_went(hand_folder: Path) -> None:
    clips = Clips.open(hand_folder / "data" / "train")
    reader = HandReader(open_probe(hand_folder / "probe.pt", clips, QUICK_PROBE))
    unseen = hands(60, 1)
    pairs = unseen.frames.reshape(30, 2, 64, 64, 3)
    moved = np.diff(unseen.poses.reshape(30, 2, 3), axis=1)[:, 0]
    for axis, name in enumerate("xyz"):
        plus, minus = reader.follow(f"{name}+", pairs), reader.follow(f"{name}-", pairs)
        clear = np.abs(moved[:, axis]) > 0.3
        assert (np.sign(plus[clear]) == np.sign(moved[clear, axis])).mean() > 0.9
        np.testing.assert_allclose(plus, -minus)


@pytest.mark.slow
def test_a_probe_is_kept_and_retrained_only_when_its_configuration_changes(
    hand_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = Clips.open(hand_folder / "data" / "train")
    fitted: list[ProbeConfig] = []

    def count(clips: Clips, config: ProbeConfig) -> object:
        fitted.append(config)
        return fit_probe(clips, replace(config, steps=1))

    monkeypatch.setattr("worldloom.models.training.probe.fit_probe", count)
    path = hand_folder / "probe.pt"
    one, two = open_probe(path, clips, QUICK_PROBE), open_probe(path, clips, QUICK_PROBE)
    assert not fitted
    np.testing.assert_array_equal(one.read(clips.take(np.arange(5))), two.read(clips.take(np.arange(5))))
    open_probe(hand_folder / "other.pt", clips, replace(QUICK_PROBE, seed=7))
    assert [config.seed for config in fitted] == [7]


@pytest.mark.slow
def test_fitting_a_probe_leaves_the_global_randomness_alone(hand_folder: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    fit_probe(Clips.open(hand_folder / "data" / "train"), replace(QUICK_PROBE, steps=1))
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.slow
def test_the_reader_fits_the_directions(toy_recipe: Recipe, hand_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_reader(toy_recipe, hand_folder), FlowReader)
    named = replace(toy_recipe, data=replace(toy_recipe.data, directions={"x+": {}, "x-": {}}))
    monkeypatch.setattr("worldloom.models.training.directions.ProbeConfig", lambda seed: replace(QUICK_PROBE, seed=0))
    assert isinstance(open_reader(named, hand_folder), HandReader)
    odd = replace(toy_recipe, data=replace(toy_recipe.data, directions={"jump": {}}))
    with pytest.raises(ValueError, match="jump"):
        open_reader(odd, hand_folder)


def test_batteries_point_at_the_held_action(toy_recipe: Recipe, recordings: Path) -> None:
    clips = Clips.open(recordings / "data" / "battery")
    found = list(batteries(toy_recipe, clips, 7))
    assert [battery.direction for battery in found] == list(toy_recipe.data.directions)
    for battery, turn in zip(found, (5.0, -5.0), strict=True):
        assert battery.span.shape == (7, HELD + 1)
        assert (clips.leading[battery.span[:, 1:], 4] == turn).all()
        assert (clips.episodes[battery.span[:, 0] - CONTEXT] == clips.episodes[battery.span[:, -1]]).all()
        assert not (clips.leading[battery.begin, 4] == turn).all()
    assert sum(len(battery.starts) for battery in batteries(toy_recipe, clips, 99)) == 2 * STARTS


def test_a_battery_of_another_recipe_is_refused(toy_recipe: Recipe, recordings: Path) -> None:
    with pytest.raises(ValueError, match="collect again"):
        list(batteries(toy_recipe, Clips.open(recordings / "data" / "holdout"), 5))


def test_accuracy_pools_opposite_directions() -> None:
    right = {"x+": np.array([True, True]), "x-": np.array([True, False]), "y+": np.array([False])}
    assert accuracy(right) == {"x": 0.75, "y": 0.0}


def test_intervals_hold_the_share_and_narrow_with_clips() -> None:
    few = intervals({"x+": np.arange(10) < 7, "x-": np.arange(10) < 7})["x"]
    many = intervals({"x+": np.arange(1000) < 700, "x-": np.arange(1000) < 700})["x"]
    assert few[0] < many[0] < 0.7 < many[1] < few[1]
    assert intervals({"y+": np.ones(5, bool)})["y"] == [1.0, 1.0]


def test_speed_is_signed_and_pools_opposite_directions() -> None:
    real = {"turn left": np.array([8.0, 10.0, 12.0]), "turn right": np.array([10.0]), "walk back": np.array([4.0])}
    went = {"turn left": np.array([4.0, 5.0, 99.0]), "turn right": np.array([10.0]), "walk back": np.array([-2.0])}
    assert speed_ratios(went, real) == {"turn": 0.75, "walk": -0.5}


def test_the_battery_of_walking_is_a_script_to_play(toy_recipe: Recipe, recordings: Path) -> None:
    directions = {"walk forward": {"turn": 5.0}, "walk back": {"turn": -5.0}}  # the toy's battery under other names
    recipe = replace(toy_recipe, data=replace(toy_recipe.data, directions=directions))
    played = walking(recipe, recordings, 3)
    assert played.span.shape == (3, HELD + 1)
    assert (played.clips.leading[played.span[:, 1:], 4] == 5.0).all()
