"""The few-step sampler that the family was distilled for: guess the picture, make it noisy again, less so, guess again.

Every step takes fresh noise, as a consistency model does; nothing follows a curve. Knows noise levels; no network, no
cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from .config import Rollout

TIMESTEPS = 1000


@dataclass(frozen=True)
class Level:
    """One denoising step."""

    t: float  # timestep that the network is told, 0 to 1000
    sigma: float  # share of noise in what it is given


def schedule(shift: float) -> tuple[float, ...]:
    """The 1,000 falling noise levels of training: even ones, moved towards 1 by the shift (arXiv 2403.03206)."""
    even = (1.0 - k / TIMESTEPS for k in range(TIMESTEPS))
    return tuple(shift * s / (1.0 + (shift - 1.0) * s) for s in even)


def levels(roll: Rollout, *, first: bool = False) -> tuple[Level, ...]:
    """The denoising steps of a chunk; of a stream's first one, where these differ.

    A list to be warped names places of the schedule counted from its end: 750 is the 250th from the top. One that is
    not names timesteps, and the nearest level of the schedule is what the network is given.
    """
    table = schedule(roll.shift)
    steps = roll.first if first and roll.first else roll.steps
    if roll.warp:
        sigmas = [table[TIMESTEPS - round(step)] for step in steps]
        return tuple(Level(TIMESTEPS * sigma, sigma) for sigma in sigmas)
    return tuple(Level(step, sigma_at(step, roll.shift)) for step in steps)


def sigma_at(t: float, shift: float) -> float:
    """The schedule's noise level nearest to a timestep; none at all at 0."""
    return min(schedule(shift), key=lambda sigma: abs(TIMESTEPS * sigma - t)) if t else 0.0


def denoise(
    velocity: Callable[[Tensor, float], Tensor], noise: Callable[[int], Tensor], levels: Sequence[Level]
) -> Tensor:
    """A picture from noise.

    Args:
        velocity: (x, timestep) -> noise minus picture, shaped like x.
        noise: number of the step -> standard normal, fresh for each.
        levels: falling, the first of them pure noise.

    Returns:
        the picture, shaped like the noise.
    """
    picture = x = noise(0)
    for k, level in enumerate(levels):
        if k:
            x = (1.0 - level.sigma) * picture + level.sigma * noise(k)
        picture = x - level.sigma * velocity(x, level.t)
    return picture
