"""What is computed once for a timestep, and in fewer passes: the same numbers as in torch's own way."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from worldloom.models import attention as attending
from worldloom.models.rope import RopeConfig, column_positions, rotary
from worldloom.models.wan.block import modulated, normed
from worldloom.models.wan.dit import rope_of
from worldloom.models.wan.memory import memory_of

from .tiny import COLUMNS, ROLL, ROWS, SHAPE, cache_of, latents, text_of, tiny_dit

CLOSE = 1e-5


@torch.inference_mode()
def test_a_table_says_the_same_as_timesteps_of_all_frames() -> None:
    dit = tiny_dit()
    text, film = text_of(dit), latents(2)
    for t in (1000.0, 937.5, 0.0):
        memory = memory_of([cache_of(SHAPE, ROLL)], rope_of(SHAPE, ROWS, COLUMNS), "absolute")
        want = dit(film, torch.full((1, 2), t), [text], memory)
        got = dit(film, dit.moment(t), [text], memory)
        torch.testing.assert_close(got, want, rtol=0, atol=CLOSE * float(want.abs().max()))


def test_a_table_takes_no_gradient() -> None:
    dit = tiny_dit().requires_grad_(True)
    assert not any(part.requires_grad for changes in dit.moment(500.0).blocks for part in changes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_norms_in_fewer_passes(dtype: torch.dtype) -> None:
    near = 0.02 if dtype == torch.bfloat16 else CLOSE
    x = torch.randn(1, 5, 2, 16).to(dtype)
    gains = torch.randn(2, 16).to(dtype)
    want = F.rms_norm(x.float(), (16,), eps=1e-6) * gains.float()
    scale, shift = torch.randn(2, 1, 1, 1, 16)
    scaled = torch.addcmul(shift, F.layer_norm(x.float(), (16,), eps=1e-6), scale)
    frames = (scale.expand(1, 5, 1, 16), shift.expand(1, 5, 1, 16))
    with torch.inference_mode():
        torch.testing.assert_close(normed(x, gains, 1e-6).float(), want, rtol=near, atol=near)
        torch.testing.assert_close(modulated(x, scale, shift, 1e-6).float(), scaled, rtol=near, atol=near)
        torch.testing.assert_close(modulated(x, *frames, 1e-6).float(), scaled, rtol=near, atol=near)
    torch.testing.assert_close(normed(x, gains, 1e-6).float(), want, rtol=near, atol=2 * near)  # with gradients


@pytest.mark.parametrize("config", [RopeConfig(24, 3, 5), RopeConfig(24, 3, 5, 50.0, fov=90.0)], ids=["flat", "camera"])
def test_phases_an_axis_at_a_time_are_those_of_every_cell(config: RopeConfig) -> None:
    frames, yaw = torch.tensor([[0.0, 1e6]]).double(), torch.tensor([[10.0, -400.0]]).double()
    t, y, x = config.pairs
    turned = yaw / config.degrees_per_cell if config.fov else yaw * 0.0
    rows = []
    for f in range(2):
        for r in range(config.rows):
            for column in column_positions(config) + turned[0, f]:
                places: tuple[tuple[Tensor, int], ...] = ((frames[0, f], t), (torch.tensor(float(r)), y), (column, x))
                angles = [place.double() * config.base ** (-torch.arange(n).double() / n) for place, n in places]
                rows.append(torch.cat(angles).remainder(2.0 * math.pi))
    angle = torch.stack(rows)
    cos, sin = rotary(config, frames, yaw)
    assert torch.equal(cos[0], torch.cat([angle.cos(), angle.cos()], -1).float())
    assert torch.equal(sin[0], torch.cat([-angle.sin(), angle.sin()], -1).float())


@pytest.mark.parametrize("tiles", [True, False])
def test_attention_in_bfloat16_is_the_same_with_tiles_and_without(tiles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attending, "has_tiles", lambda: tiles)
    q, k, v = (torch.randn(1, 2, n, 16) for n in (5, 9, 9))
    got = attending.attention(q.bfloat16(), k.bfloat16(), v.bfloat16())
    torch.testing.assert_close(got.float(), attending.attention(q, k, v), rtol=0.05, atol=0.05)
