"""The few-step sampler: noise levels, and a walk down them. Two functions; knows nothing about networks or worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor


def sigmas(steps: int, shift: float = 1.0) -> tuple[float, ...]:
    """`steps` + 1 noise levels from 1 to 0; a shift above 1 spends more of them near 1 (SD3, arXiv 2403.03206)."""
    even = [1.0 - k / steps for k in range(steps + 1)]
    return tuple(shift * s / (1.0 + (shift - 1.0) * s) for s in even)


def denoise(velocity: Callable[[Tensor, float], Tensor], noise: Tensor, levels: Sequence[float]) -> Tensor:
    """Euler steps along the flow from pure noise to a picture.

    Args:
        velocity: (x, sigma) -> noise minus picture, shaped like x.
        noise: any shape, standard normal.
        levels: falling noise levels, from 1 to 0.

    Returns:
        the picture, shaped like `noise`.
    """
    x = noise
    for sigma, lower in zip(levels[:-1], levels[1:], strict=True):
        x = x + (lower - sigma) * velocity(x, sigma)
    return x
