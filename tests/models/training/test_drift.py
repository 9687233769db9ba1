from __future__ import annotations

import numpy as np
import pytest

from worldloom.models.training.drift import drift, drift_floor, summary


def rows(mean: float, spread: float, n: int = 1000) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    column = mean + spread * np.where(np.arange(n) % 2, 1.0, -1.0)
    return np.stack([column, column, column], 1)


def test_nothing_drifts_from_itself() -> None:
    assert drift(rows(100, 5), rows(100, 5)) == {"luma": 0.0, "saturation": 0.0, "sharpness": 0.0}


def test_a_moved_mean_is_a_fraction_of_the_real_mean() -> None:
    assert drift(rows(80, 5), rows(100, 5))["luma"] == pytest.approx(0.2)
    assert drift(rows(130, 5), rows(100, 5))["luma"] == pytest.approx(0.3)


def test_a_spread_that_collapsed_counts_too() -> None:
    """A dream stuck on one picture of the right brightness."""
    assert drift(rows(100, 0), rows(100, 40))["sharpness"] == pytest.approx(0.4)


def test_the_larger_of_both_counts() -> None:
    assert drift(rows(70, 10), rows(100, 40))["saturation"] == pytest.approx(0.3)


def test_the_floor_falls_with_more_streams() -> None:
    rng = np.random.default_rng(0)
    rooms = np.repeat(rng.uniform(50, 150, (40, 3)), 50, 0)  # fifty frames in each room
    few, many = drift_floor(rooms, 2, 25), drift_floor(rooms, 32, 25)
    assert all(many[name] < 0.5 * few[name] for name in few)
    assert few == drift_floor(rooms, 2, 25)  # repeatable


def test_the_floor_of_short_recordings() -> None:
    assert drift_floor(rows(100, 5, 10), 3, 50)["luma"] == pytest.approx(0.0)


def test_summary() -> None:
    assert summary(rows(100, 5))["luma"] == {"mean": pytest.approx(100.0), "spread": pytest.approx(5.0)}
