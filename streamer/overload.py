"""What gives way when steps take longer than there is time: first denoising steps, then the frame rate; and back again.

A ladder of rungs, told about every realtime step. It climbs when half of the latest steps were late, and comes down
when the rung below would have held for seconds. A rung that it has to climb again soon after is left for twice as long,
so that a load between two rungs does not make it swing. Knows numbers only: no clock, world or session.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

from .fields import Reduced

SLOWER = (Fraction(5, 4), Fraction(3, 2), Fraction(2), Fraction(3), Fraction(4))  # how long frames may last

WINDOW = 30  # latest steps that a climb looks at, for a hiccup is shorter; as many must be seen on a rung first
LATE = 0.97  # of a rung's period: a step that takes longer is late, for handing out pictures takes time too
FITS = 0.92  # of the period of the rung below: where three in four steps take no longer, the ladder comes down
HICCUPS = WINDOW // 10  # late steps among the latest that do not keep it up: on a busy host there is always one
QUIET = 60  # steps on a rung before it may be left downwards; also what a descent has to hold to count
LONGEST = 16  # times `QUIET`, after climbs that came back


@dataclass(frozen=True)
class Rung:
    """How much is given up."""

    steps: int = 0  # denoising steps; 0: as many as the world takes by itself
    slow: Fraction = Fraction(1)  # times that a frame lasts as long as the world says

    @property
    def reduced(self) -> Reduced:
        """What gives way."""
        return "rate" if self.slow > 1 else "steps" if self.steps else ""


def rungs_of(steps: tuple[int, int]) -> tuple[Rung, ...]:
    """The rungs of a world that declares this range of denoising steps; (0, 0): none to give up."""
    fewest, most = steps
    fewer = [Rung(count) for count in range(most - 1, fewest - 1, -1)]
    least = fewer[-1].steps if fewer else 0
    return (Rung(), *fewer, *(Rung(least, slow) for slow in SLOWER))


class Ladder:
    """See the module."""

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self._rungs = tuple(rungs)
        self.reset()

    def reset(self) -> None:
        """Nobody is there to be spared."""
        self.level = 0
        self._hold = [QUIET] * len(self._rungs)  # steps that each rung is kept for, at least
        self._gain = [1.0] * len(self._rungs)  # a step's time on each rung, relative to the rung below
        self._arrive()
        self._since_descent: int | None = None  # steps; None: the last move was no descent, or it has held

    @property
    def rung(self) -> Rung:
        """What is given up now."""
        return self._rungs[self.level]

    def step(self, step_ns: int, period_ns: int, stalls: int = 0) -> bool:
        """A realtime step was made on this rung. Returns whether the level changes.

        Args:
            step_ns: what it took.
            period_ns: a chunk's duration at the world's own rate.
            stalls: schedules that had to be moved for it.
        """
        if period_ns <= 0:
            return False
        self._seen += 1
        self._shares.append(step_ns / period_ns)
        self._late.append(stalls > 0 or step_ns > LATE * period_ns * float(self.rung.slow))
        if self._seen == WINDOW and self._before:
            self._learn()
        self._count_descent()
        if self._seen >= WINDOW and 2 * sum(self._late) >= WINDOW and self.level + 1 < len(self._rungs):
            self._climb()
            return True
        if self.level and self._seen >= self._hold[self.level] and self._would_fit():
            self._descend()
            return True
        return False

    def _arrive(self, before: float = 0.0) -> None:
        """On another rung: what was seen on the one before says little here, but for its typical step."""
        self._seen = 0  # steps on this rung
        self._before = before  # share of a period that steps took on the rung below; 0: we did not come from there
        self._shares: deque[float] = deque(maxlen=QUIET)
        self._late: deque[bool] = deque(maxlen=WINDOW)

    def _learn(self) -> None:
        """What this rung saves. It saves no more than its share of the steps, and costs nothing."""
        above, below = self._rungs[self.level].steps, self._rungs[self.level - 1].steps
        gain = median(self._shares) / self._before
        if above == below:
            gain = 1.0
        elif below:
            gain = max(gain, above / below)
        self._gain[self.level] = min(1.0, gain)

    def _climb(self) -> None:
        if self._since_descent is not None:  # the descent did not hold
            self._hold[self.level + 1] = min(2 * self._hold[self.level + 1], LONGEST * QUIET)
            self._since_descent = None
        before = median(list(self._shares)[-WINDOW:])
        self.level += 1
        self._arrive(before)

    def _would_fit(self) -> bool:
        """Whether three in four of the latest steps would have fitted the rung below, and next to none was late here.

        What a rung saves may have been learnt while the load was changing, so after long enough it is tried anew.
        """
        gain = self._gain[self.level] if self._seen < LONGEST * QUIET else 1.0
        share = sorted(self._shares)[len(self._shares) * 3 // 4] / gain
        return sum(self._late) <= HICCUPS and share <= FITS * float(self._rungs[self.level - 1].slow)

    def _descend(self) -> None:
        self.level -= 1
        self._arrive()
        self._since_descent = 0

    def _count_descent(self) -> None:
        """A descent that has held for as long as the rung above was kept was right."""
        if self._since_descent is None:
            return
        self._since_descent += 1
        if self._since_descent > self._hold[self.level + 1]:
            self._hold[self.level + 1] = QUIET
            self._since_descent = None
