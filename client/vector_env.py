"""Many streams of a world as one Gymnasium vector environment: one step of the network for all of them.

    envs = gymnasium.make_vec("worldloom/Arm-v0", num_envs=8)    # once `worldloom.client.env` is imported
    envs = WorldVectorEnv("arm", 8)

An episode that ended begins anew with the next step, whose action it does not see (`NEXT_STEP`); or whoever steps
resets it, by `reset(options={"reset_mask": ...})` (`DISABLED`). What a step and an episode are is in `episodes.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from .env import _check_mode
from .episodes import Episodes, Snapshot
from .hooks import Hook
from .lockstep import reach
from .spaces import Actions, Form, pictures

if TYPE_CHECKING:
    from worldloom.models.spec import WorldModel

Pictures = NDArray[np.uint8]
"""(B, H, W, 3) RGB."""


class WorldVectorEnv(VectorEnv[Pictures, Any, NDArray[Any]]):
    """B streams of a world; see the module, and `WorldEnv` for what both have."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self,
        world: str | WorldModel[Any],
        num_envs: int = 1,
        *,
        name: str | None = None,
        max_frames: int | None = None,
        render_mode: str | None = None,
        reward_fn: Hook | None = None,
        terminated_fn: Hook | None = None,
        actions: Form = "box",
        token: str | None = None,
        autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
        deterministic: bool = False,
    ) -> None:
        """Open worlds; arguments as of `WorldEnv`, and:

        Args:
            world: as there.
            num_envs: how many streams.
            name: as there; what follows up to `token` too.
            max_frames: .
            render_mode: .
            reward_fn: .
            terminated_fn: .
            actions: .
            token: .
            autoreset_mode: `NEXT_STEP` or `DISABLED`.
            deterministic: step the streams one by one, where a batch would be rounded otherwise (see `WorldBatch`).

        Raises:
            ValueError: as there, or another way to reset.
        """
        _check_mode(render_mode)
        if autoreset_mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED):
            raise ValueError(f"expected autoreset_mode NEXT_STEP or DISABLED, got {autoreset_mode}")
        worlds = reach(world, name, num_envs, token=token, deterministic=deterministic)
        try:
            episodes = Episodes(worlds, max_frames=max_frames, reward_fn=reward_fn, terminated_fn=terminated_fn)
            self._wear(episodes, actions, autoreset_mode, render_mode)
        except ValueError:
            worlds.close()
            raise

    @classmethod
    def _of(cls, episodes: Episodes, form: Form, autoreset: AutoresetMode = AutoresetMode.DISABLED) -> Self:
        """Episodes that run already. A fork is stepped by whoever plans: nothing in it begins anew by itself."""
        made = cls.__new__(cls)
        made._wear(episodes, form, autoreset, None)
        return made

    def _wear(self, episodes: Episodes, form: Form, autoreset: AutoresetMode, render_mode: str | None) -> None:
        info = episodes.worlds.info
        self._episodes, self._form = episodes, form
        self._actions = Actions(info.actions, form)
        self._over = np.zeros(len(episodes.worlds), np.bool_)  # episodes that have ended
        self._dice: list[np.random.Generator | None] = [None] * len(episodes.worlds)  # for seeds that nobody gives
        self.num_envs = len(episodes.worlds)
        self.single_action_space = self._actions.space
        self.single_observation_space = pictures(info)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": info.fps[0] / info.fps[1], "autoreset_mode": autoreset}

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Pictures, dict[str, Any]]:
        """Begin all episodes, or those of `options["reset_mask"]` (B,); other options are those of `WorldEnv`.

        Args:
            seed: one for each; a single number s stands for s, s + 1, and so on.
            options: the same for every episode that begins.
        """
        rest = dict(options or {})
        mask = rest.pop("reset_mask", None)
        chosen = np.arange(self.num_envs) if mask is None else np.flatnonzero(_checked(mask, self.num_envs))
        told = self._episodes.begin(self._seeds(seed, chosen.tolist()), rest)
        self._over[chosen] = False
        return self._episodes.pictures.copy(), self._told(told)

    def step(
        self, actions: Any
    ) -> tuple[Pictures, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Advance every episode by one chunk under its own action, in one batch.

        Raises:
            ValueError: the actions are of another shape, or not finite.
            ResetNeeded: an episode was never begun; or it has ended, where nothing begins anew by itself.
        """
        rows = self._actions.rows(actions, (self.num_envs,))
        if not self._episodes.begun.all():
            raise gymnasium.error.ResetNeeded("expected reset() before the first step()")
        if self.metadata["autoreset_mode"] is AutoresetMode.DISABLED and self._over.any():
            raise gymnasium.error.ResetNeeded(f"expected a reset of {np.flatnonzero(self._over).tolist()} first")
        made = self._episodes.step(rows, self._seeds(None, np.flatnonzero(self._over).tolist()))
        self._over = made.terminated | made.truncated
        infos = self._told(dict(enumerate(made.infos)))
        return self._episodes.pictures.copy(), made.rewards, made.terminated, made.truncated, infos

    def render(self) -> tuple[Pictures, ...] | None:
        """The latest pictures, copies."""
        return None if self.render_mode is None else tuple(self._episodes.pictures.copy())

    def snapshot(self) -> tuple[Snapshot, ...]:
        """Every episode as it is now."""
        return self._episodes.snapshot()

    def restore(self, snapshots: Sequence[Snapshot], which: Sequence[int] | None = None) -> Pictures:
        """Go on from snapshots, in all episodes or in those of the given numbers; returns all pictures."""
        chosen = list(range(self.num_envs) if which is None else which)
        self._episodes.restore(dict(zip(chosen, snapshots, strict=True)))
        self._over[chosen] = False
        return self._episodes.pictures.copy()

    def fork(self, copies: int) -> WorldVectorEnv:
        """Every episode so many times, in one batch: episode b has its copies at b * copies and after."""
        return WorldVectorEnv._of(self._episodes.fork(copies), self._form)

    def close_extras(self, **kwargs: Any) -> None:
        """Free the worlds."""
        self._episodes.worlds.close()

    def _seeds(self, seed: int | Sequence[int | None] | None, which: Sequence[int]) -> dict[int, int]:
        """The seeds with which episodes begin: those given, else the next of each one's generator, as `WorldEnv`."""
        if isinstance(seed, int | np.integer):
            seed = [int(seed) + k for k in range(self.num_envs)]
        if seed is not None and len(seed) != self.num_envs:
            raise ValueError(f"expected {self.num_envs} seeds, got {len(seed)}")
        chosen: dict[int, int] = {}
        for k in which:
            given = None if seed is None else seed[k]
            if given is not None or self._dice[k] is None:
                self._dice[k] = seeding.np_random(given)[0]
            dice = self._dice[k]
            assert dice is not None
            chosen[k] = int(dice.integers(2**31)) if given is None else int(given)
        return chosen

    def _told(self, infos: dict[int, dict[str, Any]]) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for k, info in infos.items():
            told = self._add_info(told, info, k)
        return told


def _checked(mask: Any, size: int) -> NDArray[np.bool_]:
    array = np.asarray(mask)
    if array.shape != (size,) or array.dtype != np.bool_ or not array.any():
        raise ValueError(f"expected a reset_mask of {size} booleans, one of them true, got {mask!r}")
    return array
