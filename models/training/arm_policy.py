"""How curious visitors move the arm: experts that succeed, experts that fail, and hands that do neither.

A world that has only seen success turns failed grasps into good ones. So most attempts here go wrong somewhere. Knows
actions and an expert to ask; no engine and no picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .simulators import Row

Expert = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""(3,) metres by which the thing seems to be elsewhere -> (4,) what the expert does now."""

SKILLED = {"expert": 0.4, "noisy": 0.15, "missing": 0.15, "aborted": 0.1, "wandering": 0.2}
CLUMSY = {"noisy": 0.1, "missing": 0.4, "aborted": 0.2, "wandering": 0.3}
"""What two kinds of visitors do next, and how often."""


def visit_drawer(expert: Callable[[], NDArray[np.floating[Any]]], rng: np.random.Generator) -> Iterator[Row]:
    """A mix of the expert, the noisy expert, held random motion, motion along one axis, and rest."""
    while True:
        mode = rng.choice(["expert", "noisy", "random", "axis", "rest"], p=[0.22, 0.2, 0.28, 0.24, 0.06])
        held: NDArray[np.float64] = np.zeros(4)
        if mode == "random":
            held = rng.uniform(-1.0, 1.0, 4)
        elif mode == "axis":
            held[rng.integers(0, 3)] = rng.choice([-1.0, 1.0])
            held[3] = rng.choice([-1.0, 0.0, 1.0])
        for _ in range(int(rng.integers(5, 36))):
            row: NDArray[np.floating[Any]] = held
            if mode in ("expert", "noisy"):
                row = expert()
            if mode in ("noisy", "random"):
                row = row + rng.normal(0.0, 0.4 if mode == "noisy" else 0.1, 4)
            yield np.clip(row, -1.0, 1.0).astype(np.float32)


def visit_tasks(expert: Expert, rng: np.random.Generator) -> Iterator[Row]:
    """One attempt after the other, each in its own manner, with pauses and wanderings between.

    Half of the visitors never do it right on purpose.
    """
    shares = SKILLED if rng.random() < 0.5 else CLUMSY
    while True:
        manner = str(rng.choice(list(shares), p=list(shares.values())))
        if manner == "wandering":
            yield from _wander(rng)
        else:
            yield from _attempt(manner, expert, rng)
        if rng.random() < 0.3:
            yield from _held(np.zeros(4), int(rng.integers(4, 20)))


def _attempt(manner: str, expert: Expert, rng: np.random.Generator) -> Iterator[Row]:
    """The expert; with noise, or aiming beside the thing, or letting go half-way."""
    offset: NDArray[np.float64] = np.zeros(3)
    if manner == "missing":  # 5 to 12 cm beside it
        angle = rng.uniform(0.0, 2.0 * np.pi)
        offset[:2] = rng.uniform(0.05, 0.12) * np.array([np.cos(angle), np.sin(angle)])
    noise = rng.uniform(0.2, 0.8) if manner == "noisy" else 0.0
    length = rng.integers(15, 60) if manner == "aborted" else rng.integers(60, 160)
    for _ in range(int(length)):
        yield to_row(expert(offset) + rng.normal(0.0, 1.0, 4) * noise)
    if manner == "aborted":  # away, with open fingers
        away = np.array([*rng.uniform(-1.0, 1.0, 2), rng.uniform(0.2, 1.0), -1.0])
        yield from _held(away, int(rng.integers(8, 30)))


def _wander(rng: np.random.Generator) -> Iterator[Row]:
    """Random directions, or along one axis, each held for a while; the fingers open, close or stay."""
    for _ in range(int(rng.integers(2, 6))):
        row = rng.uniform(-1.0, 1.0, 4)
        if rng.random() < 0.5:
            row = np.zeros(4)
            row[rng.integers(0, 3)] = rng.choice([-1.0, 1.0])
        row[3] = rng.choice([-1.0, 0.0, 1.0])
        yield from _held(row, int(rng.integers(5, 30)))


def _held(row: NDArray[np.float64], frames: int) -> Iterator[Row]:
    for _ in range(frames):
        yield to_row(row)


def to_row(values: NDArray[np.float64]) -> Row:
    """(4,) within what can be asked for."""
    return np.clip(values, -1.0, 1.0).astype(np.float32)
