"""Poses and how cameras get from one to another."""

from __future__ import annotations

import pytest
import torch

from worldloom.models.motion import Motion
from worldloom.models.poses import advanced, apart, further, kept_near, motion_between, signature, wrapped

NEAR = torch.ones(1, 1, 2, 2)


def pose(east: float, north: float, heading: float) -> torch.Tensor:
    return torch.tensor([[east, north, heading]], dtype=torch.float64)


def motion(turn: float, right: float, ahead: float) -> Motion:
    return Motion(torch.tensor([turn]), torch.tensor([[right, 0.0, ahead]]), NEAR)


@pytest.mark.parametrize(
    ("heading", "right", "ahead", "want"),
    [
        (0.0, 0.0, 1.0, (0.0, 1.0)),  # who looks north walks north
        (90.0, 0.0, 1.0, (1.0, 0.0)),  # east
        (90.0, 1.0, 0.0, (0.0, -1.0)),  # to the right of east is south
        (-90.0, 0.0, 2.0, (-2.0, 0.0)),
    ],
)
def test_steps_go_where_the_camera_looks(heading: float, right: float, ahead: float, want: tuple[float, float]) -> None:
    (after,) = advanced(pose(0.0, 0.0, heading), motion(6.0, right, ahead))
    assert after.tolist() == pytest.approx([*want, heading + 6.0], abs=1e-6)


@pytest.mark.parametrize("heading", [0.0, 33.0, 355.0, -170.0])
def test_the_motion_between_two_poses_leads_from_one_to_the_other(heading: float) -> None:
    start, end = pose(1.0, -2.0, heading), pose(1.3, -1.5, heading + 20.0)
    way = motion_between(start, end, NEAR)
    assert float(way.turn) == pytest.approx(20.0)
    torch.testing.assert_close(advanced(start, way), end, atol=1e-6, rtol=0)


def test_turns_are_taken_the_short_way() -> None:
    assert float(motion_between(pose(0, 0, 350.0), pose(0, 0, 5.0), NEAR).turn) == pytest.approx(15.0)
    assert wrapped(torch.tensor([190.0, -190.0, 361.0])).tolist() == [-170.0, 170.0, 1.0]


def test_who_goes_on_across_north_is_not_sent_round_the_compass() -> None:
    (ahead,) = further(pose(0.0, 0.0, 358.0), pose(0.0, 0.5, 3.0))
    assert ahead.tolist() == pytest.approx([0.0, 2.0, 18.0])


def test_poses_apart_leave_none_far_from_all() -> None:
    generator = torch.Generator().manual_seed(0)
    places = torch.rand(500, 3, generator=generator, dtype=torch.float64) * torch.tensor([4.0, 4.0, 360.0])
    chosen = apart(places, 60)
    assert len(set(chosen.tolist())) == 60
    distance = (signature(places)[:, None] - signature(places[chosen])).norm(dim=-1).min(1).values
    some = torch.arange(60)
    plain = (signature(places)[:, None] - signature(places[some])).norm(dim=-1).min(1).values
    assert distance.max() < 0.8 * plain.max()
    assert len(apart(places[:5], 60)) == 5


def test_nobody_gets_far_from_where_others_have_stood() -> None:
    ground = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    places = torch.tensor([[0.1, 0.1, 5.0], [1.0, 2.0, 6.0], [1.3, 0.4, 7.0]], dtype=torch.float64)
    kept = kept_near(places, ground, 0.25)
    assert torch.equal(kept[0], places[0])
    assert kept[1].tolist() == pytest.approx([1.0, 0.25, 6.0])
    assert kept[2].tolist() == pytest.approx([1.15, 0.2, 7.0]), "along a wall, not off it"
