"""What visitors do, told from their actions alone: the pose says only whether they are blocked."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from worldloom.models.training.doom_policy import BLOCKED, MANNERS, Wanderer
from worldloom.models.training.simulators import pose_columns

COLUMNS = ("forward", "back", "left", "right", "use", "turn", "look")


def walk(frames: int, *, blocked: bool, columns: tuple[str, ...] = COLUMNS) -> dict[str, np.ndarray]:
    pose = np.zeros(8, np.float32)
    pose[BLOCKED] = blocked
    rows = Wanderer(columns, lambda: pose, np.random.default_rng(0)).rows()
    return dict(zip(columns, np.stack(list(islice(rows, frames))).T, strict=True))


def test_the_pose_says_where_it_is_said_to() -> None:
    assert pose_columns("doom", maps=True)[BLOCKED] == "blocked"
    assert sum(MANNERS.values()) == pytest.approx(1.0)


def test_in_the_open_a_visitor_does_everything() -> None:
    seen = walk(6000, blocked=False)
    assert 0.3 < seen["forward"].mean() < 0.7
    for name in ("back", "left", "right"):
        assert seen[name].mean() > 0.02
    assert abs(seen["turn"]).max() <= 6.0
    assert 0.1 < (seen["turn"] > 0).mean() < 0.5
    assert 0.1 < (seen["turn"] < 0).mean() < 0.5
    idle = np.all([seen[name] == 0 for name in COLUMNS], 0)
    assert 0.02 < idle.mean() < 0.25


def test_looks_up_and_down_end_level() -> None:
    look = walk(6000, blocked=False)["look"]
    assert (look != 0).mean() > 0.02
    assert abs(look[:-60].cumsum()).max() <= 3.0 * 8 + 1e-3


def test_at_a_wall_a_visitor_tries_doors_and_turns_away() -> None:
    seen = walk(4000, blocked=True)
    assert seen["use"].sum() > 8
    used = np.flatnonzero(seen["use"])
    assert (seen["use"][used[:-1] + 1] == 0).all()  # the engine asks for a fresh press
    assert seen["forward"].mean() < walk(4000, blocked=False)["forward"].mean()


def test_what_a_world_has_no_column_for_is_left_out() -> None:
    seen = walk(3000, blocked=True, columns=("turn", "forward"))
    assert set(seen) == {"turn", "forward"}
    assert seen["forward"].max() == 1.0
