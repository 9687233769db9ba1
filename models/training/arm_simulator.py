"""Meta-World's Sawyer arm at a table (MuJoCo, shadows off): rows are (dx, dy, dz, gripper) in [-1, 1].

Knows the engine, its tasks, and when the hand is blocked; how a visitor moves it is in arm_policy.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spec import Image
from .arm_policy import visit_drawer, visit_tasks
from .arm_touches import DRAWER, TOUCHES
from .simulators import Pose, Row

ENDLESS = 1_000_000
"""Steps after which an episode ends by itself: who records says when, and blind walks are long."""

ASKED = 0.5  # of a stick's way: from here on a visitor means to move the hand
STILL_M = 0.001  # metres a frame below which the hand counts as standing; a free one starts with about that much
STUCK = 3  # frames of asking and standing after which it counts as blocked: it needs two to turn round


class ArmSimulator:
    """One arm at one of several tasks, another one every episode.

    Renderers in one process share a context that each has to claim before it draws, or it draws black without a word.
    """

    def __init__(self, height: int, width: int, tasks: tuple[str, ...] = ()) -> None:
        os.environ.setdefault("MUJOCO_GL", "egl")
        os.environ.setdefault("LP_NUM_THREADS", "1")  # software GL would otherwise fight over the cores
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS
        from metaworld.policies import ENV_POLICY_MAP

        names = tasks or (DRAWER,)
        unknown = [name for name in names if name not in ALL_V3_ENVIRONMENTS]
        if unknown:
            raise ValueError(f"no task {', '.join(unknown)}; known: {', '.join(sorted(ALL_V3_ENVIRONMENTS))}")
        self._tasks, self._names = tasks, names
        self._envs = [_environment(ALL_V3_ENVIRONMENTS[name], height, width) for name in names]
        self._experts = [ENV_POLICY_MAP[name]() for name in names]
        self._task = 0
        self._obs: NDArray[np.float64] = np.zeros(39)
        self._stuck, self._success = 0, False

    def reset(self, seed: int) -> None:
        """Begin an episode of the next task, its things somewhere else."""
        self._task = seed % len(self._envs)
        env = self._envs[self._task]
        env.seed(seed)
        self._obs, _ = env.reset()
        self._stuck, self._success = 0, False

    def observe(self) -> tuple[Image, Pose]:
        """The picture, and the pose (see `pose_columns`)."""
        env = self._envs[self._task]
        env.mujoco_renderer._get_viewer("rgb_array").make_context_current()
        frame = np.ascontiguousarray(env.render()[::-1])  # this camera hangs upside down
        if frame.mean() < 5.0:
            raise RuntimeError("the renderer drew a black frame: run one arm simulator per process")
        return frame, self.pose()

    def pose(self) -> Pose:
        """What `observe` says beside the picture, which takes most of the time."""
        flags = [self._stuck >= STUCK, self._success, self._task] if self._tasks else []
        return np.array([*self._obs[:7], *flags], np.float32)

    def act(self, row: Row) -> bool:
        """One control step."""
        before = self._obs[:3]
        row = np.clip(row, -1.0, 1.0).astype(np.float32)
        self._obs, _, _, truncated, info = self._envs[self._task].step(row)
        stands = np.linalg.norm(self._obs[:3] - before) < STILL_M
        self._stuck = self._stuck + 1 if stands and np.abs(row[:3]).max() >= ASKED else 0
        self._success = bool(info["success"])
        return bool(truncated)

    def expert(self) -> Row:
        """What Meta-World's own scripted policy would do now."""
        return np.clip(self._expert(np.zeros(3)), -1.0, 1.0).astype(np.float32)

    def policy(self, rng: np.random.Generator) -> Iterator[Row]:
        """How a visitor moves it; see arm_policy.py."""
        if self._tasks:
            return visit_tasks(self._expert, rng)
        return visit_drawer(lambda: self._experts[0].get_action(self._obs), rng)

    def touching(self, rng: np.random.Generator) -> Iterator[Row]:
        """How a hand is tried on a thing; see arm_touches.py."""
        return TOUCHES[self._names[self._task]](lambda: self._obs[4:7] - self._obs[:3], rng)

    def _expert(self, offset: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the scripted expert of the task does now if it believes the thing to be `offset` (3,) metres away."""
        seen = self._obs.copy()
        seen[4:7] += offset
        seen[-3:] = self._envs[self._task]._target_pos  # hidden from observations, and experts need it
        return np.asarray(self._experts[self._task].get_action(seen), np.float64)


def _environment(kind: Any, height: int, width: int) -> Any:
    """A task's environment, its camera moved close."""
    import mujoco

    env = kind(render_mode="rgb_array", camera_name="corner2", height=height, width=width)
    env.max_path_length = ENDLESS
    # Without a task object the environment draws new positions from its own seed every episode.
    env._set_task_called, env._freeze_rand_vec, env.seeded_rand_vec = True, False, True
    model = env.model
    model.vis.quality.offsamples = 4
    model.vis.quality.shadowsize = 512
    model.cam_pos[2] = [0.75, 0.075, 0.7]  # `corner2`, moved close
    env.reset()
    env.render()
    flags = env.mujoco_renderer._get_viewer("rgb_array").scn.flags
    flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
    flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
    return env
