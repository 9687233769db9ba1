"""Where the gripper is in the picture: a dream's against the engine's, in pixels.

The probe reads metres from a picture; the arm's camera, which stands still, says where in the picture that is. The same
probe on the engine's own frames shows how much of the error is its own. Knows the camera and the probe.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dreamed import Dreamed
from .probe import Probe

AT = (1, 8, 32)
"""Dreamed frames after which the gripper is looked for."""

CAMERA = np.array([0.75, 0.075, 0.7])
"""Metres: where `ArmSimulator` puts MuJoCo's camera `corner2`."""

AXES = np.array(
    [
        [-0.54990133, 0.37620774, 0.74570521],
        [-0.83318276, -0.30954914, -0.4582421],
        [0.05843818, -0.87329666, 0.48367129],
    ]
)
"""Columns: the camera's right, up and backward in the world. It hangs upside down; see `pixels`."""

VIEW = 60.0
"""Degrees from the top of the picture to its bottom."""


def pixels(places: NDArray[np.floating[Any]], height: int, width: int) -> NDArray[np.float64]:
    """(n, 3) metres -> (n, 2) pixels right and down in a picture of that size."""
    right, up, backward = ((places - CAMERA) @ AXES).T
    focal = height / 2.0 / np.tan(np.deg2rad(VIEW) / 2.0)
    # Recorded pictures are turned over from top to bottom, so up is down.
    return np.stack([width / 2.0 - focal * right / backward, height / 2.0 - focal * up / backward], 1)


def gripper_error(dreamed: Dreamed, probe: Probe) -> dict[str, Any]:
    """Distance in pixels from the engine's hand after `AT` frames, in dreams and in the engine's own pictures.

    Medians over clips, and means, which a few clips that went astray make two or three times as large.
    """
    height, width = dreamed.made.shape[2:4]
    result: dict[str, Any] = {f"gripper_error_px{which}{kind}": {} for which in ("", "_real") for kind in ("", "_mean")}
    for n in AT:
        true = pixels(dreamed.clips.poses[dreamed.span[:, n - 1], :3], height, width)
        for which, pictures in (("", dreamed.made[:, n - 1]), ("_real", dreamed.truth(n))):
            apart = np.hypot(*(pixels(probe.read(pictures), height, width) - true).T)
            result[f"gripper_error_px{which}"][str(n)] = float(np.median(apart))
            result[f"gripper_error_px{which}_mean"][str(n)] = float(apart.mean())
    return result
