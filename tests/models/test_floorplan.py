"""How near everything is in a place whose walls are known, exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from worldloom.models.floorplan import NEAREST, Floorplan
from worldloom.models.training.maze import EYE

from .room import WALKER, plan


def near(east: float, north: float, heading: float, rise: float = 0.0) -> Tensor:
    """(H, W) from there in the room."""
    return plan().near(WALKER, torch.tensor([[east, north, heading]], dtype=torch.float64), torch.tensor([rise]))[0, 0]


def test_a_wall_ahead_is_as_near_as_it_is() -> None:
    ahead = near(0.0, 0.0, 0.0)
    assert ahead.shape == (32, 48)
    torch.testing.assert_close(ahead[15:17, :24], torch.full((2, 24), 0.5))  # two units ahead, whatever the angle
    torch.testing.assert_close(near(0.0, 0.0, 90.0)[16, 24:], torch.full((24,), 0.5))
    assert float(near(0.0, 0.0, -45.0)[16, 24]) == pytest.approx(1.0 / (2.0 * math.sqrt(2.0)), rel=0.03)


def test_a_pillar_hides_the_wall() -> None:
    seen = near(0.75, 0.0, 0.0)
    assert float(seen[16, 24]) == pytest.approx(1.0 / 0.875)
    assert float(seen[16, 4]) == pytest.approx(0.5)


def test_who_stands_higher_is_farther_from_the_floor() -> None:
    low, high = (near(0.0, 0.0, 0.0, rise)[:, 0] for rise in (0.0, 0.1))
    lowest = WALKER.tall * (1.0 - 1.0 / WALKER.height)
    assert float(low[-1]) == pytest.approx(lowest / (EYE / 64.0))
    assert float(high[-1]) == pytest.approx(lowest / (EYE / 64.0 + 0.1))
    assert high[0] > low[0], "and nearer to the ceiling"


def test_no_ray_passes_between_walls_that_meet() -> None:
    rng = np.random.default_rng(0)
    poses = torch.from_numpy(np.stack([*rng.uniform(-1.9, 0.6, (2, 500)), rng.uniform(-180.0, 180.0, 500)], 1))
    found = plan().walls_near(WALKER, poses)
    assert float(found.min()) > 1.0 / 6.0, "from corner to corner of the room it is not so far"
    corners = torch.tensor([[0.0, 0.0, heading] for heading in (45.0, 135.0, 225.0, -45.0)], dtype=torch.float64)
    assert (plan().walls_near(WALKER, corners) > 0.0).all()


def test_where_there_is_no_wall_nothing_is_near() -> None:
    one = Floorplan(torch.tensor([[-1.0, 1.0, 1.0, 1.0]], dtype=torch.float64), 0.5, 0.5)
    behind = torch.tensor([[0.0, 0.0, 180.0]], dtype=torch.float64)
    assert not one.walls_near(WALKER, behind).any()
    at_it = one.walls_near(WALKER, torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0 - 1e-9, 0.0]], dtype=torch.float64))
    assert at_it.isfinite().all()
    assert float(at_it.max()) <= NEAREST


def test_together_is_alone() -> None:
    rng = np.random.default_rng(1)
    poses = torch.from_numpy(np.stack([*rng.uniform(-1.5, 0.5, (2, 5)), rng.uniform(-180.0, 180.0, 5)], 1))
    rises = torch.linspace(-0.1, 0.1, 5)
    together = plan().near(WALKER, poses, rises)
    for k in range(5):
        assert torch.equal(together[k], plan().near(WALKER, poses[k : k + 1], rises[k : k + 1])[0])
