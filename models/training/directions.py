"""Direction accuracy: does a world move the way that a held action asks?

Every direction of a recipe has a battery of recorded clips: frames under the policy, then one action held for
`HELD` frames in which the engine did move. A reader turns a clip into one signed number, how far the picture went the
way that was asked; the world is right when it went further than the reader's idea of standing still.

- `FlowReader`, for a camera that moves: dense optical flow, its mean across the picture (turn, strafe) or its
  expansion about the centre (walk).
- `HandReader`, for a camera that stands still: positions that a probe reads from the first and the last picture.

The same reader on the real continuation is the ceiling. Knows pictures and names of directions; nothing of sampling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .clips import Clips
from .collect import CONTEXT, HELD
from .metrics import Pictures, luma
from .probe import Probe, ProbeConfig, open_probe
from .recipe import Recipe


@dataclass(frozen=True)
class Battery:
    """The recorded clips of one direction."""

    direction: str  # as the recipe names it
    starts: NDArray[np.int64]  # (n,) index of the first frame of each clip in the whole set

    @property
    def begin(self) -> NDArray[np.int64]:
        """(n,) last frame before the action is held; the next HELD frames are under it."""
        return self.starts + CONTEXT

    @property
    def span(self) -> NDArray[np.int64]:
        """(n, HELD + 1) that frame and those under the held action."""
        return self.begin[:, None] + np.arange(HELD + 1)


class Reader(Protocol):
    """Reads motion from pictures."""

    still: float  # below this much the picture counts as standing still

    def follow(self, direction: str, clips: Pictures) -> NDArray[np.float64]:
        """(B, T, H, W, 3) -> (B,) how far each clip went the way that `direction` names, against it below zero."""


def group_of(direction: str) -> str:
    """The part of a name that opposite directions share: "x+" -> "x", "turn left" -> "turn"."""
    return direction.split()[0].rstrip("+-")


def batteries(recipe: Recipe, clips: Clips, count: int) -> Iterator[Battery]:
    """The first `count` clips of every direction; shard k holds direction k.

    Raises:
        ValueError: the recordings are of another recipe.
    """
    names = list(recipe.data.directions)
    if len(clips.shards) != len(names):
        raise ValueError(f"expected a battery shard for each of {names}, got {len(clips.shards)}; collect again")
    for k, name in enumerate(names):
        first, last = clips.offsets[k], clips.offsets[k + 1]
        starts = first + np.flatnonzero(np.diff(clips.episodes[first:last], prepend=-1))
        if not len(starts) or (last - first) != len(starts) * (CONTEXT + HELD + 1):
            raise ValueError(f"expected battery clips of {CONTEXT + HELD + 1} frames in shard {k}; collect again")
        yield Battery(name, starts[:count])


def open_reader(recipe: Recipe, folder: Path) -> Reader:
    """The reader that suits a recipe's directions; a probe is trained the first time and kept in `folder`.

    Raises:
        ValueError: a direction that neither reader knows.
    """
    names = list(recipe.data.directions)
    if all(name in FLOWS for name in names):
        return FlowReader()
    if all(len(name) == 2 and name[0] in HandReader.AXES and name[1] in "+-" for name in names):
        clips = Clips.open(folder / "data" / "train")
        return HandReader(open_probe(folder / "probe.pt", clips, ProbeConfig(seed=recipe.data.seed)))
    raise ValueError(f"expected directions out of {sorted(FLOWS)}, or x+ x- y+ y- z+ z-, got {names}")


def across(flow: NDArray[np.float32]) -> float:
    """Mean pixels to the right of a flow field (H, W, 2)."""
    return float(flow[..., 0].mean())


def expansion(flow: NDArray[np.float32]) -> float:
    """Mean pixels outward of a flow field (H, W, 2), weighted by the distance from the centre (half a picture = 1)."""
    height, width = flow.shape[:2]
    x = (np.arange(width) + 0.5) / width * 2.0 - 1.0
    y = (np.arange(height) + 0.5) / height * 2.0 - 1.0
    return float((flow[..., 0] * x + flow[..., 1] * y[:, None]).mean())


FLOWS: dict[str, tuple[Callable[[NDArray[np.float32]], float], float]] = {
    "turn right": (across, -1.0),  # the scene goes the other way
    "turn left": (across, 1.0),
    "strafe right": (across, -1.0),
    "strafe left": (across, 1.0),
    "walk forward": (expansion, 1.0),
    "walk back": (expansion, -1.0),
}
"""What of the flow a direction moves, and the sign."""


class FlowReader:
    """Dense inverse search flow (OpenCV, down to full resolution), summed over the frames of a clip.

    Of the fields tried on real clips it is the one that reads the maze's walls right even nose to the wall, where
    they are dim and repeat; Farneback's misreads one strafe in ten there.
    """

    still = 1.0  # pixels over a whole clip; the least that a real clip moved is 2.7

    def __init__(self) -> None:
        import cv2

        self._field = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._field.setFinestScale(0)

    def follow(self, direction: str, clips: Pictures) -> NDArray[np.float64]:
        """See `Reader`."""
        measure, sign = FLOWS[direction]
        grey = luma(clips).round().astype(np.uint8)
        return np.array([sign * sum(measure(self._flow(*pair)) for pair in pairwise(clip)) for clip in grey])

    def _flow(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W, 2) pixels right and down."""
        field = np.zeros((*before.shape, 2), np.float32)
        return np.asarray(self._field.calc(before, after, field), np.float32)


class HandReader:
    """The change of one coordinate of the hand, in metres, from the first picture of a clip to the last."""

    still = 0.01  # metres; the engine moved at least 0.03
    AXES = "xyz"

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    def follow(self, direction: str, clips: Pictures) -> NDArray[np.float64]:
        """See `Reader`."""
        axis, sign = self.AXES.index(direction[0]), 1.0 if direction[1] == "+" else -1.0
        moved = self._probe.read(clips[:, -1]) - self._probe.read(clips[:, 0])
        return np.asarray(sign * moved[:, axis], np.float64)


def accuracy(right: dict[str, NDArray[np.bool_]]) -> dict[str, float]:
    """Share of clips that went the right way, by group of directions."""
    groups: dict[str, list[NDArray[np.bool_]]] = {}
    for direction, answers in right.items():
        groups.setdefault(group_of(direction), []).append(answers)
    return {group: float(np.concatenate(answers).mean()) for group, answers in groups.items()}
