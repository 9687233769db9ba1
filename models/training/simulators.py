"""Real engines, one class each: they draw the frames that worlds learn from, and nothing of them runs afterwards.

A simulator knows its engine and how a curious visitor would behave in it; it knows nothing about files or networks.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..spec import Image
from ..toy import ToyState, ToyWorld

Row = NDArray[np.float32]
"""(A,) one action row."""

Pose = NDArray[np.float32]
"""(P,) what the engine knows of the thing that moves: metres and so on, columns differ by engine."""


class Simulator(Protocol):
    """A real engine, stepped frame by frame."""

    def reset(self, seed: int) -> None:
        """Begin an episode; same seed, same episode."""

    def observe(self) -> tuple[Image, Pose]:
        """The picture now, and where the moving thing is."""

    def act(self, row: Row) -> bool:
        """Apply one action row for one frame; True when the episode ended."""

    def policy(self, rng: np.random.Generator) -> Iterator[Row]:
        """Endless actions of a curious visitor, drawn while the episode runs."""


def open_simulator(name: str, height: int, width: int) -> Simulator:
    """The engine of that name drawing (height, width) pictures.

    Raises:
        ValueError: no engine of that name.
    """
    engines: dict[str, Callable[[int, int], Simulator]] = {
        "toy": ToySimulator,
        "arm": ArmSimulator,
        "doom": DoomSimulator,
    }
    if name not in engines:
        raise ValueError(f"no simulator {name!r}; known: {', '.join(engines)}")
    return engines[name](height, width)


class ToySimulator:
    """The toy world as if it were an engine: lets the whole recipe run in seconds."""

    def __init__(self, height: int, width: int) -> None:
        self._world = ToyWorld(height=height, width=width)
        self._state = ToyState(seed=0)
        self._frame: Image = np.zeros((height, width, 3), np.uint8)

    def reset(self, seed: int) -> None:
        """Begin an episode; every episode has the same colours."""
        self._state = self._world.start(seed=0)
        self._state.yaw = float(np.random.default_rng(seed).uniform(-180.0, 180.0))
        self.act(self._world.spec.actions.neutral(1)[0])

    def observe(self) -> tuple[Image, Pose]:
        """The picture, and (yaw in degrees, depth)."""
        return self._frame, np.array([self._state.yaw, self._state.depth], np.float32)

    def act(self, row: Row) -> bool:
        """One frame; the episode never ends by itself."""
        self._frame = self._world.step([self._state], row[None, None])[0, 0]
        return False

    def policy(self, rng: np.random.Generator) -> Iterator[Row]:
        """Turns and steps held for a few frames."""
        while True:
            row = self._world.spec.actions.neutral(1)[0]
            row[rng.integers(0, 4)] = 1.0
            row[4] = rng.uniform(-6.0, 6.0)
            for _ in range(rng.integers(2, 9)):
                yield row


class ArmSimulator:
    """Meta-World's Sawyer arm at a drawer (MuJoCo, shadows off): rows are (dx, dy, dz, gripper) in [-1, 1].

    One instance per process: a second offscreen renderer in the same process draws black without a word.
    """

    def __init__(self, height: int, width: int) -> None:
        os.environ.setdefault("MUJOCO_GL", "egl")
        os.environ.setdefault("LP_NUM_THREADS", "1")  # software GL would otherwise fight over the cores
        import mujoco
        from metaworld.envs.sawyer_drawer_open_v3 import SawyerDrawerOpenEnvV3
        from metaworld.policies import ENV_POLICY_MAP

        self._expert = ENV_POLICY_MAP["drawer-open-v3"]()
        self._env: Any = SawyerDrawerOpenEnvV3(
            render_mode="rgb_array", camera_name="corner2", height=height, width=width
        )
        # Without a task object the environment draws a new drawer position from its own seed every episode.
        self._env._set_task_called, self._env._freeze_rand_vec, self._env.seeded_rand_vec = True, False, True
        model = self._env.model
        model.vis.quality.offsamples = 4
        model.vis.quality.shadowsize = 512
        model.cam_pos[2] = [0.75, 0.075, 0.7]  # `corner2`, moved close
        self._env.reset()
        self._env.render()
        flags = self._env.mujoco_renderer._get_viewer("rgb_array").scn.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._obs: NDArray[np.float64] = np.zeros(39)

    def reset(self, seed: int) -> None:
        """Begin an episode with the drawer somewhere else."""
        self._env.seed(seed)
        self._obs, _ = self._env.reset()

    def observe(self) -> tuple[Image, Pose]:
        """The picture, and (hand x, y, z in metres, gripper opening 0..1, drawer handle x, y, z in metres)."""
        frame = np.ascontiguousarray(self._env.render()[::-1])  # this camera hangs upside down
        if frame.mean() < 5.0:
            raise RuntimeError("the renderer drew a black frame: run one arm simulator per process")
        return frame, self._obs[:7].astype(np.float32)

    def act(self, row: Row) -> bool:
        """One control step."""
        self._obs, _, _, truncated, _ = self._env.step(np.clip(row, -1.0, 1.0).astype(np.float32))
        return bool(truncated)

    def expert(self) -> Row:
        """What Meta-World's own scripted policy would do now."""
        return np.asarray(self._expert.get_action(self._obs), np.float32).clip(-1.0, 1.0)

    def policy(self, rng: np.random.Generator) -> Iterator[Row]:
        """A mix of the expert, the noisy expert, held random motion, motion along one axis, and rest."""
        while True:
            mode = rng.choice(["expert", "noisy", "random", "axis", "rest"], p=[0.22, 0.2, 0.28, 0.24, 0.06])
            held: NDArray[np.float64] = np.zeros(4)
            if mode == "random":
                held = rng.uniform(-1.0, 1.0, 4)
            elif mode == "axis":
                held[rng.integers(0, 3)] = rng.choice([-1.0, 1.0])
                held[3] = rng.choice([-1.0, 0.0, 1.0])
            for _ in range(int(rng.integers(5, 36))):
                row: NDArray[np.floating[Any]] = held
                if mode in ("expert", "noisy"):
                    row = self._expert.get_action(self._obs)
                if mode in ("noisy", "random"):
                    row = row + rng.normal(0.0, 0.4 if mode == "noisy" else 0.1, 4)
                yield np.clip(row, -1.0, 1.0).astype(np.float32)


