from __future__ import annotations

import numpy as np
import pytest

from worldloom.models.training.frechet import distance, frechet, pooled


def test_distance_of_known_gaussians() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(20_000, 3))
    assert distance(a, a) == pytest.approx(0.0, abs=1e-9)
    assert distance(a, a + [3.0, 4.0, 0.0]) == pytest.approx(25.0)
    # Twice the deviation in every direction: |2 - 1|^2 for each.
    assert distance(a, rng.normal(scale=2.0, size=(20_000, 3))) == pytest.approx(3.0, rel=0.05)


def test_fewer_clips_than_numbers_is_finite() -> None:
    rng = np.random.default_rng(0)
    assert np.isfinite(distance(rng.normal(size=(5, 40)), rng.normal(size=(6, 40))))


def test_pooling_is_mean_and_deviation_over_time() -> None:
    features = np.array([[[1.0, 5.0], [3.0, 5.0]]], np.float32)
    assert pooled(features).tolist() == [[2.0, 5.0, 1.0, 0.0]]


def test_a_perfect_dream_is_at_the_floor_and_a_frozen_one_far_above() -> None:
    rng = np.random.default_rng(0)
    real, other = (rng.normal(size=(30, 59, 4)).astype(np.float32) for _ in range(2))
    perfect, froze = frechet(real, real, other), frechet(np.zeros_like(real), real, other)
    assert perfect["frechet"] == perfect["frechet_floor"]
    assert set(perfect["frechet"]) == {"16", "64"}
    assert froze["frechet"]["64"] > 10 * froze["frechet_floor"]["64"]


def test_the_short_clip_is_the_beginning_of_the_long_one() -> None:
    rng = np.random.default_rng(0)
    real, other = (rng.normal(size=(30, 59, 4)).astype(np.float32) for _ in range(2))
    late = real.copy()
    late[:, 11:] += 5.0
    measured = frechet(late, real, other)
    assert measured["frechet"]["16"] == measured["frechet_floor"]["16"]
    assert measured["frechet"]["64"] > measured["frechet_floor"]["64"]


def test_one_clip_has_no_spread_and_is_refused() -> None:
    with pytest.raises(ValueError, match="two clips"):
        frechet(*(np.zeros((1, 59, 4), np.float32),) * 3)
