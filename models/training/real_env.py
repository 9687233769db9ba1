"""The engine that a world learned from, as a Gymnasium environment: the truth beside a dream.

Observations are pictures, as the world's; `info["pose"]` is what the engine knows. For the `arm` the reward is 1.0
while the drawer is open, by Meta-World's own measure, and that ends an episode. Knows simulators; no world.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from ..reader import OPENED
from ..spec import Image
from .collect import simulator_of
from .recipe import load_recipe


class RealEnv(gymnasium.Env[Image, NDArray[np.float32]]):
    """One engine, stepped frame by frame. Of the `arm` one a process: see `ArmSimulator`."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, name: str, *, max_frames: int | None = None) -> None:
        """`name`: of a recipe; `max_frames`: an episode's, the recipe's when absent."""
        recipe = load_recipe(name)
        spec = recipe.spec
        self.max_frames = max_frames or recipe.data.episode
        self.simulator = simulator_of(recipe, "holdout")
        self.action_space = Box(spec.actions.low, spec.actions.high, dtype=np.float32)
        self.observation_space = Box(0, 255, (spec.height, spec.width, 3), np.uint8)
        self.metadata = {**self.metadata, "render_fps": float(spec.fps)}
        self.render_mode = "rgb_array"
        self._handle = recipe.data.simulator == "arm"
        self._frame = 0
        self._picture: Image | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Image, dict[str, Any]]:
        """Begin an episode; same seed, same episode."""
        super().reset(seed=seed)
        self.simulator.reset(seed if seed is not None else int(self.np_random.integers(2**31)))
        self._frame = 0
        picture, pose = self._look()
        return picture, {"frame": 0, "pose": pose}

    def step(self, action: NDArray[np.float32]) -> tuple[Image, float, bool, bool, dict[str, Any]]:
        """One frame."""
        over = self.simulator.act(np.asarray(action, np.float32).clip(self.action_space.low, self.action_space.high))  # type: ignore[attr-defined]
        self._frame += 1
        picture, pose = self._look()
        opened = self._handle and bool(pose[5] <= OPENED)
        truncated = over or self._frame >= self.max_frames
        return picture, float(opened), opened, truncated, {"frame": self._frame, "pose": pose}

    def render(self) -> Image | None:
        """The latest picture, a copy."""
        return None if self._picture is None else self._picture.copy()

    def _look(self) -> tuple[Image, NDArray[np.float32]]:
        self._picture, pose = self.simulator.observe()
        return self._picture.copy(), pose.copy()
