"""Endurance: dreams of a thousand and of ten thousand frames, and what became of them.

How pictures look is compared by drift.py; how much they move by optical flow against the recordings whose actions the
dream was given: a dream that froze fails, however good it looks. Knows how to lay out long dreams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..world import DiTWorld
from .clips import Clips
from .counts import Counts
from .dream import context_frames, dream, reconstruct, scenes_at, spread
from .drift import drift, drift_floor, summary
from .flow import Flow, amount
from .metrics import Pictures, appearance

TAIL_EVERY = 8
"""Drift looks at every eighth frame: neighbours look alike."""

FROZEN = 0.1
"""A dream that moves less than this share of what the engine moves stands still."""


@dataclass(frozen=True)
class Tail:
    """The last frames of long dreams, every `TAIL_EVERY`th: K frames of each of S streams."""

    appearance: NDArray[np.float64]  # (K * S, 3)
    flow: NDArray[np.float64]  # (S, K) mean length in pixels, into each of these frames
    flow_real: NDArray[np.float64]  # (S, K) of the recordings under the same actions; NaN where an episode begins


def long_dreams(world: DiTWorld, clips: Clips, counts: Counts) -> dict[str, Any]:
    """Drift of the last frames of long dreams against all held-out frames; see drift.py for the definition.

    The same held-out frames through the autoencoder show how much of it is there before anything was dreamed.
    """
    tail = dream_long(world, clips, counts.drift_streams, counts.drift_frames, counts.drift_tail)
    pictures = clips.take(np.arange(0, len(clips), TAIL_EVERY))
    real, again = appearance(pictures), appearance(reconstruct(world, pictures))
    streams, frames = tail.flow.shape
    return {
        "drift": drift(tail.appearance, real),
        "drift_autoencoder": drift(again, real),
        "drift_beyond_autoencoder": drift(tail.appearance, again),
        "drift_floor": drift_floor(real, streams, frames),
        "drift_flow": flow_drift(tail),
        "drift_statistics": {"dream": summary(tail.appearance), "real": summary(real), "autoencoder": summary(again)},
    }


def longer_dreams(world: DiTWorld, clips: Clips, counts: Counts) -> dict[str, Any]:
    """The same after ten thousand frames, with what became of movement."""
    tail = dream_long(world, clips, counts.long_streams, counts.long_frames, counts.long_tail)
    real = appearance(clips.take(np.arange(0, len(clips), TAIL_EVERY)))
    return {
        "drift_10000": drift(tail.appearance, real) | {"flow": flow_drift(tail)},
        "drift_10000_floor": drift_floor(real, *tail.flow.shape),
        "drift_10000_frozen": frozen(tail),
    }


def dream_long(world: DiTWorld, clips: Clips, streams: int, frames: int, tail: int) -> Tail:
    """Dream and keep what is measured of the last `tail` frames."""
    known = context_frames(world)
    starts = spread(clips.windows(known), streams)
    # Recorded actions in order from each start; where an episode ends, the next one's actions go on.
    at = (starts[:, None] + known + np.arange(frames)) % len(clips)
    flow, first = Flow(), frames - tail
    looks, moved, moved_real = [], [], []
    last: Pictures | None = None
    for n, made in enumerate(dream(world, scenes_at(world, clips, starts, known), clips.leading[at])):
        if n >= first and (n - first) % TAIL_EVERY == 0:
            looks.append(appearance(made))
            before = last if last is not None else made
            moved.append([_flow(flow, *pair) for pair in zip(before, made, strict=True)])
            moved_real.append([_real_flow(flow, clips, int(index)) if n else np.nan for index in at[:, n]])
        last = made
    return Tail(np.concatenate(looks), np.array(moved).T, np.array(moved_real).T)


def flow_drift(tail: Tail) -> float | None:
    """Mean over streams of |flow of dream - flow of recordings|, over the mean flow of recordings; 1 when all froze.

    None where no recorded frame has one before it.
    """
    known = ~np.isnan(tail.flow_real)
    if not known.any(1).all():
        return None
    dreamed, real = (np.nanmean(np.where(known, flow, np.nan), 1) for flow in (tail.flow, tail.flow_real))
    return float(np.abs(dreamed - real).mean() / max(real.mean(), 1e-6))


def frozen(tail: Tail) -> float | None:
    """Of the frames in which the engine moves more than it does on average: share in which the dream stands still."""
    busy = np.nan_to_num(tail.flow_real) > np.nanmean(tail.flow_real)
    return float((tail.flow[busy] < FROZEN * tail.flow_real[busy]).mean()) if busy.any() else None


def _real_flow(flow: Flow, clips: Clips, index: int) -> float:
    """Into a recorded frame from the one before it."""
    if index == 0 or clips.episodes[index - 1] != clips.episodes[index]:
        return float("nan")
    return _flow(flow, clips.frame(index - 1), clips.frame(index))


def _flow(flow: Flow, before: Pictures, after: Pictures) -> float:
    return float(flow.along(np.stack([before, after]), amount)[0])
