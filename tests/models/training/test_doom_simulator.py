"""When a body is blocked; and, where ViZDoom is installed, a walk on a real map."""

from __future__ import annotations

import numpy as np
import pytest

from worldloom.models.training.collect import record_episodes
from worldloom.models.training.doom_simulator import is_blocked
from worldloom.models.training.simulators import open_simulator, pose_columns

AHEAD = [(0.78125, 0.0)]


def at(x: float, y: float = 0.0, heading: float = 0.0, speed: float = 0.0) -> np.ndarray:
    angle = np.radians(heading)
    return np.array([x, y, 0.0, heading, speed * np.cos(angle), speed * np.sin(angle), 0.0])


def test_a_free_body_is_not_blocked() -> None:
    """From rest, and at full speed: figures that were measured on a map."""
    assert not is_blocked(at(0.0), at(2.27), AHEAD)
    assert not is_blocked(at(0.0, speed=7.0), at(15.45), AHEAD)
    assert not is_blocked(at(0.0, heading=90.0, speed=7.0), at(0.0, 15.45, heading=90.0), AHEAD)


def test_a_wall_blocks() -> None:
    assert is_blocked(at(0.0), at(0.0), AHEAD)
    assert is_blocked(at(0.0, speed=7.0), at(1.0), AHEAD)
    assert is_blocked(at(0.0, heading=90.0), at(0.0, heading=90.0), AHEAD)


def test_who_slides_along_a_wall_at_a_small_angle_goes_on() -> None:
    assert not is_blocked(at(0.0, heading=20.0, speed=7.0), at(14.5, 0.0, heading=20.0), AHEAD)
    assert is_blocked(at(0.0, heading=70.0, speed=7.0), at(5.3, 0.0, heading=70.0), AHEAD)


def test_who_asks_for_nothing_is_never_blocked() -> None:
    assert not is_blocked(at(0.0), at(0.0), [])
    assert not is_blocked(at(0.0), at(0.0), [(0.78125, 0.0), (-0.78125, 0.0)])


@pytest.mark.engines
class TestMaps:
    MAPS = ("MAP01", "MAP02")
    COLUMNS = ("forward", "back", "left", "right", "use", "turn", "look")

    @pytest.fixture(autouse=True)
    def _needs_the_engine(self) -> None:
        pytest.importorskip("vizdoom")

    @pytest.mark.slow
    def test_the_same_seed_gives_the_same_walk_and_training_keeps_out_of_the_unseen_place(self) -> None:
        names = pose_columns("doom", maps=True)
        walks = []
        for _ in range(2):
            engine = open_simulator("doom", 80, 128, columns=self.COLUMNS, maps=self.MAPS, seed=1, everywhere=False)
            walks.append(record_episodes(engine, 240, 80, seed=3))
        np.testing.assert_array_equal(walks[0].frames, walks[1].frames)
        np.testing.assert_array_equal(walks[0].poses, walks[1].poses)
        poses = dict(zip(names, walks[0].poses.T, strict=True))
        assert walks[0].frames.shape[1:] == (80, 128, 3)
        assert poses["unseen"].max() == 0.0
        assert set(poses["map"]) <= {0.0, 1.0}
        assert np.ptp(poses["x"]) > 100.0

    @pytest.mark.slow
    def test_held_out_episodes_also_begin_in_the_unseen_place(self) -> None:
        engine = open_simulator("doom", 80, 128, columns=self.COLUMNS, maps=self.MAPS, seed=1)
        seen = []
        for seed in range(12):
            engine.reset(seed)
            seen.append(engine.observe()[1][pose_columns("doom", maps=True).index("unseen")])
        assert 0 < sum(seen) < 12

    def test_turning_right_and_looking_up(self) -> None:
        names = pose_columns("doom", maps=True)
        engine = open_simulator("doom", 80, 128, columns=self.COLUMNS, maps=("MAP01",), seed=1)
        engine.reset(5)
        before = dict(zip(names, engine.observe()[1], strict=True))
        row = np.zeros(7, np.float32)
        row[5], row[6] = 5.0, 2.0
        for _ in range(4):
            engine.act(row)
        after = dict(zip(names, engine.observe()[1], strict=True))
        assert (before["heading"] - after["heading"]) % 360.0 == pytest.approx(20.0, abs=0.2)
        assert after["pitch"] - before["pitch"] == pytest.approx(8.0, abs=0.5)

    def test_a_column_that_the_engine_does_not_have(self) -> None:
        with pytest.raises(ValueError, match="no column jump"):
            open_simulator("doom", 80, 128, columns=("forward", "jump"))
