"""Endurance: dreams of a thousand and of ten thousand frames, and what became of them.

How pictures look is compared by drift.py with what an engine shows that is told the same, and with what it shows from
where the dreams stand (standing.py); how much they move, by optical flow: a dream that froze fails, however good it
looks. Knows how to lay out long dreams.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spec import Actions
from ..world import DiTWorld
from .blind import EVERY, Blind, Length
from .clips import Clips
from .dream import context_frames, followed, reconstruct, scenes_at, spread
from .drift import drift, drift_floor, summary
from .flow import Flow, amount
from .metrics import Pictures, appearance
from .recipe import Recipe
from .scripts import REST
from .standing import poses_of, shown_from

FROZEN = 0.1
"""A dream that moves less than this share of what the engine moves stands still."""


@dataclass(frozen=True)
class Course:
    """Where S long dreams begin, what they are told, and what an engine showed."""

    clips: Clips
    starts: NDArray[np.int64]  # (S,) the last of the frames that a dream knows
    known: int  # most frames that it knows
    rows: Actions  # (S, T, A) the action that leads to each dreamed frame
    compared: NDArray[np.int64]  # (K,) which of the T frames are looked at
    shown: NDArray[np.int64]  # (m,) frames that they should look like
    into: NDArray[np.int64]  # (S, K) the frame that the engine showed instead, -1 where none comes before it


def blind_course(blind: Blind, length: Length) -> Course:
    """Beside an engine that was told the same."""
    begins = np.flatnonzero(blind.clips.begins)
    walks, pairs = begins[::2], begins[1::2]
    into = pairs[:, None] + 2 * np.arange(len(length.compared)) + 1
    return Course(
        blind.clips, walks + REST, REST, blind.rows, length.compared, into.ravel(), np.where(blind.cut, -1, into)
    )


def recorded_course(clips: Clips, length: Length, known: int) -> Course:
    """Beside recordings, where no engine is at hand: actions in order, and where an episode ends those of the next."""
    starts = spread(clips.windows(known), length.streams) + known - 1
    compared = np.arange(length.frames - length.tail, length.frames, EVERY)
    at = (starts[:, None] + 1 + np.arange(length.frames)) % len(clips)
    into = at[:, compared]
    goes_on = (into > 0) & (clips.episodes[into - 1] == clips.episodes[into]) & (compared > 0)
    shown = np.arange(0, len(clips), EVERY)
    return Course(clips, starts, known, clips.leading[at], compared, shown, np.where(goes_on, into, -1))


@dataclass(frozen=True)
class Tail:
    """Those of S long dreams that are looked at, K frames of each."""

    appearance: NDArray[np.float64]  # (K * S, 3)
    flow: NDArray[np.float64]  # (S, K) mean length in pixels, into each of these frames
    flow_real: NDArray[np.float64]  # (S, K) of the engine under the same actions; NaN where there is none
    poses: NDArray[np.float64] | None = None  # (K * S, 3) where each was seen, of worlds that know


def long_dreams(world: DiTWorld, course: Course, recipe: Recipe) -> dict[str, Any]:
    """Drift of the last frames of long dreams against what the engine showed; see drift.py for the definition.

    The same frames through the autoencoder show how much of it is there before anything was dreamed.
    """
    tail = dream_long(world, course)
    pictures = course.clips.take(course.shown)
    real, again = appearance(pictures), appearance(reconstruct(world.autoencoder, pictures))
    return {
        "drift": drift(tail.appearance, real),
        "drift_autoencoder": drift(again, real),
        "drift_beyond_autoencoder": drift(tail.appearance, again),
        "drift_floor": drift_floor(real, *tail.flow.shape),
        "drift_flow": flow_drift(tail),
        "drift_flow_share": flow_share(tail),
        "drift_flow_share_autoencoder": flow_share(replace(tail, flow=flow_again(world, course))),
        "drift_statistics": {"dream": summary(tail.appearance), "real": summary(real), "autoencoder": summary(again)},
    } | in_place(recipe, tail, "drift")


def longer_dreams(world: DiTWorld, course: Course, recipe: Recipe) -> dict[str, Any]:
    """The same after ten thousand frames, with what became of movement."""
    tail = dream_long(world, course)
    real = appearance(course.clips.take(course.shown))
    return {
        "drift_10000": drift(tail.appearance, real) | {"flow": flow_drift(tail)},
        "drift_10000_flow_share": flow_share(tail),
        "drift_10000_floor": drift_floor(real, *tail.flow.shape),
        "drift_10000_frozen": frozen(tail),
    } | in_place(recipe, tail, "drift_10000")


def in_place(recipe: Recipe, tail: Tail, key: str) -> dict[str, Any]:
    """Drift against what the engine shows from where the dreams stand; nothing where world or engine cannot say."""
    shown = shown_from(recipe, tail.poses) if tail.poses is not None else None
    if shown is None:
        return {}
    known, real = shown.known, appearance(shown.pictures[shown.known])
    return {f"{key}_in_place": drift(tail.appearance[known], real), f"{key}_in_place_share": float(known.mean())}


def dream_long(world: DiTWorld, course: Course) -> Tail:
    """Dream along a course and keep what is measured."""
    known, clips, flow = context_frames(world, course.known), course.clips, Flow()
    scenes = scenes_at(world, clips, course.starts - known + 1, known)
    place = {int(n): k for k, n in enumerate(course.compared)}
    looks, moved, moved_real, stood = [], [], [], []
    last: Pictures | None = None
    for n, (made, states) in enumerate(followed(world, scenes, course.rows)):
        if n in place:
            looks.append(appearance(made))
            stood.append(poses_of(states))
            before = last if last is not None else made
            moved.append([_flow(flow, *pair) for pair in zip(before, made, strict=True)])
            moved_real.append([_real_flow(flow, clips, int(index)) for index in course.into[:, place[n]]])
        last = made
    told = [poses for poses in stood if poses is not None]
    poses = np.concatenate(told) if len(told) == len(looks) else None
    return Tail(np.concatenate(looks), np.array(moved).T, np.array(moved_real).T, poses)


def flow_drift(tail: Tail) -> float | None:
    """Mean over streams of |flow of dream - flow of recordings|, over the mean flow of recordings; 1 when all froze.

    None where no recorded frame has one before it.
    """
    known = ~np.isnan(tail.flow_real)
    if not known.any(1).all():
        return None
    dreamed, real = (np.nanmean(np.where(known, flow, np.nan), 1) for flow in (tail.flow, tail.flow_real))
    return float(np.abs(dreamed - real).mean() / max(real.mean(), 1e-6))


def flow_share(tail: Tail) -> float | None:
    """Mean flow of dreams over the mean flow of the engine: how much is left of movement."""
    known = ~np.isnan(tail.flow_real)
    return float(tail.flow[known].mean() / max(tail.flow_real[known].mean(), 1e-6)) if known.any() else None


def flow_again(world: DiTWorld, course: Course) -> NDArray[np.float64]:
    """(S, K) mean length of flow into the engine's frames, when the autoencoder gives these back."""
    flow, into = Flow(), course.into.ravel()
    before, after = (reconstruct(world.autoencoder, course.clips.take(np.maximum(into - k, 0))) for k in (1, 0))
    lengths = [_flow(flow, *pair) for pair in zip(before, after, strict=True)]
    return np.where(into > 0, lengths, np.nan).reshape(course.into.shape)


def frozen(tail: Tail) -> float | None:
    """Of the frames in which the engine moves more than it does on average: share in which the dream stands still."""
    busy = np.nan_to_num(tail.flow_real) > np.nanmean(tail.flow_real)
    return float((tail.flow[busy] < FROZEN * tail.flow_real[busy]).mean()) if busy.any() else None


def _real_flow(flow: Flow, clips: Clips, index: int) -> float:
    """Into a recorded frame from the one before it; NaN for a negative index."""
    return _flow(flow, clips.frame(index - 1), clips.frame(index)) if index > 0 else float("nan")


def _flow(flow: Flow, before: Pictures, after: Pictures) -> float:
    return float(flow.along(np.stack([before, after]), amount)[0])
