"""What only a CUDA device can show: kernels, eight bits and graphs beside torch's own passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.models.wan.fp8 import Fp8Linear, emulated_product, in_e4m3
from worldloom.models.wan.open import open_wan

from .folders import folder
from .tiny import SHAPE

pytestmark = pytest.mark.gpu

CUDA = "cuda"
WIDE = replace(SHAPE, width=256, ffn=512)  # widths that products in eight bits take


@pytest.mark.parametrize("how", [{}, {"graphs": 2}, {"kernels": "eager", "graphs": 2}], ids=str)
def test_the_same_pictures(tmp_path: Path, how: dict[str, object]) -> None:
    path, shown = folder(tmp_path / "tiny", shape=WIDE), []
    for options in (how, {"kernels": "eager"}):
        world = open_wan(path, device=CUDA, dtype=torch.float32, **options)
        streams = [world.start(seed=0), world.start(seed=0)]
        rest = np.repeat(world.spec.actions.neutral(world.spec.chunk)[None], 2, 0)
        shown.append(np.concatenate([world.step(streams, rest) for _ in range(5)]).astype(int))
    assert np.abs(shown[0] - shown[1]).max() <= 2


@torch.inference_mode()
def test_eight_bits_are_those_that_are_emulated() -> None:
    layer = torch.nn.Linear(256, 512).to(CUDA, torch.bfloat16)
    eight, x = Fp8Linear(layer.weight, layer.bias), torch.randn(2, 37, 256, device=CUDA, dtype=torch.bfloat16)
    rows, scale = in_e4m3(x.flatten(0, 1))
    want = emulated_product(rows, scale, eight.weight, eight.scale, eight.bias, x.dtype)
    torch.testing.assert_close(eight(x).flatten(0, 1), want, rtol=0.02, atol=0.02)
