"""The few-step sampler: noise levels, fewer of them, and a walk down. Knows nothing about networks or worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor


def sigmas(steps: int, shift: float = 1.0) -> tuple[float, ...]:
    """`steps` + 1 noise levels from 1 to 0; a shift above 1 spends more of them near 1 (SD3, arXiv 2403.03206)."""
    even = [1.0 - k / steps for k in range(steps + 1)]
    return tuple(shift * s / (1.0 + (shift - 1.0) * s) for s in even)


def fewer(levels: Sequence[float], steps: int | None) -> tuple[float, ...]:
    """`steps` + 1 of these levels, evenly chosen, the first and the last among them, for a network knows no others; all
    of them for None.
    """
    last = len(levels) - 1
    steps = last if steps is None else steps
    if not 1 <= steps <= last:
        raise ValueError(f"expected 1 to {last} denoising steps, got {steps}")
    return tuple(levels[round(k * last / steps)] for k in range(steps + 1))


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
