"""MotionNet's geometry against a room whose pictures are known from every place."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from worldloom.models.motion import MotionConfig, inside, lowered, moved_to, places_of, rise, turned

from .room import WALKER, drawn, plan
from .tiny import tiny_motion

CONFIG = MotionConfig(64, 96, actions=3, history=2, turn=1, degrees=6.0, fov=90.0)


def wall(config: MotionConfig, right: float, down: float, forward: float, heading: float) -> tuple[Tensor, Tensor]:
    """A wall with a smooth pattern, two units ahead of the origin: its picture (1, 3, H, W) and inverse depth."""
    across = math.tan(math.radians(config.fov / 2.0))
    x = ((torch.arange(config.width) + 0.5) / config.width * 2.0 - 1.0) * across
    y = ((torch.arange(config.height) + 0.5) / config.height * 2.0 - 1.0)[:, None]
    angle = math.radians(heading)
    ahead = math.cos(angle) - x * math.sin(angle)
    depth = (2.0 - forward) / ahead  # along the camera's own axis
    at_x = right + (x * math.cos(angle) + math.sin(angle)) * depth
    at_y = down + y * depth
    pattern = torch.stack([(3.0 * at_x).sin() * (2.0 * at_y).cos(), (2.0 * at_x + at_y).sin(), (3.0 * at_y).cos()])
    return pattern[None], (1.0 / depth).expand(config.height, -1)[None, None]


@pytest.mark.parametrize(
    ("step", "turn"),
    [((0.0, 0.0, 0.0), 6.0), ((0.0, 0.0, 0.4), 0.0), ((0.3, 0.0, 0.0), 0.0), ((0.2, 0.1, 0.3), -5.0)],
)
def test_a_moved_picture_is_the_picture_from_there(step: tuple[float, float, float], turn: float) -> None:
    last, _ = wall(CONFIG, 0.0, 0.0, 0.0, 0.0)
    truth, near = wall(CONFIG, *step, turn)
    places = places_of(CONFIG, torch.tensor([turn]), torch.tensor([step]), near)
    seen = inside(places)
    assert seen.float().mean() > 0.7
    error = (moved_to(last, places) - truth).abs().mean(1, keepdim=True)[seen]
    copied = (last - truth).abs().mean(1, keepdim=True)[seen]
    assert error.mean() < 0.01
    assert copied.mean() > 0.05


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_who_stays_sees_the_same(mode: str) -> None:
    picture = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    places = places_of(CONFIG, torch.zeros(1), torch.zeros(1, 3), torch.ones(1, 1, 64, 96))
    torch.testing.assert_close(moved_to(picture, places, mode), picture, atol=1e-5, rtol=1e-5)
    assert inside(places).all()


def test_after_a_quarter_turn_to_the_right_ahead_is_left() -> None:
    ahead = turned(torch.tensor([[0.0, 1.0]]), torch.tensor([90.0]))
    torch.testing.assert_close(ahead, torch.tensor([[-1.0, 0.0]]), atol=1e-6, rtol=0.0)


def test_the_clock_of_the_gait_goes_round() -> None:
    motion = tiny_motion()
    picture, momentum, actions = torch.zeros(1, 3, 32, 48), torch.ones(1, 2), torch.zeros(1, 2, 3)
    steps = [motion(picture, momentum, actions, torch.tensor([float(k)]).double()).step for k in (3, 4, 1_000_003)]
    torch.testing.assert_close(steps[0], steps[2])
    assert (steps[0] - steps[1]).abs().max() > 1e-3


def test_the_eye_of_who_walks_swings() -> None:
    frames = torch.arange(20, dtype=torch.float64)
    walking, running = (rise(WALKER, torch.tensor([[0.0, step]]).expand(20, 2), frames) for step in (0.1, 1.0))
    torch.testing.assert_close(walking[:10], walking[10:])
    assert float(walking.max()) == pytest.approx(2.0 * 0.1**2, rel=0.06)
    assert float(running.max()) == pytest.approx(0.125, rel=0.06)
    assert not rise(WALKER, torch.zeros(20, 2), frames).any()
    assert not rise(CONFIG, torch.ones(20, 2), frames).any(), "nobody said how"


def test_who_rises_sees_the_floor_go_down() -> None:
    here, low, high = torch.zeros(3, dtype=torch.float64), torch.zeros(1), torch.full((1,), 0.1)
    near = plan().near(WALKER, here[None], high)
    step = lowered(WALKER, low, high, torch.zeros(1, 3))
    before, after = (torch.from_numpy(drawn(here, float(up[0]))).movedim(-1, 0)[None].float() for up in (low, high))
    places = places_of(WALKER, torch.zeros(1), step, near)
    seen = inside(places).expand(-1, 3, -1, -1)
    assert (moved_to(before, places) - after)[seen].abs().median() < 2.0
    assert (before - after)[seen].abs().mean() > 4.0
