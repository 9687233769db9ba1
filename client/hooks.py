"""What a task asks of a dream: a reward, an end, each a function of two pictures and the action between them.

A dreamed world knows no task. Whoever has one says so by hooks; one that also has `batch` is asked for all worlds of a
step at once. Knows arrays only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Observation: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) RGB."""


class Hook(Protocol):
    """A reward, or whether an episode has ended (true where not 0)."""

    def __call__(self, obs: Observation, action: NDArray[np.float32], next_obs: Observation, goal: Any) -> float:
        """`obs`, `action` and `next_obs` of one step; `goal` is what `reset` was told."""


def judge(
    hook: Hook | None,
    obs: NDArray[np.uint8],
    actions: NDArray[np.float32],
    next_obs: NDArray[np.uint8],
    goals: Sequence[Any],
) -> NDArray[np.float64]:
    """(n,) what a hook says of n steps; zeros without one."""
    if hook is None or not len(next_obs):
        return np.zeros(len(next_obs))
    together = getattr(hook, "batch", None)
    if together is not None:
        return np.asarray(together(obs, actions, next_obs, goals), np.float64)
    return np.array([float(hook(*one)) for one in zip(obs, actions, next_obs, goals, strict=True)])


class NearGoal:
    """A reward for looking like the goal, which is a picture: minus the mean difference, from -1 to 0."""

    def __call__(self, obs: Observation, action: NDArray[np.float32], next_obs: Observation, goal: Any) -> float:
        """One picture."""
        return -float(np.abs(next_obs.astype(np.float32) - np.asarray(goal, np.float32)).mean()) / 255.0
