"""The noise that streams are dreamed from: a function of a stream's seed, its frame and a purpose alone.

So the same seed and actions give the same frames, a fork dreams the same future, and no batch changes anybody's noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Seeded(Protocol):
    """What noise is a function of."""

    @property
    def seed(self) -> int:
        """Of the stream."""

    @property
    def frame(self) -> int:
        """Of the stream."""


def noise_of(states: Sequence[Seeded], shape: tuple[int, ...], purpose: int) -> Tensor:
    """(B, *shape) float32 standard normal, on the CPU.

    Args:
        states: B streams.
        shape: of one stream's.
        purpose: what it is for; different ones are independent.
    """
    generator = torch.Generator()
    draws = []
    for state in states:
        words = np.random.SeedSequence((state.seed & (2**63 - 1), state.frame, purpose))
        generator.manual_seed(int(words.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        draws.append(torch.randn(shape, generator=generator))
    return torch.stack(draws)
