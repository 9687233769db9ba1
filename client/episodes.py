"""Episodes in dreamed worlds: how they begin, what a step is, when they end. A Gymnasium environment wears this.

One step is one chunk of the world: its action is held for every frame of the chunk, and the observation is the last of
its frames. The first observation is the last picture that an episode was given to begin with, and where it was given
none, what one chunk of doing nothing shows. Knows worlds by the batch and hooks; no space and no engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worldloom.streamer.worlds import Start, Worlds

from .hooks import Hook, judge

FRAMES = 1000  # frames of an episode in a world that does not say how long its own were
OPTIONS = ("scene", "image", "frames", "context_actions", "state", "goal", "prompt")


@dataclass(frozen=True)
class Timing:
    """How long a step took. Two timings are equal: time is no part of what a step gave."""

    compute_ms: float = field(compare=False)  # of the whole batch


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One episode as it was; `restore` goes on from it as often as wanted, also in another process."""

    state: bytes  # the world's memory, as the world saves it
    picture: NDArray[np.uint8]  # (H, W, 3) the latest observation
    frame: int  # frames since the first observation
    goal: Any = None


@dataclass(frozen=True, eq=False)
class Stepped:
    """What a step gave, one row a world."""

    rewards: NDArray[np.float64]  # (n,)
    terminated: NDArray[np.bool_]  # (n,)
    truncated: NDArray[np.bool_]  # (n,)
    infos: list[dict[str, Any]]


