from __future__ import annotations

import numpy as np
import pytest

from worldloom.models.training.intervals import interval


def test_an_interval_is_that_of_the_binomial() -> None:
    low, high = interval(np.arange(400) < 200)
    assert (low, high) == pytest.approx((0.451, 0.549), abs=0.008)  # 0.5 -+ 1.96 sqrt(0.25 / 400)
    assert interval(np.arange(400) < 200) == [low, high]


def test_less_cover_is_narrower() -> None:
    values = np.random.default_rng(1).normal(size=50)
    half, most = interval(values, 0.5), interval(values)
    assert most[0] < half[0] < half[1] < most[1]
