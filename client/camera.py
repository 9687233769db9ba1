"""What a camera operator says, as action rows of a world: moves that follow one another or happen at once.

    path = pan(90, 2.0) + (dolly(20, 1.5) & tilt(-10, 1.5))
    for chunk in chunks(path, world.info):
        pictures += await world.step(chunk)

A path says how far the camera has come at any time; a row is what is added within a frame. Amounts are in the unit of
the world's own column: degrees where it turns by degrees; where it walks by a button, frames of walking.

Knows actions; no connection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from worldloom.streamer.world_info import ActionInfo, AxisInfo, WorldInfo

Way: TypeAlias = Literal["pan", "tilt", "roll", "dolly", "truck", "pedestal", "zoom"]
"""Pan right, tilt up, roll clockwise, dolly forward, truck right, pedestal up, zoom in: all +."""

WAYS: tuple[Way, ...] = get_args(Way)

Ease: TypeAlias = Callable[[float], float]
"""The share of a move that is done after a share of its time; 0 at 0 and 1 at 1."""

Rows: TypeAlias = NDArray[np.float32]

# Names that worlds give to these: one axis, or a button for each sense.
AXES: Mapping[Way, tuple[str, ...]] = {
    "pan": ("turn", "yaw", "pan"),
    "tilt": ("pitch", "tilt"),
    "roll": ("roll",),
    "dolly": ("forward", "dolly"),
    "truck": ("right", "strafe", "truck"),
    "pedestal": ("up", "pedestal"),
    "zoom": ("zoom",),
}
BUTTONS: Mapping[Way, tuple[str, str]] = {
    "dolly": ("forward", "back"),
    "truck": ("right", "left"),
    "pedestal": ("up", "down"),
}

SLACK = 1e-6  # by which sums of amounts may be off


class CannotMove(ValueError):
    """The world has no such movement, or none so fast."""


def linear(share: float) -> float:
    """At one speed."""
    return share


def smooth(share: float) -> float:
    """Slowly at both ends."""
    return share * share * (3.0 - 2.0 * share)


def slow_in(share: float) -> float:
    """Slowly at first."""
    return share * share


def slow_out(share: float) -> float:
    """Slowly at last."""
    return share * (2.0 - share)


@dataclass(frozen=True)
class Move:
    """One way, for a while."""

    way: Way
    amount: float  # in the unit of the world's column
    start: float  # seconds from the beginning of the path
    seconds: float
    ease: Ease = smooth

    def at(self, time: float) -> float:
        """How far it has come."""
        return self.amount * self.ease(min(1.0, max(0.0, (time - self.start) / self.seconds)))


@dataclass(frozen=True)
class Path:
    """Moves, which add up."""

    moves: tuple[Move, ...] = ()
    seconds: float = 0.0

    def __add__(self, after: Path) -> Path:
        later = tuple(replace(move, start=move.start + self.seconds) for move in after.moves)
        return Path(self.moves + later, self.seconds + after.seconds)

    def __and__(self, beside: Path) -> Path:
        return Path(self.moves + beside.moves, max(self.seconds, beside.seconds))

    def at(self, time: float) -> dict[Way, float]:
        """How far the camera has come each way."""
        come: dict[Way, float] = {}
        for move in self.moves:
            come[move.way] = come.get(move.way, 0.0) + move.at(time)
        return come


def _move(way: Way, amount: float, seconds: float, ease: Ease) -> Path:
    if not seconds > 0.0 or not math.isfinite(amount) or not math.isfinite(seconds):
        raise ValueError(f"expected a finite {way} that takes some time, got {amount} in {seconds} s")
    return Path((Move(way, amount, 0.0, seconds, ease),), seconds)


def pan(degrees: float, seconds: float, ease: Ease = smooth) -> Path:
    """Turn to the right."""
    return _move("pan", degrees, seconds, ease)


def tilt(degrees: float, seconds: float, ease: Ease = smooth) -> Path:
    """Look up."""
    return _move("tilt", degrees, seconds, ease)


def roll(degrees: float, seconds: float, ease: Ease = smooth) -> Path:
    """Turn clockwise around the line of sight."""
    return _move("roll", degrees, seconds, ease)


def dolly(amount: float, seconds: float, ease: Ease = smooth) -> Path:
    """Go forward."""
    return _move("dolly", amount, seconds, ease)


def truck(amount: float, seconds: float, ease: Ease = smooth) -> Path:
    """Go to the right, looking ahead."""
    return _move("truck", amount, seconds, ease)


def pedestal(amount: float, seconds: float, ease: Ease = smooth) -> Path:
    """Go up."""
    return _move("pedestal", amount, seconds, ease)


def zoom(amount: float, seconds: float, ease: Ease = smooth) -> Path:
    """Come nearer without moving."""
    return _move("zoom", amount, seconds, ease)


def hold(seconds: float) -> Path:
    """Stand still."""
    return Path((), seconds)


def orbit(degrees: float, radius: float, seconds: float, ease: Ease = smooth) -> Path:
    """Go round something ahead, to the right, looking at it; `radius` in the unit in which the world trucks."""
    return truck(math.radians(degrees) * radius, seconds, ease) & pan(-degrees, seconds, ease)


def keyframes(places: Sequence[tuple[float, Mapping[Way, float]]], ease: Ease = smooth) -> Path:
    """A path through places: (seconds, how far the camera has come each way); ways that are not named stay.

    Raises:
        ValueError: times that do not grow.
    """
    path, before, come = Path(), 0.0, dict.fromkeys(WAYS, 0.0)
    for time, place in places:
        if time > before:
            step = hold(time - before)
            for way, there in place.items():
                step &= _move(way, there - come[way], time - before, ease)
            path += step
        elif time < before or any(place.values()):
            raise ValueError(f"expected times that grow from 0, where the camera is at rest, got {time} after {before}")
        before, come = time, {**come, **place}
    return path


# Into actions ---------------------------------------------------------------------------------------------------------


def abilities(info: WorldInfo) -> dict[Way, str]:
    """What the camera of a world can do, and by which of its columns."""
    able: dict[Way, str] = {}
    for way in WAYS:
        axis = _axis(way, info.actions)
        if axis is not None:
            able[way] = f"{axis.name}, in {axis.unit}"
        elif _has_buttons(way, info.actions):
            able[way] = f"{' and '.join(BUTTONS[way])}, in frames"
    return able


def rows(path: Path, info: WorldInfo) -> Rows:
    """(F, A) action rows, one a frame, to the end of the last chunk.

    Raises:
        CannotMove: the world lacks one of the ways, or is too slow for it.
    """
    rate = info.fps[0] / info.fps[1]
    chunks = math.ceil(path.seconds * rate / info.chunk - 1e-9)
    come = [path.at(frame / rate) for frame in range(chunks * info.chunk + 1)]
    ways = dict.fromkeys(move.way for move in path.moves)
    return rows_of({way: np.diff([there[way] for there in come]) for way in ways}, len(come) - 1, info)


def rows_of(shares: Mapping[Way, NDArray[np.float64]], frames: int, info: WorldInfo) -> Rows:
    """(F, A) action rows from (F,) each way's share of every frame, in the unit of the world's own column.

    Raises:
        CannotMove: the world lacks one of the ways, or is too slow for it.
    """
    made = np.zeros((frames, len(info.actions.columns)), np.float32)
    for way, amounts in shares.items():
        axis = _axis(way, info.actions)
        if axis is not None:
            _check(way, info, amounts, axis.low, axis.high, axis.unit)
            made[:, info.actions.columns.index(axis.name)] += np.clip(amounts, axis.low, axis.high)
        elif _has_buttons(way, info.actions):
            _check(way, info, amounts, -1.0, 1.0, "of a frame's way a frame")
            _press(made, amounts, [info.actions.columns.index(name) for name in BUTTONS[way]])
        else:
            told = "; ".join(f"{able} ({by})" for able, by in abilities(info).items()) or "nothing"
            raise CannotMove(f"the camera of {info.name!r} cannot {way}; it can: {told}")
    return made


def chunks(path: Path, info: WorldInfo) -> Iterator[list[list[float]]]:
    """The rows of each step in turn, for `RemoteWorld.step`. Raises as `rows`."""
    every = rows(path, info).tolist()
    return iter([every[at : at + info.chunk] for at in range(0, len(every), info.chunk)])


def _axis(way: Way, actions: ActionInfo) -> AxisInfo | None:
    """The axis of a way: the one that looking around turns, or one that is called so."""
    looks = dict(zip(("pan", "tilt"), actions.look, strict=True)).get(way)
    names = (looks,) if looks else AXES[way]
    return next((axis for axis in actions.axes if axis.name in names), None)


def _has_buttons(way: Way, actions: ActionInfo) -> bool:
    return way in BUTTONS and set(BUTTONS[way]) <= set(actions.buttons)


def _check(way: Way, info: WorldInfo, amounts: NDArray[np.float64], low: float, high: float, unit: str) -> None:
    """Whether every frame's share is within what the world does in a frame."""
    most, least = float(amounts.max(initial=0.0)), float(amounts.min(initial=0.0))
    if most <= high + SLACK and least >= low - SLACK:
        return
    over = max(most / high if high > 0 else math.inf, least / low if low < 0 else math.inf)
    needed = f"give it {over:.2f} times as long" if math.isfinite(over) else "it does not go that way"
    worst = most if most > high + SLACK else least
    raise CannotMove(f"{way} of {worst:.3g} {unit}: {info.name!r} does {low:g} to {high:g}; {needed}")


def _press(made: Rows, amounts: NDArray[np.float64], columns: Sequence[int]) -> None:
    """Buttons know only down and up: down in so many frames that the camera is never half a frame's way off."""
    come = np.floor(np.concatenate([[0.0], np.cumsum(amounts)]) + 0.5 + SLACK)
    for column, sense in zip(columns, (1.0, -1.0), strict=True):
        made[:, column] += np.clip(sense * np.diff(come), 0.0, 1.0)
