"""Scripts: what an engine is made to play for measures that need more than its recorded episodes.

- `around`: once around by 360 degrees, from rest.
- `back`: forward and back to where it was, from rest.
- `wall`: forward against a wall that has just stopped it.
- `attempts`: an expert opens the drawer; every other one it stops half way.

Each is a set of clips beside the recorded ones: REST + 1 frames that a dream may know, then the frames of the script.
Knows engines and how to save what they show; nothing of dreams. A place at which a script does not go as it should
(a wall in the way, the end of an episode) is left, and another one tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from .clips import Clips, Shard, shard_stems
from .collect import simulator_of
from .recipe import Recipe
from .simulators import Row, Simulator

REST = 12  # frames before the script that are kept, besides the one at which it begins
SETTLE = 24  # frames at rest before those, until nothing slides any more
TURN = 5.0  # degrees a frame
STEPS = 8  # frames forward, then as many back
PAUSE = 24  # frames at rest after a way, until nothing slides any more
PUSH = 16  # frames against a wall
TASK = 104  # frames of an attempt; the expert needs about 90
PLACES = 16  # clips of a set
ATTEMPTS = 24  # clips of `attempts`
TRIES = 100  # places tried for each clip that is kept

Recorded = tuple[NDArray[np.uint8], Row, NDArray[np.float32]]
"""A frame, the action taken at it, and the pose."""

Play = Callable[[Simulator, Recipe, np.random.Generator, int], list[Recorded] | None]
"""One clip from the place where an engine is, or None where the place will not do; the last argument counts clips."""


@dataclass(frozen=True)
class Played:
    """A set of played clips."""

    clips: Clips
    begin: NDArray[np.int64]  # (n,) the frame of each clip at which its script begins
    frames: int  # of the script

    @property
    def span(self) -> NDArray[np.int64]:
        """(n, frames + 1) that frame and those of the script."""
        return self.begin[:, None] + np.arange(self.frames + 1)


def scripts_of(recipe: Recipe) -> dict[str, Play]:
    """The scripts that a recipe's engine can play, by name of the set."""
    actions = recipe.spec.actions
    found: dict[str, Play] = {}
    if not recipe.data.directions:  # recordings of one's own: there is no engine
        return found
    if actions.look[0]:
        found["around"] = around
        if {"forward", "back"} <= set(actions.buttons):
            found["back"] = back
    if recipe.data.simulator.startswith("doom"):
        found["wall"] = wall
    if recipe.data.simulator == "arm":
        found["attempts"] = attempt
    return found


def open_played(folder: Path, name: str, count: int) -> Played:
    """The first `count` clips of a played set in `folder`."""
    clips = Clips.open(folder / "data" / name)
    starts = np.flatnonzero(clips.begins)
    frames = len(clips) // len(starts) - REST - 1
    return Played(clips, starts[:count] + REST, frames)


def record_scripts(recipe: Recipe, folder: Path) -> None:
    """Play what is missing into `folder`/NAME. Resumes at the first set that is missing."""
    names = [name for name in scripts_of(recipe) if not shard_stems(folder / name)]
    if not names:
        return
    # One engine per process, as in collect.py.
    with (
        ProcessPoolExecutor(recipe.data.processes, get_context("spawn"), max_tasks_per_child=1) as pool,
        Progress(console=Console(stderr=True)) as progress,
    ):
        task = progress.add_task(f"play {recipe.spec.name}", total=len(names))
        for _ in pool.map(_record, [recipe] * len(names), [folder] * len(names), names):
            progress.advance(task)


def _record(recipe: Recipe, folder: Path, name: str) -> None:
    """One set, in a process of its own."""
    play_script(simulator_of(recipe, name), recipe, name).save(folder / name / "0000")


def play_script(simulator: Simulator, recipe: Recipe, name: str) -> Shard:
    """A whole set.

    Raises:
        RuntimeError: too few places at which the script goes as it should.
    """
    play, count = scripts_of(recipe)[name], ATTEMPTS if name == "attempts" else PLACES
    seed = recipe.data.seed + 3_000_000 + 10_000 * list(scripts_of(recipe)).index(name)
    rng = np.random.default_rng(seed)
    kept: list[list[Recorded]] = []
    for number in range(TRIES * count):
        simulator.reset(seed + number)
        clip = play(simulator, recipe, rng, len(kept))
        if clip:
            kept.append(clip)
        if len(kept) == count:
            frames, actions, poses = (np.stack(column) for column in zip(*sum(kept, []), strict=True))
            episodes = np.repeat(np.arange(count), len(kept[0]))
            return Shard(frames, actions.astype(np.float32), poses.astype(np.float32), episodes)
    raise RuntimeError(f"{name}: found {len(kept)} of {count} places at which the engine can play it")


