"""Inverse depths survive their files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from worldloom.models.depths import NEAREST, from_png, to_png


def test_depths_survive_their_file() -> None:
    across, down = np.meshgrid(np.linspace(0.0, 2.0, 96), np.linspace(0.1, 3.0, 64))
    near = np.maximum(across, down).astype(np.float32)
    file = to_png(near)
    assert len(file) < near.size // 3, "walls are flat"
    np.testing.assert_allclose(from_png(file), near, atol=1e-4)


def test_what_is_nearer_than_anything_is_as_near_as_can_be() -> None:
    assert from_png(to_png(np.array([[-1.0, 100.0]], np.float32))).tolist() == [[0.0, NEAREST]]


def test_other_files_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a PNG file of depths"):
        from_png(b"depths")
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    with pytest.raises(ValueError, match="expected depths of 16 bits"):
        from_png(file.getvalue())
    with pytest.raises(ValueError, match="expected a PNG file of depths"):
        from_png(to_png(np.random.default_rng(0).random((32, 32)).astype(np.float32))[:200])
