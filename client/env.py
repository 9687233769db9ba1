"""A dreamed world as a Gymnasium environment, in lockstep: in this process or on a server.

    env = gymnasium.make("worldloom/Arm-v0")             # once this module is imported
    env = WorldEnv("arm")                                # loads the weights here
    env = WorldEnv("ws://127.0.0.1:8000", name="arm")    # drives a server's world

What a step and an episode are is in `episodes.py`. A dreamed world knows no task: without hooks the reward is 0.0 and
an episode never terminates; it is truncated where the episodes ended that the world learned from, or after
`max_frames`. Same seed and same actions give the same bytes. Knows Gymnasium; how a world is reached is in
`lockstep.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from .episodes import Episodes, Snapshot
from .hooks import Hook, Observation
from .lockstep import reach
from .spaces import Actions, Form, pictures

if TYPE_CHECKING:
    from worldloom.models.spec import WorldModel

    from .vector_env import WorldVectorEnv


class WorldEnv(gymnasium.Env[Observation, Any]):
    """One stream of a world; see the module.

    `info` of each step has `frame` (since the first observation), `frames` (all of the chunk), `timing.compute_ms`, and
    `drift` where it is known what the world should look like: how far off the picture's luma, saturation or sharpness
    is, as a fraction.

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
        max_frames: int | None = None,
        render_mode: str | None = None,
        reward_fn: Hook | None = None,
        terminated_fn: Hook | None = None,
        actions: Form = "box",
        token: str | None = None,
    ) -> None:
        """Open a world.

        Args:
            world: a name ("arm", "toy"), a world object, or the address of a server ("ws://127.0.0.1:8000").
            name: with an address: which of the server's worlds; its first one when absent.
            max_frames: frames after which an episode is truncated; as many as the world's own had, when absent.
            render_mode: "rgb_array" or None.
            reward_fn: asked for the reward of each step.
            terminated_fn: asked whether the episode has ended; true where not 0.
            actions: "box", one row in the world's units; "dict", buttons apart from axes in [-1, 1].
            token: with an address: signed by the server, where it asks for one.

        Raises:
            ValueError: an unknown world, render mode, or a name without an address.
            WorldloomError: what the server answered.
        """
        _check_mode(render_mode)
        self.render_mode = render_mode
        worlds = reach(world, name, 1, token=token)
        try:
            self._episodes = Episodes(worlds, max_frames=max_frames, reward_fn=reward_fn, terminated_fn=terminated_fn)
            self._actions = Actions(worlds.info.actions, actions)
        except ValueError:
            worlds.close()
            raise
        self._form: Form = actions
        self.action_space = self._actions.space
        self.observation_space = pictures(worlds.info)
        self.metadata = {**self.metadata, "render_fps": worlds.info.fps[0] / worlds.info.fps[1]}

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the action's columns."""
        return self._actions.columns

    @property
    def takes_images(self) -> bool:
        """Whether an episode may begin with a picture."""
        return self._episodes.worlds.info.images

    @property
    def scenes(self) -> tuple[str, ...]:
        """Names of what an episode may begin with."""
        return self._episodes.worlds.info.scenes

    @property
    def max_frames(self) -> int:
        """Frames after which an episode is truncated."""
        return self._episodes.max_frames

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; without a seed, from the next one of `np_random`.

        Args:
            seed: of the world's random numbers.
            options: `scene`, one of the world's by its name, where a seed would choose one; `image` (H, W, 3) or
                `frames` (K, H, W, 3) to begin with, with `context_actions` (K, A) that led to each; `prompt`; `state`,
                a snapshot or what a world saved; `goal`, which hooks are told.

        Raises:
            ValueError: an unknown option, or a scene that the world does not have.
            Unsupported: the world does not begin so; the episode before goes on.
        """
        super().reset(seed=seed)
        chosen = seed if seed is not None else int(self.np_random.integers(2**31))
        infos = self._episodes.begin({0: chosen}, options)
        return self._episodes.pictures[0].copy(), infos[0]

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advance by one chunk under one action, clipped to its range.

        Raises:
            ValueError: the action is of another shape, or not finite.
        """
        row: NDArray[np.float32] = self._actions.rows(action)
        if not self._episodes.begun[0]:
            raise gymnasium.error.ResetNeeded("expected reset() before the first step()")
        made = self._episodes.step(row[None])
        picture = self._episodes.pictures[0].copy()
        return picture, float(made.rewards[0]), bool(made.terminated[0]), bool(made.truncated[0]), made.infos[0]

    def render(self) -> Observation | None:
        """The latest picture, a copy."""
        if self.render_mode is None or not self._episodes.begun[0]:
            return None
        return self._episodes.pictures[0].copy()

    def snapshot(self) -> Snapshot:
        """The episode as it is now."""
        return self._episodes.snapshot()[0]

    def restore(self, snapshot: Snapshot) -> Observation:
        """Go on from a snapshot, of this environment or another of the same world; returns its picture."""
        self._episodes.restore({0: snapshot})
        return self._episodes.pictures[0].copy()

    def fork(self, copies: int) -> WorldVectorEnv:
        """So many copies of this episode, stepped in one batch; they share the weights, and nothing that can change."""
        from .vector_env import WorldVectorEnv

        return WorldVectorEnv._of(self._episodes.fork(copies), self._form)

    def close(self) -> None:
        """Free the world. Closing twice is allowed."""
        self._episodes.worlds.close()


def _check_mode(render_mode: str | None) -> None:
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"expected render_mode 'rgb_array' or None, got {render_mode!r}")


def register() -> None:
    """Make the worlds known to `gymnasium.make` and `make_vec`, as worldloom/Arm-v0 and so on.

    Worlds with buttons take actions as "dict" there: Gymnasium wants a box to be symmetric.
    """
    for name, actions in (("arm", "box"), ("doom", "dict"), ("toy", "dict")):
        gymnasium.register(
            f"worldloom/{name.capitalize()}-v0",
            entry_point="worldloom.client.env:WorldEnv",
            vector_entry_point="worldloom.client.vector_env:WorldVectorEnv",
            kwargs={"world": name, "actions": actions},
        )


register()
