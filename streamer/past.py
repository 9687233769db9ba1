"""What a session can go back to: restore points of its last seconds, and snapshots that it was asked to keep.

Restore points are dense where they are young: two stand apart by an eighth of their age at the most, so that a minute
takes a few dozens. They stand on one line, counted in frames that led to the present one (`moment`); who goes back cuts
off what came after. Snapshots have names, and stay when the line is cut.

Knows no world: states are opaque, and those that nobody can come back to any more are `taken`, to be released.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import log
from typing import Any

from .origin import Origin
from .since import Since

NEARNESS = 8  # a point's age over the distance to the next one


@dataclass(frozen=True)
class PastConfig:
    """How far back a session can go."""

    seconds: float = 0.0  # that restore points of a realtime session reach back; 0: none are taken
    octets: int = 128 * 2**20  # bytes that one session's restore points and snapshots may hold
    snapshots: int = 16  # that a session may have; the oldest gives way

    def reserve(self, fps: float, state_bytes: int) -> int:
        """Bytes that one session's past takes at the most, where a state takes so many."""
        reach = self.seconds * fps
        points = 2 * NEARNESS + NEARNESS * log(reach / NEARNESS) if reach > NEARNESS else reach
        return min(self.octets, int(points + self.snapshots) * state_bytes)


@dataclass(frozen=True, eq=False)
class Point:
    """A session as it was between two frames."""

    index: int  # number of the next frame then
    moment: int  # frames that had led there
    origin: Origin
    since: Since  # its last frame then
    state: Any  # the world's memory, never stepped; bytes where it is parked (parking.py)
    line: frozenset[int] = field(default=frozenset())  # of a snapshot: the moments of the points that led there


@dataclass(frozen=True)
class SavedPast:
    """All of it in bytes, for a session that goes on later, or elsewhere."""

    points: tuple[Point, ...]  # the oldest first
    snapshots: tuple[tuple[str, Point], ...]
    numbers: int  # snapshots that were ever taken
    parked: bool  # the bytes are those of parked states

    @property
    def octets(self) -> int:
        """Bytes that it holds."""
        return sum(len(point.state) for point in (*self.points, *(point for _, point in self.snapshots)))


class Past:
    """See the module."""

    def __init__(self, config: PastConfig, *, reach: int) -> None:
        """`reach`: frames that points are kept for."""
        self._config = config
        self._reach = reach
        self._points: list[Point] = []  # the oldest first
        self._snapshots: OrderedDict[str, Point] = OrderedDict()
        self._numbers = 0
        self._gone: list[Point] = []  # whose states are to be released; bounded: taken after every change

    def __iter__(self) -> Iterator[Point]:
        return iter([*self._points, *self._snapshots.values()])

    def __len__(self) -> int:
        return len(self._points) + len(self._snapshots)

    def add(self, point: Point) -> None:
        """One more restore point, the youngest; older ones that stand too close give way."""
        self._points.append(point)
        kept: list[Point] = []
        for at, one in enumerate(self._points):
            age = point.moment - one.moment
            after = self._points[at + 1] if at + 1 < len(self._points) else None
            apart = kept and after and (after.moment - kept[-1].moment) * NEARNESS > age
            if age <= self._reach and (not kept or not after or apart):
                kept.append(one)
            else:
                self._gone.append(one)
        self._points = kept

    def keep(self, point: Point) -> str:
        """A snapshot; returns its name."""
        self._numbers += 1
        name = f"s{self._numbers}"
        self._snapshots[name] = point
        while len(self._snapshots) > self._config.snapshots:
            self._gone.append(self._snapshots.popitem(last=False)[1])
        return name

    @property
    def line(self) -> frozenset[int]:
        """Moments of the points on the way to now."""
        return frozenset(point.moment for point in self._points)

    def named(self, name: str) -> Point | None:
        """A snapshot, if it is still here."""
        return self._snapshots.get(name)

    def at_moment(self, moment: int) -> Point | None:
        """The youngest point not after a moment."""
        return next((point for point in reversed(self._points) if point.moment <= moment), None)

    def at_frame(self, index: int) -> Point | None:
        """The youngest point not after the moment before this frame."""
        return next((point for point in reversed(self._points) if point.index <= index), None)

    def swap(self, point: Point, other: Point) -> None:
        """Another one in a point's place. The state of the first is the caller's."""
        self._points = [other if one is point else one for one in self._points]
        for name, one in self._snapshots.items():
            if one is point:
                self._snapshots[name] = other

    def cut(self, back_to: Point) -> None:
        """The session has gone back to this one: points that did not lead there are no past of it any more."""
        line = back_to.line or {point.moment for point in self._points if point.moment <= back_to.moment}
        self._gone += [point for point in self._points if point.moment not in line]
        self._points = [point for point in self._points if point.moment in line]

    def shed(self) -> bool:
        """Drop the oldest, points before snapshots; whether there was one."""
        if self._points:
            self._gone.append(self._points.pop(0))
        elif self._snapshots:
            self._gone.append(self._snapshots.popitem(last=False)[1])
        else:
            return False
        return True

    def saved(self, save: Callable[[Point], Point], *, points: bool, parked: bool) -> SavedPast:
        """In bytes, which `save` makes of each state; with the restore points or without."""
        return SavedPast(
            tuple(map(save, self._points)) if points else (),
            tuple((name, save(point)) for name, point in self._snapshots.items()),
            self._numbers,
            parked,
        )

    def take_up(self, saved: SavedPast, load: Callable[[Point], Point]) -> None:
        """What another one saved, in place of an empty one."""
        points = [load(point) for point in saved.points]
        self._snapshots = OrderedDict((name, load(point)) for name, point in saved.snapshots)
        self._points, self._numbers = points, saved.numbers

    def clear(self) -> None:
        """Nobody will go back."""
        self._gone += self
        self._points = []
        self._snapshots.clear()

    def taken(self) -> list[Any]:
        """States to be released."""
        gone, self._gone = self._gone, []
        return [point.state for point in gone]
