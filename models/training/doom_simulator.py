"""ViZDoom in Freedoom art, HUD, weapon and messages off: the maze `my_way_home`, and Freedoom's own maps.

Rows have the columns that the recipe asks for, out of `BUTTONS`; turns and looks are degrees a frame, right + and up +;
a frame is two tics. Monsters are there and take no notice. Knows the engine and when a body is blocked; how a visitor
walks is in doom_policy.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spec import Image
from .doom_game import BUTTONS, engine_sizes, open_game, place_variables, survey
from .doom_maps import MAZE, unseen_circle, wad_of
from .doom_policy import Wanderer, visit_maze
from .doom_view import nearest_view
from .simulators import Pose, Row

PLAIN = ("forward", "back", "left", "right", "turn")
"""The columns of the shipped world."""

TICS = 2  # of the engine, a frame
THRUST = {"forward": (0.78125, 0.0), "back": (-0.78125, 0.0), "left": (0.0, 0.75), "right": (0.0, -0.75)}
"""Map units that a button adds to a tic's motion, ahead and to the left."""
FRICTION = 0.90625  # share of its speed that a body keeps from tic to tic
UNSEEN_BEGINS = 0.4  # share of the episodes that begin in the unseen place, where they may enter it
DOOR_BEGINS = 0.25  # share of the episodes that begin in front of a door
DOORS_TRIED, PLACES_TRIED = 6, 8  # at most, until one opens, or one is in the open
CLOSET, CLOSET_FRAMES = 180.0, 150  # map units, frames: who has not come farther by then is shut in
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
        self._names = place_variables()
        self._games: dict[str, Any] = {}  # one for each file that maps lie in
        self._game: Any = None
        self._at, self._blocked = 0, False
        self._variables = np.zeros(7)
        self._last: Image | None = None
        self._began, self._farthest, self._frames = np.zeros(2), 0.0, 0
        self._places = [survey(name) for name in maps]
        larger = [k for k, places in enumerate(self._places) if places]
        self._unseen_map = larger[seed % len(larger)] if larger else -1
        self._unseen = unseen_circle(self._places[self._unseen_map].things, seed) if larger else None

    def reset(self, seed: int) -> None:
        """Begin an episode at a random place, on the next map."""
        if not self._maps:
            self._enter(MAZE, seed)
            return
        rng = np.random.default_rng(seed)
        inside = self._everywhere and rng.random() < UNSEEN_BEGINS
        self._at = self._unseen_map if inside and self._unseen else int(rng.integers(len(self._maps)))
        self._enter(self._maps[self._at], seed)
        if rng.random() < DOOR_BEGINS and self._stand_before_a_door(inside, seed, rng):
            return
        self._stand_in_the_open(inside, seed, rng)

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
        """Two tics under one row. Episodes end where they may not go on: at the unseen place, and in a closet."""
        before = self._variables
        if self._press({name: float(value) for name, value in zip(self._columns, row, strict=True)}, TICS):
            return True
        pushes = [THRUST[name] for name, value in zip(self._columns, row, strict=True) if name in THRUST and value > 0]
        self._blocked = is_blocked(before, self._variables, pushes)
        self._frames += 1
        self._farthest = max(self._farthest, float(np.linalg.norm(self._variables[:2] - self._began)))
        shut_in = bool(self._maps) and self._frames == CLOSET_FRAMES and self._farthest < CLOSET
        return shut_in or (not self._everywhere and self._is_unseen())

    def put(self, place: NDArray[np.float64], heading: float) -> bool:
        """Stand at the map units nearest to a place (2,), facing `heading` degrees, left +.

        False where nobody can stand, or where that ends the episode.
        """
        near = place.round()
        ended = self._stand(near, heading)
        return not ended and bool(np.abs(self._variables[:2] - near).max() < 0.5)

    def policy(self, rng: np.random.Generator) -> Iterator[Row]:
        """How a visitor walks; see doom_policy.py."""
        if self._maps:
            return Wanderer(self._columns, self.pose, rng).rows()
        return visit_maze(self.pose, rng)

    def _enter(self, name: str, seed: int) -> None:
        """A new episode on that map, at its own beginning."""
        wad = wad_of(name)
        if wad not in self._games:
            self._games[wad] = open_game(wad, self._view.drawn, self._columns)
        self._game = self._games[wad]
        if name != MAZE:
            self._game.set_doom_map(name)
        self._game.set_seed(seed)
        self._game.new_episode()
        if self._maps:
            for cheat in ("god", "notarget"):  # floors that hurt do not end an episode, and nobody attacks
                self._game.send_game_command(cheat)
        self._read()
        self._last, self._blocked, self._began = None, False, self._variables[:2]
        self._frames, self._farthest = 0, 0.0

    def _press(self, row: dict[str, float], tics: int) -> bool:
        """Some tics under the named columns; turns and looks are degrees in all. True when the episode ended."""
        amounts = {name: row[name] / tics for name in ("turn", "look") if name in row}  # the engine turns every tic
        self._game.make_action([(row | amounts).get(name, 0.0) for name in self._columns], tics)
        ended = bool(self._game.is_episode_finished())
        if not ended:
            self._read()
        return ended

    def _stand(self, place: NDArray[np.float64], heading: float) -> bool:
        """Put the body at a place (2,), facing `heading` degrees, left +. True when the episode ended."""
        self._game.send_game_command(f"warp {place[0]:.0f} {place[1]:.0f}")
        ended = self._press({}, TICS) or self._press({"turn": float(self._variables[3] - heading)}, 1)
        self._began = self._variables[:2]
        return ended

    def _stand_in_the_open(self, inside: bool, seed: int, rng: np.random.Generator) -> None:
        """Begin where a body can walk away from, if such a place is found among a few."""
        places = self._allowed(self._places[self._at].things, inside)
        for place in rng.permutation(places)[:PLACES_TRIED]:
            far = 0.0
            for heading in (0.0, 120.0, -120.0):
                self._stand(place, heading)
                if not self._press({"forward": 1.0}, 40):
                    far = max(far, float(np.linalg.norm(self._variables[:2] - place)))
            self._enter(self._maps[self._at], seed)
            self._stand(place, rng.uniform(-180.0, 180.0))
            if far > CLOSET:
                return

    def _stand_before_a_door(self, inside: bool, seed: int, rng: np.random.Generator) -> bool:
        """Begin in front of a door that opens, if one is found among a few. Some open elsewhere, or with a key."""
        if "use" not in self._columns:
            return False
        doors = self._allowed(self._places[self._at].doors, inside)
        for place in rng.permutation(doors)[:DOORS_TRIED]:
            self._stand(place[:2], place[2])
            ended = self._press({"use": 1.0}, TICS) or self._press({}, 30) or self._press({"forward": 1.0}, 30)
            ahead = np.array([np.cos(np.radians(place[2])), np.sin(np.radians(place[2]))])
            opened = not ended and (self._variables[:2] - place[:2]) @ ahead > 70.0  # map units: beyond its frame
            self._enter(self._maps[self._at], seed)
            if opened:
                self._stand(place[:2], place[2])
                return True
        return False

    def _read(self) -> None:
        self._variables = np.array([self._game.get_game_variable(name) for name in self._names])

    def _allowed(self, places: NDArray[np.float64], inside: bool) -> NDArray[np.float64]:
        """Those of the places on this map that are in the unseen one, or outside."""
        if self._at != self._unseen_map or self._unseen is None:
            return places
        return places[self._unseen.holds(places[:, :2]) == inside]

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
    thrust = np.array(
        [ahead * np.cos(heading) - left * np.sin(heading), ahead * np.sin(heading) + left * np.cos(heading)]
    )
    velocity, free = before[4:6], np.zeros(2)
    for _ in range(TICS):
        velocity = velocity + thrust
        free = free + velocity
        velocity = velocity * FRICTION
    far = np.linalg.norm(free)
    return bool(far > LEAST and np.linalg.norm(after[:2] - before[:2] - free) > far / 2.0)
