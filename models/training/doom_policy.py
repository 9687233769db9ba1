"""How curious visitors walk: the one of the maze, and the one who also opens doors, looks around and comes back.

Knows action columns and where the body is; no engine and no picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .simulators import Pose, Row

BLOCKED = 5  # column of the pose that says whether the body was blocked on the way here (see `pose_columns`)

MANNERS = {
    "walk": 0.26,
    "look": 0.06,
    "nod": 0.14,
    "strafe": 0.21,
    "back": 0.09,
    "idle": 0.07,
    "circle": 0.04,
    "return": 0.03,
    "any": 0.1,
}
"""What a `Wanderer` does next, and how often. They last for different times; the balance report counts frames."""


class Wanderer:
    """Walks with momentum, tries doors, turns away from walls, looks around, comes back to where it was, and rests."""

    def __init__(self, columns: tuple[str, ...], pose: Callable[[], Pose], rng: np.random.Generator) -> None:
        self._columns, self._pose, self._rng = columns, pose, rng
        self._turn = 0.0  # degrees a frame; walks go on in the curve that the last one ended in

    def rows(self) -> Iterator[Row]:
        """Endless actions."""
        manners = {
            "walk": self._walk, "look": self._look, "nod": self._nod, "strafe": self._strafe, "back": self._back,
            "idle": self._idle, "circle": self._circle, "return": self._return, "any": self._any,
        }  # fmt: skip
        names, shares = list(MANNERS), np.array(list(MANNERS.values()))
        if "use" in self._columns:
            yield from self._use()  # it may begin in front of a door
        while True:
            yield from manners[str(self._rng.choice(names, p=shares))]()

    def _row(self, turn: float = 0.0, look: float = 0.0, **buttons: float) -> Row:
        """A row; what the world has no column for is left out."""
        values = {"turn": turn, "look": look, **buttons}
        return np.array([values.get(name, 0.0) for name in self._columns], np.float32)

    def _frames(self, low: int, high: int) -> range:
        return range(int(self._rng.integers(low, high)))

    def _stuck(self) -> bool:
        return bool(self._pose()[BLOCKED])

    def _walk(self) -> Iterator[Row]:
        """Ahead, in curves that change slowly; straight on for a third of the time."""
        straight = self._rng.random() < 0.35
        for _ in self._frames(15, 70):
            self._turn = 0.0 if straight else float(np.clip(0.9 * self._turn + self._rng.normal(0.0, 0.9), -6.0, 6.0))
            yield self._row(self._turn, forward=1.0)
            if self._stuck() and self._rng.random() < 0.5:
                yield from self._obstacle()
                return

    def _obstacle(self) -> Iterator[Row]:
        """Perhaps a door. Or else a wall: turn away from it."""
        if "use" in self._columns and self._rng.random() < 0.5:
            yield from self._use()
            if not self._stuck():
                return
        self._turn = 0.0
        turn = self._rng.choice([-1.0, 1.0]) * self._rng.uniform(3.5, 6.0)
        for _ in self._frames(8, 30):
            yield self._row(turn)

    def _use(self) -> Iterator[Row]:
        """Use what is ahead, wait, and push on."""
        yield self._row(use=1.0)
        for _ in self._frames(10, 20):
            yield self._row()
        for _ in self._frames(4, 24):
            yield self._row(forward=1.0)
            if self._stuck():
                return

    def _look(self) -> Iterator[Row]:
        """On the spot: to one side and perhaps back, or all the way round."""
        turn = self._rng.choice([-1.0, 1.0]) * self._rng.uniform(2.0, 6.0)
        frames = round(360.0 / abs(turn)) if self._rng.random() < 0.15 else len(self._frames(6, 36))
        for _ in range(frames):
            yield self._row(turn)
        if self._rng.random() < 0.4:
            for _ in range(frames):
                yield self._row(-turn)

    def _nod(self) -> Iterator[Row]:
        """Up or down, a while like that (turning or walking), and back to level; nothing where one cannot."""
        if "look" not in self._columns:
            return
        look = self._rng.choice([-1.0, 1.0]) * self._rng.uniform(1.0, 3.0)
        frames = len(self._frames(3, 9))
        turn, forward = self._rng.uniform(-4.0, 4.0), float(self._rng.random() < 0.4)
        for _ in range(frames):
            yield self._row(look=look)
        for _ in self._frames(4, 20):
            yield self._row(turn, forward=forward)
        for _ in range(frames):
            yield self._row(look=-look)

    def _strafe(self) -> Iterator[Row]:
        """To one side, perhaps turning; until something is in the way."""
        side = str(self._rng.choice(["left", "right"]))
        turn = self._rng.uniform(-5.0, 5.0) if self._rng.random() < 0.5 else 0.0
        for _ in self._frames(12, 44):
            yield self._row(turn, **{side: 1.0})
            if self._stuck() and self._rng.random() < 0.3:
                return

    def _back(self) -> Iterator[Row]:
        for _ in self._frames(8, 32):
            yield self._row(back=1.0)
            if self._stuck() and self._rng.random() < 0.3:
                return

    def _idle(self) -> Iterator[Row]:
        for _ in self._frames(8, 40):
            yield self._row()

    def _circle(self) -> Iterator[Row]:
        """Once around, back to the same spot and the same view."""
        turn = self._rng.choice([-1.0, 1.0]) * self._rng.uniform(3.0, 6.0)
        for _ in range(round(360.0 / abs(turn))):
            yield self._row(turn, forward=1.0)
            if self._stuck() and self._rng.random() < 0.2:
                return

    def _return(self) -> Iterator[Row]:
        """Ahead, about turn, and back; about turn once more."""
        frames = len(self._frames(12, 50))
        turn = self._rng.choice([-6.0, 6.0])
        for _ in range(2):
            for _ in range(frames):
                yield self._row(forward=1.0)
            for _ in range(30):
                yield self._row(turn)

    def _any(self) -> Iterator[Row]:
        """Whatever: any buttons together, held for a while."""
        ahead, across = self._rng.choice(["forward", "back", ""]), self._rng.choice(["left", "right", ""])
        turn = self._rng.choice([-1.0, 0.0, 1.0]) * self._rng.uniform(0.5, 6.0)
        use = float(self._rng.random() < 0.1)
        row = self._row(turn, **{str(name): 1.0 for name in (ahead, across) if name})
        yield row if not use else self._row(use=1.0)
        for _ in self._frames(4, 24):
            yield row


def visit_maze(pose: Callable[[], Pose], rng: np.random.Generator) -> Iterator[Row]:
    """Walks with momentum, turns away from walls, looks around, strafes, backs off and rests."""
    turn = 0.0
    while True:
        mode = rng.choice(["walk", "look", "strafe", "back", "rest", "any"], p=[0.46, 0.2, 0.1, 0.08, 0.04, 0.12])
        turn = _turn(str(mode), turn, rng)
        row = np.zeros(5, np.float32)
        row[4] = turn
        row[0] = mode == "walk" or (mode == "any" and rng.random() < 0.5)
        row[1] = mode == "back" or (mode == "any" and not row[0] and rng.random() < 0.5)
        if mode in ("strafe", "any"):
            row[2 + rng.integers(0, 2)] = 1.0
        yield from _hold(row, int(rng.integers(4, 28)), pose, rng)


def _turn(mode: str, last: float, rng: np.random.Generator) -> float:
    """Degrees a frame for the next stretch; a walk often keeps its curve."""
    if mode == "rest" or (mode == "walk" and rng.random() < 0.3):
        return last if mode == "walk" else 0.0
    if mode == "look":
        return float(rng.choice([-1.0, 1.0]) * rng.choice([3.0, 5.0, 6.0]))
    if mode == "walk":
        return float(rng.choice([0.0, 0.0, 1.0, -1.0]) * rng.uniform(0.5, 6.0))
    return float(rng.choice([-1.0, 0.0, 1.0], p=[0.4, 0.2, 0.4]) * rng.uniform(1.0, 6.0))


def _hold(row: Row, frames: int, pose: Callable[[], Pose], rng: np.random.Generator) -> Iterator[Row]:
    """The row for some frames; when a walk runs into a wall, turn away from it instead."""
    before = pose()[:2]
    for held in range(frames):
        yield row
        now = pose()[:2]
        if row[0] and held > 2 and np.hypot(*(now - before)) < 2.0 and rng.random() < 0.7:
            away = np.zeros(5, np.float32)
            away[4] = rng.choice([-1.0, 1.0]) * rng.uniform(4.0, 6.0)
            for _ in range(int(rng.integers(8, 26))):
                yield away
            return
        before = now
