"""How hands are tried on things: reached for from above, taken, moved and left, and most of it fails by a centimetre.

That shows where a thing is taken and where it is not. Knows actions and how far the thing is; no engine and no picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arm_policy import to_row
from .simulators import Row

DRAWER = "drawer-open-v3"
"""The task of an arm that has no others."""

Apart = Callable[[], NDArray[np.floating[Any]]]
"""Says the (3,) metres from the hand to the thing now."""

HOOK, SPREAD = np.array([0.0, -0.02, -0.01]), np.array([0.025, 0.03, 0.03])
"""Metres from a handle to a hand that has taken it, about, and how far from there attempts are made."""

PRESS, PRESS_SPREAD = np.array([0.0, 0.0, 0.05]), np.array([0.03, 0.03, 0.02])
"""The same of a hand that is about to press a button."""

HOLD, HOLD_SPREAD = np.zeros(3), np.array([0.012, 0.012, 0.008])
"""The same of one that is about to close around a puck."""


def touch_handle(apart: Apart, rng: np.random.Generator) -> Iterator[Row]:
    """Reach for about where a handle can be taken, and pull or push: again and again."""
    while True:
        grip, noise = _grip(rng), _noise(rng)
        yield from _reach(apart, HOOK + rng.normal(0.0, SPREAD), grip, noise, rng)
        way = np.array([rng.normal(0.0, 0.3), -rng.uniform(0.2, 1.0), rng.normal(0.0, 0.3)])
        sort = rng.random()
        if sort < 0.2:
            way[1] *= -1.0
        elif sort < 0.35:
            way = rng.uniform(-1.0, 1.0, 3)
        yield from _go(way, grip, noise, int(rng.integers(8, 36)), rng)


def touch_button(apart: Apart, rng: np.random.Generator) -> Iterator[Row]:
    """Reach for about above a button, press, and go up again."""
    while True:
        grip, noise = _grip(rng), _noise(rng)
        yield from _reach(apart, PRESS + rng.normal(0.0, PRESS_SPREAD), grip, noise, rng)
        down = np.array([*rng.normal(0.0, 0.3, 2), -rng.uniform(0.3, 1.0)])
        yield from _go(down, grip, noise, int(rng.integers(5, 30)), rng)
        up = np.array([*rng.uniform(-0.5, 0.5, 2), rng.uniform(0.3, 1.0)])
        yield from _go(up, grip, 0.0, int(rng.integers(3, 15)), rng)


def touch_puck(apart: Apart, rng: np.random.Generator) -> Iterator[Row]:
    """Reach for about where a puck is, close the fingers, carry it about, most of the time upward, and let it go."""
    while True:
        noise = _noise(rng)
        aim = HOLD + rng.normal(0.0, HOLD_SPREAD) * rng.choice([0.3, 1.0, 2.5])
        yield from _reach(apart, aim, -1.0, noise, rng)
        yield from _go(rng.normal(0.0, 0.1, 3), float(rng.choice([1.0, 1.0, 0.6])), 0.0, int(rng.integers(2, 9)), rng)
        for _ in range(int(rng.integers(1, 4))):
            way = rng.uniform(-1.0, 1.0, 3)
            way[2] = abs(way[2]) if rng.random() < 0.6 else way[2]
            yield from _go(way, 1.0, noise, int(rng.integers(5, 30)), rng)
        yield from _go(rng.uniform(-0.3, 0.3, 3), -1.0, 0.0, int(rng.integers(4, 14)), rng)


TOUCHES = {DRAWER: touch_handle, "button-press-topdown-v3": touch_button, "pick-place-v3": touch_puck}
"""By task."""


def _reach(
    apart: Apart, aim: NDArray[np.float64], grip: float, noise: float, rng: np.random.Generator
) -> Iterator[Row]:
    """To a place beside the thing, by way of one above it."""
    above = np.array([*rng.normal(0.0, 0.03, 2), rng.uniform(0.03, 0.15)])
    for point, frames in ((aim + above, 25), (aim, 15)):
        for _ in range(frames):
            off = apart() + point
            if np.abs(off).max() < 0.01:
                break
            yield to_row(np.array([*10.0 * off, grip]) + rng.normal(0.0, 1.0, 4) * noise)


def _go(way: NDArray[np.float64], grip: float, noise: float, frames: int, rng: np.random.Generator) -> Iterator[Row]:
    for _ in range(frames):
        yield to_row(np.array([*way, grip]) + rng.normal(0.0, 1.0, 4) * noise)


def _grip(rng: np.random.Generator) -> float:
    return float(rng.choice([-1.0, 0.0, 1.0, rng.uniform(-1.0, 1.0)]))


def _noise(rng: np.random.Generator) -> float:
    return float(rng.choice([0.0, 0.0, 0.3]))
