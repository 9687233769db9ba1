"""Tiny tensors: one thread is faster than two, above all beside other work."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Whatever a test before this one has left: two threads of four processes on two cores wait for each other."""
    torch.set_num_threads(1)