# -- the scripts -----------------------------------------------------------------------------------------------------


def around(simulator: Simulator, recipe: Recipe, rng: np.random.Generator, number: int) -> list[Recorded] | None:
    """At rest, then around to the same heading."""
    name = recipe.spec.actions.look[0]
    axis = next(axis for axis in recipe.spec.actions.axes if axis.name == name)
    turn = min(TURN, axis.high)
    turning = _row(recipe, {axis.name: turn})
    return _settled(simulator, recipe, rng, [turning] * round(360.0 / turn))


def back(simulator: Simulator, recipe: Recipe, rng: np.random.Generator, number: int) -> list[Recorded] | None:
    """At rest, forward, and back to where it was; kept only where it went and came back."""
    rest = [_row(recipe, {})] * PAUSE
    there = [_row(recipe, {"forward": 1.0})] * STEPS + rest
    clip = _settled(simulator, recipe, rng, there + [_row(recipe, {"back": 1.0})] * STEPS + rest)
    if clip is None or not recipe.data.simulator.startswith("doom"):
        return clip
    first, far, last = (clip[REST + k][2][:2] for k in (0, len(there), -1 - REST))
    return clip if np.hypot(*(far - first)) > 60.0 and np.hypot(*(last - first)) < 2.0 else None


def wall(simulator: Simulator, recipe: Recipe, rng: np.random.Generator, number: int) -> list[Recorded] | None:
    """Forward from anywhere until a wall stops it, then on against the wall; kept only where it stands there."""
    forward = _row(recipe, {"forward": 1.0})
    if play(simulator, _policy(simulator, rng)) is None:
        return None
    walk: list[Recorded] = []
    for _ in range(100):
        part = play(simulator, [forward])
        if part is None:
            return None
        walk += part
        if len(walk) > REST and _moved(walk[-2:]) < 0.5:
            held = play(simulator, [forward] * (PUSH + 1))
            clip = walk[-REST:] + held if held else None
            return clip if held and _moved(held) < 1.0 else None
    return None


def attempt(simulator: Simulator, recipe: Recipe, rng: np.random.Generator, number: int) -> list[Recorded] | None:
    """The expert opens the drawer; in every other clip it stops on the way there."""
    from .arm_simulator import ArmSimulator

    assert isinstance(simulator, ArmSimulator)
    rest = _row(recipe, {})
    stop = int(rng.integers(20, 70)) if number % 2 else TASK
    clip = play(simulator, [rest] * REST)
    for k in range(TASK + 1):
        part = play(simulator, [simulator.expert() if k < stop else rest])
        clip = clip + part if clip and part else None
    return clip


def _settled(simulator: Simulator, recipe: Recipe, rng: np.random.Generator, rows: list[Row]) -> list[Recorded] | None:
    """A clip of `rows` from rest, somewhere on the way of the policy."""
    rest = _row(recipe, {})
    if play(simulator, _policy(simulator, rng)) is None or play(simulator, [rest] * SETTLE) is None:
        return None
    return play(simulator, [rest] * REST + rows + [rest])


def _policy(simulator: Simulator, rng: np.random.Generator) -> Iterator[Row]:
    """A visit of random length."""
    policy = simulator.policy(rng)
    for _ in range(int(rng.integers(0, 60))):
        yield next(policy).copy()


def play(simulator: Simulator, rows: Iterable[Row]) -> list[Recorded] | None:
    """What an engine showed under these rows; None when the episode ended."""
    shown: list[Recorded] = []
    for row in rows:
        frame, pose = simulator.observe()
        shown.append((frame, row, pose))
        if simulator.act(row):
            return None
    return shown


def _moved(clip: list[Recorded]) -> float:
    """Longest way from the first place, in the units of the engine's map."""
    places = np.stack([pose[:2] for _, _, pose in clip])
    return float(np.hypot(*(places - places[0]).T).max())


def _row(recipe: Recipe, values: dict[str, float]) -> Row:
    row = recipe.spec.actions.neutral(1)[0]
    for name, value in values.items():
        row[recipe.spec.actions.columns.index(name)] = value
    return row
