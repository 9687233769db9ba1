"""Poses of engines and robots: there and back, and each axis where it belongs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldloom.client.poses import (
    Pose,
    from_opengl,
    from_ros,
    from_unity,
    from_unreal,
    pose,
    to_opengl,
    to_ros,
    to_unity,
    to_unreal,
)

Convert = Callable[[Pose], Pose]

# From, to, a metre in its unit, and its right, up and forward.
ENGINES: dict[str, tuple[Convert, Convert, float, tuple[tuple[int, ...], ...]]] = {
    "opengl": (from_opengl, to_opengl, 1.0, ((1, 0, 0), (0, 1, 0), (0, 0, -1))),
    "unity": (from_unity, to_unity, 1.0, ((1, 0, 0), (0, 1, 0), (0, 0, 1))),
    "unreal": (from_unreal, to_unreal, 100.0, ((0, 1, 0), (0, 0, 1), (1, 0, 0))),
    "ros": (from_ros, to_ros, 1.0, ((0, -1, 0), (0, 0, 1), (1, 0, 0))),
}
OURS = ((1, 0, 0), (0, -1, 0), (0, 0, 1))

metres = st.floats(-1e3, 1e3)
places = st.tuples(metres, metres, metres)
turns = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda turn: math.hypot(*turn) > 0.1)
poses = st.builds(pose, places, turns)
engines = pytest.mark.parametrize("name", ENGINES)


@given(turns, places)
def test_a_pose_turns_and_moves_and_no_more(turn: tuple[float, ...], place: tuple[float, ...]) -> None:
    made = pose(place, turn)
    assert np.allclose(made[:3, :3] @ made[:3, :3].T, np.eye(3))
    assert np.linalg.det(made[:3, :3]) == pytest.approx(1.0)
    assert tuple(made[:3, 3]) == place


def test_a_quaternion_turns_by_the_right_hand() -> None:
    half = math.sin(math.radians(45))
    assert np.allclose(pose((0, 0, 0), (0, 0, half, half))[:3, :3] @ (1, 0, 0), (0, 1, 0))
    with pytest.raises(ValueError, match="expected a quaternion"):
        pose((0, 0, 0), (0, 0, 0, 0))


@engines
@given(before=poses)
def test_there_and_back(name: str, before: Pose) -> None:
    there, back, _, _ = ENGINES[name]
    assert np.allclose(back(there(before)), before)
    assert np.allclose(there(back(before)), before)


@engines
@given(before=poses)
def test_it_stays_a_pose(name: str, before: Pose) -> None:
    made = ENGINES[name][0](before)
    assert np.allclose(made[:3, :3] @ made[:3, :3].T, np.eye(3))
    assert np.linalg.det(made[:3, :3]) == pytest.approx(1.0)


@engines
@given(one=poses, two=poses)
def test_one_movement_after_another_is_the_same_in_both(name: str, one: Pose, two: Pose) -> None:
    there = ENGINES[name][0]
    assert np.allclose(there(one @ two), there(one) @ there(two), atol=1e-6)


@engines
@pytest.mark.parametrize("axis", [0, 1, 2], ids=["right", "up", "forward"])
def test_right_is_right_and_up_is_up(name: str, axis: int) -> None:
    there, _, metre, theirs = ENGINES[name]
    before = np.eye(4)
    before[:3, 3] = np.multiply(theirs[axis], metre * 2.5)
    assert np.allclose(there(before)[:3, 3], np.multiply(OURS[axis], 2.5))


@engines
@given(angle=st.floats(-3.0, 3.0))
def test_turning_to_the_right_is_turning_to_the_right(name: str, angle: float) -> None:
    """Forward turns towards right, by the same angle, in the world of either."""
    there, _, _, theirs = ENGINES[name]
    right, up, forward = np.array(theirs, float)
    before = np.eye(4)
    turned = math.cos(angle) * forward + math.sin(angle) * right
    aside = math.cos(angle) * right - math.sin(angle) * forward
    before[:3, :3] = np.outer(turned, forward) + np.outer(aside, right) + np.outer(up, up)
    assert np.allclose(there(before)[:3, 2], (math.sin(angle), 0, math.cos(angle)))


def test_a_camera_of_unity_looks_where_it_looked() -> None:
    quarter = math.sin(math.radians(45))
    before = pose((1.0, 2.0, 3.0), (0.0, quarter, 0.0, quarter))  # Quaternion.Euler(0, 90, 0): to the right
    made = from_unity(before)
    assert np.allclose(made[:3, 3], (1.0, -2.0, 3.0))
    assert np.allclose(made[:3, 2], (1.0, 0.0, 0.0))


@pytest.mark.parametrize(
    "wrong", [np.eye(3), np.zeros((4, 4)), np.diag([2.0, 2, 2, 1]), np.diag([1.0, 1, -1, 1])], ids=str
)
@engines
def test_what_is_no_pose_is_refused(name: str, wrong: Pose) -> None:
    with pytest.raises(ValueError, match="expected a"):
        ENGINES[name][0](wrong)
