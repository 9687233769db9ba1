"""The engine that a world learned from, as a Gymnasium environment: the truth beside a dream.

Observations are pictures, as the world's; `info["pose"]` is what the engine knows. For the `arm` the reward is 1.0
while its task is done, by Meta-World's own measure, and that ends an episode. Knows simulators; no world.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from ..spec import Image
from .collect import simulator_of
from .recipe import load_recipe
from .success import succeeded


class RealEnv(gymnasium.Env[Image, NDArray[np.float32]]):
    """One engine, stepped frame by frame. Of the `arm` one a process: see `ArmSimulator`."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, name: str, *, task: str = "", max_frames: int | None = None) -> None:
        """The engine of a recipe.

        Args:
            name: of the recipe.
            task: the one that every episode has; by default seeds take turns among the recipe's.
            max_frames: of an episode; the recipe's when absent.

        Raises:
            ValueError: no such recipe, or it has no such task.
        """
        recipe = load_recipe(name)
        spec, self.tasks = recipe.spec, recipe.data.tasks
        if task and task not in self.tasks:
            raise ValueError(f"expected a task of {name} ({', '.join(self.tasks) or 'it has none'}), got {task}")
        self._only = self.tasks.index(task) if task else None
        self.max_frames = max_frames or recipe.data.episode
        self.simulator = simulator_of(recipe, "holdout")
        self.action_space = Box(spec.actions.low, spec.actions.high, dtype=np.float32)
        self.observation_space = Box(0, 255, (spec.height, spec.width, 3), np.uint8)
        self.metadata = {**self.metadata, "render_fps": float(spec.fps)}
        self.render_mode = "rgb_array"
        self._ends = recipe.data.simulator == "arm"
        self._frame = 0
        self._picture: Image | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Image, dict[str, Any]]:
        """Begin an episode; same seed, same episode."""
        super().reset(seed=seed)
        seed = seed if seed is not None else int(self.np_random.integers(2**31))
        if self._only is not None:
            seed = seed * len(self.tasks) + self._only  # engines of several tasks choose by the rest
        self.simulator.reset(seed)
        self._frame = 0
        picture, pose = self._look()
        return picture, {"frame": 0, "pose": pose}

    def step(self, action: NDArray[np.float32]) -> tuple[Image, float, bool, bool, dict[str, Any]]:
        """One frame."""
        over = self.simulator.act(np.asarray(action, np.float32).clip(self.action_space.low, self.action_space.high))  # type: ignore[attr-defined]
        self._frame += 1
        picture, pose = self._look()
        done = self._ends and bool(succeeded(pose[None])[0])
        truncated = over or self._frame >= self.max_frames
        return picture, float(done), done, truncated, {"frame": self._frame, "pose": pose}

    def render(self) -> Image | None:
        """The latest picture, a copy."""
        return None if self._picture is None else self._picture.copy()

    def _look(self) -> tuple[Image, NDArray[np.float32]]:
        self._picture, pose = self.simulator.observe()
        return self._picture.copy(), pose.copy()
