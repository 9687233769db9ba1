from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from worldloom.models.training.clips import Clips
from worldloom.models.training.dreamed import Dreamed
from worldloom.models.training.gripper import AXES, CAMERA, gripper_error, pixels
from worldloom.models.training.probe import Probe


def test_the_camera_is_a_right_handed_rotation() -> None:
    np.testing.assert_allclose(AXES @ AXES.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(AXES) == pytest.approx(1.0)


def test_places_in_the_picture_by_hand() -> None:
    ahead = CAMERA - AXES[:, 2]  # one metre in front
    focal = 64 / np.tan(np.deg2rad(30))
    some = np.stack([ahead, ahead + 0.1 * AXES[:, 0], ahead + 0.1 * AXES[:, 1]])
    wanted = [[64, 64], [64 + 0.1 * focal, 64], [64, 64 + 0.1 * focal]]  # turned over: up in the world is down here
    np.testing.assert_allclose(pixels(some, 128, 128), wanted)


def test_an_error_is_the_distance_to_the_engine(recordings: Path) -> None:
    clips = Clips.open(recordings / "data" / "holdout")
    n = len(clips)
    rng = np.random.default_rng(0)
    clips.poses = rng.uniform([-0.2, 0.5, 0.05], [0.2, 0.8, 0.3], (n, 3)).astype(np.float32)
    starts = np.array([0, 20, 40])
    span = starts[:, None] + 4 + np.arange(40)
    # Pictures that carry their index: a stand-in for a probe finds the pose by it.
    truth = np.zeros((n, 2, 2, 3), np.uint8)
    truth[:, 0, 0, 0] = np.arange(n) % 256
    clips.take = lambda indices: truth[indices]  # type: ignore[method-assign]
    read: list[NDArray[np.uint8]] = []

    def probe(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        read.append(pictures)
        return np.asarray(clips.poses[pictures[:, 0, 0, 0].astype(np.int64)])

    instrument = cast(Probe, SimpleNamespace(read=probe))
    right = gripper_error(Dreamed(clips, starts, 4, truth[span]), instrument)
    assert right["gripper_error_px"] == {"1": 0.0, "8": 0.0, "32": 0.0}
    late = gripper_error(Dreamed(clips, starts, 4, truth[span - 1]), instrument)
    moved = pixels(clips.poses[span[:, 0] - 1], 2, 2) - pixels(clips.poses[span[:, 0]], 2, 2)
    assert late["gripper_error_px"]["1"] == pytest.approx(np.median(np.hypot(*moved.T)))
    assert late["gripper_error_px_mean"]["1"] == pytest.approx(np.hypot(*moved.T).mean())
    assert late["gripper_error_px_real"] == {"1": 0.0, "8": 0.0, "32": 0.0}
