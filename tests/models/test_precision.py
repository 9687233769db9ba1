"""Which number format is native: what streams and what trains agree on it."""

from __future__ import annotations

import pytest
import torch

from worldloom.models import precision
from worldloom.models.precision import mixed, native_dtype
from worldloom.models.training.muon import orthogonal

CPU = torch.device("cpu")


@pytest.fixture(params=[True, False], ids=["bfloat16", "float32"])
def multiplies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether this processor multiplies bfloat16, or claims to."""
    monkeypatch.setattr(precision, "_cpu_has", lambda _: request.param)
    return bool(request.param)


def test_products_are_made_in_the_native_format(multiplies: bool) -> None:
    native = torch.bfloat16 if multiplies else torch.float32
    assert native_dtype(CPU) == native
    a = torch.ones(4, 4, requires_grad=True)
    with mixed(CPU):
        product = a @ a
    assert product.dtype == native
    product.sum().backward()  # type: ignore[no-untyped-call]
    assert a.grad is not None
    assert a.grad.dtype == torch.float32


def test_steps_of_muon_are_orthogonal_in_either(multiplies: bool) -> None:
    step = orthogonal(torch.randn(16, 24, generator=torch.Generator().manual_seed(1)))
    assert step.dtype == (torch.bfloat16 if multiplies else torch.float32)
    lengths = torch.linalg.svdvals(step.float())
    assert lengths.min() > 0.6
    assert lengths.max() < 1.3


def test_a_processor_is_asked_once() -> None:
    precision._cpu_has.cache_clear()
    native_dtype(CPU)
    asked = precision._cpu_has.cache_info().misses
    native_dtype(CPU)
    assert precision._cpu_has.cache_info().misses == asked
