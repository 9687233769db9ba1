"""Camera poses as action rows of a world: what takes its camera from each pose to the next, a frame at a time.

    poses = np.stack([from_unity(matrix) for matrix in film])
    for row in rows(poses, world.info, stride=0.05): ...

Ways are those of `camera.py`, so a pose reaches any world whose camera turns and moves. Poses are as in `poses.py`.
Knows geometry and actions; no connection.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from worldloom.streamer.world_info import WorldInfo

from .camera import Rows, Way, rows_of
from .poses import check_poses

STEEP = 89.5  # degrees of looking up or down, beyond which left and right mean nothing
STILL = 1e-9  # what counts as no movement, in metres and degrees


def rows(poses: ArrayLike, info: WorldInfo, *, stride: float | None = None) -> Rows:
    """(F, A) what takes the camera through (F + 1, 4, 4) poses, one a frame, and rests to the end of a chunk.

    Args:
        poses: of the camera in any level world, x right, y down, z forward; the first one is where it is.
        info: of the world that is steered.
        stride: metres that this world's camera goes in a frame at full speed, where its unit is its own; None: as far
            as the path's fastest frame, so that the path is as quick as the world allows. Worlds may go slower
            aslant than the columns of the moves say, so give no less than that.

    Raises:
        ValueError: not poses, ones that scale, shear or mirror, or that look straight up or down.
        CannotMove: the world lacks a way that the path takes, or is too slow for it.
    """
    matrices = _checked(poses)
    angles = angles_of(matrices)
    yaw = np.deg2rad(angles[1:, 0])
    moved = np.diff(matrices[:, :3, 3], axis=0)  # turned first, then moved, as worlds do
    right = np.cos(yaw) * moved[:, 0] - np.sin(yaw) * moved[:, 2]
    ahead = np.sin(yaw) * moved[:, 0] + np.cos(yaw) * moved[:, 2]
    steps = np.stack([right, -moved[:, 1], ahead], 1)
    if stride is None:
        stride = float(np.linalg.norm(steps, axis=1).max(initial=0.0)) or 1.0
    turns = (np.diff(angles, axis=0) + 180.0) % 360.0 - 180.0  # the short way round
    ways: tuple[Way, ...] = ("truck", "pedestal", "dolly", "pan", "tilt", "roll")
    rest = np.zeros((-len(steps) % info.chunk, len(ways)))
    shares = np.concatenate([np.concatenate([steps / stride, turns], 1), rest])
    some = np.abs(shares).max(0, initial=0.0) > STILL
    return rows_of({way: shares[:, k] for k, way in enumerate(ways) if some[k]}, len(shares), info)


def angles_of(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) degrees that cameras (N, 4, 4) are turned right, then look up, then lean clockwise.

    Raises:
        ValueError: one looks straight up or down.
    """
    turn = poses[:, :3, :3]
    pitch = np.arcsin(np.clip(-turn[:, 1, 2], -1.0, 1.0))
    if np.any(np.abs(np.rad2deg(pitch)) > STEEP):
        raise ValueError(f"expected cameras that look up or down by {STEEP} degrees at most")
    yaw, lean = np.arctan2(turn[:, 0, 2], turn[:, 2, 2]), np.arctan2(turn[:, 1, 0], turn[:, 1, 1])
    return np.rad2deg(np.stack([yaw, pitch, lean], 1))


def _checked(poses: ArrayLike) -> NDArray[np.float64]:
    made = np.asarray(poses, np.float64)
    if made.ndim != 3 or made.shape[1:] != (4, 4) or not len(made) or not np.isfinite(made).all():
        raise ValueError(f"expected finite poses (F + 1, 4, 4), got {made.shape}")
    check_poses(made)
    return made
