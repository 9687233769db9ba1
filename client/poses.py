"""Camera poses of game engines and robots, as the protocol has them, and back.

A pose is a 4x4 matrix that takes points of the camera to the world, for column vectors: the camera's axes are its first
three columns, its place the last. Ours are OpenCV's, for camera and world alike: x right, y down, z forward, metres.

Knows numpy; no world.

    engine   right  up  forward   handed   unit
    ours     +x     -y  +z        right    m
    OpenGL   +x     +y  -z        right    m
    Unity    +x     +y  +z        left     m
    Unreal   +y     +z  +x        left     cm
    ROS      -y     +z  +x        right    m     bodies and the map, REP 103; optical frames are ours already
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Pose: TypeAlias = NDArray[np.float64]
"""(4, 4) camera to world."""

# Rows are our x, y and z, written in the axes of the engine.
_OPENGL: Final = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])
_UNITY: Final = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, 1]])
_UNREAL: Final = np.array([[0.0, 1, 0], [0, 0, -1], [1, 0, 0]])
_ROS: Final = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
_CM: Final = 0.01  # metres


def pose(place: Sequence[float], turn: Sequence[float]) -> Pose:
    """A pose from a place and a quaternion x, y, z, w, in whatever axes the two have.

    Raises:
        ValueError: a quaternion without length.
    """
    x, y, z, w = np.asarray(turn, np.float64)
    length = x * x + y * y + z * z + w * w
    if length < 1e-12:
        raise ValueError(f"expected a quaternion x, y, z, w, got {turn}")
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    made = np.eye(4)
    made[:3, :3] += 2.0 * (w * cross + cross @ cross) / length
    made[:3, 3] = place
    return made


def from_opengl(matrix: ArrayLike) -> Pose:
    """A pose of OpenGL, three.js or glTF."""
    return _taken(matrix, _OPENGL)


def to_opengl(matrix: ArrayLike) -> Pose:
    """The other way."""
    return _taken(matrix, _OPENGL.T)


def from_unity(matrix: ArrayLike) -> Pose:
    """A pose of Unity: `transform.localToWorldMatrix` of a camera that is not scaled."""
    return _taken(matrix, _UNITY)


def to_unity(matrix: ArrayLike) -> Pose:
    """The other way."""
    return _taken(matrix, _UNITY.T)


def from_unreal(matrix: ArrayLike) -> Pose:
    """A pose of Unreal, in cm; its own matrices are for row vectors: transpose them first."""
    return _taken(matrix, _UNREAL, _CM)


def to_unreal(matrix: ArrayLike) -> Pose:
    """The other way."""
    return _taken(matrix, _UNREAL.T, 1.0 / _CM)


def from_ros(matrix: ArrayLike) -> Pose:
    """A pose of a body in ROS, for example of `base_link` in `map`."""
    return _taken(matrix, _ROS)


def to_ros(matrix: ArrayLike) -> Pose:
    """The other way."""
    return _taken(matrix, _ROS.T)


def check_poses(poses: NDArray[np.float64]) -> None:
    """Whether (..., 4, 4) are poses of cameras.

    Raises:
        ValueError: one has another last row than 0 0 0 1, or scales, shears or mirrors.
    """
    if not np.allclose(poses[..., 3, :], (0, 0, 0, 1)):
        raise ValueError("expected a 4x4 pose whose last row is 0 0 0 1")
    turn = poses[..., :3, :3]
    if not np.allclose(turn @ turn.swapaxes(-1, -2), np.eye(3), atol=1e-4) or np.any(np.linalg.det(turn) < 0):
        raise ValueError("expected a pose that only turns and moves, got one that scales, shears or mirrors")


def _taken(matrix: ArrayLike, axes: NDArray[np.float64], scale: float = 1.0) -> Pose:
    """A pose in other axes: those of its world, and those of its camera.

    Raises:
        ValueError: not a pose: another shape, or one that scales or mirrors.
    """
    before = np.asarray(matrix, np.float64)
    if before.shape != (4, 4):
        raise ValueError(f"expected a 4x4 pose, got shape {before.shape}")
    check_poses(before)
    turn = before[:3, :3]
    made = np.eye(4)
    made[:3, :3] = axes @ turn @ axes.T
    made[:3, 3] = scale * (axes @ before[:3, 3])
    return made
