"""Direction accuracy: does a world move the way that a held action asks?

Every direction of a recipe has a battery of recorded clips: frames under the policy, then one action held for
`HELD` frames in which the engine did move. A reader turns a clip into one signed number, how far the picture went the
way that was asked; the world is right when it went further than the reader's idea of standing still.

- `FlowReader`, for a camera that moves: dense optical flow, its mean across the picture (turn, strafe) or its
  expansion about the centre (walk).
- `HandReader`, for a camera that stands still: positions that a probe reads from the first and the last picture.

The same reader on the real continuation is the ceiling. Knows pictures and names of directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..world import DiTWorld
from .clips import Clips
from .collect import CONTEXT, HELD
from .counts import Counts
from .dream import context_frames, dream, reconstruct, scenes_at
from .flow import Field, Flow, across, expansion
from .intervals import interval
from .metrics import Pictures
from .probe import Probe, ProbeConfig, open_probe
from .recipe import Recipe
from .scripts import Played


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


FLOWS: dict[str, tuple[Callable[[Field], float], float]] = {
    "turn right": (across, -1.0),  # the scene goes the other way
    "turn left": (across, 1.0),
    "strafe right": (across, -1.0),
    "strafe left": (across, 1.0),
    "walk forward": (expansion, 1.0),
    "walk back": (expansion, -1.0),
}
"""What of the flow a direction moves, and the sign."""


class FlowReader:
    """Optical flow, summed over the frames of a clip."""

    still = 1.0  # pixels over a whole clip; the least that a real clip moved is 2.7

    def __init__(self) -> None:
        self._flow = Flow()

    def follow(self, direction: str, clips: Pictures) -> NDArray[np.float64]:
        """See `Reader`."""
        measure, sign = FLOWS[direction]
        return np.array([sign * float(self._flow.along(clip, measure).sum()) for clip in clips])


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


def directions(world: DiTWorld, recipe: Recipe, folder: Path, counts: Counts) -> dict[str, Any]:
    """Direction accuracy of the world, and of the real engine under the same reader: the ceiling."""
    clips = Clips.open(folder / "data" / "battery")
    reader = open_reader(recipe, folder)
    known = min(context_frames(world), CONTEXT // world.spec.chunk * world.spec.chunk)  # the very first has no action
    went, true = {}, {}
    for battery in batteries(recipe, clips, counts.starts):
        truth = clips.take(battery.span.ravel()).reshape(*battery.span.shape, *clips.frame(0).shape)
        scenes = scenes_at(world, clips, battery.begin + 1 - known, known)
        made = np.stack(list(dream(world, scenes, clips.leading[battery.span[:, 1:]])), 1)
        # A dream begins in its own look, or the reader would see the autoencoder's blur as motion.
        made = np.concatenate([reconstruct(world.autoencoder, truth[:, 0])[:, None], made], 1)
        went[battery.direction], true[battery.direction] = (reader.follow(battery.direction, c) for c in (made, truth))
    right = {direction: amounts > reader.still for direction, amounts in went.items()}
    amounts = {d: {"dream": float(np.median(went[d])), "real": float(np.median(true[d]))} for d in went}
    return {
        "direction_accuracy": accuracy(right),
        "direction_accuracy_interval": intervals(right),
        "direction_accuracy_real": accuracy({direction: amounts > reader.still for direction, amounts in true.items()}),
        "direction_amount": amounts,
        "direction_frames": HELD,
        "speed_ratio": speed_ratios(went, true),
    }


def walking(recipe: Recipe, folder: Path, count: int) -> Played:
    """The battery of `walk forward`, as clips to play."""
    clips = Clips.open(folder / "data" / "battery")
    battery = next(b for b in batteries(recipe, clips, count) if b.direction == "walk forward")
    return Played(clips, battery.begin, HELD)


def accuracy(right: dict[str, NDArray[np.bool_]]) -> dict[str, float]:
    """Share of clips that went the right way, by group of directions."""
    return {group: float(answers.mean()) for group, answers in pooled(right).items()}


def intervals(right: dict[str, NDArray[np.bool_]]) -> dict[str, list[float]]:
    """Bootstrap 95 % interval of each `accuracy`, over clips."""
    return {group: interval(answers) for group, answers in pooled(right).items()}


def speed_ratios(dreamed: dict[str, NDArray[np.float64]], real: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    """How far dreams went the way that was asked over how far the engine went, by group; sums of medians.

    Signed: a world that goes the wrong way is below zero, one that stands still at zero.
    """

    def far(amounts: dict[str, NDArray[np.float64]]) -> dict[str, float]:
        groups: dict[str, float] = {}
        for direction, values in amounts.items():
            groups[group_of(direction)] = groups.get(group_of(direction), 0.0) + float(np.median(values))
        return groups

    went, true = far(dreamed), far(real)
    return {group: went[group] / true[group] for group in went}


def pooled(by_direction: dict[str, NDArray[np.bool_]]) -> dict[str, NDArray[np.bool_]]:
    """Values by group: opposite directions together."""
    groups: dict[str, list[NDArray[np.bool_]]] = {}
    for direction, values in by_direction.items():
        groups.setdefault(group_of(direction), []).append(values)
    return {group: np.concatenate(values) for group, values in groups.items()}
