"""How many sessions fit: step times by batch size, a line through them, the memory that a state takes, and a setting.

Numbers in, numbers out: knows no engine, world, clock or operating system. The line's shape comes from a measurement
before anybody enters, its height from the latest steps: when the machine slows down, fewer fit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal, TypeAlias

import numpy as np

from .errors import Busy

RECENT = 32  # latest steps that say how fast the machine is now
MEMORY_SHARE = 0.8  # of the free memory that sessions may take
SESSION_BYTES = 32 * 2**20  # a session besides the world's state: encoders (H.264, 256x256: 3.4 MB), queues, pictures

Limit: TypeAlias = Literal["setting", "compute", "memory"]
LIMITS: dict[Limit, str] = {"setting": "max_sessions", "compute": "step time", "memory": "free memory"}

Entry: TypeAlias = Literal["new", "returning", "recovered"]
"""Who asks for a place: a session that never had one; one that gave its own up, as orphans do; or one whose engine died
under it."""


@dataclass(frozen=True)
class Line:
    """How long a step takes: `base + each * batch`, nanoseconds."""

    base: float
    each: float

    def at(self, batch: int) -> float:
        """Nanoseconds that a step of so many streams takes."""
        return self.base + self.each * batch

    def fitting(self, within_ns: float, most: int) -> int:
        """The largest batch, up to `most`, whose step takes no longer."""
        if self.each <= 0:
            return most if self.base <= within_ns else 0
        return max(0, min(most, int((within_ns - self.base) / self.each)))


def fit(times: Mapping[int, float]) -> Line:
    """The line through nanoseconds by batch size, least squares of relative errors; never steeper than measured.

    One size alone says nothing of the share that does not grow: then everything is taken to grow with the batch.
    """
    steepest = max(ns / batch for batch, ns in times.items())
    if len(times) < 2 or not all(times.values()):
        return Line(0.0, steepest)
    sizes, ns = np.array(list(times)), np.array(list(times.values()))
    each, base = np.polyfit(sizes, ns, 1, w=1.0 / ns)
    if base < 0:
        return Line(0.0, steepest)
    return Line(float(base), float(each)) if each > 0 else Line(float(ns.max()), 0.0)


class StepTimes:
    """Step times of one engine."""

    def __init__(self) -> None:
        self._shape: Line | None = None
        self._latest: deque[tuple[int, int]] = deque(maxlen=RECENT)  # (batch, nanoseconds)
        self._by_batch: dict[int, deque[int]] = {}  # bounded: one for each batch size

    def probed(self, times: Mapping[int, Sequence[int]]) -> None:
        """Measured with nobody there: nanoseconds by batch size."""
        self._shape = fit({batch: median(ns) for batch, ns in times.items()})
        for batch, ns in times.items():
            self._of(batch).extend(ns)

    def add(self, batch: int, ns: int) -> None:
        """A step that was made for so many sessions."""
        self._latest.append((batch, ns))
        self._of(batch).append(ns)

    def by_batch(self) -> dict[int, float]:
        """Median milliseconds by batch size, as last seen."""
        return {batch: median(ns) / 1e6 for batch, ns in sorted(self._by_batch.items())}

    def line(self) -> Line | None:
        """How long steps take now; None before the first."""
        shape = self._shape if self._shape and self._shape.at(1) > 0 else None
        if not self._latest:
            return shape
        shape = shape or Line(0.0, 1.0)
        slowness = median(ns / shape.at(batch) for batch, ns in self._latest)
        return Line(shape.base * slowness, shape.each * slowness)

    def _of(self, batch: int) -> deque[int]:
        return self._by_batch.setdefault(batch, deque(maxlen=RECENT))


@dataclass(frozen=True)
class Measured:
    """What is known of a world on its device."""

    period_ns: int = 0  # a chunk's duration
    line: Line | None = None  # how long steps take now; None before the first
    step_ms: Mapping[int, float] = field(default_factory=dict)  # medians by batch size
    state_bytes: int | None = None  # of one session's state
    proven: int | None = None  # streams that the world can step at once, where it failed on more
    level: int = 0  # of overload

    def load(self, realtime: int) -> float:
        """Share of a chunk's duration that one step of so many sessions takes."""
        return self.line.at(realtime) / self.period_ns if self.line and realtime and self.period_ns else 0.0


