"""How fast a world steps on its device, and what is given up when that is too slow.

Every step is made and timed here; admission reads here what fits. Knows the world's interface; no sessions, no thread.
Steps and `measure` belong to the engine's thread, everything else is for any.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from worldloom.models.spec import Actions, AdjustableWorld, Frames, WorldModel

from .capacity import Measured, StepTimes
from .clock import FrameClock
from .errors import ModelFault
from .overload import Ladder, Rung, rungs_of
from .probe import probe

log = logging.getLogger(__name__)


class Pace:
    """See the module."""

    def __init__(self, model: WorldModel[Any], *, most: int, share: float, clock_ns: Callable[[], int]) -> None:
        self.span_ns = FrameClock(model.spec.fps).span_ns(model.spec.chunk)  # a chunk's duration
        self._share = share  # of it, that one step of all realtime sessions may take
        self._most = most  # streams in one step
        self._proven: int | None = None  # streams that the world can step at once, where it failed on more
        self._state_bytes: int | None = None  # of one session's state, once it was measured
        self._model = model
        self._clock_ns = clock_ns
        self._lock = threading.Lock()  # guards the step times
        self._times = StepTimes()
        self._ladder = Ladder(rungs_of(model.spec.steps))

    @property
    def level(self) -> int:
        """How much is given up; 0: nothing."""
        return self._ladder.level

    @property
    def rung(self) -> Rung:
        """What is given up, in realtime sessions."""
        return self._ladder.rung

    def measured(self) -> Measured:
        """What is known of the world on this device."""
        with self._lock:
            line, step_ms = self._times.line(), self._times.by_batch()
        return Measured(self.span_ns, line, step_ms, self._state_bytes, self._proven, self.level)

    def expected_ns(self, batch: int) -> float:
        """What a step of so many streams probably takes; 0 before the first."""
        with self._lock:
            line = self._times.line()
        return line.at(batch) if line else 0.0

    def measure(self) -> None:
        """Step the world for nobody.

        Raises:
            ModelFault: it failed.
        """
        within_ns = self._share * self.span_ns
        try:
            found = probe(self._model, most=self._most, within_ns=within_ns, clock_ns=self._clock_ns)
        except Exception as error:
            raise ModelFault("the world failed while it was measured") from error
        self._state_bytes = found.state_bytes
        if found.failed is not None:
            self._proven = max(found.times_ns)
        with self._lock:
            self._times.probed(found.times_ns)

    def make(self, states: Sequence[Any], actions: Actions, rung: Rung) -> Frames:
        """One call of the world, on this rung.

        Raises:
            ModelFault: it made something else than pictures; or whatever it raised.
        """
        if rung.steps:
            pictures = cast(AdjustableWorld[Any], self._model).step(states, actions, steps=rung.steps)
        else:
            pictures = self._model.step(states, actions)
        spec = self._model.spec
        want = (len(states), spec.chunk, spec.height, spec.width, 3)
        if pictures.shape != want or pictures.dtype != np.uint8:
            raise ModelFault(f"expected uint8 frames {want} from the world, got {pictures.dtype} {pictures.shape}")
        return pictures

    def took(self, batch: int, step_ns: int, rung: Rung, *, paced: bool, stalls: int) -> None:
        """What a step of so many sessions took. `paced`: the clock was waiting for it; `stalls`: in vain, so often."""
        if not rung.steps:  # fewer denoising steps say nothing of what fits without them
            with self._lock:
                self._times.add(batch, step_ns)
        if paced and self._ladder.step(step_ns, self.span_ns, stalls):
            given_up = self.rung.reduced or "nothing"
            log.warning("world %s: overload level %d, giving up %s", self._model.spec.name, self.level, given_up)

    def rest(self) -> None:
        """No realtime session is left: nothing need be given up."""
        self._ladder.reset()
