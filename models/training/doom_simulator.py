"""ViZDoom in Freedoom art, HUD, weapon and messages off: the maze `my_way_home`, and Freedoom's own maps.

Rows have the columns that the recipe asks for, out of `BUTTONS`; turns and looks are degrees a frame, right + and up +;
a frame is two tics. Monsters are there and take no notice. Knows the engine and when a body is blocked; how a visitor
walks is in doom_policy.py.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spec import Image
from .doom_maps import MAZE, PICKUP, Circle, unseen_circle, wad_of
from .doom_policy import Wanderer, visit_maze
from .doom_view import View, nearest_view
from .simulators import Pose, Row

BUTTONS = {
    "forward": "MOVE_FORWARD",
    "back": "MOVE_BACKWARD",
    "left": "MOVE_LEFT",
    "right": "MOVE_RIGHT",
    "use": "USE",
    "turn": "TURN_LEFT_RIGHT_DELTA",
    "look": "LOOK_UP_DOWN_DELTA",
}
"""Action columns, and what the engine calls them."""

PLAIN = ("forward", "back", "left", "right", "turn")
"""The columns of the shipped world."""

TICS = 2  # of the engine, a frame
THRUST = {"forward": (0.78125, 0.0), "back": (-0.78125, 0.0), "left": (0.0, 0.75), "right": (0.0, -0.75)}
"""Map units that a button adds to a tic's motion, ahead and to the left."""
FRICTION = 0.90625  # share of its speed that a body keeps from tic to tic
UNSEEN_BEGINS = 0.25  # share of the episodes that begin in the unseen place, where they may enter it
LEAST = 1.0  # map units: a frame in which a free body would move less says nothing


class DoomSimulator:
    """One body in the maze, or on one of several maps, another one every episode."""

    def __init__(
        self,
        height: int,
        width: int,
        columns: tuple[str, ...] = (),
        maps: tuple[str, ...] = (),
        seed: int = 0,
        everywhere: bool = True,
    ) -> None:
        self._columns = columns or PLAIN
        unknown = [name for name in self._columns if name not in BUTTONS]
        if unknown:
            raise ValueError(f"no column {', '.join(unknown)} in this engine; known: {', '.join(BUTTONS)}")
        self._maps, self._everywhere = maps, everywhere
        self._view = nearest_view(height, width, engine_sizes())
        self._games: dict[str, Any] = {}  # one for each file that maps lie in
        self._game: Any = None
        self._at, self._blocked = 0, False
        self._variables = np.zeros(7)
        self._last: Image | None = None
        self._places = [self._survey(name) for name in maps]
        larger = [k for k, places in enumerate(self._places) if len(places)]
        self._unseen_map = larger[seed % len(larger)] if larger else -1
        self._unseen = unseen_circle(self._places[self._unseen_map], seed) if larger else None

    def reset(self, seed: int) -> None:
        """Begin an episode at a random place, on the next map."""
        if not self._maps:
            self._enter(MAZE, seed)
            return
        rng = np.random.default_rng(seed)
        inside = self._everywhere and rng.random() < UNSEEN_BEGINS
        self._at = self._unseen_map if inside and self._unseen else int(rng.integers(len(self._maps)))
        self._enter(self._maps[self._at], seed)
        for cheat in ("god", "notarget"):  # floors that hurt do not end an episode, and nobody attacks
            self._game.send_game_command(cheat)
        places = self._allowed(inside)
        if len(places):
            x, y = places[rng.integers(len(places))]
            self._game.send_game_command(f"warp {x:.0f} {y:.0f}")
        rest = [0.0] * len(self._columns)
        self._game.make_action(rest, TICS)
        rest[self._columns.index("turn")] = rng.uniform(-180.0, 180.0)
        self._game.make_action(rest, 1)
        self._read()

    def observe(self) -> tuple[Image, Pose]:
        """The picture, averaged from a larger one, and the pose (see `pose_columns`)."""
        state = self._game.get_state()
        if state is not None:
            self._last = self._view.shrink(np.asarray(state.screen_buffer))
        assert self._last is not None, "observed an episode that ended before its first frame"
        return self._last, self.pose()

    def pose(self) -> Pose:
        """Where the body is, without a picture."""
        place = self._variables[:4]
        if not self._maps:
            return place.astype(np.float32)
        pitch = -self._variables[6]  # the engine counts down
        return np.array([*place, pitch, self._blocked, self._at, self._is_unseen()], np.float32)

    def act(self, row: Row) -> bool:
        """Two tics under one row. An episode that may not enter the unseen place ends at its brink."""
        values = [float(v) for v in row]
        for name in ("turn", "look"):
            if name in self._columns:
                values[self._columns.index(name)] /= TICS  # the engine turns by this much every tic
        before = self._variables
        self._game.make_action(values, TICS)
        if self._game.is_episode_finished():
            return True
        self._read()
        pushes = [THRUST[name] for name, value in zip(self._columns, row, strict=True) if name in THRUST and value > 0]
        self._blocked = is_blocked(before, self._variables, pushes)
        return not self._everywhere and self._is_unseen()

    def policy(self, rng: np.random.Generator) -> Iterator[Row]:
        """How a visitor walks; see doom_policy.py."""
        if self._maps:
            return Wanderer(self._columns, self.pose, rng).rows()
        return visit_maze(self.pose, rng)

    def _enter(self, name: str, seed: int) -> None:
        """A new episode on that map, at its own beginning."""
        wad = wad_of(name)
        if wad not in self._games:
            self._games[wad] = open_game(wad, self._view, self._columns)
        self._game = self._games[wad]
        if name != MAZE:
            self._game.set_doom_map(name)
        self._game.set_seed(seed)
        self._game.new_episode()
        self._last, self._blocked = None, False
        self._read()

    def _read(self) -> None:
        self._variables = np.asarray(self._game.get_state().game_variables, np.float64)

    def _survey(self, name: str) -> NDArray[np.float64]:
        """(n, 2) places on that map where episodes may begin; none where the map itself chooses."""
        if name == MAZE:
            return np.zeros((0, 2))
        self._enter(name, seed=0)
        things = self._game.get_state().objects
        return np.array([(t.position_x, t.position_y) for t in things if PICKUP.fullmatch(t.name)]).reshape(-1, 2)

    def _allowed(self, inside: bool) -> NDArray[np.float64]:
        """Where on this map an episode may begin: inside the unseen place, or outside."""
        places = self._places[self._at]
        if self._at != self._unseen_map or self._unseen is None:
            return places
        return places[self._unseen.holds(places) == inside]

    def _is_unseen(self) -> bool:
        if self._at != self._unseen_map or self._unseen is None:
            return False
        return bool(self._unseen.holds(self._variables[:2]))