@dataclass(frozen=True)
class Places:
    """Sessions that each limit alone would allow; None where nothing is known."""

    setting: int
    compute: int | None = None
    memory: int | None = None

    @property
    def count(self) -> int:
        """Places for realtime sessions; never below one, or nothing would ever be measured again."""
        return self.lowest(paced=True)[1]

    @property
    def limit(self) -> Limit:
        """What the number comes from."""
        return self.lowest(paced=True)[0]

    def lowest(self, *, paced: bool) -> tuple[Limit, int]:
        """The limit that counts, and its places. Sessions that no clock paces can be late for nothing: where there are
        no others, compute does not limit them.
        """
        known: list[tuple[Limit, int]] = [("setting", self.setting)]
        known += [("compute", self.compute)] if paced and self.compute is not None else []
        known += [("memory", self.memory)] if self.memory is not None else []
        limit, places = min(known, key=lambda pair: pair[1])
        return limit, max(1, places)


@dataclass(frozen=True)
class Capacity:
    """What an engine has, holds and can still take."""

    sessions: int  # open or opening
    realtime: int  # of them, paced by the clock
    places: Places
    load: float  # share of a chunk's duration that one step of all realtime sessions takes
    others: float  # the same of the other worlds of this machine
    share: float  # that all of them together may take
    free_bytes: int | None  # memory that nobody uses; None: not known
    measured: Measured
    session_bytes: int | None = None  # that one session is taken to hold, its past and its coders included
    budget_bytes: int | None = None  # that all of them may hold together; None: not known

    def check(self, *, paced: bool, entry: Entry = "new") -> None:
        """Whether one more session fits; `paced`: it is a realtime one.

        What was admitted goes on where steps have grown slower, as sessions that never left do: overload sees to them.
        Who comes back must find room for one more all the same, for others may have come meanwhile; whose engine died
        has kept the place.

        Raises:
            Busy: it does not; the message says what limits.
        """
        if entry == "recovered":
            return
        limit, count = self.places.lowest(paced=entry == "new" and (paced or self.realtime > 0))
        if self.sessions >= count:
            raise Busy(f"all places are taken, {self.sessions} of {count}, limited by {LIMITS[limit]}; try again later")

    def table(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "sessions": self.sessions,
            "realtime": self.realtime,
            "places": self.places.count,
            "limit": self.places.limit,
            "by_limit": {name: getattr(self.places, name) for name in ("setting", "compute", "memory")},
            "load": round(self.load, 3),
            "load_of_others": round(self.others, 3),
            "share": self.share,
            "period_ms": round(self.measured.period_ns / 1e6, 2),
            "step_ms": {str(batch): round(ms, 2) for batch, ms in self.measured.step_ms.items()},
            "memory": {
                "state_bytes": self.measured.state_bytes,
                "session_bytes": self.session_bytes,
                "budget_bytes": self.budget_bytes,
                "free_bytes": self.free_bytes,
            },
            "level": self.measured.level,
        }


def capacity_of(
    measured: Measured,
    *,
    sessions: int,
    realtime: int,
    setting: int,
    share: float,
    others: float,
    free_bytes: int | None,
    past_bytes: int = 0,
    most_bytes: int = 0,
) -> Capacity:
    """What there is, is taken and is left.

    Args:
        measured: of the world on its device.
        sessions: open, or about to be.
        realtime: of them, paced by the clock.
        setting: places at most.
        share: of a chunk's duration that one step of all realtime sessions may take.
        others: what other engines on the machine take of it.
        free_bytes: memory that nobody uses, if that is known.
        past_bytes: of a session, for what it can go back to.
        most_bytes: that all sessions may hold together, where that is less than the device has; 0: as it has.
    """
    line, compute, memory, each, budget = measured.line, None, None, None, None
    if line is not None:
        within_ns = (share - others) * measured.period_ns
        if measured.level:  # whoever is here gets less than the world's own: nobody enters
            within_ns = min(within_ns, line.at(sessions))
        compute = line.fitting(within_ns, setting)
    if measured.state_bytes is not None:
        each = measured.state_bytes + SESSION_BYTES + past_bytes
        budgets = [] if free_bytes is None else [sessions * each + int(free_bytes * MEMORY_SHARE)]
        budget = min(budgets + [most_bytes] * bool(most_bytes), default=None)
        memory = None if budget is None else budget // each
    return Capacity(
        sessions=sessions,
        realtime=realtime,
        places=Places(min(setting, measured.proven or setting), compute, memory),
        load=measured.load(realtime),
        others=others,
        share=share,
        free_bytes=free_bytes,
        measured=measured,
        session_bytes=each,
        budget_bytes=budget,
    )
