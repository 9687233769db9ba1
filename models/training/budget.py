"""How long a stage trains, and the learning rate along the way. Knows no model and no file.

A stage is given minutes (or steps). Progress runs from 0 to 1; the rate warms up, stays, and falls to zero over the
last part. Minutes count only steps themselves, so a training that was paused or resumed continues where it was, and
giving it more minutes later continues from before the end of its fall.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

WARM_UP = 100  # steps until the full rate
FALL = 0.45  # last share of the training in which the rate falls


@dataclass
class Budget:
    """Time or steps spent, out of time or steps given."""

    minutes: float  # given; ignored when `steps` is positive
    steps: int = 0  # given
    spent_s: float = 0.0  # seconds of training so far
    done: int = 0  # steps so far
    _began: float | None = None

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return min(1.0, self.done / self.steps if self.steps else self.spent_s / (60.0 * self.minutes))

    @property
    def finished(self) -> bool:
        """Nothing is left."""
        return self.progress >= 1.0

    @property
    def rate(self) -> float:
        """Share of the peak learning rate for the next step."""
        return min(1.0, (self.done + 1) / WARM_UP) * min(1.0, max(0.02, (1.0 - self.progress) / FALL))

    def begin(self) -> None:
        """A step begins."""
        self._began = time.monotonic()

    def end(self) -> None:
        """The step ended. A step that took ten times the mean was a pause, and counts as the mean."""
        assert self._began is not None, "end() without begin()"
        took = time.monotonic() - self._began
        mean = self.spent_s / self.done if self.done > 20 else took
        self.spent_s += min(took, 10.0 * mean)
        self.done += 1
