from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from worldloom.models.training.flow import Flow, across, amount, expansion


def sliding(right: float, down: float) -> NDArray[np.uint8]:
    """(3, 64, 96, 3): soft noise that moves so many pixels a frame."""
    noise = np.random.default_rng(0).uniform(0, 255, (160, 192, 3)).astype(np.float32)
    soft = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), np.empty(0), 0, 255, cv2.NORM_MINMAX)
    moves = (np.array([[1, 0, right * t - 48], [0, 1, down * t - 48]], np.float32) for t in range(3))
    return np.stack([cv2.warpAffine(soft, move, (96, 64)) for move in moves]).astype(np.uint8)


@pytest.mark.parametrize("finest", [0, 1])
def test_flow_is_read_in_pixels_a_frame(finest: int) -> None:
    flow = Flow(finest)
    clip = sliding(3.0, -4.0)
    assert flow.fields(clip).shape == (2, 64, 96, 2)
    assert flow.along(clip, across) == pytest.approx([3.0, 3.0], abs=0.3)
    assert flow.along(clip, amount) == pytest.approx([5.0, 5.0], abs=0.5)
    assert abs(flow.along(clip, expansion)).max() < 0.3


def test_a_still_picture_does_not_move() -> None:
    clip = sliding(0.0, 0.0)
    assert Flow().along(clip, amount).max() < 0.01
