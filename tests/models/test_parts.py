"""The small parts: attention, positions, cache bookkeeping, sampler, autoencoder, spec."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from worldloom.models.attention import HAVE_FLASH, attention
from worldloom.models.autoencoder import Autoencoder, AutoencoderConfig, SteadyNorm, to_pictures, to_signed, unit_cells
from worldloom.models.dit import DiTConfig
from worldloom.models.kv_cache import CacheConfig, KVCache
from worldloom.models.rope import RopeConfig, column_positions, rotary, rotate
from worldloom.models.sampler import denoise, fewer, sigmas
from worldloom.models.spec import ActionSpec, Axis, Key

ROPE = RopeConfig(head_dim=16, rows=2, columns=3)


class TestAttention:
    def test_against_the_formula(self) -> None:
        q, k, v = torch.randn(3, 1, 2, 5, 8, generator=torch.Generator().manual_seed(0))
        weights = (q @ k.transpose(-1, -2) / math.sqrt(8)).softmax(-1)
        torch.testing.assert_close(attention(q, k, v), weights @ v, atol=1e-6, rtol=1e-5)

    def test_mask(self) -> None:
        q, k, v = torch.randn(3, 1, 2, 5, 8, generator=torch.Generator().manual_seed(0))
        mask = torch.ones(5, 5, dtype=torch.bool).tril()
        torch.testing.assert_close(attention(q, k, v, mask)[:, :, :1], v[:, :, :1])

    def test_written_out_bfloat16_equals_sdpa(self) -> None:
        q, k, v = torch.randn(3, 1, 4, 80, 64, generator=torch.Generator().manual_seed(0))
        want = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        got = attention(q.bfloat16(), k.bfloat16(), v.bfloat16()).float()
        sdpa = torch.nn.functional.scaled_dot_product_attention(q.bfloat16(), k.bfloat16(), v.bfloat16()).float()
        assert (got - want).abs().max() <= max(2e-2, 1.5 * float((sdpa - want).abs().max()))

    @pytest.mark.gpu
    @pytest.mark.skipif(not HAVE_FLASH, reason="flash-attn is not installed")
    def test_flash_equals_sdpa(self) -> None:
        q, k, v = torch.randn(3, 2, 4, 64, 64, device="cuda", dtype=torch.bfloat16)
        want = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        torch.testing.assert_close(attention(q, k, v), want, atol=2e-2, rtol=2e-2)


class TestRope:
    def test_only_differences_matter(self) -> None:
        q, k = torch.randn(2, 1, 1, 12, 16, generator=torch.Generator().manual_seed(0))
        scores = []
        for start in (0, 10**6, 10**9):
            phases = rotary(ROPE, torch.tensor([start, start + 1.0], dtype=torch.float64), torch.zeros(2).double())
            scores.append(rotate(q, phases) @ rotate(k, phases).transpose(-1, -2))
        torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(scores[0], scores[2], atol=1e-5, rtol=1e-5)

    def test_rotation_keeps_length(self) -> None:
        q = torch.randn(1, 1, 6, 16)
        phases = rotary(ROPE, torch.tensor([3.0]).double(), torch.zeros(1).double())
        torch.testing.assert_close(rotate(q, phases).norm(dim=-1), q.norm(dim=-1))

    def test_turning_by_a_cell_shifts_the_middle_columns(self) -> None:
        rope = RopeConfig(16, rows=1, columns=8, fov=90.0)
        columns = column_positions(rope)
        assert torch.allclose(columns, -columns.flip(0))
        assert columns.diff().min() > 0
        still, turned = (rotary(rope, torch.zeros(1).double(), torch.tensor([y]).double())[0] for y in (0.0, 11.25))
        assert not torch.allclose(still, turned)

    def test_pairs_fill_the_head(self) -> None:
        for head in (16, 32, 64, 128):
            assert sum(RopeConfig(head, 2, 2).pairs) == head // 2


class TestCache:
    def test_slots_wrap_and_sinks_stay(self) -> None:
        cache = KVCache.allocate(CacheConfig(1, 1, 8, 1, 1, 3, 2), torch.device("cpu"), torch.float32)
        slots, filled = [], []
        for k in range(12):
            slots.append(cache.slot())
            filled.append(cache.filled())
            cache.write(0, torch.full((1, 1, 8), float(k)), torch.zeros(1, 1, 8), torch.zeros(1, 1, 8))
            cache.advance([0.0])
        assert slots == [0, 1, 2, 3, 4, 5, 2, 3, 4, 5, 2, 3]
        assert filled == [1, 2, 3, 4, 5, 6, 6, 6, 6, 6, 6, 6]
        assert cache.keys[0, 0, :, 0].tolist() == [0, 1, 10, 11, 8, 9]

    def test_misaligned_window_is_refused(self) -> None:
        with pytest.raises(ValueError, match="multiples of the chunk"):
            CacheConfig(1, 1, 8, 1, chunk=3, window=4)

    def test_bytes_are_what_the_shape_says(self) -> None:
        cache = KVCache.allocate(CacheConfig(2, 4, 64, 80, 1, 6), torch.device("cpu"), torch.bfloat16)
        assert cache.nbytes == 2 * (2 * 4 * 7 * 80 * 64) * 2


class TestSampler:
    def test_levels(self) -> None:
        assert sigmas(4) == (1.0, 0.75, 0.5, 0.25, 0.0)
        assert sigmas(2, shift=3.0) == (1.0, 0.75, 0.0)

    def test_fewer_levels_are_some_of_them_and_the_ends(self) -> None:
        levels = (1.0, 0.6, 0.2, 0.05, 0.0)
        assert [fewer(levels, steps) for steps in (1, 2, None)] == [(1.0, 0.0), (1.0, 0.2, 0.0), levels]
        assert fewer(levels, 4) == levels
        assert set(fewer(levels, 3)) < set(levels)
        for steps in (0, 5):
            with pytest.raises(ValueError, match="1 to 4"):
                fewer(levels, steps)

    def test_straight_flow_is_exact_in_any_number_of_steps(self) -> None:
        picture, noise = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(0))
        for steps in (1, 2, 5):
            got = denoise(lambda x, s: noise - picture, noise, sigmas(steps))
            torch.testing.assert_close(got, picture, atol=1e-5, rtol=1e-5)

    def test_every_level_is_visited(self) -> None:
        seen: list[float] = []

        def velocity(x: torch.Tensor, sigma: float) -> torch.Tensor:
            seen.append(sigma)
            return torch.zeros_like(x)

        denoise(velocity, torch.zeros(1), (1.0, 0.5, 0.25, 0.0))
        assert seen == [1.0, 0.5, 0.25]


class TestAutoencoder:
    def test_shapes_and_unit_cells(self) -> None:
        torch.manual_seed(0)
        model = Autoencoder(AutoencoderConfig(32, 48, 6, (8, 8, 16), position=True))
        z = model.encode(torch.rand(2, 3, 32, 48) * 2 - 1)
        assert z.shape == (2, 6, 2, 3)
        torch.testing.assert_close(z.square().mean(1), torch.ones(2, 2, 3), atol=1e-2, rtol=1e-2)
        assert model.decode(z).shape == (2, 3, 32, 48)

    def test_pixels_survive_the_round_trip_of_units(self) -> None:
        pictures = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 16, 16, 3)
        assert torch.equal(to_pictures(to_signed(pictures)), pictures)

    def test_unit_cells_is_a_projection(self) -> None:
        z = torch.randn(1, 2, 6, 2, 3)
        once = unit_cells(z)
        torch.testing.assert_close(unit_cells(once), once, atol=1e-3, rtol=1e-3)

    def test_size_must_fit(self) -> None:
        with pytest.raises(ValueError, match="multiples of 16"):
            AutoencoderConfig(100, 128)


class TestSpec:
    def test_columns_and_bounds(self) -> None:
        spec = ActionSpec(("jump",), (Axis("turn", -6, 6, "degree/frame", "amount"),), look=("turn", None))
        assert spec.columns == ("jump", "turn")
        assert spec.low.tolist() == [0, -6]
        assert spec.high.tolist() == [1, 6]
        assert spec.neutral(2).shape == (2, 2)

    def test_bindings_must_exist(self) -> None:
        with pytest.raises(ValueError, match="key 'KeyW' drives 'fly'"):
            ActionSpec(("jump",), keys={"KeyW": Key("fly")})
        with pytest.raises(ValueError, match="look drives"):
            ActionSpec(("jump",), look=("turn", None))
        with pytest.raises(ValueError, match="distinct"):
            ActionSpec(("jump",), (Axis("jump", 0, 1, "1"),))


def test_head_width_must_hold_three_dimensions() -> None:
    with pytest.raises(ValueError, match="divisible by 8"):
        DiTConfig(4, 2, 2, 1, width=36, heads=3)


def test_a_norm_gives_the_same_bytes_in_a_batch_and_on_several_threads() -> None:
    generator = torch.Generator().manual_seed(0)
    norm = SteadyNorm(8, 48).requires_grad_(False).to(torch.bfloat16)
    norm.weight.copy_(torch.randn(48, generator=generator))
    x = torch.randn(4, 48, 64, 64, generator=generator).to(torch.bfloat16, memory_format=torch.channels_last)
    threads, made = torch.get_num_threads(), []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            with torch.inference_mode():
                made += [norm(x), torch.cat([norm(one) for one in x.split(1)])]  # type: ignore[no-untyped-call]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, made[0]) for one in made[1:])
    assert made[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(made[0], nn.GroupNorm.forward(norm, x), atol=0.05, rtol=0.02)
