"""Poses as rows of a world's columns: a camera that hears the rows goes where the poses are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from worldloom.client.camera import CannotMove
from worldloom.client.pose_path import angles_of, rows
from worldloom.client.poses import Pose, from_opengl, to_opengl
from worldloom.models.toy import ToyWorld
from worldloom.models.wan.camera_steering import CameraSteering
from worldloom.models.wan.config import CameraShape
from worldloom.models.wan.rays import pitched, rolled, yawed
from worldloom.streamer.world_info import WorldInfo

MOST = 9.0  # degrees a picture
STEER = CameraSteering(CameraShape(most=MOST), 16, 16, 2)
FILMED = WorldInfo.of(replace(ToyWorld(chunk=4).spec, actions=STEER.actions))
TOY = WorldInfo.of(ToyWorld().spec)

shares = st.floats(-1, 1)
beginnings = st.tuples(st.floats(-180, 180), st.floats(-40, 40), st.floats(-180, 180))


def posed(yaw: float, pitch: float, roll: float, place: Sequence[float] = (0, 0, 0)) -> Pose:
    """In degrees and metres."""
    angles = [torch.tensor(float(angle)) for angle in (yaw, pitch, roll)]
    made = np.eye(4)
    made[:3, :3] = (yawed(angles[0]) @ pitched(angles[1]) @ rolled(angles[2])).numpy()
    made[:3, 3] = place
    return made


def walked(begin: tuple[float, float, float], moves: list[tuple[float, ...]]) -> NDArray[np.float64]:
    """(F + 1, 4, 4): a frame turns up to 5 degrees about each axis, and goes up to 0.1 m along each."""
    angles, place, poses = np.array(begin), np.zeros(3), list[Pose]()
    for move in [(0.0,) * 6, *moves]:
        angles, place = angles + 5.0 * np.array(move[:3]), place + 0.1 * np.array(move[3:])
        poses.append(posed(angles[0], angles[1], angles[2], place.tolist()))
    return np.stack(poses)


@given(beginnings, st.lists(st.tuples(*[shares] * 6), min_size=8, max_size=8))
def test_a_world_that_hears_the_rows_sees_from_the_poses(
    begin: tuple[float, float, float], moves: list[tuple[float, ...]]
) -> None:
    """Told from one latent frame to the next, in units of its fastest move; it began level, and turned as the poses."""
    poses = walked((begin[0], 0.0, 0.0), moves)
    told, _ = STEER.hear(STEER.rest(), torch.from_numpy(rows(poses, FILMED)), False)
    fastest = float(np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).max()) or 1.0
    for k, relative in enumerate(told.numpy()):
        want = np.linalg.inv(poses[4 * k]) @ poses[4 * k + 4]
        assert np.allclose(relative[:, :3], want[:3, :3], atol=1e-4)
        assert np.allclose(relative[:, 3], want[:3, 3] / fastest / 4.0, atol=1e-4)


@given(st.tuples(st.floats(-179, 179), st.floats(-89, 89), st.floats(-179, 179)))
def test_angles_are_what_a_pose_was_made_of(angles: tuple[float, float, float]) -> None:
    assert np.allclose(angles_of(posed(*angles)[None])[0], angles, atol=1e-6)


def test_a_turn_goes_the_short_way_round() -> None:
    made = rows(np.stack([posed(yaw, 0, 0) for yaw in (176.0, 180.0, -176.0)]), FILMED)
    assert made[:, 3].tolist() == pytest.approx([4.0, 4.0, 0.0, 0.0], abs=1e-4), "and rests to the end of the chunk"
    assert not made[:, [0, 1, 2, 4, 5]].any()


def test_an_engines_film_reaches_a_maze_too() -> None:
    film = [to_opengl(posed(3.0 * k, 0, 0, (0, 0, 0))) for k in range(11)]
    made = rows(np.stack([from_opengl(matrix) for matrix in film]), TOY)
    assert made.sum() == pytest.approx(30.0, rel=1e-5)
    straight = np.stack([posed(90, 0, 0, (0.2 * k, 0, 0)) for k in range(6)])
    assert rows(straight, TOY)[:, TOY.actions.columns.index("forward")].tolist() == [1.0] * 5
    half = rows(straight, TOY, stride=0.4)[:, TOY.actions.columns.index("forward")]
    assert half.sum() == pytest.approx(2.5, abs=0.5)


def test_what_cannot_be_followed_is_refused() -> None:
    with pytest.raises(CannotMove, match=r"'toy' cannot tilt"):
        rows(np.stack([posed(0, 0, 0), posed(0, 5, 0)]), TOY)
    with pytest.raises(CannotMove, match="times as long"):
        rows(np.stack([posed(0, 0, 0), posed(20, 0, 0)]), FILMED)
    with pytest.raises(CannotMove, match="times as long"):
        rows(np.stack([posed(0, 0, 0), posed(0, 0, 0, (0, 0, 3))]), FILMED, stride=1.0)
    with pytest.raises(ValueError, match="look up or down"):
        rows(np.stack([posed(0, 0, 0), posed(0, 90, 0)]), FILMED)
    with pytest.raises(ValueError, match=r"expected finite poses \(F \+ 1, 4, 4\), got \(4, 4\)"):
        rows(np.eye(4), FILMED)
    with pytest.raises(ValueError, match="scales, shears or mirrors"):
        rows(np.stack([posed(0, 0, 0), np.diag([2.0, 2.0, 2.0, 1.0])]), FILMED)
    with pytest.raises(ValueError, match="last row"):
        rows(np.stack([posed(0, 0, 0), 2 * np.eye(4)]), FILMED)
