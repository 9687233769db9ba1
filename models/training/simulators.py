"""Real engines, one class each: they draw the frames that worlds learn from, and nothing of them runs afterwards.

A simulator knows its engine and how a curious visitor would behave in it; it knows nothing about files or networks.
Here are what they have in common, which one a recipe means, and the smallest; the others have modules of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..spec import Image
from ..toy import ToyState, ToyWorld

Row = NDArray[np.float32]
"""(A,) one action row."""

Pose = NDArray[np.float32]
"""(P,) what the engine knows of the thing that moves: metres and so on; `pose_columns` names the columns."""


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


def open_simulator(
    name: str,
    height: int,
    width: int,
    *,
    columns: tuple[str, ...] = (),
    maps: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
    seed: int = 0,
    everywhere: bool = True,
) -> Simulator:
    """The engine of that name drawing (height, width) pictures.

    Args:
        name: "toy", "arm" or "doom".
        height: of the pictures, pixels.
        width: of the pictures, pixels.
        columns: action columns, where the engine leaves a choice; by default those of the shipped world.
        maps: of `doom`, where episodes take place; none: the maze of the shipped world.
        tasks: of `arm`, what is on the table; none: the drawer of the shipped world.
        seed: chooses the place on the maps that training never enters.
        everywhere: whether episodes may enter it.

    Raises:
        ValueError: no engine of that name.
    """
    if name == "toy":
        return ToySimulator(height, width)
    if name == "arm":
        from .arm_simulator import ArmSimulator

        return ArmSimulator(height, width, tasks)
    if name == "doom":
        from .doom_simulator import DoomSimulator

        return DoomSimulator(height, width, columns, maps, seed, everywhere)
    raise ValueError(f"no simulator {name!r}; known: toy, arm, doom")


THING, DONE, KIND = slice(4, 7), 8, 9
"""Columns of an arm's pose: what its hand can move; of several tasks, whether it was done then and which it is."""


def pose_columns(simulator: str, *, maps: bool = False, tasks: bool = False) -> tuple[str, ...]:
    """What the columns of an engine's poses are called; nothing of recordings that somebody else made."""
    if simulator == "arm":  # metres; how far the gripper is open, 0 to 1
        hand = ("x", "y", "z", "gripper", "object x", "object y", "object z")
        return hand + (("blocked", "success", "task") if tasks else ())
    if simulator == "doom":  # map units, z that of the eye; and degrees: left +, up +
        return ("x", "y", "z", "heading") + (("pitch", "blocked", "map", "unseen") if maps else ())
    return ("yaw", "depth") if simulator == "toy" else ()


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
