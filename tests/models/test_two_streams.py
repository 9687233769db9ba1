"""Attention of two streams has the gradients that autograd finds a frame at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from worldloom.models.memory import TwoStreamMemory
from worldloom.models.rope import RopeConfig, Rotary, rotary
from worldloom.models.two_streams import two_stream_attention

TOKENS, CONTEXTS = 6, 4


def inputs() -> tuple[Tensor, Tensor, Rotary, Tensor]:
    """Queries and keys as strong as trained ones, values, phases, and what comes back from above."""
    g = torch.Generator().manual_seed(0)
    S = 2 * CONTEXTS * TOKENS
    qk = 2.0 * torch.randn(2, 2, S, 3, 16, generator=g).transpose(2, 3)
    v = torch.randn(2, S, 3, 3, 16, generator=g)[:, :, 2].transpose(1, 2)  # a view, as the network's values are
    frames = torch.cat([torch.arange(CONTEXTS), torch.arange(CONTEXTS) + 1]).double().expand(2, -1)
    yaw = 10.0 * torch.rand(frames.shape, generator=g, dtype=torch.float64)
    cos, sin = rotary(RopeConfig(16, 2, 3, fov=90.0), frames, yaw)
    return qk, v, (cos[:, None], sin[:, None]), torch.randn(v.shape, generator=g)


def a_frame_at_a_time(qk: Tensor, v: Tensor, phases: Rotary, tokens: int) -> Tensor:
    """What autograd records."""
    return TwoStreamMemory(phases, tokens).a_frame_at_a_time(qk, v)


def outcome(of: Callable[[Tensor, Tensor, Rotary, int], Tensor], dtype: torch.dtype) -> list[Tensor]:
    """What attention makes of the inputs and the gradients of qk and v, float32."""
    qk, v, phases, back = inputs()
    qk, v = qk.to(dtype).requires_grad_(), v.to(dtype).requires_grad_()
    out = of(qk, v, phases, TOKENS)
    out.backward(back.to(dtype))  # type: ignore[no-untyped-call]
    assert qk.grad is not None
    assert v.grad is not None
    return [x.detach().float() for x in (out, qk.grad, v.grad)]


def test_gradients_equal_those_of_a_frame_at_a_time() -> None:
    for got, want in zip(
        outcome(two_stream_attention, torch.float32), outcome(a_frame_at_a_time, torch.float32), strict=True
    ):
        assert want.norm() > 1.0
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_bfloat16_is_as_near_as_bfloat16_can_be() -> None:
    exact = outcome(a_frame_at_a_time, torch.float32)
    ways = outcome(two_stream_attention, torch.bfloat16), outcome(a_frame_at_a_time, torch.bfloat16)
    for want, got, sdpa in zip(exact, *ways, strict=True):
        wrong, usual = ((x - want).norm() / want.norm() for x in (got, sdpa))
        assert wrong < max(0.015, 2.0 * usual)


def test_only_what_wants_gradients_goes_that_way() -> None:
    qk, v, phases, _ = inputs()
    memory = TwoStreamMemory(phases, TOKENS)
    with torch.no_grad():
        assert torch.equal(memory.attend(0, qk, v), memory.a_frame_at_a_time(qk, v))
    assert type(memory.attend(0, qk.requires_grad_(), v).grad_fn).__name__ == "TwoStreamsBackward"
    targets_left_out = TwoStreamMemory(tuple(x[:, :, : 5 * TOKENS] for x in phases), TOKENS, skipped=3)  # type: ignore[arg-type]
    few, few_v = qk[:, :, :, : 5 * TOKENS], v[:, :, : 5 * TOKENS]
    assert torch.equal(targets_left_out.attend(0, few, few_v), targets_left_out.a_frame_at_a_time(few, few_v))
