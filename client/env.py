"""A dreamed world as a Gymnasium environment, in lockstep: in this process or on a server.

    env = WorldEnv("arm")                                # loads the weights here
    env = WorldEnv("ws://127.0.0.1:8000", name="arm")    # drives a server's world

One step of the environment is one chunk of the world: its action is held for every frame of the chunk, the observation
is the last of its frames, and `info["frames"]` has all of them. A dreamed world knows no task, so the reward is always
0.0 and an episode never terminates; it is truncated after `max_frames`. The first observation is what one chunk of
doing nothing shows. Same seed and same actions give the same bytes.

Knows Gymnasium; how a world is reached is in `lockstep.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from .lockstep import Lockstep, Remote, embedded

if TYPE_CHECKING:
    from worldloom.models.spec import WorldModel

Observation = NDArray[np.uint8]
"""(H, W, 3) RGB."""


class WorldEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """One stream of a world; see the module.

    Attributes:
        action_space: every column of the world's action, buttons then axes, each within its range for one frame.
        observation_space: (H, W, 3) RGB.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self,
        world: str | WorldModel[Any],
        *,
        name: str | None = None,
        max_frames: int = 1000,
        render_mode: str | None = None,
    ) -> None:
        """Open a world.

        Args:
            world: a name ("arm", "toy"), a world object, or the address of a server ("ws://127.0.0.1:8000").
            name: with an address: which of the server's worlds; its first one when absent.
            max_frames: frames after which an episode is truncated.
            render_mode: "rgb_array" or None.

        Raises:
            ValueError: an unknown world, render mode, or a name without an address.
            WorldloomError: what the server answered.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"expected render_mode 'rgb_array' or None, got {render_mode!r}")
        if max_frames < 1:
            raise ValueError(f"expected max_frames of at least 1, got {max_frames}")
        self.render_mode = render_mode
        self.max_frames = max_frames
        self._world = _reach(world, name)
        info = self._world.info
        axes = info.actions.axes
        buttons = len(info.actions.buttons)
        self._low = np.array([0.0] * buttons + [axis.low for axis in axes], np.float32)
        self._high = np.array([1.0] * buttons + [axis.high for axis in axes], np.float32)
        self.action_space = Box(self._low, self._high, dtype=np.float32)
        self.observation_space = Box(0, 255, (info.height, info.width, 3), np.uint8)
        self.metadata = {**self.metadata, "render_fps": info.fps[0] / info.fps[1]}
        self._frames = 0  # since the first observation
        self._picture: Observation | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the action's columns."""
        return self._world.info.actions.columns

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; without a seed, from the next one of `np_random`."""
        super().reset(seed=seed)
        self._world.restart(seed if seed is not None else int(self.np_random.integers(2**31)))
        self._frames = 0
        return self._advance(np.zeros_like(self._low))

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advance by one chunk under one action, clipped to its range.

        Raises:
            ValueError: the action is of another shape, or not finite.
        """
        row = np.asarray(action, np.float32)
        if row.shape != self._low.shape or not np.isfinite(row).all():
            raise ValueError(f"expected {len(self._low)} finite numbers {self.columns}, got {action!r}")
        if self._picture is None:
            raise gymnasium.error.ResetNeeded("expected reset() before the first step()")
        self._frames += self._world.info.chunk
        picture, info = self._advance(row.clip(self._low, self._high))
        return picture, 0.0, False, self._frames >= self.max_frames, info

    def render(self) -> Observation | None:
        """The latest picture, a copy."""
        if self.render_mode is None or self._picture is None:
            return None
        return self._picture.copy()

    def close(self) -> None:
        """Free the world. Closing twice is allowed."""
        self._world.close()

    def _advance(self, row: NDArray[np.float32]) -> tuple[Observation, dict[str, Any]]:
        """One chunk under one row, held."""
        frames = self._world.step(np.repeat(row[None], self._world.info.chunk, 0))
        self._picture = frames[-1].copy()
        return self._picture.copy(), {"frame": self._frames, "frames": frames}


def _reach(world: str | WorldModel[Any], name: str | None) -> Lockstep:
    if isinstance(world, str) and "://" in world:
        return Remote(world, name)
    if name is not None:
        raise ValueError(f"expected no name with {world!r}: a name chooses among the worlds of a server's address")
    return embedded(world)
