"""ViZDoom opened for one of its files of maps: Freedoom art; HUD, weapon and messages off.

The only module that speaks of the engine's settings. Knows nothing about episodes or visitors.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np

from .doom_maps import MAZE, Places, places_at_doors, places_of_things, wad_of

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


def engine_sizes() -> list[tuple[int, int]]:
    """(height, width) of all pictures that the engine can draw."""
    import vizdoom

    names = [name.removeprefix("RES_").split("X") for name in vizdoom.ScreenResolution.__members__]
    return [(int(height), int(width)) for width, height in names]


def place_variables() -> list[Any]:
    """What the engine says of a body: x, y, height of its eye, heading, velocity x, y, pitch."""
    import vizdoom

    names = ("POSITION_X", "POSITION_Y", "CAMERA_POSITION_Z", "ANGLE", "VELOCITY_X", "VELOCITY_Y", "CAMERA_PITCH")
    return [getattr(vizdoom.GameVariable, name) for name in names]


def survey(name: str) -> Places:
    """Where on that map episodes may begin; nowhere in particular where the map itself chooses."""
    if name == MAZE:
        return Places(np.zeros((0, 2)), np.zeros((0, 3)))
    state = _outlined(name)
    return Places(places_of_things(state.objects), places_at_doors(state.sectors))


def walls(name: str) -> tuple[list[tuple[float, float, float, float]], float, float]:
    """The lines of a map that nobody passes, and how high its floor and its ceiling are.

    Raises:
        ValueError: these are not level.
    """
    sectors = _outlined(name).sectors
    heights = {(sector.floor_height, sector.ceiling_height) for sector in sectors}
    if len(heights) != 1:
        raise ValueError(f"expected one height of floor and ceiling in {name}, got {len(heights)}")
    lines = [(line.x1, line.y1, line.x2, line.y2) for sector in sectors for line in sector.lines if line.is_blocking]
    return lines, *heights.pop()


def _outlined(name: str) -> Any:
    """What the engine says of a map when it begins: things, and outlines of its parts."""
    game = open_game(wad_of(name), (120, 160), (), surveys=True)
    if name != MAZE:
        game.set_doom_map(name)
    game.new_episode()
    state = game.get_state()
    game.close()
    return state


def open_game(wad: str, size: tuple[int, int], columns: tuple[str, ...], *, surveys: bool = False) -> Any:
    """The engine with that file's maps.

    Args:
        wad: a file of the `vizdoom` package.
        size: (height, width) of the pictures.
        columns: the action columns, out of `BUTTONS`.
        surveys: whether it lists things and outlines of the map; that takes 2 ms a frame.
    """
    import vizdoom

    game = vizdoom.DoomGame()
    if wad == f"{MAZE}.wad":
        game.load_config(os.path.join(vizdoom.scenarios_path, f"{MAZE}.cfg"))
    else:
        game.set_doom_game_path(os.path.join(os.path.dirname(vizdoom.__file__), wad))
        game.set_doom_skill(1)
    game.set_objects_info_enabled(surveys)
    game.set_sectors_info_enabled(surveys)
    # Words in the middle of the picture (a secret was found) stay for one tic; 0 would be for ever.
    game.add_game_args("+sv_cheats 1 +con_midtime 0.03")
    game.set_available_buttons([getattr(vizdoom.Button, BUTTONS[name]) for name in columns])
    game.set_available_game_variables(place_variables())
    height, width = size
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