class DoomSimulator:
    """ViZDoom's `my_way_home` maze in Freedoom art, HUD, weapon and messages off.

    Rows are (forward, back, strafe left, strafe right, turn in degrees a frame, right +); a frame is two tics.
    """

    TICS = 2

    def __init__(self, height: int, width: int) -> None:
        import vizdoom

        if (height * 2, width * 2) != (256, 320):
            raise ValueError(f"expected 128x160 pictures (half of the engine's 256x320), got {height}x{width}")
        game = vizdoom.DoomGame()
        game.load_config(os.path.join(vizdoom.scenarios_path, "my_way_home.cfg"))
        game.set_available_buttons(
            [
                vizdoom.Button.MOVE_FORWARD,
                vizdoom.Button.MOVE_BACKWARD,
                vizdoom.Button.MOVE_LEFT,
                vizdoom.Button.MOVE_RIGHT,
                vizdoom.Button.TURN_LEFT_RIGHT_DELTA,
            ]
        )
        variable = vizdoom.GameVariable
        game.set_available_game_variables(
            [variable.POSITION_X, variable.POSITION_Y, variable.POSITION_Z, variable.ANGLE]
        )
        game.set_screen_resolution(vizdoom.ScreenResolution.RES_320X256)
        game.set_screen_format(vizdoom.ScreenFormat.RGB24)
        game.set_mode(vizdoom.Mode.PLAYER)
        game.set_doom_config_path(os.path.join(tempfile.gettempdir(), "worldloom-vizdoom.ini"))  # or it litters the cwd
        game.set_window_visible(False)
        for switch in ("hud", "minimal_hud", "weapon", "crosshair", "messages", "corpses", "decals", "particles"):
            getattr(game, f"set_render_{switch}")(False)
        game.set_episode_start_time(10)  # the first tics after a spawn ignore movement
        game.set_episode_timeout(0)
        game.set_living_reward(0)
        game.init()
        self._game: Any = game
        self._last: tuple[Image, Pose] | None = None

    def reset(self, seed: int) -> None:
        """Begin an episode at a random place of the maze."""
        self._game.set_seed(seed)
        self._game.new_episode()
        self._last = None

    def observe(self) -> tuple[Image, Pose]:
        """The picture (area-averaged from twice the size), and (x, y, z in map units, angle in degrees, left +)."""
        state = self._game.get_state()
        if state is None:
            assert self._last is not None, "observed an episode that ended before its first frame"
            return self._last
        big = np.asarray(state.screen_buffer, np.uint16)
        small = (big[::2, ::2] + big[1::2, ::2] + big[::2, 1::2] + big[1::2, 1::2] + 2) // 4
        self._last = small.astype(np.uint8), np.asarray(state.game_variables, np.float32)
        return self._last

    def act(self, row: Row) -> bool:
        """Two tics under one row."""
        buttons = [float(v) for v in row]
        buttons[4] /= self.TICS  # the engine turns by this much every tic
        self._game.make_action(buttons, self.TICS)
        return bool(self._game.is_episode_finished())

    def policy(self, rng: np.random.Generator) -> Iterator[Row]:
        """Walks with momentum, turns away from walls, looks around, strafes, backs off and rests."""
        turn = 0.0
        while True:
            mode = rng.choice(["walk", "look", "strafe", "back", "rest", "any"], p=[0.46, 0.2, 0.1, 0.08, 0.04, 0.12])
            turn = self._turn(str(mode), turn, rng)
            row = np.zeros(5, np.float32)
            row[4] = turn
            row[0] = mode == "walk" or (mode == "any" and rng.random() < 0.5)
            row[1] = mode == "back" or (mode == "any" and not row[0] and rng.random() < 0.5)
            if mode in ("strafe", "any"):
                row[2 + rng.integers(0, 2)] = 1.0
            yield from self._hold(row, int(rng.integers(4, 28)), rng)

    @staticmethod
    def _turn(mode: str, last: float, rng: np.random.Generator) -> float:
        """Degrees a frame for the next stretch; a walk often keeps its curve."""
        if mode == "rest" or (mode == "walk" and rng.random() < 0.3):
            return last if mode == "walk" else 0.0
        if mode == "look":
            return float(rng.choice([-1.0, 1.0]) * rng.choice([3.0, 5.0, 6.0]))
        if mode == "walk":
            return float(rng.choice([0.0, 0.0, 1.0, -1.0]) * rng.uniform(0.5, 6.0))
        return float(rng.choice([-1.0, 0.0, 1.0], p=[0.4, 0.2, 0.4]) * rng.uniform(1.0, 6.0))

    def _hold(self, row: Row, frames: int, rng: np.random.Generator) -> Iterator[Row]:
        """The row for some frames; when a walk runs into a wall, turn away from it instead."""
        before = self.observe()[1][:2]
        for held in range(frames):
            yield row
            now = self.observe()[1][:2]
            if row[0] and held > 2 and np.hypot(*(now - before)) < 2.0 and rng.random() < 0.7:
                away = np.zeros(5, np.float32)
                away[4] = rng.choice([-1.0, 1.0]) * rng.uniform(4.0, 6.0)
                for _ in range(int(rng.integers(8, 26))):
                    yield away
                return
            before = now
