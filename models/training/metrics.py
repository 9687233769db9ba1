"""Measures of pictures: numpy in, numbers out. Knows no world and no file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
"""(..., H, W, 3) RGB."""

STATISTICS = ("luma", "saturation", "sharpness")
"""Columns of `appearance`."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of R, G, B (ITU-R BT.601)


def psnr(a: Pictures, b: Pictures) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio in dB of pictures (..., H, W, 3), one number each; identical pictures give 100."""
    mse = ((a.astype(np.float32) - b.astype(np.float32)) ** 2).mean((-3, -2, -1), dtype=np.float64)
    return np.asarray(10.0 * np.log10(255.0**2 / np.maximum(mse, 255.0**2 * 1e-10)))


def ssim(a: Pictures, b: Pictures) -> NDArray[np.float64]:
    """Structural similarity of pictures (n, H, W, 3), one number each, at most 1.

    Wang et al. 2004 on luma: Gaussian windows of 11 pixels with deviation 1.5, K1 = 0.01, K2 = 0.03, borders left out.
    """
    import cv2

    def blurred(x: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(x, (11, 11), 1.5), np.float64)[5:-5, 5:-5]

    scores = []
    for x, y in zip(luma(a), luma(b), strict=True):
        mx, my = blurred(x), blurred(y)
        vx, vy, both = blurred(x * x) - mx * mx, blurred(y * y) - my * my, blurred(x * y) - mx * my
        c1, c2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
        near = (2.0 * mx * my + c1) * (2.0 * both + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
        scores.append(near.mean())
    return np.array(scores)


def change(a: Pictures, b: Pictures) -> NDArray[np.float64]:
    """Mean absolute difference in grey levels (0..255) of pictures (..., H, W, 3), one number a picture."""
    return np.abs(a.astype(np.int16) - b.astype(np.int16)).mean((-3, -2, -1), dtype=np.float64)


def luma(pictures: Pictures) -> NDArray[np.float32]:
    """(..., H, W, 3) -> (..., H, W) brightness in grey levels, BT.601 weights."""
    return np.asarray(pictures.astype(np.float32) @ _LUMA)


def saturation(pictures: Pictures) -> NDArray[np.float64]:
    """Mean distance in grey levels between the strongest and the weakest of R, G and B, one number a picture.

    Not the S of HSV, which divides by the brightness and is mostly noise in dark pictures.
    """
    spread = pictures.max(-1) - pictures.min(-1)
    return np.asarray(spread.mean((-2, -1), dtype=np.float64))


def sharpness(brightness: NDArray[np.float32]) -> NDArray[np.float64]:
    """Variance of the four-neighbour Laplacian of (..., H, W) brightness, one number a picture."""
    x = brightness
    inner = x[..., 1:-1, 1:-1]
    laplacian = 4.0 * inner - x[..., :-2, 1:-1] - x[..., 2:, 1:-1] - x[..., 1:-1, :-2] - x[..., 1:-1, 2:]
    return np.asarray(laplacian.var((-2, -1), dtype=np.float64))


def appearance(pictures: Pictures) -> NDArray[np.float64]:
    """(n, H, W, 3) -> (n, 3): mean luma, saturation and sharpness of each picture."""
    rows = []
    for k in range(0, len(pictures), 64):  # float copies of a thousand pictures would not fit a small machine
        part = pictures[k : k + 64]
        brightness = luma(part)
        means = brightness.mean((-2, -1), dtype=np.float64)
        rows.append(np.stack([means, saturation(part), sharpness(brightness)], -1))
    return np.concatenate(rows)
