"""How a body goes: as the engine's does, in the open and along walls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from worldloom.models.body import STOP, Body
from worldloom.models.training.maze import Maze, body_in, record_maze
from worldloom.models.training.recipe import load_recipe
from worldloom.models.training.survey import recorded_poses

from .room import walker

AHEAD, REST, PUSH = torch.tensor([[1.0, 0.0, 0.0]]), torch.zeros(1, 3), 0.78125 / 64.0


def walked(body: Body, pose: tuple[float, float, float], action: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Poses (frames, 3) and velocities (frames, 2), from rest."""
    there, velocity = torch.tensor([pose], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
    poses, velocities = [], []
    for _ in range(frames):
        there, velocity = body.moved(there, velocity, action, torch.zeros(1))
        poses.append(there[0])
        velocities.append(velocity[0])
    return torch.stack(poses), torch.stack(velocities)


def test_who_is_pushed_comes_to_a_speed_and_who_is_not_stands() -> None:
    body = walker()
    poses, velocities = walked(body, (-1.5, -1.5, 90.0), AHEAD, 8)
    most = 0.90625 * PUSH / (1.0 - 0.90625)
    assert float(velocities[-1, 0]) == pytest.approx(most * (1.0 - 0.90625**16))
    assert not velocities[:, 1].abs().max() > 1e-12
    pose, velocity = poses[-1:], velocities[-1:]
    for _ in range(60):
        before = pose
        pose, velocity = body.moved(pose, velocity, REST, torch.zeros(1))
    assert not velocity.any()
    assert torch.equal(pose, before), "to the bit, or it would creep"
    assert STOP < 1.0


def test_it_stops_before_a_wall() -> None:
    poses, velocities = walked(walker(), (0.0, 1.0, 0.0), AHEAD, 60)
    assert 1.72 < float(poses[-1, 1]) <= 1.75, "two units less its half"
    assert float(velocities[-1].norm()) < 0.02
    assert (poses[:, 1].diff() >= 0.0).all()


def test_it_slides_along_a_wall_and_is_slower_where_it_hit() -> None:
    poses, _ = walked(walker(), (-1.0, 1.4, 45.0), AHEAD, 24)
    gone = poses.diff(dim=0)
    hit = int((gone[:, 1] < 1e-3).float().argmax())
    assert hit
    assert (gone[hit:, 0] > 0.0).all(), "it goes on to the right"
    assert float(gone[hit, 0]) < float(gone[hit - 2, 0]), "with what was left of its way"
    assert float(poses[:, 1].max()) <= 1.75


def test_it_stays_in_a_corner() -> None:
    poses, velocities = walked(walker(), (1.5, 1.5, 45.0), AHEAD, 60)
    assert float(poses[-1, :2].max()) <= 1.75
    assert float(poses[-1, :2].min()) > 1.7
    assert float(velocities[-1].abs().max()) < 0.02


def test_a_pillar_is_gone_around() -> None:
    poses, _ = walked(walker(), (0.55, 0.0, 0.0), AHEAD, 80)  # its centre misses the pillar, its side does not
    beside = (poses[:, 1] > 0.63) & (poses[:, 1] < 1.37)
    assert (poses[beside, 0] < 0.376).all() or not beside.any()


def test_who_is_inside_a_wall_may_leave() -> None:
    poses, _ = walked(walker(), (0.0, 1.9, 180.0), AHEAD, 40)
    assert float(poses[-1, 1]) < 1.0


def test_together_is_alone() -> None:
    body, rng = walker(), np.random.default_rng(0)
    poses = torch.from_numpy(np.stack([*rng.uniform(-1.7, 1.7, (2, 16)), rng.uniform(-180.0, 180.0, 16)], 1))
    velocity = torch.from_numpy(rng.uniform(-0.2, 0.2, (16, 2)))
    actions, turn = torch.from_numpy(rng.random((16, 3)).astype(np.float32)), torch.linspace(-6.0, 6.0, 16)
    together = body.moved(poses, velocity, actions, turn)
    for k in range(16):
        alone = body.moved(poses[k : k + 1], velocity[k : k + 1], actions[k : k + 1], turn[k : k + 1])
        assert torch.equal(together[0][k], alone[0][0])
        assert torch.equal(together[1][k], alone[1][0])


def test_its_velocity_is_read_off_its_way() -> None:
    body = walker()
    poses, velocities = walked(body, (-1.5, -1.5, 60.0), AHEAD, 8)
    gone = poses[1:, :2] - poses[:-1, :2]
    found = body.velocity_of(gone, poses[1:, 2], AHEAD.expand(7, -1))
    torch.testing.assert_close(found, velocities[1:])


@pytest.mark.slow
def test_it_goes_as_the_engines_player_does(tmp_path: Path) -> None:
    pytest.importorskip("vizdoom")
    from worldloom.models.training.clips import Clips
    from worldloom.models.training.collect import record_episodes
    from worldloom.models.training.doom_simulator import DoomSimulator

    recipe = load_recipe("doom")
    record_maze(recipe, tmp_path)
    body = body_in(Maze.open(tmp_path), recipe)
    assert body
    record_episodes(DoomSimulator(160, 256), 1_500, 150, 7).save(tmp_path / "train" / "0000")
    clips = Clips.open(tmp_path / "train")
    poses = recorded_poses(clips, 64.0)
    rows = torch.from_numpy(clips.leading)
    begins = np.flatnonzero(clips.begins)
    pose, velocity = poses[begins], torch.zeros(len(begins), 2, dtype=torch.float64)
    for k in range(1, 64):  # from rest, and told nothing but the actions
        pose, velocity = body.moved(pose, velocity, rows[begins + k], rows[begins + k, -1])
    off = 64.0 * (pose[:, :2] - poses[begins + 63, :2]).norm(dim=1)
    assert float(off.median()) < 3.0, "map units, of the hundreds that it went"
    assert float((64.0 * (poses[begins + 63, :2] - poses[begins, :2])).norm(dim=1).median()) > 30.0
