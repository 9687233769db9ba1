from __future__ import annotations

from itertools import islice

import numpy as np
from numpy.typing import NDArray

from worldloom.models.training.arm_policy import CLUMSY, SKILLED, visit_tasks


def visits(count: int, frames: int) -> tuple[list[NDArray[np.float32]], list[list[NDArray[np.float64]]]]:
    """The rows of several visits, and what their experts were told; an expert always wants the impossible 5."""
    rows, told = [], []
    for seed in range(count):
        heard: list[NDArray[np.float64]] = []

        def expert(offset: NDArray[np.float64], heard: list[NDArray[np.float64]] = heard) -> NDArray[np.float64]:
            heard.append(offset)
            return np.full(4, 5.0)

        rows.append(np.stack(list(islice(visit_tasks(expert, np.random.default_rng(seed)), frames))))
        told.append(heard)
    return rows, told


def test_rows_are_within_the_sticks() -> None:
    for rows in visits(4, 300)[0]:
        assert rows.dtype == np.float32
        assert rows.shape == (300, 4)
        assert np.abs(rows).max() <= 1.0


def test_half_of_the_visitors_never_do_it_right_on_purpose() -> None:
    """An attempt to the point, without noise, is the expert's own row at its limit for longer than anything else."""
    rows, told = visits(24, 900)
    offsets = [np.array([np.linalg.norm(offset) for offset in heard]) for heard in told]
    missed = np.concatenate(offsets)
    assert 0.1 < (missed > 0).mean() < 0.8
    assert missed.max() <= 0.12
    assert missed[missed > 0].min() >= 0.05
    assert "expert" in SKILLED
    assert "expert" not in CLUMSY


def test_attempts_are_given_up_with_open_fingers() -> None:
    rows = np.concatenate(visits(12, 600)[0])
    away = (rows[:, 3] == -1.0) & (rows[:, 2] > 0.0)
    assert away.mean() > 0.02
