"""What a walker does, whatever client it has for hands: rest, press a key, see what that changed; again and again.

Says as JSON lines what came of it, as `examples/godot/walk.gd` does: one when a session is open, one for each deed.
Ends when its input does. Knows arrays and time; no client.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

DEEDS = ("KeyD", "ArrowRight", "KeyA", "ArrowLeft")
REST_S = 0.2  # without input before each deed, as often as it takes until the picture rests
RESTS = 10  # at most
STILL = 1.0  # levels of grey by which pictures of a world at rest may differ on average: their compression
FRAMES = 6  # of the world after the first one that a deed shaped, until the pictures are compared
GIVE_UP_S = 5.0


class Hands(Protocol):
    """A client that is used as a person uses it."""

    def session(self) -> str: ...

    def times_back(self) -> int:
        """How often a lost connection was found again."""

    def screen(self) -> NDArray[np.uint8] | None:
        """What is shown."""

    def shown(self) -> int:
        """The number of that picture; below zero before the first."""

    def press(self, code: str) -> None: ...

    def release(self, code: str) -> None: ...

    def receipt(self) -> dict[str, Any] | None:
        """Of the latest press; None before it is there."""

    def wait(self, seconds: float) -> None: ...


def walk(hands: Hands) -> None:
    """Walk."""
    over = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=listen, daemon=True).start()
    wait_until(hands, lambda: hands.shown() >= 0)
    times_back, number = -1, 0
    while not over.is_set():
        if hands.times_back() != times_back:
            times_back = hands.times_back()
            say(session=hands.session(), times_lost=times_back)
        told = deed(hands, DEEDS[number % len(DEEDS)])
        number += 1
        if told is not None and hands.times_back() == times_back:
            say(times_lost=times_back, **told)
    say(walked=True)


def deed(hands: Hands, code: str) -> dict[str, Any] | None:
    """Press a key for a moment. None where it was not answered, or nothing was seen of it."""
    before, rest = rested(hands)
    hands.press(code)
    try:
        if not wait_until(hands, lambda: hands.receipt() is not None):
            return None
        receipt = hands.receipt() or {}
        if receipt["frame"] is None or not wait_until(hands, lambda: hands.shown() >= receipt["frame"] + FRAMES):
            return None
        change = difference(before, hands.screen())
        return {"did": code, "status": receipt["status"], "frame": receipt["frame"], "rest": rest, "change": change}
    finally:
        hands.release(code)


def rested(hands: Hands) -> tuple[NDArray[np.uint8] | None, float | None]:
    """The picture of a world that nobody moves, and by how much it changed at last."""
    before, change = hands.screen(), None
    for _ in range(RESTS):
        hands.wait(REST_S)
        early, before = before, hands.screen()
        change = difference(early, before)
        if change is not None and change < STILL:
            break
    return before, change


def wait_until(hands: Hands, holds: Callable[[], bool]) -> bool:
    """Whether it came to that in time, on the same connection."""
    deadline, connection = time.monotonic() + GIVE_UP_S, hands.times_back()
    while not holds():
        if time.monotonic() > deadline or hands.times_back() != connection:
            return False
        hands.wait(0.03)
    return True


def difference(a: NDArray[np.uint8] | None, b: NDArray[np.uint8] | None) -> float | None:
    """Of two pictures on average, in levels of grey."""
    if a is None or b is None or a.shape != b.shape:
        return None
    return float(np.abs(a.astype(np.float32) - b).mean())


def say(**told: Any) -> None:
    """One line."""
    print(json.dumps(told), flush=True)
