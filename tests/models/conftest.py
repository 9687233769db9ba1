"""Tiny tensors: one thread is faster than two, above all beside other work."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
