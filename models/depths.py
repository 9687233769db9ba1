"""Depths: pictures of how near everything is, as small files.

The inverse depth of a flat wall is linear in pixels, so a lossless picture of it is a kilobyte: a seventh of the JPEG
that goes with it. Knows inverse depths and PNG; nothing about cameras or albums.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

NEAREST = 8.0
"""Inverse depth that the largest number stands for; nothing is kept as nearer."""

LARGEST = 65535


def to_png(near: NDArray[np.float32]) -> bytes:
    """Inverse depths (H, W) as a PNG file of 16 bits."""
    from PIL import Image

    levels = np.clip(np.round(near * (LARGEST / NEAREST)), 0, LARGEST).astype(np.uint16)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return file.getvalue()


def from_png(file: bytes) -> NDArray[np.float32]:
    """(H, W), what `to_png` was given, to a ten-thousandth.

    Raises:
        ValueError: it is not such a file.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        levels = np.asarray(Image.open(io.BytesIO(file), formats=["PNG"]))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"expected a PNG file of depths: {error}") from error
    if levels.dtype != np.uint16 or levels.ndim != 2:
        raise ValueError(f"expected depths of 16 bits, got {levels.dtype} {levels.shape}")
    return levels.astype(np.float32) * np.float32(NEAREST / LARGEST)
