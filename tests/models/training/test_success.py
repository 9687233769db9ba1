from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from worldloom.models.training.clips import Clips, Shard
from worldloom.models.training.success import (
    SuccessConfig,
    SuccessReader,
    _shifted,
    agreement,
    fit_success,
    open_success,
    succeeded,
)


def poses(handles: list[float]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Poses whose drawers stand at these depths."""
    return np.array([[0, 0.6, 0.2, 1.0, 0.05, depth, 0.09] for depth in handles], np.float32)


def drawers(tmp_path: Path, count: int = 120) -> Clips:
    """Pictures of a bright bar that slides with the drawer."""
    rng = np.random.default_rng(0)
    depths = rng.choice([0.53, 0.55, 0.62, 0.7], count, p=[0.15, 0.15, 0.35, 0.35])
    frames = rng.integers(0, 60, (count, 32, 32, 3))
    for frame, depth in zip(frames, depths, strict=True):
        at = int((depth - 0.5) * 120)
        frame[at : at + 5] += 150
    shard = Shard(
        frames.astype(np.uint8), np.zeros((count, 4), np.float32), poses(depths.tolist()), np.zeros(count, np.int64)
    )
    shard.save(tmp_path / "0000")
    return Clips.open(tmp_path)


def test_success_is_the_handle_within_three_centimetres() -> None:
    assert succeeded(poses([0.73, 0.575, 0.565, 0.54, 0.512, 0.505])).tolist() == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]


def test_open_drawers_are_told_from_closed_ones(tmp_path: Path) -> None:
    clips = drawers(tmp_path)
    reader = fit_success(clips, SuccessConfig(seed=0, steps=60, batch=32))
    said = reader.read(clips.take(np.arange(len(clips)))) > 0
    assert (said == succeeded(clips.poses)).mean() > 0.95


def test_pictures_are_moved_whole_and_not_far() -> None:
    """So that what is beside what counts, and not where it is."""
    pictures = torch.rand(20, 3, 24, 36)
    moved = _shifted(pictures, 12)
    ways = set()
    for before, after in zip(pictures, moved, strict=True):
        found = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-3, 4)
            if torch.equal(after, before.roll((down, right), (1, 2)))
        ]
        assert len(found) == 1
        ways |= set(found)
    assert len(ways) > 5


def test_recordings_of_one_kind_are_refused(tmp_path: Path) -> None:
    clips = drawers(tmp_path)
    clips.poses[:, 5] = 0.7
    with pytest.raises(ValueError, match="0 of success"):
        fit_success(clips, SuccessConfig(seed=0))


def test_it_is_trained_once(tmp_path: Path) -> None:
    clips, config = drawers(tmp_path), SuccessConfig(seed=0, steps=2, batch=4)
    open_success(tmp_path / "success.pt", clips, config)
    written = (tmp_path / "success.pt").stat().st_mtime_ns
    open_success(tmp_path / "success.pt", clips, config)
    assert (tmp_path / "success.pt").stat().st_mtime_ns == written


def test_agreement_by_hand() -> None:
    reader = cast(SuccessReader, SimpleNamespace(read=lambda p: p[:, 0, 0, 0].astype(np.float32) - 100.0))
    true = poses([0.54, 0.54, 0.7, 0.7])
    lit = np.zeros((4, 2, 2, 3), np.uint8)
    lit[[0, 2]] = 200
    real = np.zeros_like(lit)
    real[:2] = 200
    assert agreement(reader, lit, real, true) == {
        "success_attempts": 4,
        "success_engine": 2,
        "success_precision": 0.5,
        "success_recall": 0.5,
        "success_precision_real": 1.0,
        "success_recall_real": 1.0,
    }
    assert agreement(reader, np.zeros_like(lit), real, true)["success_precision"] is None


def test_of_several_tasks_the_flag_is_recorded_and_each_has_its_confusion() -> None:
    reader = cast(SuccessReader, SimpleNamespace(read=lambda p: p[:, 0, 0, 0].astype(np.float32) - 100.0))
    flags = np.array([[0, 1, 0], [0, 0, 0], [0, 1, 1]], np.float32)  # blocked, done, task
    recorded = np.concatenate([poses([0.7, 0.54, 0.7]), flags], 1)
    assert succeeded(recorded).tolist() == [True, False, True]
    lit = np.zeros((3, 2, 2, 3), np.uint8)
    lit[:2] = 200
    found = agreement(reader, lit, lit, recorded, ("drawer", "button", "puck"))
    assert found["success_precision"] == 0.5
    assert found["success_by_task"] == {
        "drawer": {"both": 1, "engine_alone": 0, "picture_alone": 1, "neither": 0},
        "button": {"both": 0, "engine_alone": 1, "picture_alone": 0, "neither": 0},
    }
