"""Nobody walks through what he sees, and nobody is stopped by what he does not."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from worldloom.models.obstacles import FAR, kept_out, obstacles

BODY = 0.25


def wall(depth: float, degrees: float = 0.0) -> Tensor:
    """(1, 64, 2) points of a wall at that distance, turned about the point straight ahead."""
    along = torch.linspace(-2.0, 2.0, 64)
    angle = math.radians(degrees)
    return torch.stack([along * math.cos(angle), depth + along * math.sin(angle)], -1)[None]


def step(right: float, forward: float) -> Tensor:
    return torch.tensor([[right, 0.1, forward]])


def test_points_lie_where_the_picture_says() -> None:
    near = torch.full((2, 1, 32, 48), 0.5)
    near[1, :, :, 24:] = 0.0
    points = obstacles(near, 90.0)
    assert points.shape == (2, 12, 2)
    assert (points[0, :, 1] == 2.0).all()
    torch.testing.assert_close(points[0, :, 0], ((torch.arange(12) + 0.5) / 12 * 2.0 - 1.0) * 2.0)
    assert points[1, 6:, 1].min() > 0.99 * FAR


def test_what_lies_low_or_high_is_in_nobodys_way() -> None:
    near = torch.zeros(1, 1, 32, 48)
    near[:, :, :12] = near[:, :, 20:] = 4.0
    assert obstacles(near, 90.0)[..., 1].min() > 0.99 * FAR


def test_a_walk_ends_at_the_wall() -> None:
    gone = 0.0
    for _ in range(20):
        went = kept_out(step(0.0, 0.2), wall(1.0 - gone), BODY)
        assert went[0, 1] == pytest.approx(0.1)  # the gait goes on
        gone += float(went[0, 2])
    assert gone == pytest.approx(1.0 - BODY, abs=0.01)


def test_free_steps_stay_as_they_are() -> None:
    for wanted in (step(0.0, 0.2), step(0.3, 0.0), step(-0.1, -0.3)):
        torch.testing.assert_close(kept_out(wanted, wall(2.0), BODY), wanted)


def test_who_walks_into_a_wall_at_an_angle_slides_along_it() -> None:
    solid = wall(0.3, 30.0)
    went = kept_out(step(0.0, 0.2), solid, BODY)[0, ::2]
    assert (went - solid[0]).norm(dim=-1).min() > 0.9 * min(BODY, float(solid.norm(dim=-1).min()))
    assert went[0] > 0.02  # the wall goes away on the right
    assert went.norm() <= 0.2 + 1e-6


def test_who_is_too_near_may_stay_and_leave() -> None:
    near = wall(0.1)
    torch.testing.assert_close(kept_out(step(0.0, 0.0), near, BODY), step(0.0, 0.0))
    torch.testing.assert_close(kept_out(step(0.0, -0.2), near, BODY), step(0.0, -0.2))
    assert kept_out(step(0.0, 0.2), near, BODY)[0, 2] < 0.02


def test_who_has_no_body_is_not_stopped() -> None:
    torch.testing.assert_close(kept_out(step(0.0, 0.2), wall(0.1), 0.0), step(0.0, 0.2))
