from __future__ import annotations

import numpy as np
import pytest

from worldloom.models.training.metrics import appearance, change, luma, psnr, saturation, sharpness, ssim


def noise(seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)


def test_psnr_of_a_known_error() -> None:
    a = np.full((2, 8, 8, 3), 100, np.uint8)
    b = a.copy()
    b[0] += 5
    assert psnr(a, b) == pytest.approx([10 * np.log10(255**2 / 25), 100.0])


def test_psnr_does_not_wrap_around() -> None:
    """Unsigned bytes must not make 0 - 255 a small difference."""
    a, b = np.zeros((1, 4, 4, 3), np.uint8), np.full((1, 4, 4, 3), 255, np.uint8)
    assert psnr(a, b) == pytest.approx([0.0])
    assert change(a, b) == pytest.approx([255.0])


def test_change_is_the_mean_of_grey_levels() -> None:
    a = np.zeros((2, 4, 4, 3), np.uint8)
    b = a.copy()
    b[1, :2] = 3
    assert change(a, b).tolist() == [0.0, 1.5]


def test_luma_weighs_green_most() -> None:
    pictures = np.eye(3, dtype=np.uint8).reshape(3, 1, 1, 3) * 255
    assert luma(pictures).ravel() == pytest.approx([76.245, 149.685, 29.07])


def test_saturation_of_grey_is_zero_and_of_red_is_full() -> None:
    pictures = np.array([[40, 40, 40], [255, 0, 0], [80, 40, 60]], np.uint8).reshape(3, 1, 1, 3)
    assert saturation(pictures).tolist() == [0.0, 255.0, 40.0]


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    flat = np.full((1, 8, 8), 50.0, np.float32)
    slope = np.tile(np.arange(8, dtype=np.float32), (1, 8, 1))
    dot = np.zeros((1, 5, 5), np.float32)
    dot[0, 2, 2] = 1.0
    assert sharpness(flat) == pytest.approx([0.0])
    assert sharpness(slope) == pytest.approx([0.0])  # a slope has no edge
    assert sharpness(dot) == pytest.approx([np.var([4.0, -1.0, -1.0, -1.0, -1.0, 0, 0, 0, 0])])


def test_blur_lowers_sharpness_and_leaves_the_mean() -> None:
    sharp = noise().astype(np.float32)
    soft = (sharp + np.roll(sharp, 1, 2) + np.roll(sharp, 1, 1) + np.roll(sharp, (1, 1), (1, 2))) / 4
    before, after = appearance(sharp.astype(np.uint8)), appearance(soft.round().astype(np.uint8))
    assert (after[:, 2] < 0.5 * before[:, 2]).all()
    assert after[:, 0] == pytest.approx(before[:, 0], abs=1.0)


def test_appearance_of_many_equals_each_alone() -> None:
    pictures = np.concatenate([noise(seed) for seed in range(30)])  # more than one part
    together = appearance(pictures)
    assert together.shape == (90, 3)
    np.testing.assert_allclose(together, np.concatenate([appearance(p[None]) for p in pictures]), rtol=1e-5)


def test_ssim_of_equal_and_of_unrelated_pictures() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (2, 32, 40, 3), dtype=np.uint8)
    b = rng.integers(0, 256, (2, 32, 40, 3), dtype=np.uint8)
    assert ssim(a, a) == pytest.approx([1.0, 1.0])
    assert abs(ssim(a, b)).max() < 0.1


def test_ssim_of_flat_pictures_by_hand() -> None:
    """Without structure only the term of brightness is left: (2 m n + C1) / (m^2 + n^2 + C1)."""
    a, b = (np.full((1, 16, 16, 3), level, np.uint8) for level in (100, 200))
    assert ssim(a, b) == pytest.approx((2 * 100 * 200 + 6.5025) / (100**2 + 200**2 + 6.5025), rel=1e-4)
