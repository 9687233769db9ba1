"""A simulator and its dream, side by side: the same actions for both, both pictures, and how far they are apart.

    twin = TwinEnv(RealEnv("arm"), WorldEnv("arm"))
    both, info = twin.reset(seed=7)               # the dream begins with the simulator's first picture
    both, reward, terminated, truncated, info = twin.step(action)
    info["divergence"]                            # {"mean": ..., "psnr": ...}

Reward and end are the simulator's, for it is the truth. Knows two environments whose observations are pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from .env import WorldEnv
from .hooks import Observation

Both = dict[str, NDArray[Any]]
"""`real` and `dream`, each (H, W, 3) RGB."""


def _same(action: Any) -> Any:
    return action


class TwinEnv(gymnasium.Env[Both, Any]):
    """See the module."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self,
        sim: gymnasium.Env[Observation, Any],
        world: WorldEnv,
        *,
        to_sim: Callable[[Any], Any] = _same,
    ) -> None:
        """Both are closed with this one.

        Args:
            sim: its observations are pictures of the world's size; it makes one frame a step.
            world: its dream.
            to_sim: turns an action of the world into one of the simulator.

        Raises:
            ValueError: the simulator's pictures are of another shape.
        """
        if sim.observation_space.shape != world.observation_space.shape or sim.observation_space.dtype != np.uint8:
            raise ValueError(f"expected pictures of the simulator as of the world, got {sim.observation_space}")
        assert isinstance(world.observation_space, Box)
        self._sim, self._world, self._to_sim = sim, world, to_sim
        self.action_space = world.action_space
        self.observation_space: Any = Dict({"real": sim.observation_space, "dream": world.observation_space})
        self.render_mode = "rgb_array"
        self.metadata = {**self.metadata, "render_fps": world.metadata["render_fps"]}
        self._both: Both | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Both, dict[str, Any]]:
        """Begin both. The dream begins with the simulator's first picture, where its world takes one.

        Args:
            seed: of both.
            options: `sim`, options of the simulator; all others are those of `WorldEnv.reset`, and come before its
                picture.
        """
        super().reset(seed=seed)
        chosen = seed if seed is not None else int(self.np_random.integers(2**31))
        rest = dict(options or {})
        real, info = self._sim.reset(seed=chosen, options=rest.pop("sim", None))
        begun = {"image", "frames", "state"} & set(rest)
        if self._world.takes_images and not begun:
            rest["image"] = real
        dream, dreamed = self._world.reset(seed=chosen, options=rest)
        return self._shown(real, dream), self._told(real, dream, info, dreamed)

    def step(self, action: Any) -> tuple[Both, float, bool, bool, dict[str, Any]]:
        """One chunk of both; the simulator makes as many frames as the world."""
        dream, expected, _, truncated, dreamed = self._world.step(action)
        total = 0.0
        for _ in dreamed["frames"]:
            real, reward, ended, cut, info = self._sim.step(self._to_sim(action))
            total += float(reward)
            if ended or cut:
                break
        told = self._told(real, dream, info, dreamed) | {"dream_reward": expected}
        return self._shown(real, dream), total, bool(ended), bool(cut or truncated), told

    def render(self) -> Observation | None:
        """Both pictures, the simulator's on the left."""
        return None if self._both is None else np.concatenate([self._both["real"], self._both["dream"]], 1)

    def close(self) -> None:
        """Close both."""
        self._sim.close()
        self._world.close()

    def _shown(self, real: Observation, dream: Observation) -> Both:
        self._both = {"real": real, "dream": dream}
        return {name: picture.copy() for name, picture in self._both.items()}

    def _told(self, real: Observation, dream: Observation, info: Any, dreamed: Any) -> dict[str, Any]:
        return {"divergence": divergence(real, dream), "real": dict(info), "dream": dict(dreamed)}


def divergence(real: Observation, dream: Observation) -> dict[str, float]:
    """How far two pictures are apart: mean absolute difference from 0 to 1, and PSNR in dB (infinite if they agree)."""
    apart = (real.astype(np.float64) - dream) / 255.0
    squared = float((apart**2).mean())
    return {"mean": float(np.abs(apart).mean()), "psnr": -10.0 * math.log10(squared) if squared else math.inf}
