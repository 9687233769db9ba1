"""A feed-forward in two passes instead of three: the same numbers as torch's own."""

from __future__ import annotations

import platform

import pytest
import torch
import torch.nn.functional as F

from worldloom.models import feed_forward
from worldloom.models.feed_forward import FeedForward, operator_exists


@pytest.mark.skipif(platform.machine() != "x86_64", reason="promised on this kind of machine only")
def test_the_operator_that_nobody_promises_is_there() -> None:
    assert operator_exists(torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_the_same_as_torchs(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    layer, x = FeedForward(24, 40).to(dtype), torch.randn(2, 3, 5, 24).to(dtype)
    assert set(layer.state_dict()) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    first, _, last = layer
    want = last(F.gelu(first(x), approximate="tanh"))
    near = 0.03 if dtype == torch.bfloat16 else 1e-5
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), want, rtol=near, atol=near)
        monkeypatch.setattr(feed_forward, "operator_exists", lambda _: False)
        assert torch.equal(layer(x), want)


def test_gradients_go_through_it() -> None:
    layer, x = FeedForward(8, 16), torch.randn(3, 8, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assert all(part.grad is not None for part in layer.parameters())
