"""Steps for nobody, before anybody enters: how long they take for one stream, two and more, and what a state holds.

Knows the world's interface; runs on the engine's thread, and frees what it started.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from worldloom.models.spec import WorldModel

from .capacity import fit

log = logging.getLogger(__name__)

TIMED = 5  # steps of each batch size that count, after one that does not
LONGEST_NS = 10 * 10**9  # nobody may enter while a world is probed, so that ends about then, with what is known


@dataclass(frozen=True)
class Probe:
    """What was measured."""

    times_ns: dict[int, list[int]]  # by batch size
    state_bytes: int | None  # of one state as it is saved; None where the world cannot save
    failed: int | None = None  # the batch size that the world could not step


def probe(model: WorldModel[Any], *, most: int, within_ns: float, clock_ns: Callable[[], int]) -> Probe:
    """Step 1, 2, 4... streams, as long as twice as many would probably fit, and about as long at most as is said above.

    Args:
        model: the world.
        most: streams at most.
        within_ns: how long one step of all sessions may take.
        clock_ns: tells the time.

    Raises:
        Exception: whatever the world raised for one stream alone.
    """
    times: dict[int, list[int]] = {}
    states: list[Any] = []
    failed: int | None = None
    batch, begun = 1, clock_ns()
    try:
        while batch <= most:
            try:
                states += [model.start(seed=seed) for seed in range(len(states), batch)]
                times[batch] = _timed(model, states, clock_ns)
            except Exception:
                if not times:
                    raise
                log.warning("the world failed on %d streams at once; no more are admitted", batch, exc_info=True)
                failed = batch
                break
            typical = {size: median(ns) for size, ns in times.items()}
            if typical[1] > within_ns or (batch > 1 and fit(typical).at(2 * batch) > within_ns):
                break
            if 2 * (clock_ns() - begun) > LONGEST_NS:
                log.warning("the world is slow to start or to step; probed with up to %d streams only", batch)
                break
            batch = batch + 1 if batch == most else min(2 * batch, most)
        return Probe(times, _saved_bytes(model, states[0]), failed)
    finally:
        for state in states:
            model.release(state)


def _timed(model: WorldModel[Any], states: Sequence[Any], clock_ns: Callable[[], int]) -> list[int]:
    """Nanoseconds of each step at rest."""
    rest = np.stack([model.spec.actions.neutral(model.spec.chunk)] * len(states))
    times = []
    for _ in range(1 + TIMED):
        begun = clock_ns()
        model.step(states, rest)
        times.append(clock_ns() - begun)
    return times[1:]


def _saved_bytes(model: WorldModel[Any], state: Any) -> int | None:
    try:
        return len(model.save(state))
    except Exception as error:
        log.info("the world cannot save, so what a session takes is not known: %r", error)
        return None
