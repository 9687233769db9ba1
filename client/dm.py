"""A Gymnasium environment as a dm_env one, for loops that were written for dm_control and its kin.

    env = DmEnv(WorldEnv("arm"))
    step = env.reset()
    while not step.last():
        step = env.step(policy(step.observation))

An episode that terminates ends with discount 0, one that is truncated with discount 1. Knows both interfaces; no world.
"""

from __future__ import annotations

from typing import Any

import dm_env
import gymnasium
import numpy as np
from dm_env import specs
from gymnasium.spaces import Box


class DmEnv(dm_env.Environment):  # type: ignore[misc]  # the package has no types
    """See the module. Observations and actions of the environment are boxes."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        """`env` is closed with this one."""
        if not isinstance(env.observation_space, Box) or not isinstance(env.action_space, Box):
            raise ValueError(f"expected boxes, got {env.observation_space} and {env.action_space}")
        self._env = env
        self._over = True  # the next step begins an episode

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> dm_env.TimeStep:
        """Begin an episode; the arguments are those of Gymnasium."""
        observation, _ = self._env.reset(seed=seed, options=options)
        self._over = False
        return dm_env.restart(observation)

    def step(self, action: Any) -> dm_env.TimeStep:
        """Advance; after the end of an episode the next one begins, and the action is not looked at."""
        if self._over:
            return self.reset()
        observation, reward, terminated, truncated, _ = self._env.step(action)
        self._over = terminated or truncated
        if terminated:
            return dm_env.termination(float(reward), observation)
        return (dm_env.truncation if truncated else dm_env.transition)(float(reward), observation)

    def observation_spec(self) -> specs.BoundedArray:
        """Pictures."""
        return _spec(self._env.observation_space, "pixels")

    def action_spec(self) -> specs.BoundedArray:
        """Rows."""
        return _spec(self._env.action_space, "action")

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


def _spec(space: Any, name: str) -> specs.BoundedArray:
    return specs.BoundedArray(space.shape, space.dtype, np.asarray(space.low), np.asarray(space.high), name=name)