def is_blocked(before: NDArray[np.float64], after: NDArray[np.float64], pushes: list[tuple[float, float]]) -> bool:
    """Whether a body that pushed went elsewhere than a free one would have.

    Args:
        before: the engine's variables: x, y, z, heading in degrees, then velocity x, y in map units a tic.
        after: the same, a frame later.
        pushes: what the buttons added to every tic's motion, ahead and to the left.
    """
    if not pushes:
        return False
    ahead, left = np.sum(pushes, 0)
    heading = np.radians(after[3])  # a body turns before it moves
    thrust = np.array([ahead * np.cos(heading) - left * np.sin(heading), ahead * np.sin(heading) + left * np.cos(heading)])
    velocity, free = before[4:6], np.zeros(2)
    for _ in range(TICS):
        velocity = velocity + thrust
        free = free + velocity
        velocity = velocity * FRICTION
    far = np.linalg.norm(free)
    return bool(far > LEAST and np.linalg.norm(after[:2] - before[:2] - free) > far / 2.0)


def engine_sizes() -> list[tuple[int, int]]:
    """(height, width) of all pictures that the engine can draw."""
    import vizdoom

    names = [name.removeprefix("RES_").split("X") for name in vizdoom.ScreenResolution.__members__]
    return [(int(height), int(width)) for width, height in names]


def open_game(wad: str, view: View, columns: tuple[str, ...]) -> Any:
    """The engine with that file's maps."""
    import vizdoom

    game = vizdoom.DoomGame()
    if wad == f"{MAZE}.wad":
        game.load_config(os.path.join(vizdoom.scenarios_path, f"{MAZE}.cfg"))
    else:
        game.set_doom_game_path(os.path.join(os.path.dirname(vizdoom.__file__), wad))
        game.set_doom_skill(1)
        game.set_objects_info_enabled(True)
    game.add_game_args("+sv_cheats 1")
    game.set_available_buttons([getattr(vizdoom.Button, BUTTONS[name]) for name in columns])
    names = ("POSITION_X", "POSITION_Y", "POSITION_Z", "ANGLE", "VELOCITY_X", "VELOCITY_Y", "CAMERA_PITCH")
    game.set_available_game_variables([getattr(vizdoom.GameVariable, name) for name in names])
    height, width = view.drawn
    game.set_screen_resolution(getattr(vizdoom.ScreenResolution, f"RES_{width}X{height}"))
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
    return game