class Episodes:
    """B episodes, advanced together."""

    def __init__(self, worlds: Worlds, *, max_frames: int | None, reward_fn: Hook | None, terminated_fn: Hook | None):
        if max_frames is not None and max_frames < 1:
            raise ValueError(f"expected max_frames of at least 1, got {max_frames}")
        self.worlds = worlds
        self.max_frames = max_frames or worlds.info.horizon or FRAMES
        self.hooks = reward_fn, terminated_fn
        info, size = worlds.info, len(worlds)
        self.pictures = np.zeros((size, info.height, info.width, 3), np.uint8)
        self.frames = np.zeros(size, np.int64)
        self.goals: list[Any] = [None] * size
        self.begun = np.zeros(size, np.bool_)

    def begin(self, seeds: Mapping[int, int], options: Mapping[str, Any] | None = None) -> dict[int, dict[str, Any]]:
        """Begin episodes, by number; returns what is to be told of each.

        Raises:
            ValueError: an unknown option, or scene.
            Unsupported: the world does not begin so; nothing has changed then.
        """
        options = dict(options or {})
        if unknown := set(options) - set(OPTIONS):
            raise ValueError(f"expected options of {OPTIONS}, got {sorted(unknown)}")
        if (scene := options.get("scene")) is not None:
            seeds = {k: self.worlds.info.seed_of(scene, seed) for k, seed in seeds.items()}
        which = list(seeds)
        self.worlds.start({k: start_of(seed, options) for k, seed in seeds.items()})
        self._anew(which, options.get("goal"))
        shown = _shown(options)
        if shown is None:
            still = np.zeros((len(which), len(self.worlds.info.actions.columns)), np.float32)
            return dict(zip(which, self._advance(still, which), strict=True))
        self.pictures[which] = shown
        return {k: {"frame": 0, "frames": np.repeat(shown[None], 1, 0)} for k in which}

    def step(self, rows: NDArray[np.float32], renewed: Mapping[int, int] | None = None) -> Stepped:
        """Advance every episode under its (B, A) row; those `renewed` (number -> seed) begin anew, and see it first."""
        fresh = dict(renewed or {})
        if fresh:
            self.worlds.start({k: Start(seed) for k, seed in fresh.items()})
            rows = rows.copy()
            rows[list(fresh)] = 0.0
        size, before = len(rows), self.pictures.copy()
        self.frames += self.worlds.info.chunk
        for k in fresh:
            self._anew([k], None)
        infos = self._advance(rows, range(size))
        going = np.array([k not in fresh for k in range(size)])
        rewards, ended = np.zeros(size), np.zeros(size, np.bool_)
        goals = [goal for goal, on in zip(self.goals, going, strict=True) if on]
        asked = before[going], rows[going], self.pictures[going], goals
        rewards[going] = judge(self.hooks[0], *asked)
        ended[going] = judge(self.hooks[1], *asked) != 0.0
        return Stepped(rewards, ended, going & (self.frames >= self.max_frames), infos)

    def snapshot(self) -> tuple[Snapshot, ...]:
        """Every episode as it is now."""
        states = self.worlds.save()
        rows = zip(states, self.pictures, self.frames, self.goals, strict=True)
        return tuple(Snapshot(state, picture.copy(), int(frame), goal) for state, picture, frame, goal in rows)

    def restore(self, past: Mapping[int, Snapshot]) -> None:
        """Go on from snapshots, by number."""
        self.worlds.start({k: Start(0, state=one.state) for k, one in past.items()})
        for k, one in past.items():
            self.pictures[k], self.frames[k], self.goals[k] = one.picture, one.frame, one.goal
            self.begun[k] = True

    def fork(self, copies: int) -> Episodes:
        """Every episode so many times: episode b has its copies at b * copies and after."""
        reward_fn, terminated_fn = self.hooks
        worlds = self.worlds.fork(copies)
        made = Episodes(worlds, max_frames=self.max_frames, reward_fn=reward_fn, terminated_fn=terminated_fn)
        made.pictures = self.pictures.repeat(copies, 0)
        made.frames, made.begun = self.frames.repeat(copies), self.begun.repeat(copies)
        made.goals = [goal for goal in self.goals for _ in range(copies)]
        return made

    def _anew(self, which: Sequence[int], goal: Any) -> None:
        self.frames[which] = 0
        self.begun[which] = True
        for k in which:
            self.goals[k] = goal

    def _advance(self, rows: NDArray[np.float32], which: Sequence[int]) -> list[dict[str, Any]]:
        """One chunk under rows that are held."""
        held = np.repeat(rows[:, None], self.worlds.info.chunk, 1)
        chunk = self.worlds.step(held, None if len(which) == len(self.worlds) else which)
        self.pictures[list(which)] = chunk.frames[:, -1]
        infos: list[dict[str, Any]] = []
        for at, k in enumerate(which):
            timing = Timing(chunk.compute_ms)
            infos.append({"frame": int(self.frames[k]), "frames": chunk.frames[at], "timing": timing})
            if chunk.drift is not None:
                infos[-1]["drift"] = float(chunk.drift[at])
        return infos


def start_of(seed: int, options: Mapping[str, Any]) -> Start:
    """What a stream begins from, by the options of `reset`."""
    state = options.get("state")
    actions = options.get("context_actions")
    if actions is not None and options.get("frames") is None:
        raise ValueError("expected frames with context_actions: they are what led to each")
    return Start(
        seed,
        prompt=options.get("prompt"),
        image=_uint8(options.get("image")),
        frames=_uint8(options.get("frames")),
        actions=None if actions is None else np.asarray(actions, np.float32),
        state=state.state if isinstance(state, Snapshot) else state,
    )


def _uint8(pixels: Any) -> NDArray[np.uint8] | None:
    """Pictures as they are; a copy by rounding of anything else is not made, for its range cannot be known."""
    if pixels is None:
        return None
    array = np.asarray(pixels)
    if array.dtype != np.uint8:
        raise ValueError(f"expected uint8 pictures, got {array.dtype}")
    return array


def _shown(options: Mapping[str, Any]) -> NDArray[np.uint8] | None:
    """The picture that an episode was given to begin with, the last if there are several."""
    state, frames, image = options.get("state"), options.get("frames"), options.get("image")
    if isinstance(state, Snapshot):
        return state.picture
    return np.asarray(frames)[-1] if frames is not None else image
